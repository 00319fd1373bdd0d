import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type {
  Circuits,
  CircuitStore,
  Known,
  Outcome,
  Refusal,
  Settings,
  Standing,
  State,
  Ticket,
  Transition
} from "../CircuitStore.ts"
import { Line, type Waiter } from "./Line.ts"
import { monotonicMillis } from "./monotonic.ts"
import * as Transitions from "./transitions.ts"
import { LastCalls, LastMillis, type Window } from "./Window.ts"

/** Circuits in memory: each process has its own. */
export const memory: CircuitStore = {
  circuits: (group, settings) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const transitions = yield* Transitions.make
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      return new MemoryCircuits(settings, clock, transitions.stream, (transition) => {
        const whole = { group, ...transition }
        fork(Effect.andThen(transitions.publish(whole), Transitions.log(whole)))
      })
    })
}

type Moved = (transition: Omit<Transition, "group">) => void

class MemoryCircuits implements Circuits {
  readonly transitions: Stream.Stream<Transition>
  readonly settings: Settings
  readonly moved: Moved
  /** Those that may be forgotten first come first: closed ones, then those that are not, then those that an operator holds. */
  readonly line = new Line<Circuit>(3)
  private readonly clock: Clock.Clock
  private readonly circuits = new Map<string, Circuit>()
  private latest: Circuit | undefined

  constructor(settings: Settings, clock: Clock.Clock, transitions: Stream.Stream<Transition>, moved: Moved) {
    this.settings = settings
    this.clock = clock
    this.transitions = transitions
    this.moved = moved
  }

  /** Of a clock that is not set, and that does no harm should it be. */
  now(): number {
    return monotonicMillis(this.clock)
  }

  admit(key: string): Ticket | Refusal {
    return this.circuit(key).admit()
  }

  state(key: string): Effect.Effect<State> {
    return Effect.sync(() => this.circuits.get(key)?.state ?? "closed")
  }

  force(key: string, to: "open" | "closed" | "auto"): Effect.Effect<void> {
    return Effect.sync(() => {
      if (to !== "auto" || this.circuits.has(key)) this.circuit(key).force(to)
    })
  }

  readonly open = Effect.sync((): ReadonlyArray<Standing> => {
    const now = this.now()
    return Array.from(this.circuits.values()).filter(({ lane }) => lane > 0).map((circuit) => circuit.standing(now))
  })

  known(most: number): Known {
    const now = this.now()
    const circuits: Array<Standing> = []
    for (const circuit of this.line.fromLast()) {
      if (circuits.length >= most) break
      circuits.push(circuit.standing(now))
    }
    return { circuits, omitted: this.line.length - circuits.length, shared: false }
  }

  private circuit(key: string): Circuit {
    if (this.latest?.key === key) return this.latest
    let circuit = this.circuits.get(key)
    if (circuit === undefined) {
      if (this.circuits.size >= this.settings.maxKeys) this.forgetOne()
      circuit = new Circuit(key, this)
      this.circuits.set(key, circuit)
    } else this.line.leave(circuit)
    this.line.join(circuit)
    return this.latest = circuit
  }

  private forgetOne(): void {
    const circuit = this.line.first()!
    this.line.leave(circuit)
    this.circuits.delete(circuit.key)
    circuit.forget()
  }
}

/** One circuit. Each generation, from one transition to the next, hands out tickets of its own: those of an older one say nothing. */
class Circuit implements Waiter<Circuit> {
  next: Circuit | undefined = undefined
  previous: Circuit | undefined = undefined
  lane = 0
  readonly key: string
  state: State = "closed"
  private readonly all: MemoryCircuits
  private forced = false
  // Of the generation, while it is closed.
  private ticket: Ticket | undefined
  private streak = 0
  private window: Window | undefined = undefined
  // While it is open, and while it is half-open.
  private openUntil = 0
  private trial: Trial | undefined = undefined

  constructor(key: string, all: MemoryCircuits) {
    this.key = key
    this.all = all
    this.ticket = new Generation(this)
  }

  get since(): number {
    return 0 // its place in the line is all that counts
  }

  standing(now: number): Standing {
    const { forced, key, state } = this
    return { circuit: key, state, forced, retryAfter: this.retryAfter(now) }
  }

  admit(): Ticket | Refusal {
    if (this.ticket !== undefined) return this.ticket
    const now = this.all.now()
    if (this.state === "open") {
      // Set back, although it should never be, a clock makes no opening longer than one is.
      this.openUntil = Math.min(this.openUntil, now + this.all.settings.openFor)
      if (this.forced || now < this.openUntil) {
        return { _tag: "Refusal", state: "open", retryAfter: this.retryAfter(now) }
      }
      this.become("half-open", false)
    }
    return this.trial!.admit(now) ?? { _tag: "Refusal", state: "half-open", retryAfter: this.retryAfter(now) }
  }

  force(to: "open" | "closed" | "auto"): void {
    this.forced = to !== "auto"
    this.become(to === "open" ? "open" : "closed", true)
  }

  /** Nothing that is heard from now on finds it. */
  forget(): void {
    this.ticket = this.trial = undefined
  }

  /** What became of a call that it let in while it was closed. */
  settle(generation: Ticket, outcome: Outcome, slow: boolean): void {
    if (generation !== this.ticket || outcome === "ignored" || this.forced) return
    const { consecutive, failureRate, minimumCalls, slowCallRate } = this.all.settings
    const failed = outcome === "failure"
    this.streak = failed ? this.streak + 1 : 0
    if (this.streak >= consecutive) return this.trip()
    if (failureRate === Infinity && slowCallRate === Infinity) return
    const window = this.window ??= this.newWindow()
    window.record(failed, slow, window instanceof LastMillis ? this.all.now() : 0)
    const { calls, failures, slow: slowOnes } = window
    // By division: 7 of 100 is a share of 0.07, and 0.07 of 100 is, to the machine, more than 7.
    if (calls >= minimumCalls && (failures / calls >= failureRate || slowOnes / calls >= slowCallRate)) this.trip()
  }

  /** What became of a probe. */
  heard(trial: Trial, outcome: Outcome, slow: boolean): void {
    if (trial !== this.trial || outcome === "ignored") return
    if (outcome === "failure" || (slow && this.all.settings.slowCallRate !== Infinity)) this.trip()
    else if (++trial.proven >= trial.probes) this.become("closed", false)
  }

  // What was heard of before the transition can change nothing after it.
  private become(state: State, forced: boolean): void {
    const from = this.state
    const { line, settings } = this.all
    this.state = state
    this.ticket = state === "closed" ? new Generation(this) : undefined
    this.trial = state === "half-open" ? new Trial(this, settings.probes, settings.probeLease) : undefined
    this.streak = 0
    this.window = undefined
    line.leave(this)
    this.lane = this.forced ? 2 : state === "closed" ? 0 : 1
    line.join(this)
    if (from !== state) this.all.moved({ circuit: this.key, from, to: state, forced })
  }

  private trip(): void {
    this.openUntil = this.all.now() + this.all.settings.openFor
    this.become("open", false)
  }

  private retryAfter(now: number): number {
    const { openFor } = this.all.settings
    if (this.trial !== undefined) return Math.min(this.trial.freeIn(now), openFor)
    return this.state === "closed" ? 0 : this.forced ? openFor : Math.max(0, this.openUntil - now)
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
  settle(outcome: Outcome, slow: boolean): void {
    this.circuit.settle(this, outcome, slow)
  }
}

/** One time of being half-open: as many probes as have to succeed, and no more. */
class Trial {
  readonly circuit: Circuit
  readonly probes: number
  /** How many have succeeded. */
  proven = 0
  private readonly lease: number
  // The oldest first.
  private readonly running = new Set<Probe>()

  constructor(circuit: Circuit, probes: number, lease: number) {
    this.circuit = circuit
    this.probes = probes
    this.lease = lease
  }

  admit(now: number): Probe | undefined {
    if (this.isFull) {
      // A probe that was let in long ago, or in a time to come, may never be heard of.
      for (const probe of this.running) {
        if (now >= probe.since && now - probe.since < this.lease) break
        this.running.delete(probe)
      }
      if (this.isFull) return undefined
    }
    const probe = new Probe(this, now)
    this.running.add(probe)
    return probe
  }

  heard(probe: Probe, outcome: Outcome, slow: boolean): void {
    if (this.running.delete(probe)) this.circuit.heard(this, outcome, slow)
  }

  /** When there is a place, unless a probe is heard of before. */
  freeIn(now: number): number {
    if (!this.isFull) return 0
    for (const { since } of this.running) return Math.max(0, since + this.lease - now)
    return 0
  }

  private get isFull(): boolean {
    return this.running.size + this.proven >= this.probes
  }
}

class Probe implements Ticket {
  readonly _tag = "Ticket"
  readonly since: number
  private readonly trial: Trial
  constructor(trial: Trial, since: number) {
    this.trial = trial
    this.since = since
  }
  settle(outcome: Outcome, slow: boolean): void {
    this.trial.heard(this, outcome, slow)
  }
}
