import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Pull from "effect/Pull"
import { Random } from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { checkUnsafe, duration, whole } from "../InvalidOptions.ts"
import type * as Retry from "../Retry.ts"
import type * as RetryBudget from "../RetryBudget.ts"
import { leftOf } from "./Boundary.ts"
import { Budget, budgetOptions, BudgetTypeId, settingsOf as budgetSettingsOf } from "./Budget.ts"
import type { Call } from "./Call.ts"
import type { Events } from "./Events.ts"
import type { Admission, Ending, Gate, Place, Plan } from "./Gate.ts"
import { groupOf, GroupTypeId } from "./GroupState.ts"
import { pass } from "./pass.ts"
import type { Policy } from "./Policy.ts"
import { Rejection } from "./Rejection.ts"
import type { Timed, Timers } from "./Timers.ts"
import { waitFor } from "./waitFor.ts"

/** Delays come from a schedule, or from `base` and `max`. */
const oneOfBoth = Schema.makeFilter(({ base, max, schedule }: { base?: unknown; max?: unknown; schedule?: unknown }) =>
  schedule === undefined
    ? undefined
    : [["base", base] as const, ["max", max] as const]
      .filter(([, given]) => given !== undefined)
      .map(([option]) => ({ path: [option], issue: "the schedule says how long the delays are" }))
)

/** What a retry can be given. */
const commandOptions = Schema.Struct({
  times: Schema.optional(whole(0)),
  base: Schema.optional(duration),
  max: Schema.optional(duration),
  schedule: Schema.optional(Schema.declare(Schedule.isSchedule, { expected: "a Schedule" })),
  while: Schema.optional(Schema.declare(Predicate.isFunction, { expected: "a function" })),
  retryAfter: Schema.optional(Schema.declare(Predicate.isFunction, { expected: "a function" })),
  maxRetryAfter: Schema.optional(duration),
  waitFor: Schema.optional(Schema.Array(Schema.Literals(["CircuitOpen", "RateLimited", "PoolFull", "QueueTimeout"])))
}).check(oneOfBoth)

type Step = (now: number, failure: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>

/** Options with their defaults, times in milliseconds. */
interface Settings {
  readonly times: number
  readonly base: number
  readonly max: number
  readonly maxRetryAfter: number
  readonly schedule: Schedule.Schedule<unknown> | undefined
  readonly while: ((failure: unknown) => boolean) | undefined
  readonly retryAfter: ((failure: unknown) => Duration.Input | undefined) | undefined
  readonly waitFor: ReadonlyArray<string>
}

const settingsOf = (options: Retry.Options<never>): Settings => ({
  times: options.times ?? (options.schedule === undefined ? 2 : 100),
  base: Duration.toMillis(options.base ?? 100),
  max: Duration.toMillis(options.max ?? "10 seconds"),
  maxRetryAfter: Duration.toMillis(options.maxRetryAfter ?? "1 minute"),
  // What they are handed is what their call has failed with.
  schedule: options.schedule as Schedule.Schedule<unknown> | undefined,
  while: options.while as Settings["while"],
  retryAfter: options.retryAfter as Settings["retryAfter"],
  waitFor: options.waitFor ?? []
})

/** Sends a failed call through the gates behind it again, after a delay, for as long as the budget lasts. */
class RetryGate implements Gate {
  readonly keeps = true
  readonly budget: Budget
  readonly settings: Settings
  readonly events: Events | undefined

  constructor(budget: Budget, settings: Settings, events?: Events) {
    this.budget = budget
    this.settings = settings
    this.events = events
  }

  enter(call: Call): Admission {
    const { budget } = this
    budget.deposit(call.startedAt === 0 ? call.now(budget.timers) : call.startedAt)
    return new Attempts(this, call)
  }
}

/** The attempts of one call, and the place where it waits between them. */
class Attempts implements Timed, Admission, Place {
  index = -1
  order = 0
  at = 0
  private readonly gate: RetryGate
  private readonly call: Call
  private retries = 0
  private over = false
  // How the last attempt ended whose work ran.
  private last: Ending | undefined = undefined
  // What the call ends with unless there is another attempt.
  private pending: Ending | undefined = undefined
  private step: Step | undefined = undefined
  // The next delay without what is asked for, if that was to be known before.
  private drawn: number | undefined = undefined

  constructor(gate: RetryGate, call: Call) {
    this.gate = gate
    this.call = call
  }

  leave(): void {}

  mayAgain(): boolean {
    return !this.over && this.retries < this.gate.settings.times
  }

  wouldAgain(failure: unknown): boolean {
    const { budget, settings } = this.gate
    if (!this.mayAgain() || settings.while?.(failure) === false) return false
    const asked = this.askedBy(failure)
    if (asked > settings.maxRetryAfter) return false
    const now = budget.timers.now()
    // A schedule can't be asked without being moved on.
    const delay = asked + (settings.schedule === undefined ? this.drawn = this.backoff() : 0)
    return this.isInTime(now, delay) && budget.remaining(now) >= 1
  }

  again(_: Call, exit: Ending): Ending | undefined {
    if (exit._tag === "Success" || !exit.cause.reasons.every(Cause.isFailReason)) return exit
    const { settings } = this.gate
    const failure = exit.cause.reasons[0]?.error
    if (failure instanceof Rejection && failure.outcome !== "timeout") {
      // A call that ran does not end as one that was refused: what it failed with before is the failure.
      exit = this.last ?? exit
      if (!settings.waitFor.includes(failure._tag) || !this.mayAgain()) return exit
    } else {
      this.last = exit
      if (!this.mayAgain() || settings.while?.(failure) === false) return exit
    }
    this.pending = exit
    const asked = this.askedBy(failure)
    if (asked > settings.maxRetryAfter) return exit
    return settings.schedule === undefined
      ? this.sleep(asked + (this.drawn ?? this.backoff()))
      : this.follow(settings.schedule, failure, asked)
  }

  // Full jitter: anything up to an exponentially growing bound.
  // https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter
  private backoff(): number {
    const { base, max } = this.gate.settings
    return Context.get(this.call.context, Random).nextDoubleUnsafe() * Math.min(max, base * 2 ** this.retries)
  }

  /** How long the failure asks to be waited for, in milliseconds. */
  private askedBy(failure: unknown): number {
    const input = this.gate.settings.retryAfter?.(failure) ??
      (Predicate.hasProperty(failure, "retryAfter") ? failure.retryAfter : undefined)
    if (input === undefined || input === null) return 0
    const duration = Option.getOrUndefined(Duration.fromInput(input as Duration.Input))
    return duration === undefined ? 0 : Math.max(0, Duration.toMillis(duration))
  }

  private follow(schedule: Schedule.Schedule<unknown>, failure: unknown, asked: number): Ending | undefined {
    const { call } = this
    const now = this.gate.budget.timers.wall()
    const next = this.step === undefined
      ? Effect.flatMap(Schedule.toStep(schedule), (step) => (this.step = step)(now, failure))
      : this.step(now, failure)
    const fiber = Effect.runForkWith(call.context)(next)
    const said = fiber.pollUnsafe()
    if (said !== undefined) return this.hear(said, asked)
    // The schedule is an effect that takes its time.
    return waitFor(call, fiber, (said) => {
      const ending = this.hear(said, asked)
      if (ending !== undefined) this.end(ending)
    })
  }

  private hear(said: Exit.Exit<[unknown, Duration.Duration], unknown>, asked: number): Ending | undefined {
    if (said._tag === "Success") return this.sleep(asked + Duration.toMillis(said.value[1]))
    return Pull.isDoneCause(said.cause) ? this.pending : said
  }

  /** Until the next attempt; or what the call ends with, if it is in no time, or not to be had. */
  private sleep(millis: number): Ending | undefined {
    const { call, gate: { budget, events } } = this
    const now = budget.timers.now()
    this.at = now + millis
    this.drawn = undefined
    if (!this.isInTime(now, millis) || !budget.spend(now)) return this.pending
    this.retries++
    if (events?.isRead === true) events.retried(call, this.retries, millis, this.pending!)
    call.hold(this)
    budget.timers.add(this)
    return undefined
  }

  private isInTime(now: number, millis: number): boolean {
    const { call, gate: { budget: { timers } } } = this
    // The permit is that of an attempt, and with it the bound of the attempt.
    const held = call.held?.call === call ? call.held.outer : call.held
    const deadlineAt = Math.min(call.deadlineAt, call.enclosing?.deadlineAt ?? Infinity, now + leftOf(held))
    return now + millis < deadlineAt && !timers.closed
  }

  elapse(): void {
    this.call.advance()
  }

  /** Nothing will wake it any more. */
  cease(): void {
    this.end(this.pending!)
  }

  quit(): void {
    this.gate.budget.timers.remove(this)
  }

  private end(exit: Ending): void {
    this.over = true
    this.call.end(exit)
  }
}

const defaults = { ratio: 0.2, perSecond: 10 }

/** Outside of what each attempt passes anew, inside of what bounds all of them. */
export const retry: Policy<Budget> = {
  name: "retry",
  command: { retry: Schema.optional(commandOptions) },
  group: { retryBudget: Schema.optional(budgetOptions) },
  share: (group, { retryBudget = {} }) =>
    Effect.succeed(new Budget(group.name, budgetSettingsOf(retryBudget, defaults), group.timers)),
  settings: (spec, group) => {
    if (spec.retry === undefined) return undefined
    const { base, max, maxRetryAfter, schedule, times, waitFor } = settingsOf(spec.retry as Retry.Options<never>)
    const { settings: budget } = group.shared(retry)!
    return {
      times,
      ...(schedule === undefined ? { base: Duration.millis(base), max: Duration.millis(max) } : { schedule: true }),
      maxRetryAfter: Duration.millis(maxRetryAfter),
      waitFor,
      budget
    }
  },
  gate: (spec, group) =>
    new RetryGate(group.shared(retry)!, settingsOf(spec.retry as Retry.Options<never>), group.events)
}

/** A budget that belongs to no group. */
export const makeBudget = (name: string, options: RetryBudget.Options, timers: Timers): Budget =>
  new Budget(name, budgetSettingsOf(options, defaults), timers)

type Ref = RetryBudget.Ref<never>

export const isRef = (u: unknown): u is Ref =>
  Context.isKey(u) || Predicate.hasProperty(u, BudgetTypeId) || Predicate.hasProperty(u, GroupTypeId)

export const budgetOf = (ref: RetryBudget.Ref<unknown>, context: Context.Context<never>): Budget => {
  if (Predicate.hasProperty(ref, BudgetTypeId)) return ref as Budget // `RetryBudget` is what users see of the one class that implements it
  return groupOf(ref, context).shared(retry)!
}

/** Around an effect that stands alone. */
export const withBudget = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  ref: Ref,
  options: Retry.Options<E> = {}
): Effect.Effect<A, E, R> => {
  checkUnsafe("Retry.withBudget", commandOptions, options)
  const settings = settingsOf(options)
  const planOf = (context: Context.Context<never>): Plan => {
    const budget = budgetOf(ref, context)
    return {
      key: budget.name,
      gates: [new RetryGate(budget, settings)],
      keeps: true,
      detach: false,
      clock: undefined
    }
  }
  return pass(planOf, [], self) as Effect.Effect<A, E, R>
}
