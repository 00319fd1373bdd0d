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
import { Call, type Ending, type Plan, type Work } from "./Call.ts"
import { enclosedBy, type Enclosing, enclosingOf } from "./Enclosing.ts"
import { groupOf, type GroupState } from "./GroupState.ts"
import { heldBy, heldIn } from "./Held.ts"
import { Latencies } from "./Latencies.ts"
import type { Policy, Spec } from "./Policy.ts"
import type { Rejection } from "./Rejection.ts"
import { Timed } from "./Timers.ts"

/** What a hedge can be given. */
const hedgeFields = {
  after: Schema.Union([duration, Schema.Literals(["p90", "p95", "p99"])]),
  max: Schema.optional(whole(1))
}

const quantiles = { p90: 0.9, p95: 0.95, p99: 0.99 }

/** How many keys have latencies of their own. */
const maxKeys = 1000
const others = "(other)"

/** What the hedged calls of a group share. */
export class Hedges {
  readonly budget: Budget
  private readonly latencies = new Map<string, Latencies>()

  constructor(budget: Budget) {
    this.budget = budget
  }

  /** The latencies of a key; where there are too many keys, the rest share one. */
  latenciesOf(key: string, after: keyof typeof quantiles): Latencies {
    const known = this.latencies.get(`${after} ${key}`)
    if (known !== undefined) return known
    if (this.latencies.size >= maxKeys && key !== others) return this.latenciesOf(others, after)
    const latencies = new Latencies(quantiles[after])
    this.latencies.set(`${after} ${key}`, latencies)
    return latencies
  }
}

/** One way to hedge. */
class Hedging {
  readonly budget: Budget
  readonly max: number
  /** What the delay is made of, if it is not fixed. */
  readonly latencies: Latencies | undefined
  readonly hedged: () => void
  private readonly fixed: number | undefined

  constructor(hedges: Hedges, key: string, { after, max }: Hedge.Options, hedged: () => void) {
    this.budget = hedges.budget
    this.max = max ?? 1
    this.hedged = hedged
    if (typeof after === "string" && after in quantiles) {
      this.latencies = hedges.latenciesOf(key, after as keyof typeof quantiles)
    } else this.fixed = Duration.toMillis(after as Duration.Input)
  }

  /** In milliseconds; `undefined` while too little is known. */
  delay(): number | undefined {
    return this.fixed ?? this.latencies!.quantile()
  }

  // As in `pass`, all of it is done inside the register function.
  wrap(effect: Effect.Effect<unknown, unknown, unknown>): Effect.Effect<unknown, unknown> {
    return Effect.callback<unknown, unknown>((resume: (exit: Ending) => void) => {
      const { context } = Fiber.getCurrent()!
      const run: Run = (attempt, ended) => {
        const fiber = Effect.runForkWith(enclosedBy(context, attempt))(effect as Effect.Effect<unknown, unknown>)
        fiber.addObserver(ended)
        return () => fiber.interruptUnsafe()
      }
      const race = new Race(this, run, context, enclosingOf(context), resume)
      race.start()
      if (race.over) return
      return Effect.callback<void>((resume) =>
        race.cancel((cause) => resume(cause === undefined ? Effect.void : Effect.failCause(cause)))
      )
    })
  }
}

/** The attempts of a call as calls of an inner plan: work that needs no fiber of its own. */
class HedgeWork implements Work {
  private readonly hedging: Hedging
  private readonly inner: Plan
  private readonly makeWork: () => Work
  private readonly args: ReadonlyArray<unknown>
  private race: Race | undefined = undefined

  constructor(hedging: Hedging, inner: Plan, makeWork: () => Work, args: ReadonlyArray<unknown>) {
    this.hedging = hedging
    this.inner = inner
    this.makeWork = makeWork
    this.args = args
  }

  start(call: Call): void {
    const context = heldBy(call)
    const run: Run = (attempt, ended) => {
      const inner = new Call(this.inner, this.makeWork(), this.args, enclosedBy(context, attempt), call.span, ended)
      inner.deadlineAt = call.deadlineAt
      inner.advance()
      return () => inner.cancel(ended)
    }
    this.race = new Race(this.hedging, run, context, call, (exit) => call.end(exit))
    this.race.start()
  }

  stop(call: Call): void {
    this.race?.cancel((defects) => call.end(defects === undefined ? interrupted : Exit.failCause(defects)))
  }
}

const interrupted = Exit.failCause(Cause.interrupt())

/** Starts an attempt, and answers how to interrupt it. It may have ended by then. */
type Run = (attempt: Attempt, ended: (exit: Ending) => void) => () => void

/** The attempts of one call, started one after the other and running side by side. */
class Race extends Timed {
  at = 0
  over = false
  private readonly hedging: Hedging
  private readonly run: Run
  private readonly context: Context.Context<never>
  /** What stands around all of it, if anything does. */
  readonly enclosing: Enclosing | undefined
  private readonly resume: (exit: Ending) => void
  private readonly live = new Map<Attempt, () => void>()
  private winner: Attempt | undefined = undefined
  private startedAt = 0
  private delay = 0
  private deadlineAt = Infinity
  private started = 0
  // What the first attempt failed with: what all of it fails with, if no other succeeds.
  private failure: Ending | undefined = undefined
  private defects: Array<Cause.Reason<never>> = []
  private cancelled: ((cause: Cause.Cause<never> | undefined) => void) | undefined = undefined

  constructor(
    hedging: Hedging,
    run: Run,
    context: Context.Context<never>,
    enclosing: Enclosing | undefined,
    resume: (exit: Ending) => void
  ) {
    super()
    this.hedging = hedging
    this.run = run
    this.context = context
    this.enclosing = enclosing
    this.resume = resume
  }

  start(): void {
    const { budget } = this.hedging
    this.startedAt = budget.timers.now()
    budget.deposit(this.startedAt)
    const delay = this.hedging.delay()
    this.launch()
    if (this.over || delay === undefined) return
    this.delay = delay
    this.at = this.startedAt + delay
    this.deadlineAt = Math.min(
      this.enclosing?.deadlineAt ?? Infinity,
      this.startedAt + leftOf(heldIn(this.context))
    )
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
  cancel(done: (cause: Cause.Cause<never> | undefined) => void): void {
    if (this.over) return done(undefined)
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
    if (this.live.size === 1) return
    for (const [attempt, interrupt] of this.live) {
      if (attempt !== winner) interrupt()
    }
  }

  private launch(): void {
    const attempt = new Attempt(this, this.started++ === 0)
    this.live.set(attempt, starting)
    const interrupt = this.run(attempt, (exit) => this.ended(attempt, exit))
    if (!this.live.has(attempt)) return
    this.live.set(attempt, interrupt)
    // All may be over because of what it did first.
    if (this.over || this.winner !== undefined) interrupt()
  }

  private ended(attempt: Attempt, exit: Ending): void {
    if (!this.live.delete(attempt)) return
    if (this.over || (this.winner ?? attempt) !== attempt) return this.lost(exit)
    if (exit._tag === "Success") {
      // The first attempt, if it lost, took so long at least.
      if (this.failure === undefined) this.record()
      return this.finish(exit)
    }
    // What is not a failure is a bug, or the work's own interruption: neither is hidden by another attempt.
    if (!exit.cause.reasons.every(Cause.isFailReason)) return this.finish(exit)
    if (attempt.isFirst) this.failure = exit
    if (this.live.size === 0) this.finish(this.failure ?? exit)
  }

  private finish(exit: Ending): void {
    this.close()
    this.resume(exit)
  }

  private close(): void {
    this.over = true
    this.hedging.budget.timers.remove(this)
    for (const interrupt of this.live.values()) interrupt()
  }

  // Its finalizers have run. Nobody waits for those of a loser; the defects in them are logged.
  private lost(exit: Ending): void {
    const defects = exit._tag === "Success" ? [] : exit.cause.reasons.filter(Cause.isDieReason)
    if (this.cancelled !== undefined) {
      this.defects.push(...defects)
      this.settle()
    } else if (defects.length > 0) {
      Effect.runForkWith(this.context)(
        Effect.logError("An attempt that lost to another died", Cause.fromReasons(defects))
      )
    }
  }

  private settle(): void {
    if (this.live.size > 0 || this.cancelled === undefined) return
    const done = this.cancelled
    this.cancelled = undefined
    done(this.defects.length === 0 ? undefined : Cause.fromReasons(this.defects))
  }

  private record(): void {
    const { budget, latencies } = this.hedging
    latencies?.record(budget.timers.now() - this.startedAt)
  }
}

const starting = () => {}

/** One of them, as what it passes sees it. */
class Attempt implements Enclosing {
  readonly isFirst: boolean
  private readonly race: Race

  constructor(race: Race, isFirst: boolean) {
    this.race = race
    this.isFirst = isFirst
  }

  get rejection(): Rejection | undefined {
    return this.race.enclosing?.rejection
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
  wrap: (spec, group) => {
    const hedging = hedgingOf(spec, group)
    return (inside) => hedging.wrap(inside)
  },
  between: (spec, group) => {
    const hedging = hedgingOf(spec, group)
    return (inner, makeWork, args) => new HedgeWork(hedging, inner, makeWork, args)
  }
}

const hedgingOf = (spec: Spec, group: GroupState): Hedging => {
  const record = group.record(spec.key)
  return new Hedging(group.shared(hedge)!, spec.key, spec.hedge as Hedge.Options, () => record.hedges++)
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
