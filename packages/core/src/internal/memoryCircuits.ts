import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { Circuits, CircuitStore, Refusal, Settings, State, Ticket, Transition } from "../CircuitStore.ts"
import { LastCalls, LastMillis, type Window } from "./Window.ts"

/** Circuits in memory: each process has its own. */
export const memory: CircuitStore = {
  circuits: (group, settings) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      // Nothing is made of transitions while nobody subscribes.
      const transitions = yield* Effect.acquireRelease(PubSub.sliding<Transition>(128), PubSub.shutdown)
      const context = yield* Effect.context<never>()
      const fork = Effect.runForkWith(context)
      return new MemoryCircuits(settings, clock, (circuit, from, to, forced) => {
        PubSub.publishUnsafe(transitions, { group, circuit, from, to, forced })
        fork(Effect.logWarning(`circuit ${circuit} of ${group}: ${from} -> ${to}${forced ? " (forced)" : ""}`))
      }, Stream.fromPubSub(transitions))
    })
}

type Moved = (circuit: string, from: State, to: State, forced: boolean) => void

class MemoryCircuits implements Circuits {
  readonly transitions: Stream.Stream<Transition>
  readonly settings: Settings
  readonly moved: Moved
  private readonly clock: Clock.Clock
  // The one that was used last stands last.
  private readonly circuits = new Map<string, Circuit>()
  private latest: Circuit | undefined

  constructor(settings: Settings, clock: Clock.Clock, moved: Moved, transitions: Stream.Stream<Transition>) {
    this.settings = settings
    this.clock = clock
    this.moved = moved
    this.transitions = transitions
  }

  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  admit(key: string): Ticket | Refusal {
    return this.circuit(key).admit()
  }

  state(key: string): Effect.Effect<State> {
    return Effect.sync(() => this.circuits.get(key)?.state ?? "closed")
  }

  force(key: string, to: "open" | "closed" | "auto"): Effect.Effect<void> {
    return Effect.sync(() => this.circuit(key).force(to))
  }

  readonly open = Effect.sync(() =>
    Array.from(this.circuits.values())
      .filter(({ state }) => state !== "closed")
      .map(({ key, state }) => ({ circuit: key, state }))
  )

  private circuit(key: string): Circuit {
    if (this.latest?.key === key) return this.latest
    let circuit = this.circuits.get(key)
    if (circuit === undefined) {
      if (this.circuits.size >= this.settings.maxKeys) this.forgetOne()
      circuit = new Circuit(key, this)
    } else this.circuits.delete(key)
    this.circuits.set(key, circuit)
    this.latest = circuit
    return circuit
  }

  // The one that was not used for longest; an open one only if there are many of those in a row, so that a flood of keys takes a
  // bounded number of steps each.
  private forgetOne(): void {
    let steps = 0
    let oldest: string | undefined
    for (const [key, { state }] of this.circuits) {
      oldest ??= key
      if (state === "closed") {
        oldest = key
        break
      }
      if (++steps === 100) break
    }
    if (oldest !== undefined) this.circuits.delete(oldest)
  }
}

/** One circuit. Each generation, from one transition to the next, hands out tickets of its own: those of an older one say nothing. */
class Circuit {
  readonly key: string
  state: State = "closed"
  private readonly all: MemoryCircuits
  private forced = false
  private ticket: Ticket
  private streak = 0
  private window: Window | undefined = undefined
  private openUntil = 0
  private probes: Array<Probe> = []
  private proven = 0

  constructor(key: string, all: MemoryCircuits) {
    this.key = key
    this.all = all
    this.ticket = new Generation(this)
  }

  admit(): Ticket | Refusal {
    if (this.state === "closed") return this.ticket
    if (this.forced) return { _tag: "Refusal", state: "open", retryAfter: this.all.settings.openFor }
    const now = this.all.now()
    if (this.state === "open") {
      if (now < this.openUntil) return { _tag: "Refusal", state: "open", retryAfter: this.openUntil - now }
      this.become("half-open", false)
    }
    return this.probe(now)
  }

  force(to: "open" | "closed" | "auto"): void {
    this.forced = to !== "auto"
    this.become(to === "open" ? "open" : "closed", true)
  }

  /** An outcome of the current generation. */
  settle(generation: Ticket, outcome: "success" | "failure" | "ignored", slow: boolean): void {
    if (generation !== this.ticket || outcome === "ignored" || this.forced) return
    const { consecutive, failureRate, minimumCalls, slowCallRate } = this.all.settings
    const failed = outcome === "failure"
    this.streak = failed ? this.streak + 1 : 0
    if (this.streak >= consecutive) return this.trip()
    if (failureRate === Infinity && slowCallRate === Infinity) return
    const window = this.window ??= this.newWindow()
    window.record(failed, slow, "millis" in this.all.settings.window ? this.all.now() : 0)
    if (!failed && !slow) return
    const { calls } = window
    if (calls < minimumCalls) return
    if (window.failures >= failureRate * calls || window.slow >= slowCallRate * calls) this.trip()
  }

  /** What became of a probe. */
  heard(probe: Probe, outcome: "success" | "failure" | "ignored", slow: boolean): void {
    const place = this.probes.indexOf(probe)
    if (place === -1) return
    this.probes.splice(place, 1)
    if (outcome === "ignored") return
    if (outcome === "failure" || (slow && this.all.settings.slowCallRate !== Infinity)) this.trip()
    else if (++this.proven >= this.all.settings.probes) this.become("closed", false)
  }

  // What was heard of before the transition can change nothing after it.
  private become(state: State, forced: boolean): void {
    const from = this.state
    this.state = state
    this.ticket = new Generation(this)
    this.streak = 0
    this.window = undefined
    this.probes = []
    this.proven = 0
    if (from !== state) this.all.moved(this.key, from, state, forced)
  }

  private trip(): void {
    this.openUntil = this.all.now() + this.all.settings.openFor
    this.become("open", false)
  }

  private probe(now: number): Ticket | Refusal {
    const { probeLease, probes } = this.all.settings
    // A probe that was let in long ago may never be heard of.
    if (this.probes.length >= probes) this.probes = this.probes.filter(({ since }) => now - since < probeLease)
    if (this.probes.length >= probes) {
      const first = Math.min(...this.probes.map(({ since }) => since))
      return { _tag: "Refusal", state: "half-open", retryAfter: first + probeLease - now }
    }
    const probe = new Probe(this, now)
    this.probes.push(probe)
    return probe
  }

  private newWindow(): Window {
    const { window } = this.all.settings
    return "calls" in window ? new LastCalls(window.calls) : new LastMillis(window.millis)
  }
}

class Generation implements Ticket {
  readonly _tag = "Ticket"
  private readonly circuit: Circuit
  constructor(circuit: Circuit) {
    this.circuit = circuit
  }
  settle(outcome: "success" | "failure" | "ignored", slow: boolean): void {
    this.circuit.settle(this, outcome, slow)
  }
}

class Probe implements Ticket {
  readonly _tag = "Ticket"
  readonly since: number
  private readonly circuit: Circuit
  constructor(circuit: Circuit, since: number) {
    this.circuit = circuit
    this.since = since
  }
  settle(outcome: "success" | "failure" | "ignored", slow: boolean): void {
    this.circuit.heard(this, outcome, slow)
  }
}
