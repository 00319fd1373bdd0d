/**
 * The last good value, instead of a failure: an answer that may be old where that is better than none (RFC 5861 calls it
 * `stale-if-error`).
 *
 * In a command it stands just inside of the fallback: it answers a failure, a refusal or a timeout with the value that the same key
 * had last, if that is not too old; otherwise the failure is what it was, and the fallback's to answer. Either way the call is counted
 * by what happened to it, and one that was answered like this also as degraded.
 *
 * It does not save a call, as a cache does: each call runs, and only one that fails is answered from memory.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { Given } from "./internal/Given.ts"
import { LastGood, staleOptions } from "./internal/LastGood.ts"
import { monotonicMillis } from "./internal/monotonic.ts"
import { checkUnsafe } from "./InvalidOptions.ts"

/**
 * Which values are kept, and for how long.
 *
 * **Details**
 *
 * A defect is no failure: no value hides it. A function given here that throws is a defect of the call that it was called for.
 *
 * **Gotchas**
 *
 * Whatever makes a difference has to be in the key: the user, where answers are a user's own.
 *
 * A value stays in memory until another takes its place, or a call finds that it is too old.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in Args extends ReadonlyArray<unknown>, in E> {
  /** Names what a call asks for, from its arguments. */
  readonly key: (...args: Args) => string
  /** How old a value may be, from when it came. */
  readonly maxAge: Duration.Input
  /** How many keys are kept; beyond that the oldest value makes room. 1,000 by default. */
  readonly maxKeys?: number | undefined
  /**
   * Which failures an old value is an answer to; all, by default. A failure that it is no answer to, such as a 404, says that the value
   * is not good any more: it is forgotten.
   */
  readonly when?: ((failure: E) => boolean) | undefined
}

/**
 * The same function, with the last good value of a key instead of a failure.
 *
 * **When to use**
 *
 * Use on its own, with policies that were put together by hand. A command has the option `stale`.
 *
 * **Example** (Yesterday's rate is better than none)
 *
 * ```ts import.meta.vitest
 * import { Stale } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * let isUp = true
 * const rate = Stale.ifError(
 *   (currency: string) => isUp ? Effect.succeed(`1 ${currency} = 2`) : Effect.fail("down" as const),
 *   { key: (currency) => currency, maxAge: "1 day" }
 * )
 *
 * await Effect.runPromise(rate("EUR")) // => "1 EUR = 2"
 * isUp = false
 * await Effect.runPromise(rate("EUR")) // => "1 EUR = 2"
 * await Effect.runPromise(Effect.flip(rate("USD"))) // => "down"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const ifError: {
  <Args extends ReadonlyArray<unknown>, E>(
    options: Options<Args, E>
  ): <A, R>(run: (...args: Args) => Effect.Effect<A, E, R>) => (...args: Args) => Effect.Effect<A, E, R>
  <Args extends ReadonlyArray<unknown>, A, E, R>(
    run: (...args: Args) => Effect.Effect<A, E, R>,
    options: Options<Given<Args>, NoInfer<E>>
  ): (...args: Args) => Effect.Effect<A, E, R>
} = dual(
  2,
  <Args extends ReadonlyArray<unknown>, A, E, R>(
    run: (...args: Args) => Effect.Effect<A, E, R>,
    options: Options<Args, E>
  ): (...args: Args) => Effect.Effect<A, E, R> => {
    checkUnsafe("stale", staleOptions, options)
    const lastGood = new LastGood(options)
    return (...args) =>
      Clock.clockWith((clock) => {
        const timer = { now: () => monotonicMillis(clock) }
        const effect = lastGood.around(Effect.suspend(() => run(...args)), args, timer)
        return effect as Effect.Effect<A, E, R>
      })
  }
)
