/**
 * A second attempt beside one that is slow: whichever succeeds first is the answer.
 *
 * A command's `hedge` stands inside of its retries, outside of rate limit, circuit and pool: each attempt passes those for itself,
 * with a permit of its own. Hedges have a budget of their own, the group's, so that a dependency that is slow as a whole is not asked
 * twice for everything. From Dean and Barroso, The Tail at Scale (CACM 2013).
 *
 * It does not know which calls are safe to repeat: hedge what only reads. A failure is not hedged, that is what `Retry` is for; nor
 * is a `Command.callback`, whose answer may still be in use when another arrives.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Group from "./Group.ts"
import * as internal from "./internal/HedgeWork.ts"

/**
 * When a second attempt is made.
 *
 * **Details**
 *
 * The first success ends the others at once: they are interrupted, and nobody waits for their finalizers but their permits. If all
 * fail, the failure is the first attempt's, as if there had been no hedge. A defect of any of them ends the call with it.
 *
 * A failure before the delay is over is the failure. A refusal of the second attempt, by the pool say, is a failure of that one.
 *
 * A quantile is that of the command's last 500 to 1,000 calls in the group, to within a tenth, waits for permits included; until 20
 * are known there are no hedges.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long the first attempt has alone: a duration, or what 95 % of the latest calls needed (`"p90"` and `"p99"` accordingly). */
  readonly after: Duration.Input | "p90" | "p95" | "p99"
  /** How many more attempts, each so long after the one before. 1 by default. */
  readonly max?: number | undefined
}

/**
 * Hedges an effect, from the hedge budget of a group.
 *
 * **When to use**
 *
 * Use to compose by hand. A `Command` has this as its option `hedge`, and counts its hedges.
 *
 * **Details**
 *
 * The attempts run on fibers of their own, in the caller's context. Calls of one `key`, the group's name by default, share their
 * latencies.
 *
 * **Example** (The first attempt hangs)
 *
 * ```ts import.meta.vitest
 * import { Group, Hedge, Pool } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * let attempts = 0
 * const fetch = Effect.suspend(() => ++attempts === 1 ? Effect.never : Effect.succeed(`attempt ${attempts}`))
 *
 * const program = fetch.pipe(
 *   Pool.withPermit(Session),
 *   Hedge.withBudget(Session, { after: "5 millis" })
 * )
 *
 * await Effect.runPromise(Effect.provide(program, Session.layer({ pool: { maxConcurrent: 10 } }))) // => "attempt 2"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withBudget: {
  <Self = never>(
    group: Group.Ref<Self>,
    options: Options & { readonly key?: string | undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Self>
  <A, E, R, Self = never>(
    self: Effect.Effect<A, E, R>,
    group: Group.Ref<Self>,
    options: Options & { readonly key?: string | undefined }
  ): Effect.Effect<A, E, R | Self>
} = dual(3, internal.withBudget)

/**
 * How many hedges a group could make now. By default 10 % of the hedged calls, and one a second, over 10 seconds: its option
 * `hedgeBudget`.
 *
 * **Example** (Of a group)
 *
 * ```ts import.meta.vitest
 * import { Group, Hedge } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10 } })
 *   return yield* Hedge.remaining(group)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => 10
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const remaining = <Self = never>(group: Group.Ref<Self>): Effect.Effect<number, never, Self> =>
  Effect.contextWith((context) =>
    Effect.sync(() => {
      const { budget } = internal.hedgesOf(group, context)
      return budget.remaining(budget.timers.now())
    })
  )
