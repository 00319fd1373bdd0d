/**
 * What failed is tried again, later and later, for as long as the budget lasts.
 *
 * A command's `retry` stands inside of its deadline and outside of hedge, rate limit, circuit and pool: each attempt passes those
 * anew, with a permit of its own, and holds none while it waits. The attempts are bounded by `times`, by the deadline, and by the
 * group's `RetryBudget`; whatever ends them, the call ends with what its effect last failed with.
 *
 * It does not know which calls are safe to repeat. Retry what is idempotent, at one layer only.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Schedule from "effect/Schedule"
import type { CommandError, CommandTimeout } from "./CommandError.ts"
import * as internal from "./internal/RetryGate.ts"
import type * as RetryBudget from "./RetryBudget.ts"

/**
 * What is retried, how often, and after how long.
 *
 * **Details**
 *
 * The delay before the nth retry is a random share ("full jitter") of `base * 2 ** (n - 1)`, of `max` at the most, by Effect's
 * `Random`. What the failure asks for comes before it: its `retryAfter`, if that is a duration or a number of milliseconds. A delay that would
 * not end before the deadline is not begun.
 *
 * Failures of the effect are retried, and attempts that took too long. Refusals, its own or those of a command inside, are not: that
 * of a circuit, a rate limit, a pool. Defects and interruptions are never retried.
 *
 * **Gotchas**
 *
 * `while`, `retryAfter` and the schedule are code: what they throw is a bug, and ends the call with it, as a defect.
 *
 * An attempt that can't be interrupted has to end before the next begins. With `detach` the caller is let go by the command's
 * `timeout` meanwhile, and by `attemptTimeout` only in the last attempt.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in E = unknown> {
  /** How many times more, after the first. 2 by default; with a schedule, 100. */
  readonly times?: number | undefined
  /** What the first delay is at most. 100 milliseconds by default. */
  readonly base?: Duration.Input | undefined
  /** What any delay is at most, apart from what a failure asks for. 10 seconds by default. */
  readonly max?: Duration.Input | undefined
  /**
   * Says when instead of `base` and `max`, for each call anew, and how often. One that never ends is bounded by `times`, by the
   * deadline and by the budget. It is handed the failures, and has no jitter but its own.
   */
  readonly schedule?: Schedule.Schedule<unknown, E | CommandError> | undefined
  /** Which failures are worth another attempt. All, by default, that are no refusals; about those it is not asked. */
  readonly while?: ((failure: E | CommandTimeout) => boolean) | undefined
  /** How long to wait at least, as the failure says; where this says nothing, the failure's own `retryAfter` does. */
  readonly retryAfter?: ((failure: E | CommandError) => Duration.Input | undefined) | undefined
  /** A failure that asks for longer than this is not retried. A minute by default. */
  readonly maxRetryAfter?: Duration.Input | undefined
  /** Which refusals are retried too: an open circuit, say, when that closes again in time. None by default. */
  readonly waitFor?: ReadonlyArray<"CircuitOpen" | "RateLimited" | "PoolFull" | "QueueTimeout"> | undefined
}

/**
 * Retries an effect, from the budget of a group, or one of its own.
 *
 * **When to use**
 *
 * Use to compose by hand. A `Command` has this as its option `retry`, and knows its deadline.
 *
 * **Details**
 *
 * Each run is an attempt: it counts as one call for the budget. The effect runs on a fiber of its own, and is interruptible there
 * even if the caller is not, as with `Effect.timeout`.
 *
 * **Gotchas**
 *
 * It knows no deadline: an `Effect.timeout` around it ends a delay as well as an attempt.
 *
 * **Example** (Each attempt with a permit and a timeout)
 *
 * ```ts import.meta.vitest
 * import { Group, Pool, Retry } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => ++attempts < 3 ? Effect.fail("busy" as const) : Effect.succeed(`attempt ${attempts}`))
 *
 * const program = flaky.pipe(
 *   Effect.timeout("1 second"),
 *   Pool.withPermit(Session),
 *   Retry.withBudget(Session, { times: 3, base: 1 })
 * )
 *
 * await Effect.runPromise(Effect.provide(program, Session.layer({ pool: { maxConcurrent: 10 } }))) // => "attempt 3"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withBudget: {
  <E = never, Self = never>(
    ref: RetryBudget.Ref<Self>,
    options?: Options<E>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Self>
  <A, E, R, Self = never>(
    self: Effect.Effect<A, E, R>,
    ref: RetryBudget.Ref<Self>,
    options?: Options<E>
  ): Effect.Effect<A, E, R | Self>
} = dual((args) => args.length > 1 && internal.isRef(args[1]), internal.withBudget)
