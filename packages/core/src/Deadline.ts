/**
 * A deadline for a part of a program, which all that is done in it knows of.
 *
 * It travels in the context of the fiber: a retry does not start a sleep that outlasts it, a hedge does not start after it, and an
 * outgoing request can say how much of it is left. A command's own `timeout` is a deadline for what it runs, so that nested
 * commands see what is left of that.
 *
 * Whoever sets a deadline ends what is in it, and fails with what is its own: `within` with `DeadlineExceeded`, a command with
 * `CommandTimeout`. So the calls in there need no failure for it in their types: they are interrupted.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Boundary, leftOf } from "./internal/Boundary.ts"
import { heldIn, inside as insideOf } from "./internal/Held.ts"
import { checkUnsafe } from "./InvalidOptions.ts"

/**
 * The time that `within` gave was up.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<{
  /** How long there was. */
  readonly timeout: Duration.Duration
}> {
  override get message(): string {
    return `it took longer than ${Duration.format(this.timeout)}`
  }
}

const isDuration = (u: unknown): u is Duration.Input =>
  !Number.isNaN(u) && Option.isSome(Duration.fromInput(u as Duration.Input))

// What is left of something may be less than nothing.
const options = Schema.Struct({ timeout: Schema.declare(isDuration, { expected: "a duration" }) })

/**
 * Bounds an effect, and tells all that is in it.
 *
 * **When to use**
 *
 * Use around what several commands do for one request: each has its own `timeout`, and together they have this. A bound on one
 * command alone is its own `timeout`.
 *
 * **Details**
 *
 * When the time is up the effect is interrupted, its finalizers are waited for, as with `Effect.timeout`, and the failure is
 * `DeadlineExceeded`. It never extends a deadline around it: if that comes first, that is the one that counts, and whoever set it
 * fails. With no time at all the effect does not start. Time is that of the current `Clock`, and monotonic: a wall clock that jumps
 * changes nothing. What is no duration throws `InvalidOptions`.
 *
 * A command that is called when the time is up, before anything has been interrupted, takes nothing: no token, no permit. It, and any
 * that is interrupted by the deadline, has the outcome `timeout`. A circuit hears nothing of that: how little time a caller had is
 * not the dependency's fault. A command that has to notice a dependency that hangs has a `timeout` of its own.
 *
 * **Gotchas**
 *
 * What can't be interrupted is not cut, as with any interruption. Finalizers are not bounded: calls that they make have no
 * deadline. Neither are fibers that outlive the effect, nor a run that callers share (`coalesce`).
 *
 * **Example** (Two calls, one deadline)
 *
 * ```ts import.meta.vitest
 * import { Command, Deadline, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("api", { pool: { maxConcurrent: 10 } })
 *   const fast = Effect.succeed("fast").pipe(Command.within(group, { key: "fast", timeout: "1 second" }))
 *   const slow = Effect.never.pipe(Command.within(group, { key: "slow", timeout: "1 second" }))
 *   return yield* Effect.all([fast, slow]).pipe(
 *     Deadline.within("20 millis"),
 *     Effect.catchTag("DeadlineExceeded", ({ message }) => Effect.succeed(message))
 *   )
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "it took longer than 20ms"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const within: {
  (timeout: Duration.Input): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, timeout: Duration.Input): Effect.Effect<A, E | DeadlineExceeded, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, input: Duration.Input): Effect.Effect<A, E | DeadlineExceeded, R> => {
    const timeout = checked("Deadline.within", input)
    return bounded(self, timeout, () => Effect.fail(new DeadlineExceeded({ timeout })))
  }
)

/**
 * The same, with another effect instead of a failure when the time is up. That is outside of the deadline.
 *
 * **Example** (What there is by then)
 *
 * ```ts import.meta.vitest
 * import { Deadline } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const answer = Effect.never.pipe(Deadline.withinOrElse({ timeout: 10, orElse: () => Effect.succeed("nothing yet") }))
 *
 * await Effect.runPromise(answer) // => "nothing yet"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withinOrElse: {
  <A2, E2, R2>(options: {
    readonly timeout: Duration.Input
    readonly orElse: () => Effect.Effect<A2, E2, R2>
  }): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R | R2>
  <A, E, R, A2, E2, R2>(self: Effect.Effect<A, E, R>, options: {
    readonly timeout: Duration.Input
    readonly orElse: () => Effect.Effect<A2, E2, R2>
  }): Effect.Effect<A | A2, E | E2, R | R2>
} = dual(
  2,
  <A, E, R, A2, E2, R2>(self: Effect.Effect<A, E, R>, { orElse, timeout }: {
    readonly timeout: Duration.Input
    readonly orElse: () => Effect.Effect<A2, E2, R2>
  }): Effect.Effect<A | A2, E | E2, R | R2> => bounded(self, checked("Deadline.withinOrElse", timeout), orElse)
)

const checked = (subject: string, timeout: Duration.Input): Duration.Duration => {
  checkUnsafe(subject, options, { timeout })
  return Duration.fromInputUnsafe(timeout)
}

const bounded = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  timeout: Duration.Duration,
  orElse: () => Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> => {
  const millis = Duration.toMillis(timeout)
  return Effect.withFiber(({ context }): Effect.Effect<A | A2, E | E2, R | R2> => {
    if (millis <= 0) return orElse()
    const outer = heldIn(context)
    // Whoever is around ends it first.
    if (leftOf(outer) <= millis) return self
    const boundary = new Boundary(Context.get(context, Clock.Clock), millis, outer)
    const inside = Effect.updateContext(
      self,
      (context: Context.Context<R>): Context.Context<R> => insideOf(context, boundary)
    )
    const fire = Effect.suspend(() => {
      boundary.fired = true
      return Effect.interrupt
    })
    return Effect.raceFirst(inside, Effect.andThen(Effect.sleep(Math.ceil(millis)), fire)).pipe(
      Effect.ensuring(Effect.sync(() => {
        boundary.over = true
      })),
      // A call in there may have found that the time is up before the timer did.
      Effect.catchCause((cause): Effect.Effect<A2, E | E2, R2> =>
        Cause.hasInterruptsOnly(cause) && boundary.isPast ? orElse() : Effect.failCause(cause)
      )
    )
  })
}

/**
 * How long there is until the nearest deadline around the current fiber: of `within`, or the `timeout` and `attemptTimeout` of a
 * command that it runs in. `Duration.infinity` without one; never less than zero.
 *
 * **Example** (In a command)
 *
 * ```ts import.meta.vitest
 * import { Command, Deadline, Group } from "@blackgate/core"
 * import { Duration, Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("api", { pool: { maxConcurrent: 10 } })
 *   const inside = yield* Deadline.remaining.pipe(Command.within(group, { key: "get", timeout: "1 second" }))
 *   const outside = yield* Deadline.remaining
 *   return [Duration.toMillis(inside) <= 1000, Duration.toMillis(outside)]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => [true, Infinity]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const remaining: Effect.Effect<Duration.Duration> = Effect.withFiber(({ context }) =>
  Effect.succeed(Duration.millis(Math.max(0, leftOf(heldIn(context)))))
)
