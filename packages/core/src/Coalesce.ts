/**
 * Single-flight: callers who want the same thing at the same time share one run of it.
 *
 * A run belongs to none of them: one who leaves, by a deadline or an interruption, leaves it to the others, and the last one to leave
 * ends it. In a command it stands inside of the deadline and outside of everything that is done about the dependency: a shared run
 * takes one permit and one token, and is one call for the circuit, while each caller has a deadline and an outcome of its own.
 *
 * It keeps nothing: a caller who comes after the end starts another run. A value that may be old is what `Stale` is for, and Effect's
 * `Cache` one that is good for a while.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { coalesceOptions, joining } from "./internal/CoalesceWork.ts"
import { Flights } from "./internal/Flights.ts"
import type { Given } from "./internal/Given.ts"
import { checkUnsafe } from "./InvalidOptions.ts"

/**
 * Which calls want the same.
 *
 * **Details**
 *
 * The run has the first caller's services and span, but is inside of none of its permits and bounds. A failure, or a defect, is that
 * of all who share the run. A key function that throws is a defect of that call.
 *
 * A run that outlasts the deadlines of its callers may hang: once it has lasted as long as the most patient of those who came had,
 * whoever comes after a deadline has passed starts another run, while those who still wait for it go on waiting. So two of one key
 * can overlap.
 *
 * **Gotchas**
 *
 * Whatever makes a difference has to be in the key: the user, where answers are a user's own.
 *
 * A resource of the first caller's `Scope` is closed with that, while others may still use it: give the run a scope of its own.
 *
 * Without any deadline of its own, neither `timeout` nor `attemptTimeout`, a command's run that hangs is shared for as long as
 * callers come.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommandOptions<in Args extends ReadonlyArray<unknown>> {
  /** Names what a call wants, from its arguments. Keys are known while their runs last, and no longer. */
  readonly key: (...args: Args) => string
}

/**
 * The same function, whose callers of one key share a run.
 *
 * **Gotchas**
 *
 * Who leaves for which reason is not known here: bound the run itself (`Effect.timeout` inside), or one that hangs is shared for as
 * long as callers come.
 *
 * **Example** (Two callers, one run)
 *
 * ```ts import.meta.vitest
 * import { Coalesce } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * let runs = 0
 * const userOf = Coalesce.by(
 *   (id: number) => Effect.sync(() => ++runs).pipe(Effect.delay(10), Effect.as(`user ${id}`)),
 *   { key: (id) => `${id}` }
 * )
 *
 * const program = Effect.all([userOf(1), userOf(1), userOf(2)], { concurrency: "unbounded" })
 *
 * await Effect.runPromise(program) // => ["user 1", "user 1", "user 2"]
 * runs // => 2
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const by: {
  <Args extends ReadonlyArray<unknown>>(
    options: CommandOptions<Args>
  ): <A, E, R>(run: (...args: Args) => Effect.Effect<A, E, R>) => (...args: Args) => Effect.Effect<A, E, R>
  <Args extends ReadonlyArray<unknown>, A, E, R>(
    run: (...args: Args) => Effect.Effect<A, E, R>,
    options: CommandOptions<Given<Args>>
  ): (...args: Args) => Effect.Effect<A, E, R>
} = dual(
  2,
  <Args extends ReadonlyArray<unknown>, A, E, R>(
    run: (...args: Args) => Effect.Effect<A, E, R>,
    options: CommandOptions<Args>
  ): (...args: Args) => Effect.Effect<A, E, R> => {
    checkUnsafe("coalesce", coalesceOptions, options)
    const join = joining(new Flights(), options.key)
    return (...args) => join(Effect.suspend(() => run(...args)), args) as Effect.Effect<A, E, R>
  }
)
