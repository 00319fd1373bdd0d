import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Circuit from "../Circuit.ts"
import { CircuitOpen } from "../CommandError.ts"
import { type Circuits, CircuitStore, type Refusal, type Settings, type Ticket } from "../CircuitStore.ts"
import { duration, fraction, whole } from "../InvalidOptions.ts"
import type { Admission, Call, Ending, Gate, Place } from "./Call.ts"
import type { Policy } from "./Policy.ts"

/** What the calls of a group share: its circuits, and what of their settings the gates need. */
export interface Shared {
  readonly circuits: Circuits
  readonly settings: Settings
  readonly slowerThan: number
}

const groupOptions = Schema.Struct({
  consecutive: Schema.optional(whole(1)),
  failureRate: Schema.optional(fraction),
  slowCallRate: Schema.optional(fraction),
  slowerThan: Schema.optional(duration),
  window: Schema.optional(Schema.Union([Schema.Struct({ calls: whole(1) }), Schema.Struct({ time: duration })])),
  minimumCalls: Schema.optional(whole(1)),
  openFor: Schema.optional(duration),
  probes: Schema.optional(whole(1)),
  probeLease: Schema.optional(duration),
  maxKeys: Schema.optional(whole(1))
})

/** Options with their defaults. */
export const settingsOf = (options: Circuit.Options): Settings => {
  const { consecutive, failureRate, slowCallRate, window = { calls: 100 } } = options
  // With no reason given, half of the calls failing is one.
  const none = consecutive === undefined && failureRate === undefined && slowCallRate === undefined
  return {
    consecutive: consecutive ?? Infinity,
    failureRate: failureRate ?? (none ? 0.5 : Infinity),
    slowCallRate: slowCallRate ?? Infinity,
    window: "calls" in window ? window : { millis: Duration.toMillis(window.time) },
    minimumCalls: options.minimumCalls ?? ("calls" in window ? Math.min(10, window.calls) : 10),
    openFor: Duration.toMillis(options.openFor ?? "5 seconds"),
    probes: options.probes ?? 1,
    probeLease: Duration.toMillis(options.probeLease ?? "30 seconds"),
    maxKeys: options.maxKeys ?? 10_000
  }
}

/** A call passes the circuit of its key. Outside of the pool, so that a call that is turned away needs no permit. */
export const circuit: Policy<Shared> = {
  name: "circuit",
  group: { circuit: Schema.optional(groupOptions) },
  command: {
    circuit: Schema.optional(Schema.Struct({ key: Schema.optional(Schema.Unknown), isFailure: Schema.optional(Schema.Unknown) }))
  },
  measuresWork: true,
  isOn: ({ circuit }) => circuit !== undefined,
  share: (group, { circuit: options = {} }) =>
    Effect.gen(function*() {
      const settings = settingsOf(options)
      const store = yield* CircuitStore
      const circuits = yield* store.circuits(group.name, settings)
      const slowerThan = options.slowerThan === undefined ? Infinity : Duration.toMillis(options.slowerThan)
      return { circuits, settings, slowerThan }
    }),
  settings: (_, group) => group.shared(circuit)?.settings as { readonly [setting: string]: unknown } | undefined,
  gate: (spec, group) => new CircuitGate(group.shared(circuit)!, spec.circuit as Circuit.CommandOptions<Array<never>, never> ?? {}, group)
}

class CircuitGate implements Gate {
  readonly now: () => number
  readonly slowerThan: number
  readonly isFailure: ((failure: never) => boolean) | undefined
  private readonly group: string
  private readonly circuits: Circuits
  private readonly keyOf: ((...args: Array<never>) => string) | undefined
  // A closed circuit gives all calls one ticket, so that one passage serves them all.
  private latest: Passage | undefined

  constructor(
    { circuits, slowerThan }: Shared,
    { isFailure, key }: Circuit.CommandOptions<Array<never>, never>,
    group: { readonly name: string; readonly timers: { now(): number } }
  ) {
    this.group = group.name
    this.now = () => group.timers.now()
    this.circuits = circuits
    this.slowerThan = slowerThan
    this.isFailure = isFailure
    this.keyOf = key
  }

  enter(call: Call): Admission | undefined {
    const key = this.keyOf === undefined ? call.plan.key : this.keyOf(...call.args as Array<never>)
    const said = this.circuits.admit(key)
    return Effect.isEffect(said) ? this.ask(call, key, said) : this.hear(call, key, said)
  }

  private hear(call: Call, key: string, said: Ticket | Refusal): Admission | undefined {
    if (said._tag === "Refusal") return call.refuse(new CircuitOpen(this.group, call.plan.key, key, said.state, said.retryAfter))
    return this.latest?.ticket === said ? this.latest : this.latest = new Passage(this, said)
  }

  // The store is elsewhere: the call waits for its answer.
  private ask(call: Call, key: string, said: Effect.Effect<Ticket | Refusal>): undefined {
    const fiber = Effect.runForkWith(call.context)(said)
    const place: Place = { quit: () => fiber.interruptUnsafe() }
    call.hold(place)
    fiber.addObserver((exit) => {
      if (!call.waitsAt(place)) {
        // The caller is gone, and its ticket comes too late for it.
        if (exit._tag === "Success" && exit.value._tag === "Ticket") exit.value.settle("ignored", false)
        return
      }
      if (exit._tag === "Failure") return call.end(exit)
      const admission = this.hear(call, key, exit.value)
      if (admission !== undefined) call.admit(admission)
    })
  }
}

class Passage implements Admission {
  readonly ticket: Ticket
  private readonly gate: CircuitGate

  constructor(gate: CircuitGate, ticket: Ticket) {
    this.gate = gate
    this.ticket = ticket
  }

  leave(call: Call, exit: Ending): void {
    const { now, slowerThan } = this.gate
    const slow = slowerThan !== Infinity && call.ran && now() - call.workedFrom >= slowerThan
    this.ticket.settle(this.outcomeOf(call, exit), slow)
  }

  private outcomeOf(call: Call, exit: Ending): "success" | "failure" | "ignored" {
    if (exit._tag === "Success") return "success"
    // What the machinery did says something of the dependency only if that was too slow for it.
    if (call.rejection !== undefined) return call.rejection._tag === "CommandTimeout" && call.ran ? "failure" : "ignored"
    if (Cause.hasInterruptsOnly(exit.cause)) return "ignored"
    const { isFailure } = this.gate
    const failure = exit.cause.reasons.find(Cause.isFailReason)
    if (isFailure === undefined || failure === undefined) return "failure"
    try {
      // One that is no failure of the dependency's, such as a 404, shows that it answers.
      return isFailure(failure.error as never) ? "failure" : "success"
    } catch {
      return "failure" // a predicate that throws must not hide that calls fail
    }
  }
}
