/**
 * So many calls in so much time: of a group, or of each key of it, such as a tenant.
 *
 * It stands outside of the circuit and the pool, so that a call that is turned away needs neither, and costs less than one that is let
 * through. It turns away; it does not make calls wait, as a pool does, and it does not limit calls at once.
 *
 * The limits are the process's own, in memory, unless Effect's `RateLimiter` is provided to the layer of the group: that of Redis, say,
 * which every process shares.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { RateLimited } from "./CommandError.ts"
import { pass } from "./internal/pass.ts"
import {
  rateLimitCommandOptions,
  RateLimitGate,
  rateLimitOptions,
  type RateLimitTypeId,
  type Shared,
  shareOf
} from "./internal/RateLimitGate.ts"
import { check, checkUnsafe, type InvalidOptions } from "./InvalidOptions.ts"

/**
 * What a limit is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many tokens there are in a window. A call takes one, unless its command says otherwise. */
  readonly limit: number
  /** How long a window is. */
  readonly window: Duration.Input
  /**
   * `"token-bucket"`, the default: a token comes back every `window / limit`, up to `limit`. `"fixed-window"`: they come back all at
   * once. Either way, in any time `t` there are at most `limit + t * limit / window` of them: a burst, and the rate.
   */
  readonly algorithm?: "token-bucket" | "fixed-window" | undefined
  /**
   * How many keys are kept in memory, about 200 bytes each: beyond that the one that was not used for longest is forgotten, and
   * starts anew. 100,000 by default.
   */
  readonly maxKeys?: number | undefined
  /** What becomes of calls while a provided `RateLimiter` does not answer: they are let in, by default, or turned away. */
  readonly onStoreError?: "allow" | "refuse" | undefined
  /** How long a call may wait for the answer of a provided `RateLimiter`. 100 milliseconds by default. */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * What a command says of its limit.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommandOptions<in Args extends ReadonlyArray<unknown>> {
  /**
   * What is limited apart, from the arguments: the commands of a group share the limit of a key. By default that is the group as a
   * whole: all commands without a `key` share one limit.
   */
  readonly key?: ((...args: Args) => string) | undefined
  /** How many tokens a call takes. 1 by default, and no more than the limit. */
  readonly tokens?: number | undefined
}

/**
 * A limit that belongs to no group.
 *
 * @category models
 * @since 0.1.0
 */
export interface RateLimit {
  readonly [RateLimitTypeId]: typeof RateLimitTypeId
  /** For errors: the name of its group. */
  readonly name: string
}

/**
 * Makes a limit that belongs to no group, on the current `Clock`, over the current `RateLimiter` if there is one.
 *
 * **When to use**
 *
 * Use when all that is shared is a limit. Commands want the `rateLimit` option of a `Group`.
 *
 * **Example** (Two at once, then one every half second)
 *
 * ```ts import.meta.vitest
 * import { RateLimit } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const limit = yield* RateLimit.make("mail", { limit: 2, window: "1 second" })
 *   const send = (to: string) => Effect.succeed(`sent to ${to}`).pipe(RateLimit.withLimit(limit))
 *   yield* send("ada")
 *   yield* send("lin")
 *   return yield* Effect.flip(send("nia"))
 * })
 *
 * const refused = await Effect.runPromise(program)
 * refused._tag // => "RateLimited"
 * refused.limit // => 2
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, options: Options): Effect.Effect<RateLimit, InvalidOptions> =>
  Effect.flatMap(check(name, rateLimitOptions, options), () => shareOf(name, options))

/**
 * Runs an effect if there are tokens for it, and fails with `RateLimited` otherwise.
 *
 * **Details**
 *
 * `key` is what is limited apart; without one, calls share the limit as a whole. `tokens` is how many it takes, 1 by default; more
 * than the limit has throws `InvalidOptions`. The effect runs on a fiber of its own, as with `Pool.withPermit`.
 *
 * **Example** (A limit of each tenant)
 *
 * ```ts import.meta.vitest
 * import { RateLimit } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const limit = yield* RateLimit.make("reports", { limit: 1, window: "1 minute" })
 *   const report = (tenant: string) =>
 *     Effect.succeed(`report of ${tenant}`).pipe(
 *       RateLimit.withLimit(limit, { key: tenant }),
 *       Effect.catchTag("RateLimited", ({ limitKey }) => Effect.succeed(`${limitKey} has had its report`))
 *     )
 *   return yield* Effect.all([report("a"), report("b"), report("a")])
 * })
 *
 * await Effect.runPromise(program) // => ["report of a", "report of b", "a has had its report"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLimit: {
  (
    limit: RateLimit,
    options?: { readonly key?: string | undefined; readonly tokens?: number | undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimited, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: RateLimit,
    options?: { readonly key?: string | undefined; readonly tokens?: number | undefined }
  ): Effect.Effect<A, E | RateLimited, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: RateLimit,
    options: { readonly key?: string | undefined; readonly tokens?: number | undefined } = {}
  ): Effect.Effect<A, E | RateLimited, R> => {
    const { key, tokens } = options
    const { name } = limit
    checkUnsafe(name, rateLimitCommandOptions, options)
    const shared = limit as Shared // `RateLimit` is what users see of it
    const gate = new RateLimitGate(shared, name, { key: key === undefined ? undefined : () => key, tokens })
    const plan = { key: name, gates: [gate], keeps: false, detach: false, clock: undefined }
    return pass(plan, [], self) as Effect.Effect<A, E | RateLimited, R>
  }
)
