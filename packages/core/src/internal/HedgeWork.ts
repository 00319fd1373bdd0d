import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Group from "../Group.ts"
import type * as Hedge from "../Hedge.ts"
import { checkUnsafe, duration, whole } from "../InvalidOptions.ts"
import { leftOf } from "./Boundary.ts"
import { Budget, budgetOptions, settingsOf } from "./Budget.ts"
import type { Call } from "./Call.ts"
import { enclosedBy, type Enclosing, enclosingOf } from "./Enclosing.ts"
import type { Ending, Plan, Running, Work } from "./Gate.ts"
import { groupOf, type GroupState } from "./GroupState.ts"
import { HedgeDelay } from "./HedgeDelay.ts"
import { type Held, heldIn } from "./Held.ts"
import { defectsOf } from "./pass.ts"
import type { Policy, Spec } from "./Policy.ts"
import type { Rejection } from "./Rejection.ts"
import type { Timed } from "./Timers.ts"

/** What a hedge can be given. */
const hedgeFields = {
  after: Schema.Union([duration, Schema.Literals(["p90", "p95", "p99"])]),
  max: Schema.optional(whole(1))
}

const quantiles = { p90: 0.9, p95: 0.95, p99: 0.99 }

/** How many keys have a delay of their own. */
const maxKeys = 1000
const others = "(other)"

/** What the hedged calls of a group share. */
export class Hedges {
  readonly budget: Budget
  private readonly delays = new Map<string, HedgeDelay>()

  constructor(budget: Budget) {
    this.budget = budget
  }

  /** The delay of a key; where there are too many keys, the rest share one. */
  delayOf(key: string, after: keyof typeof quantiles): HedgeDelay {
    const known = this.delays.get(`${after} ${key}`)
    if (known !== undefined) return known
    if (this.delays.size >= maxKeys && key !== others) return this.delayOf(others, after)
    const delay = new HedgeDelay(quantiles[after])
    this.delays.set(`${after} ${key}`, delay)
    return delay
  }
}

/** One way to hedge. */
class Hedging {
  readonly budget: Budget
  readonly max: number
  /** If it is not fixed. */
  readonly measured: HedgeDelay | undefined
  readonly hedged: () => void
  private readonly fixed: number | undefined

  constructor(hedges: Hedges, key: string, { after, max }: Hedge.Options, hedged: () => void) {
    this.budget = hedges.budget
    this.max = max ?? 1
    this.hedged = hedged
    if (typeof after === "string" && after in quantiles) {
      this.measured = hedges.delayOf(key, after as keyof typeof quantiles)
    } else this.fixed = Duration.toMillis(after as Duration.Input)
  }

  /** In milliseconds; `undefined` while too little is known. */
  delay(): number | undefined {
    return this.fixed ?? this.measured!.millis()
  }

  // As in `pass`, all of it is done inside the register function.
  wrap(effect: Effect.Effect<unknown, unknown, unknown>): Effect.Effect<unknown, unknown> {
    return Effect.callback<unknown, unknown>((resume: (exit: Ending) => void) => {
      const { context } = Fiber.getCurrent()!
      const run: Run = (attempt, ended) => {
        const fiber = Effect.runForkWith(enclosedBy(context, attempt))(effect as Effect.Effect<unknown, unknown>)
        fiber.addObserver(ended)
        return {
          cancel(ended) {
            fiber.addObserver(ended)
            fiber.interruptUnsafe()
          }
        }
      }
      const race = new Race(this, run, context, enclosingOf(context), heldIn(context), resume)
      race.start(this.budget.timers.now())
      if (race.over) return
      return Effect.callback<void>((resume) => race.cancel((exit) => resume(defectsOf(exit))))
    })
  }
}

/** The attempts of a call as calls of an inner plan: work that needs no fiber of its own. */
class HedgeWork implements Work {
  private readonly hedging: Hedging
  private readonly inner: Plan

  constructor(hedging: Hedging, inner: Plan) {
    this.hedging = hedging
    this.inner = inner
  }

  start(call: Call): void {
    const { hedging, inner } = this
    const run: Run = (attempt, ended) => call.enclose(inner, attempt, call.held, call.deadlineAt, ended)
    const race = new Race(hedging, run, call.context, call, call.held, (exit) => call.end(exit))
    call.running = race
    race.start(call.now(hedging.budget.timers))
  }

  stop(call: Call): void {
    const race = call.running as Race | undefined
    race?.cancel((exit) => call.end(exit))
  }
}

const interrupted = Exit.failCause(Cause.interrupt())

/** Starts an attempt. It may have ended by the time that this answers. */
type Run = (attempt: Attempt, ended: (exit: Ending) => void) => Running

/** The attempts of one call, started one after the other and running side by side. */
class Race implements Timed, Running {
  index = -1
  order = 0
  at = 0
  over = false
  private readonly hedging: Hedging
  private readonly run: Run
  private readonly context: Context.Context<never>
  /** What stands around all of it, if anything does. */
  readonly enclosing: Enclosing | undefined
  private readonly held: Held | undefined
  private readonly resume: (exit: Ending) => void
  // As few as a call may have: an array is searched sooner than a map is made.
  private readonly live: Array<Attempt> = []
  private winner: Attempt | undefined = undefined
  private startedAt = 0
  private delay = 0
  private deadlineAt = Infinity
  private started = 0
  // What the first attempt failed with: what all of it fails with, if no other succeeds.
  private failure: Ending | undefined = undefined
  private defects: ReadonlyArray<Cause.Reason<never>> = []
  private cancelled: ((exit: Ending) => void) | undefined = undefined

  constructor(
    hedging: Hedging,
    run: Run,
    context: Context.Context<never>,
    enclosing: Enclosing | undefined,
    held: Held | undefined,
    resume: (exit: Ending) => void
  ) {
    this.hedging = hedging
    this.run = run
    this.context = context
    this.enclosing = enclosing
    this.held = held
    this.resume = resume
  }

  start(now: number): void {
    const { budget } = this.hedging
    this.startedAt = now
    budget.deposit(now)
    const delay = this.hedging.delay()
    this.launch()
    if (this.over || delay === undefined) return
    this.delay = delay
    this.at = now + delay
    this.deadlineAt = Math.min(this.enclosing?.deadlineAt ?? Infinity, now + leftOf(this.held))
    if (this.at < this.deadlineAt) budget.timers.add(this)
  }

  elapse(): void {
    const { budget, hedged, max } = this.hedging
    if (!budget.spend(budget.timers.now())) return
    hedged()
    this.launch()
    if (this.over || this.started > max) return
    this.at += this.delay
    if (this.at < this.deadlineAt) budget.timers.add(this)
  }

  /** The caller is gone: so is all that runs, but for its finalizers, which are waited for. */
  cancel(done: (exit: Ending) => void): void {
    if (this.over) return done(interrupted)
    // Cut off by a deadline, the first attempt took so long at least.
    if (this.enclosing?.rejection !== undefined && this.failure === undefined) this.record()
    this.cancelled = done
    this.close()
    this.settle()
  }

  /** An attempt has succeeded, and is about to give back its permit: not to another that waits for one. */
  won(winner: Attempt): void {
    if (this.over || this.winner !== undefined) return
    this.winner = winner
    if (this.live.length > 1) this.interrupt(winner)
  }

  private launch(): void {
    const attempt = new Attempt(this, this.started++ === 0)
    this.live.push(attempt)
    const running = this.run(attempt, (exit) => this.ended(attempt, exit))
    if (attempt.over) return
    attempt.running = running
    // All may be over because of what it did first.
    if (this.over || this.winner !== undefined) attempt.interrupt()
  }

  ended(attempt: Attempt, exit: Ending): void {
    if (attempt.over) return
    attempt.over = true
    this.live.splice(this.live.indexOf(attempt), 1)
    if (this.over || (this.winner ?? attempt) !== attempt) return this.lost(exit)
    if (exit._tag === "Success") {
      // The first attempt, if it lost, took so long at least.
      if (this.failure === undefined) this.record()
      return this.finish(exit)
    }
    // What is not a failure is a bug, or the work's own interruption: neither is hidden by another attempt.
    if (!exit.cause.reasons.every(Cause.isFailReason)) return this.finish(exit)
    if (attempt.isFirst) this.failure = exit
    if (this.live.length === 0) this.finish(this.failure ?? exit)
  }

  private finish(exit: Ending): void {
    this.close()
    this.resume(exit)
  }

  private close(): void {
    this.over = true
    this.hedging.budget.timers.remove(this)
    if (this.live.length > 0) this.interrupt()
  }

  private interrupt(but?: Attempt): void {
    for (const attempt of this.live.slice()) {
      if (attempt !== but) attempt.interrupt()
    }
  }

  // Its finalizers have run. Nobody waits for those of a loser; the defects in them are logged.
  private lost(exit: Ending): void {
    const defects = exit._tag === "Success" ? [] : exit.cause.reasons.filter(Cause.isDieReason)
    if (this.cancelled !== undefined) {
      this.defects = [...this.defects, ...defects]
      this.settle()
    } else if (defects.length > 0) {
      Effect.runForkWith(this.context)(
        Effect.logError("An attempt that lost to another died", Cause.fromReasons(defects))
      )
    }
  }

  private settle(): void {
    if (this.live.length > 0 || this.cancelled === undefined) return
    const done = this.cancelled
    this.cancelled = undefined
    done(this.defects.length === 0 ? interrupted : Exit.failCause(Cause.fromReasons(this.defects)))
  }

  private record(): void {
    const { budget, measured } = this.hedging
    measured?.record(budget.timers.now() - this.startedAt)
  }
}

/** One of them, as what it passes sees it. */
class Attempt implements Enclosing {
  readonly isFirst: boolean
  /** What there is of it to interrupt: nothing while it starts. */
  running: Running | undefined = undefined
  over = false
  private readonly race: Race

  constructor(race: Race, isFirst: boolean) {
    this.race = race
    this.isFirst = isFirst
  }

  get rejection(): Rejection | undefined {
    return this.race.enclosing?.rejection
  }
  get deadlineAt(): number {
    return this.race.enclosing?.deadlineAt ?? Infinity
  }
  began(): void {
    this.race.enclosing?.began?.()
  }
  waited(millis: number): void {
    this.race.enclosing?.waited?.(millis)
  }
  succeeds(): void {
    this.race.won(this)
  }

  interrupt(): void {
    this.running?.cancel((exit) => this.race.ended(this, exit))
  }
}

const defaults = { ratio: 0.1, perSecond: 1 }

/** Inside of the retries, outside of what each attempt passes for itself: rate limit, circuit, pool. */
export const hedge: Policy<Hedges> = {
  name: "hedge",
  command: { hedge: Schema.optional(Schema.Struct(hedgeFields)) },
  group: { hedgeBudget: Schema.optional(budgetOptions) },
  share: (group, { hedgeBudget = {} }) =>
    Effect.succeed(new Hedges(new Budget(group.name, settingsOf(hedgeBudget, defaults), group.timers))),
  settings: (spec, group) => {
    if (spec.hedge === undefined) return undefined
    const { after, max } = spec.hedge as Hedge.Options
    const isQuantile = typeof after === "string" && after in quantiles
    return {
      after: isQuantile ? after : Duration.fromInputUnsafe(after as Duration.Input),
      max: max ?? 1,
      budget: group.shared(hedge)!.budget.settings
    }
  },
  between: (spec, group, inner) => new HedgeWork(hedgingOf(spec, group), inner)
}

const hedgingOf = (spec: Spec, group: GroupState): Hedging => {
  const record = group.record(spec.key)
  return new Hedging(group.shared(hedge)!, spec.key, spec.hedge as Hedge.Options, () => record.hedged())
}

export const hedgesOf = (ref: Group.Ref<unknown>, context: Context.Context<never>): Hedges =>
  groupOf(ref, context).shared(hedge)!

const ownOptions = Schema.Struct({ ...hedgeFields, key: Schema.optional(Schema.String) })

/** Around an effect that stands alone. */
export const withBudget = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  ref: Group.Ref<never>,
  options: Hedge.Options & { readonly key?: string | undefined }
): Effect.Effect<A, E, R> => {
  checkUnsafe(options.key ?? "Hedge.withBudget", ownOptions, options)
  let last: Hedges | undefined
  let hedged: Effect.Effect<unknown, unknown> | undefined
  // What is inside takes its context from the fiber that it runs on.
  return Effect.contextWith((context: Context.Context<never>) => {
    const hedges = hedgesOf(ref, context)
    if (hedged === undefined || hedges !== last) {
      last = hedges
      hedged = new Hedging(hedges, options.key ?? hedges.budget.name, options, () => {}).wrap(self)
    }
    return hedged
  }) as Effect.Effect<A, E, R>
}
