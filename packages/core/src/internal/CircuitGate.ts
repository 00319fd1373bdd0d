import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Circuit from "../Circuit.ts"
import { type Circuits, CircuitStore, type Outcome, type Refusal, type Settings, type Ticket } from "../CircuitStore.ts"
import { CircuitOpen } from "../CommandError.ts"
import type * as Group from "../Group.ts"
import { checkUnsafe, duration, fraction, whole } from "../InvalidOptions.ts"
import type { Call } from "./Call.ts"
import type { Admission, Ending, Gate, Plan } from "./Gate.ts"
import { groupIn, type GroupState, GroupTypeId } from "./GroupState.ts"
import { pass } from "./pass.ts"
import type { Policy } from "./Policy.ts"
import { Rejection } from "./Rejection.ts"
import { waitFor } from "./waitFor.ts"
import { slices } from "./Window.ts"

/** What the calls of a group share: its circuits, and what of their settings the gates need. */
export interface Shared {
  readonly circuits: Circuits
  readonly settings: Settings
  readonly slowerThan: number
}

const within = (least: number, most: number) =>
  Schema.Number.check(
    Schema.makeFilter((n: number) =>
      Number.isInteger(n) && n >= least && n <= most
        ? undefined
        : `expected a whole number from ${least} to ${most}, got ${n}`
    )
  )

// A window of time moves on in tenths, and a clock counts milliseconds.
const windowTime = duration.check(
  Schema.makeFilter((time: Duration.Input) =>
    Duration.toMillis(time) >= slices
      ? undefined
      : `expected at least ${slices} milliseconds, got ${Duration.format(Duration.fromInputUnsafe(time))}`
  )
)

const window = Schema.Union([Schema.Struct({ calls: within(1, 10_000) }), Schema.Struct({ time: windowTime })], {
  mode: "oneOf"
})

const groupOptions = Schema.Struct({
  consecutive: Schema.optional(whole(1)),
  failureRate: Schema.optional(fraction),
  slowCallRate: Schema.optional(fraction),
  slowerThan: Schema.optional(duration),
  window: Schema.optional(window),
  minimumCalls: Schema.optional(within(1, 1_000_000_000)),
  openFor: Schema.optional(duration),
  probes: Schema.optional(within(1, 1000)),
  probeLease: Schema.optional(duration),
  maxKeys: Schema.optional(within(1, 10_000_000))
}).check(Schema.makeFilter(({ minimumCalls = 0, slowCallRate, slowerThan, window = { calls: 100 } }) => {
  const issues: Array<Schema.FilterIssue> = []
  if ("calls" in window && minimumCalls > window.calls) {
    issues.push({
      path: ["minimumCalls"],
      issue: `expected at most the ${window.calls} calls of the window, got ${minimumCalls}`
    })
  }
  if (slowCallRate !== undefined && slowerThan === undefined) {
    issues.push({ path: ["slowerThan"], issue: "expected, because of slowCallRate: from when on is a call slow?" })
  }
  if (slowCallRate === undefined && slowerThan !== undefined) {
    issues.push({ path: ["slowCallRate"], issue: "expected, because of slowerThan: how many calls may be slow?" })
  }
  return issues
}))

/** Options with their defaults. */
const settingsOf = (options: Circuit.Options): Settings => {
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
    circuit: Schema.optional(
      Schema.Struct({ key: Schema.optional(Schema.Unknown), isFailure: Schema.optional(Schema.Unknown) })
    )
  },
  measuresWork: (_, group) => group.shared(circuit)!.slowerThan !== Infinity,
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
  gate: (spec, group) =>
    new CircuitGate(group.shared(circuit)!, spec.circuit as Circuit.CommandOptions<Array<never>, never> ?? {}, group)
}

class CircuitGate implements Gate {
  readonly timers: { now(): number }
  readonly slowerThan: number
  readonly isFailure: ((failure: never) => boolean) | undefined
  /** Of calls whose end is still to come: how long they took to be answered, or that they were counted already. */
  readonly early = new WeakMap<Call, number | "counted">()
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
    this.timers = group.timers
    this.circuits = circuits
    this.slowerThan = slowerThan
    this.isFailure = isFailure
    this.keyOf = key
  }

  enter(call: Call): Admission | undefined {
    const key = this.keyOf === undefined ? call.plan.key : this.keyOf(...call.args as Array<never>)
    const said = this.circuits.admit(key)
    // In this order: to ask whether something is an effect costs more than all of the rest.
    if ((said as Ticket)._tag === "Ticket") return this.let(said as Ticket)
    return Effect.isEffect(said) ? this.ask(call, key, said) : this.hear(call, key, said)
  }

  private hear(call: Call, key: string, said: Ticket | Refusal): Admission | undefined {
    if (said._tag === "Refusal") {
      return call.refuse(new CircuitOpen(this.group, call.plan.key, key, said.state, said.retryAfter))
    }
    return this.let(said)
  }

  private let(ticket: Ticket): Passage {
    return this.latest?.ticket === ticket ? this.latest : this.latest = new Passage(this, ticket)
  }

  // The store is elsewhere: the call waits for its answer.
  private ask(call: Call, key: string, said: Effect.Effect<Ticket | Refusal>): undefined {
    return waitFor(call, Effect.runForkWith(call.context)(said), (exit) => {
      if (exit._tag === "Failure") return call.end(exit)
      const admission = this.hear(call, key, exit.value)
      if (admission !== undefined) call.admit(admission)
    }, (exit) => {
      // The caller is gone, and its ticket comes too late for it.
      if (exit._tag === "Success" && exit.value._tag === "Ticket") exit.value.settle("ignored", false)
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
    const { early } = this.gate
    const known = call.answered || call.lingers ? early.get(call) : undefined
    if (known !== undefined) early.delete(call)
    if (known === "counted") return
    this.ticket.settle(this.outcomeOf(call, exit), this.isSlow(call, known))
  }

  /** An answer that is still being read has come: what is slow now is the reader. */
  answered(call: Call): void {
    const { early, slowerThan, timers } = this.gate
    if (slowerThan !== Infinity && call.worked && !early.has(call)) early.set(call, timers.now() - call.workedFrom)
  }

  /** A deadline has passed, and the work does not stop: one that hangs for good is never heard of again. */
  linger(call: Call): void {
    if (!tookTooLong(call)) return
    try {
      this.ticket.settle("failure", this.isSlow(call, undefined))
      this.gate.early.set(call, "counted")
    } catch {
      // A bug of the store's, which is told again at the end: the call dies of it there.
    }
  }

  private isSlow(call: Call, millis: number | undefined): boolean {
    const { slowerThan, timers } = this.gate
    return slowerThan !== Infinity && call.worked && (millis ?? call.now(timers) - call.workedFrom) >= slowerThan
  }

  private outcomeOf(call: Call, exit: Ending): Outcome {
    if (exit._tag === "Success") return "success"
    // What the machinery did says something of the dependency only if that was too slow for it.
    if (call.rejection !== undefined) return tookTooLong(call) ? "failure" : "ignored"
    if (Cause.hasInterruptsOnly(exit.cause)) return "ignored"
    const { isFailure } = this.gate
    const failure = exit.cause.reasons.find(Cause.isFailReason)
    // A command inside was turned away: nothing was asked of its dependency, and so nothing is known of this one.
    const refused = isRefusal(failure?.error) && !Cause.hasDies(exit.cause)
    if (isFailure === undefined || failure === undefined) return refused ? "ignored" : "failure"
    try {
      // One that is no failure of the dependency's, such as a 404, shows that it answers.
      return isFailure(failure.error as never) ? "failure" : refused ? "ignored" : "success"
    } catch {
      return "failure" // a predicate that throws must not hide that calls fail
    }
  }
}

const isRefusal = (failure: unknown): boolean => failure instanceof Rejection && failure.outcome !== "timeout"

const tookTooLong = (call: Call): boolean => call.rejection?._tag === "CommandTimeout" && call.worked

const ownOptions = Schema.Struct({
  key: Schema.optional(Schema.String),
  isFailure: Schema.optional(Schema.declare(Predicate.isFunction, { expected: "a function" }))
})

/** Whether something is a group or the class of one: a class is an effect too. */
export const isRef = (u: unknown): boolean => Context.isKey(u) || Predicate.hasProperty(u, GroupTypeId)

/** Around an effect that stands alone. */
export const withCircuit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  ref: Group.Ref<never>,
  options: { readonly key?: string | undefined; readonly isFailure?: ((failure: never) => boolean) | undefined } = {}
): Effect.Effect<A, E | CircuitOpen, R> => {
  checkUnsafe(options.key ?? "Circuit.withCircuit", ownOptions, options)
  let last: GroupState | undefined
  let plan: Plan | undefined
  const find = groupIn(ref)
  const planOf = (context: Context.Context<never>): Plan => {
    const group = find(context)
    if (plan === undefined || group !== last) {
      last = group
      const shared = group.shared(circuit)
      const gates = shared === undefined ? [] : [new CircuitGate(shared, { isFailure: options.isFailure }, group)]
      plan = { key: options.key ?? group.name, gates, keeps: false, detach: false, clock: group.timers }
    }
    return plan
  }
  return pass(planOf, [], self) as Effect.Effect<A, E | CircuitOpen, R>
}
