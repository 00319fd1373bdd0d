/**
 * What keeps retries from becoming the load that a dependency dies of: they are spent from a budget that calls fill.
 *
 * A group has one, shared by its commands, and on by default: in any 10 seconds as many retries as 20 % of the calls, and 10 a second
 * besides, so that a quiet group can retry too. Without one, three attempts of each call are three times the load just when the
 * dependency can bear it least, and each layer that does so multiplies it.
 *
 * It is counted over a window that moves, in constant time and space. It says nothing of which failures are retried, or when: see
 * `Retry`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Group from "./Group.ts"
import { budgetOptions, BudgetTypeId } from "./internal/Budget.ts"
import { budgetOf, makeBudget } from "./internal/RetryGate.ts"
import { Timers } from "./internal/Timers.ts"
import { check, type InvalidOptions } from "./InvalidOptions.ts"

/**
 * What retries are spent from.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryBudget {
  readonly [BudgetTypeId]: typeof BudgetTypeId
  /** That of its group, if it is one's. */
  readonly name: string
}

/**
 * How much a budget grants: `ratio` of the calls in the window, and `perSecond` for each second of it. The defaults are those of
 * Finagle and Linkerd.
 *
 * **Gotchas**
 *
 * With 0 for both nothing is ever retried. What `perSecond` grants may be spent in one instant: 100 retries, by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Retries for each call: a number of at least 0, or `Infinity` for no limit. 0.2 by default. */
  readonly ratio?: number | undefined
  /** Retries for each second, whatever the calls: a number of at least 0, or `Infinity` for no limit. 10 by default. */
  readonly perSecond?: number | undefined
  /** For how long a call counts, and a retry. 10 seconds by default. */
  readonly window?: Duration.Input | undefined
}

/**
 * A budget, or the group that has it.
 *
 * @category models
 * @since 0.1.0
 */
export type Ref<Self = never> = Group.Ref<Self> | RetryBudget

/**
 * Makes a budget that belongs to no group, on the current `Clock`.
 *
 * **When to use**
 *
 * Use for `Retry.withBudget` where there is no group. A group has one: its option `retryBudget`.
 *
 * **Example** (Two retries, however many calls)
 *
 * ```ts import.meta.vitest
 * import { Retry, RetryBudget } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const budget = yield* RetryBudget.make("mail", { ratio: 0, perSecond: 2, window: "1 second" })
 *   let attempts = 0
 *   const send = Effect.suspend(() => Effect.fail(`attempt ${++attempts}`)).pipe(
 *     Retry.withBudget(budget, { times: 5, base: 1 })
 *   )
 *   return [yield* Effect.flip(send), yield* RetryBudget.remaining(budget)]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["attempt 3", 0]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, options: Options = {}): Effect.Effect<RetryBudget, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    yield* check(name, budgetOptions, options)
    return makeBudget(name, options, yield* Timers.make)
  })

/**
 * How many retries could be made now.
 *
 * **Example** (Of a group)
 *
 * ```ts import.meta.vitest
 * import { Group, RetryBudget } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10 } })
 *   return yield* RetryBudget.remaining(group)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => 100
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const remaining = <Self = never>(ref: Ref<Self>): Effect.Effect<number, never, Self> =>
  Effect.contextWith((context) =>
    Effect.sync(() => {
      const budget = budgetOf(ref, context)
      return budget.remaining(budget.timers.now())
    })
  )

/**
 * Whether something is a budget.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRetryBudget = (u: unknown): u is RetryBudget => Predicate.hasProperty(u, BudgetTypeId)
