/**
 * A bulkhead: how many calls run at once, how many wait, and for how long.
 *
 * A pool is a semaphore with a bounded first-come-first-served line, priorities and statistics. Effect's `Semaphore` has no bound
 * on its waiters, lets newcomers overtake them, and copies the whole line on each release; here granting and releasing take a
 * constant number of steps, with 10 waiters as with 100,000.
 *
 * It knows no deadline and no fallback: those stand outside of it, in a `Command` or by Effect's own combinators. It limits calls
 * at once, not calls per second.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { PoolError } from "./CommandError.ts"
import type { Plan } from "./internal/Gate.ts"
import { pass } from "./internal/pass.ts"
import { PoolGate } from "./internal/PoolGate.ts"
import { poolLimits, poolLimitsDriven, poolOptions } from "./internal/poolOptions.ts"
import { PoolState, PoolTypeId } from "./internal/PoolState.ts"
import { Timers } from "./internal/Timers.ts"
import { check, type InvalidOptions } from "./InvalidOptions.ts"

/**
 * The state that calls share: who runs and who waits.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pool {
  readonly [PoolTypeId]: typeof PoolTypeId
  /** For errors and metrics: the name of its group. */
  readonly name: string
}

/**
 * A pool, or the service of whatever has one: a group's class, or a group.
 *
 * @category models
 * @since 0.1.0
 */
export type Ref<Self = never> = Context.Key<Self, { readonly pool: Pool }> | { readonly pool: Pool } | Pool

/**
 * Who is served first of those who wait; within a priority it is first come, first served. A steady stream of `"high"` starves the
 * others: they still have their deadlines. Who is turned away when the line is full is another question: see `Criticality`.
 *
 * @category models
 * @since 0.1.0
 */
export type Priority = "high" | "normal" | "low"

/**
 * How large a pool is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How many calls may run at once. A whole number of at least 1, or `Infinity`. With an adaptive limit it is the most that this may
   * come to, and finite.
   */
  readonly maxConcurrent: number
  /** How many calls may wait. A whole number or `Infinity`; 0, the default, turns away whatever can't run at once. */
  readonly maxQueued?: number | undefined
  /** How long a call may wait, apart from its own deadline. By default, as long as that allows. */
  readonly queueTimeout?: Duration.Input | undefined
  /**
   * Whether a call may be made from inside a call of the same pool. Off by default: with every permit held by such a caller, all of
   * them would wait for each other for ever.
   */
  readonly reentrant?: boolean | undefined
}

/**
 * What can change while calls run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resize extends Partial<Omit<Options, "reentrant">> {}

/**
 * How a pool stands. Counts are since the pool was made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statistics {
  readonly maxConcurrent: number
  readonly maxQueued: number
  /** Calls that hold a permit. */
  readonly active: number
  /** Calls that wait for one. */
  readonly queued: number
  /** Of the active: those that were told to stop, by a deadline or an interruption, and have not stopped yet. */
  readonly overdue: number
  /** How many calls were given a permit. */
  readonly admitted: number
  /** How many were refused: the pool was full, or re-entered, or the wait too long. */
  readonly rejected: number
  /** Of the rejected: those that waited longer than `queueTimeout`. */
  readonly queueTimeouts: number
  /** Of the rejected: those that waited, and gave way to a call that is more critical. */
  readonly shed: number
  readonly wait: {
    /** How many calls have waited, to whatever end. */
    readonly count: number
    readonly total: Duration.Duration
    readonly longest: Duration.Duration
    /** How long the one that has waited longest has been waiting by now. */
    readonly current: Duration.Duration
  }
}

/**
 * Makes a pool that belongs to no group, on the current `Clock`.
 *
 * **When to use**
 *
 * Use when all that is shared is a limit. Commands want a `Group`, whose layer makes its pool.
 *
 * **Example** (A limit of one)
 *
 * ```ts import.meta.vitest
 * import { Pool } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make("printer", { maxConcurrent: 1 })
 *   const print = (page: string) => Effect.succeed(`printed ${page}`).pipe(Pool.withPermit(pool))
 *   return yield* print("a.txt")
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "printed a.txt"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, options: Options): Effect.Effect<Pool, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    yield* check(name, poolOptions, options)
    return new PoolState(name, options, yield* Timers.make)
  })

/**
 * Runs an effect once a permit is free, and gives the permit back when it has ended, finalizers and all.
 *
 * **When to use**
 *
 * Use for the smallest way in: a group's layer, this, and Effect's own timeout. A `Command` adds names, deadlines and outcomes.
 *
 * **Details**
 *
 * Fails with `PoolFull` when neither a permit nor a place in the line is free, or when the place went to a call that is more
 * critical, with `QueueTimeout` when the wait is longer than the
 * pool allows, with `PoolReentered` from inside another call of the pool. An interruption while waiting gives the place up at once.
 * The effect runs on a fiber of its own, and is interruptible there even if the caller is not, as with `Effect.timeout`.
 *
 * **Example** (A pool, Effect's timeout, a fallback)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, Pool } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * const userId = Effect.succeed("user 1").pipe(
 *   Pool.withPermit(Session),
 *   Effect.timeout("1 second"),
 *   Command.orElse(() => Effect.succeed(null))
 * )
 *
 * await Effect.runPromise(Effect.provide(userId, Session.layer({ pool: { maxConcurrent: 10 } }))) // => "user 1"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPermit: {
  <Self = never>(
    ref: Ref<Self>,
    options?: { readonly key?: string | undefined; readonly priority?: Priority | undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | PoolError, R | Self>
  <A, E, R, Self = never>(
    self: Effect.Effect<A, E, R>,
    ref: Ref<Self>,
    options?: { readonly key?: string | undefined; readonly priority?: Priority | undefined }
  ): Effect.Effect<A, E | PoolError, R | Self>
} = dual(
  (args) => args.length > 1 && isRef(args[1]),
  <A, E, R, Self>(
    self: Effect.Effect<A, E, R>,
    ref: Ref<Self>,
    options?: { readonly key?: string | undefined; readonly priority?: Priority | undefined }
  ): Effect.Effect<A, E | PoolError, R | Self> =>
    pass(planOf(ref, options), [], self) as Effect.Effect<A, E | PoolError, R | Self>
)

const plain = { keeps: false, detach: false, clock: undefined }

// Pools rarely change between the calls of one program: the plan of the last one is kept.
const planOf = (
  ref: Ref<unknown>,
  options: { readonly key?: string | undefined; readonly priority?: Priority | undefined } | undefined
) => {
  let last: PoolState | undefined
  let plan: Plan | undefined
  return (context: Context.Context<never>): Plan => {
    const pool = stateOf(resolve(ref, context))
    if (plan === undefined || pool !== last) {
      last = pool
      plan = { key: options?.key ?? pool.name, gates: [PoolGate.of(pool, options?.priority)], ...plain }
    }
    return plan
  }
}

/**
 * Changes the limits while calls run: one call, or none of it.
 *
 * **Details**
 *
 * Growing lets waiters in at once. Shrinking cancels nobody and blocks nobody: calls that run go on, and no one is let in until
 * enough have ended. Those who wait keep their places and the `queueTimeout` that they came with. `queueTimeout: Infinity` takes the
 * bound away.
 *
 * Where an `AdaptiveLimit` drives the pool, `maxConcurrent` is how far that may go, and must be finite.
 *
 * @category combinators
 * @since 0.1.0
 */
export const resize: {
  (limits: Resize): (self: Pool) => Effect.Effect<void, InvalidOptions>
  (self: Pool, limits: Resize): Effect.Effect<void, InvalidOptions>
} = dual(
  2,
  (self: Pool, limits: Resize): Effect.Effect<void, InvalidOptions> => {
    const pool = stateOf(self)
    const schema = pool.moveCeiling === undefined ? poolLimits : poolLimitsDriven
    return Effect.map(check(self.name, schema, limits), () => pool.resize(limits))
  }
)

/**
 * How the pool stands now.
 *
 * **Example** (Reading a pool)
 *
 * ```ts import.meta.vitest
 * import { Group, Pool } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10, maxQueued: 20 } })
 *   const { active, maxConcurrent, queued } = yield* Pool.statistics(group.pool)
 *   return { active, maxConcurrent, queued }
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => { active: 0, maxConcurrent: 10, queued: 0 }
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const statistics = (self: Pool): Effect.Effect<Statistics> => Effect.sync(() => stateOf(self).statistics())

/**
 * Whether something is a pool.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPool = (u: unknown): u is Pool => Predicate.hasProperty(u, PoolTypeId)

const isRef = (u: unknown): u is Ref<unknown> => isPool(u) || Context.isKey(u) || Predicate.hasProperty(u, "pool")

const resolve = (ref: Ref<unknown>, context: Context.Context<never>): Pool => {
  if (isPool(ref)) return ref
  return Context.isKey(ref) ? Context.getUnsafe(context, ref).pool : ref.pool
}

// `Pool` is what users see of the one class that implements it.
const stateOf = (pool: Pool): PoolState => pool as PoolState
