/**
 * A limit on calls at once that finds its own size by how long they take: between a floor and the `maxConcurrent` of a pool.
 *
 * It drives the pool of a group: what does not fit waits there, or is turned away. It stands just inside of the pool, and measures the
 * work and not the wait for it. It lets every call through and cancels none.
 *
 * It sees a queue in the dependency by its latency. Whether a dependency fails is the business of a `Circuit`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { PoolError } from "./CommandError.ts"
import type * as Group from "./Group.ts"
import type { AdaptiveLimitControl } from "./internal/AdaptiveLimitControl.ts"
import {
  adaptiveLimit,
  AdaptiveLimitGate,
  adaptiveLimitOptions,
  AdaptiveLimitTypeId,
  drive,
  issuesOf
} from "./internal/AdaptiveLimitGate.ts"
import type { GroupState } from "./internal/GroupState.ts"
import { pass } from "./internal/pass.ts"
import { PoolGate } from "./internal/PoolGate.ts"
import { poolOptions } from "./internal/poolOptions.ts"
import { PoolState } from "./internal/PoolState.ts"
import { Timers } from "./internal/Timers.ts"
import { check, type InvalidOptions } from "./InvalidOptions.ts"
import type * as Pool from "./Pool.ts"

/**
 * What both algorithms have.
 *
 * **Details**
 *
 * Calls are measured in windows, and the limit moves at the end of one: when `window` is over, and `minimumCalls` have ended in it.
 * While calls take longer than `window`, one is as long as a call, up to ten times its own time, so that it shows what the last
 * change did. Nothing moves without calls, and there is no timer.
 *
 * The ceiling is the pool's `maxConcurrent`, which must be finite. `Pool.resize` moves it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Common {
  /** The floor: how many calls may run at once, whatever they take. 3 by default, or the ceiling if that is less. */
  readonly min?: number | undefined
  /** The limit to begin with. 20 by default, or as near to it as floor and ceiling allow. */
  readonly initial?: number | undefined
  /** How long calls are measured before the limit moves. 100 milliseconds by default. */
  readonly window?: Duration.Input | undefined
  /** How many have to be measured before the limit moves, 1,000 at the most. 10 by default. */
  readonly minimumCalls?: number | undefined
}

/**
 * Compares how long calls take with how long they take when they are few: what they take longer is a queue in the dependency.
 *
 * **Details**
 *
 * After each window, with `latency` the median of its calls:
 *
 * ```text
 * gradient = tolerance * baseline / latency, but from 0.5 to 1
 * target   = limit * gradient + sqrt(limit * gradient)
 * limit    = limit + smoothing * (target - limit)
 * ```
 *
 * So a dependency that does `n` calls at once is given about `tolerance * n + sqrt(tolerance * n)`: it never runs dry, and a call takes
 * about twice its time. The square root is the headroom in which the limit finds out about more.
 *
 * The baseline is measured with the limit at the floor: at the start, then now and then. It is Envoy's gradient controller, with
 * the smoothing and the tolerance of Netflix' `Gradient2Limit`.
 *
 * **Gotchas**
 *
 * While a baseline is measured no more than `min` calls run at once; the rest wait, or are turned away.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter
 * @see https://github.com/Netflix/concurrency-limits
 * @category models
 * @since 0.1.0
 */
export interface Gradient extends Common {
  readonly algorithm?: "gradient" | undefined
  /** Which share of the calls of a window takes no longer than what is its latency. 0.5, the median, by default. */
  readonly quantile?: number | undefined
  /** So many times the baseline is still no queue. At least 1; 1.5 by default. */
  readonly tolerance?: number | undefined
  /** How far the limit goes towards its target in a window: 1 is all of the way. 0.2 by default. */
  readonly smoothing?: number | undefined
  /** How the baseline is measured. */
  readonly baseline?: {
    /**
     * How long after one the next is. A minute by default; a tenth of it after the first, and after one that is not within `tolerance`
     * of the last. Where calls are so slow that it would take more than a twentieth of the time it is put off, up to ten times as long.
     */
    readonly every?: Duration.Input | undefined
    /** How many calls it takes, 1,000 at the most. 50 by default. */
    readonly calls?: number | undefined
    /**
     * By which share of itself that time is longer, at random, at the most: so that not all processes measure at once. From 0 to 1,
     * 0.15 by default.
     */
    readonly jitter?: number | undefined
  } | undefined
}

/**
 * Grows step by step while calls take less than `target`, and falls by a share when they don't, as TCP does.
 *
 * **Details**
 *
 * After each window: `limit * backoff` if more than a tenth of its calls took longer than `target` or were cut off, and otherwise
 * `limit + increase`. It is the `AIMDLimit` of Netflix' concurrency-limits, by windows instead of by calls; the method is Chiu and Jain's
 * ("Analysis of the Increase and Decrease Algorithms for Congestion Avoidance", 1989).
 *
 * @see https://github.com/Netflix/concurrency-limits
 * @category models
 * @since 0.1.0
 */
export interface Aimd extends Common {
  readonly algorithm: "aimd"
  /** From when on a call is slow, from the start of its work. No default: only you know what is slow. */
  readonly target: Duration.Input
  /** Which share of the calls of a window has to be in time. 0.9 by default. */
  readonly quantile?: number | undefined
  /** How many calls are added to the limit after a good window. 1 by default. */
  readonly increase?: number | undefined
  /** What is left of the limit after a bad window: more than 0, less than 1. 0.9 by default. */
  readonly backoff?: number | undefined
}

/**
 * How a limit is found.
 *
 * **Details**
 *
 * What counts is how long work that succeeds takes, from its start until it is answered. Work that is cut off, by `attemptTimeout` or by
 * a deadline, counts as slower than any other, unless its call spent most of that deadline in the queue. Everything else counts as
 * nothing: a failure or a defect, which may be quick because the dependency is down; a refusal; an interruption from outside.
 *
 * A limit that is not used does not grow: at some time in the window there must have been half as many calls as it allows.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = Gradient | Aimd

/**
 * A pool that belongs to no group, and the limit that drives it.
 *
 * @category models
 * @since 0.1.0
 */
export interface AdaptiveLimit {
  readonly [AdaptiveLimitTypeId]: typeof AdaptiveLimitTypeId
  /** For errors. */
  readonly name: string
  readonly pool: Pool.Pool
}

/**
 * What a limit knows.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  readonly algorithm: "gradient" | "aimd"
  /** What is in force: the `maxConcurrent` of the pool's statistics, and of the gauge. */
  readonly limit: number
  /** What the algorithm has come to, in fractions of a call. While a baseline is measured it is what the limit goes back to. */
  readonly estimate: number
  readonly min: number
  /** The ceiling. */
  readonly max: number
  /** How long calls take when they are few; `undefined` before the first was measured, and for `"aimd"`. */
  readonly baseline: Duration.Duration | undefined
  /** How long calls took in the last window; infinite if too many of them were cut off, `undefined` before the first has ended. */
  readonly latency: Duration.Duration | undefined
  /** Whether a baseline is being measured, with the limit at the floor. */
  readonly measuring: boolean
}

class Driven implements AdaptiveLimit {
  readonly [AdaptiveLimitTypeId] = AdaptiveLimitTypeId
  readonly name: string
  readonly pool: PoolState
  readonly control: AdaptiveLimitControl
  readonly gate: AdaptiveLimitGate

  constructor(pool: PoolState, control: AdaptiveLimitControl) {
    this.name = pool.name
    this.pool = pool
    this.control = control
    this.gate = new AdaptiveLimitGate(control, pool)
  }
}

const options = Schema.Struct({
  pool: poolOptions,
  limit: adaptiveLimitOptions
}).check(Schema.makeFilter(({ limit, pool }) => issuesOf(pool, limit as Options, ["limit"])))

/**
 * Makes a pool with a limit that drives it, for no group, on the current `Clock` and `Random`.
 *
 * **When to use**
 *
 * Use when all that is shared is a limit. Commands want the `adaptiveLimit` option of a `Group`.
 *
 * **Example** (A limit between 3 and 100)
 *
 * ```ts import.meta.vitest
 * import { AdaptiveLimit } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const limit = yield* AdaptiveLimit.make("search", { maxConcurrent: 100, maxQueued: 50 })
 *   return yield* Effect.succeed("found").pipe(AdaptiveLimit.withLimit(limit))
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "found"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  name: string,
  pool: Pool.Options,
  limit: Options = {}
): Effect.Effect<AdaptiveLimit, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    yield* check(name, options, { pool, limit })
    const state = new PoolState(name, pool, yield* Timers.make)
    return new Driven(state, yield* drive(state, limit))
  })

/**
 * Runs an effect once a permit is free, and measures it.
 *
 * **Details**
 *
 * Apart from the measuring it is `Pool.withPermit`, and fails as that does. A timeout that stands inside of it is a failure of the
 * effect to it, and counts as nothing.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLimit: {
  (
    limit: AdaptiveLimit,
    options?: { readonly key?: string | undefined; readonly priority?: Pool.Priority | undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | PoolError, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: AdaptiveLimit,
    options?: { readonly key?: string | undefined; readonly priority?: Pool.Priority | undefined }
  ): Effect.Effect<A, E | PoolError, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: AdaptiveLimit,
    options: { readonly key?: string | undefined; readonly priority?: Pool.Priority | undefined } = {}
  ): Effect.Effect<A, E | PoolError, R> => {
    const { gate, name, pool } = limit as Driven // the one class that implements it
    const gates = [PoolGate.of(pool, options.priority), gate]
    const plan = { key: options.key ?? name, gates, keeps: false, detach: false, clock: pool.timers }
    return pass(plan, [], self) as Effect.Effect<A, E | PoolError, R>
  }
)

/**
 * What the limit of a group knows, now; `undefined` for a group that has none.
 *
 * **Example** (Before the first call)
 *
 * ```ts import.meta.vitest
 * import { AdaptiveLimit, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.search", { pool: { maxConcurrent: 100 }, adaptiveLimit: {} })
 *   const { estimate, limit, max, measuring } = (yield* AdaptiveLimit.state(group))!
 *   return { estimate, limit, max, measuring }
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => { estimate: 20, limit: 3, max: 100, measuring: true }
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const state: {
  (self: AdaptiveLimit): Effect.Effect<State>
  (self: Group.Group): Effect.Effect<State | undefined>
} = (self: AdaptiveLimit | Group.Group): Effect.Effect<never> =>
  Effect.sync(() => {
    const control = AdaptiveLimitTypeId in self
      ? (self as Driven).control
      : (self as GroupState).shared(adaptiveLimit)
    return (control === undefined ? undefined : stateOf(control)) as never
  })

const millis = (time: number | undefined): Duration.Duration | undefined =>
  time === undefined ? undefined : Duration.millis(time)

const stateOf = (control: AdaptiveLimitControl): State => {
  const { baseline, ceiling, estimate, floor, latency, limit, measuring, settings } = control
  return {
    algorithm: settings.algorithm.name,
    limit,
    estimate,
    min: floor,
    max: ceiling,
    baseline: millis(baseline),
    latency: millis(latency),
    measuring
  }
}
