/**
 * An effect with a name, a group, and what should happen when it is slow, fails, or there are too many of it.
 *
 * A command is an `Effect`: it runs by `yield*`, in the background by `queue`, and from a promise world by a `ManagedRuntime`. From
 * the outside in, its policies can be: fallback, last good value, outcomes, `timeout`, coalescing, retry, hedge, rate limit, circuit,
 * pool, adaptive limit, `attemptTimeout`; `policies` lists a command's own.
 *
 * Its state is the group's: a command has none, and making one costs nothing. It knows no protocol.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import type * as Option from "effect/Option"
import type * as Circuit from "./Circuit.ts"
import type * as Coalesce from "./Coalesce.ts"
import type { CommandTimeout, GroupError } from "./CommandError.ts"
import type * as Group from "./Group.ts"
import type * as Hedge from "./Hedge.ts"
import * as internal from "./internal/command.ts"
import { Primary } from "./internal/Fallback.ts"
import type { Given } from "./internal/Given.ts"
import type { Spec } from "./internal/Policy.ts"
import type * as Pool from "./Pool.ts"
import type * as RateLimit from "./RateLimit.ts"
import type * as Retry from "./Retry.ts"
import type * as Stale from "./Stale.ts"

/**
 * A function that makes the effect of one call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Command<in Args extends ReadonlyArray<unknown>, out A, out E = never, out R = never> {
  (...args: Args): Effect.Effect<A, E, R>
  readonly [internal.TypeId]: {
    readonly spec: Spec
    readonly group: Group.Ref<unknown>
  }
  /** Names it in errors, metrics and spans. */
  readonly key: string
}

/**
 * How one call behaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policies<
  Timeout extends Duration.Input | undefined = Duration.Input | undefined,
  AttemptTimeout extends Duration.Input | undefined = Duration.Input | undefined
> {
  /** Bounds the whole call, its wait in the queue included. By default nothing does. */
  readonly timeout?: Timeout
  /** Bounds the effect alone, from its start: a call that waited long has as much of it left as another. By default nothing does. */
  readonly attemptTimeout?: AttemptTimeout
  /** Who is served first of those who wait for a permit. `"normal"` by default. */
  readonly priority?: Pool.Priority | undefined
  /**
   * Whether the caller is let go as soon as a deadline passes, although the effect can't be interrupted just then. The effect keeps
   * its permit until it has ended, a fallback included; the pool counts it as `overdue`. By default the caller waits, as with
   * `Effect.timeout`.
   */
  readonly detach?: boolean | undefined
}

/**
 * How one call behaves, as far as that depends on its arguments and on what its effect can fail with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Distinctions<in Args extends ReadonlyArray<unknown>, in E> {
  /** Which circuit of its group it passes, if that has circuits, and what counts as a failure there. */
  readonly circuit?: Circuit.CommandOptions<Args, E> | undefined
  /** What of the rate limit of its group it takes, if that has one. */
  readonly rateLimit?: RateLimit.CommandOptions<Args> | undefined
  /** Whether what failed is tried again, which failures, and when. */
  readonly retry?: Retry.Options<E> | undefined
}

/**
 * What the machinery can fail a call with, given the policies: the pool always, a deadline where there is one.
 *
 * @category models
 * @since 0.1.0
 */
export type Failure<Timeout, AttemptTimeout = undefined> =
  | GroupError
  | ([Timeout] extends [undefined] ? never : CommandTimeout)
  | ([AttemptTimeout] extends [undefined] ? never : CommandTimeout)

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

interface Inside {
  readonly key: string
  /** When a second attempt is made beside a slow one. */
  readonly hedge?: Hedge.Options | undefined
}

/**
 * Makes a command of a function that returns an effect.
 *
 * **Details**
 *
 * Without a `fallback` the command fails with what its effect can fail with, with `PoolError`, and with `CommandTimeout` if it has a
 * deadline. A `fallback` is handed that failure and the arguments, runs after the permit is back and outside of the deadline, and
 * what it can fail with is what the command can fail with. A defect is no failure: no fallback hides it.
 *
 * The effect runs on a fiber of its own, in the caller's context. It is interrupted when a deadline passes or the caller is
 * interrupted, and is interruptible there even if the caller is not; its finalizers run before the permit is back.
 *
 * Options that make no sense throw `InvalidOptions`.
 *
 * **Example** (A command with a fallback)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * const getCurrentUser = Command.make(
 *   "get_current_user",
 *   (cookie: string) => cookie === "session=1" ? Effect.succeed("user 1") : Effect.fail("expired" as const),
 *   { group: Session, timeout: "1 second", fallback: () => Effect.succeed(null) }
 * )
 *
 * const program = Effect.all([getCurrentUser("session=1"), getCurrentUser("session=2")])
 *
 * await Effect.runPromise(Effect.provide(program, Session.layer({ pool: { maxConcurrent: 10 } }))) // => ["user 1", null]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: <
  Args extends ReadonlyArray<unknown>,
  Run extends AnyEffect,
  Self = never,
  Timeout extends Duration.Input | undefined = undefined,
  AttemptTimeout extends Duration.Input | undefined = undefined,
  Fallback extends AnyEffect = Effect.Effect<never, Effect.Error<Run> | Failure<Timeout, AttemptTimeout>>
>(
  key: string,
  run: (...args: Args) => Run,
  options: Policies<Timeout, AttemptTimeout> & Distinctions<Given<Args>, Effect.Error<Run>> & {
    readonly group: Group.Ref<Self>
    /** When a second attempt is made beside a slow one. */
    readonly hedge?: Hedge.Options | undefined
    /** Whether callers who want the same at the same time share a run. */
    readonly coalesce?: Coalesce.CommandOptions<Given<Args>> | undefined
    /** The last good value, instead of a failure. */
    readonly stale?: Stale.Options<Given<Args>, Effect.Error<Run> | Failure<Timeout, AttemptTimeout>> | undefined
    /** Answers instead of the effect when that fails, or is refused, or takes too long. */
    readonly fallback?: (
      failure: Effect.Error<Run> | Failure<Timeout, AttemptTimeout>,
      ...args: Given<Args>
    ) => Fallback
  }
) => Command<
  Args,
  Effect.Success<Run> | Effect.Success<Fallback>,
  Effect.Error<Fallback>,
  Effect.Services<Run> | Effect.Services<Fallback> | Self
> = internal.make

/**
 * Makes a command of one effect: the pipe form, without a function around it.
 *
 * **Example** (In a pipe)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * const userId = Effect.never.pipe(
 *   Command.within(Session, { key: "get_current_user", timeout: 10 }),
 *   Command.orElse((failure) => Effect.succeed(failure._tag))
 * )
 *
 * await Effect.runPromise(Effect.provide(userId, Session.layer({ pool: { maxConcurrent: 10 } }))) // => "CommandTimeout"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const within: {
  <
    Self = never,
    Timeout extends Duration.Input | undefined = undefined,
    AttemptTimeout extends Duration.Input | undefined = undefined
  >(
    group: Group.Ref<Self>,
    options: Policies<Timeout, AttemptTimeout> & Distinctions<[], unknown> & Inside
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Failure<Timeout, AttemptTimeout>, R | Self>
  <
    A,
    E,
    R,
    Self = never,
    Timeout extends Duration.Input | undefined = undefined,
    AttemptTimeout extends Duration.Input | undefined = undefined
  >(
    self: Effect.Effect<A, E, R>,
    group: Group.Ref<Self>,
    options: Policies<Timeout, AttemptTimeout> & Distinctions<[], E> & Inside
  ): Effect.Effect<A, E | Failure<Timeout, AttemptTimeout>, R | Self>
} = dual(3, internal.within)

/**
 * How a callback says what has become of its call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completion<in A, in E = never> {
  /** The caller goes on with this, while the call, and its permit, stay until `end`. Only the first counts. */
  readonly answer: (value: A) => void
  /** The call is over, however. Without an answer before, this is the answer. Only the first counts. */
  readonly end: (exit: Exit.Exit<A, E>) => void
}

/**
 * What a callback is handed: how it answers and ends, and how much time there is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Running<in A, in E = never> extends Completion<A, E> {
  /** Until when it has to answer: its own bounds, and every deadline around its caller. `Duration.infinity` without one. */
  readonly remaining: () => Duration.Duration
  /**
   * Whether another attempt would follow, by the command's `retry`, if it ended with this failure now: for an answer that is to be passed
   * on if there won't be a better one. What follows at once from a `true` is the end with that failure. With a `schedule` it may
   * be `true` although the schedule is over, or its delay too long for the deadline.
   */
  mayRetry(failure: E): boolean
}

/**
 * Makes a command of a callback, whose answer may come before its end: a response head, say, whose body streams on.
 *
 * **When to use**
 *
 * Use for clients that are callbacks, and for answers that stay in use. No fiber is forked for the work.
 *
 * **Details**
 *
 * `register` is handed a `Running` (a `Completion`, and what is left of the time) and the arguments once a permit is free. `timeout` and `attemptTimeout` bound the time to the
 * answer, `total` the time to the end. The permit is held, and the outcome counted, until the end. What `register` returns is called
 * when the call has to end early: by a deadline, by an interruption of the caller before the answer, by `total` at any time. After
 * that nothing more is heard from it.
 *
 * **Gotchas**
 *
 * After the answer nobody but the callback knows when the call is over: it must come to `end`.
 *
 * **Example** (An answer before the end)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, Pool } from "@blackgate/core"
 * import { Effect, Exit } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("files", { pool: { maxConcurrent: 10 } })
 *   let close = () => {}
 *   const download = Command.callback(
 *     "download",
 *     (call: Command.Completion<string>, name: string) => {
 *       close = () => call.end(Exit.succeed("done"))
 *       call.answer(`the head of ${name}`)
 *     },
 *     { group }
 *   )
 *   const head = yield* download("a.txt")
 *   const during = yield* Pool.statistics(group.pool)
 *   close()
 *   const after = yield* Pool.statistics(group.pool)
 *   return [head, during.active, after.active]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["the head of a.txt", 1, 0]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const callback: <
  Args extends ReadonlyArray<unknown>,
  A,
  E = never,
  Self = never,
  Timeout extends Duration.Input | undefined = undefined,
  AttemptTimeout extends Duration.Input | undefined = undefined,
  Total extends Duration.Input | undefined = undefined,
  Fallback extends AnyEffect = Effect.Effect<never, E | Failure<Timeout, AttemptTimeout> | Failure<Total>>
>(
  key: string,
  register: (call: Running<A, E>, ...args: Args) => (() => void) | void,
  options: Policies<Timeout, AttemptTimeout> & Distinctions<Given<Args>, E> & {
    readonly group: Group.Ref<Self>
    /** Bounds the call until its end. By default nothing does. */
    readonly total?: Total
    /** Answers instead of the callback when that fails before its answer, or is refused, or takes too long. */
    readonly fallback?: (
      failure: E | Failure<Timeout, AttemptTimeout> | Failure<Total>,
      ...args: Given<Args>
    ) => Fallback
  }
) => Command<
  Args,
  A | Effect.Success<Fallback>,
  Effect.Error<Fallback>,
  Effect.Services<Fallback> | Self
> = internal.callback

/**
 * What a promise function is told of its call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  /** Aborts when the call has to end early. It is made when it is asked for: a function that never asks does not pay for it. */
  readonly signal: AbortSignal
}

/**
 * Makes a command of a function that returns a promise.
 *
 * **When to use**
 *
 * Use for clients that speak promises: no fiber is forked for the work, so that a call costs a good part less than the same
 * promise in an effect (`pnpm bench commands`).
 *
 * **Details**
 *
 * The function is handed an `Attempt`, whose `signal` aborts when the call has to end early, and the arguments. A rejection is a
 * failure: what `catch` makes of it, or an `UnknownError`; so is what the function throws. The options are those of `make`.
 *
 * **Gotchas**
 *
 * A promise can't be taken back. When a deadline passes, or the caller is interrupted, the caller goes on at once (`detach: false`
 * makes it wait), but the permit stays taken until the promise is settled: there are never more than `maxConcurrent` at work. The pool
 * counts it as `overdue` meanwhile. Hand the signal on, so that it is settled soon.
 *
 * **Example** (A promise that listens to its signal)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * const getCurrentUser = Command.promise(
 *   "get_current_user",
 *   async ({ signal }, id: number) => signal.aborted ? "nobody" : `user ${id}`,
 *   { group: Session, timeout: "1 second", fallback: () => Effect.succeed(null) }
 * )
 *
 * await Effect.runPromise(Effect.provide(getCurrentUser(1), Session.layer({ pool: { maxConcurrent: 10 } }))) // => "user 1"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const promise: <
  Args extends ReadonlyArray<unknown>,
  A,
  E = Cause.UnknownError,
  Self = never,
  Timeout extends Duration.Input | undefined = undefined,
  AttemptTimeout extends Duration.Input | undefined = undefined,
  Fallback extends AnyEffect = Effect.Effect<never, E | Failure<Timeout, AttemptTimeout>>
>(
  key: string,
  run: (attempt: Attempt, ...args: Args) => PromiseLike<A>,
  options: Policies<Timeout, AttemptTimeout> & Distinctions<Given<Args>, E> & {
    readonly group: Group.Ref<Self>
    /** The failure that a rejection is. By default an `UnknownError` that has it as its cause. */
    readonly catch?: ((error: unknown) => E) | undefined
    /** When a second attempt is made beside a slow one. */
    readonly hedge?: Hedge.Options | undefined
    /** Whether callers who want the same at the same time share a run. */
    readonly coalesce?: Coalesce.CommandOptions<Given<Args>> | undefined
    /** The last good value, instead of a failure. */
    readonly stale?: Stale.Options<Given<Args>, E | Failure<Timeout, AttemptTimeout>> | undefined
    /** Answers instead of the promise when that is rejected, or the call refused, or takes too long. */
    readonly fallback?: (failure: E | Failure<Timeout, AttemptTimeout>, ...args: Given<Args>) => Fallback
  }
) => Command<
  Args,
  A | Effect.Success<Fallback>,
  Effect.Error<Fallback>,
  Effect.Services<Fallback> | Self
> = internal.promise

/**
 * Makes a promise function of a command, in the current context: for callers who know no effects.
 *
 * **Details**
 *
 * It rejects with what the command fails with (as `Effect.runPromise` does). No fiber is forked for the call itself, so that it costs
 * less than `runPromise` of the same command.
 *
 * **Gotchas**
 *
 * A promise can't be interrupted: a caller that should be able to give up runs the command with
 * `Effect.runPromise(..., { signal })`.
 *
 * **Example** (A handler that knows no effects)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect, ManagedRuntime } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * const getCurrentUser = Command.make("get_current_user", (id: number) => Effect.succeed(`user ${id}`), { group: Session })
 *
 * const runtime = ManagedRuntime.make(Session.layer({ pool: { maxConcurrent: 10 } }))
 * const currentUser = await runtime.runPromise(Command.promisify(getCurrentUser))
 *
 * await currentUser(1) // => "user 1"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const promisify: <Args extends ReadonlyArray<unknown>, A, E, R>(
  command: Command<Args, A, E, R>
) => Effect.Effect<(...args: Args) => Promise<A>, never, R> = internal.promisify

/**
 * Answers a failure with another effect, which is handed the failure. Chain it for a fallback of a fallback.
 *
 * **Details**
 *
 * A defect stays a defect, and an interruption an interruption. When the fallback fails, its failure is the failure, and the first
 * one is kept on its cause: see `primary`.
 *
 * **Example** (A chain)
 *
 * ```ts import.meta.vitest
 * import { Command } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const answer = Effect.fail("down" as const).pipe(
 *   Command.orElse((failure) => Effect.fail(`${failure}, and so is the cache`)),
 *   Command.orElse((failure) => Effect.succeed(failure))
 * )
 *
 * Effect.runSync(answer) // => "down, and so is the cache"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const orElse: {
  <E, Fallback extends AnyEffect>(
    fallback: (failure: E) => Fallback
  ): <A, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A | Effect.Success<Fallback>, Effect.Error<Fallback>, R | Effect.Services<Fallback>>
  <A, E, R, Fallback extends AnyEffect>(
    self: Effect.Effect<A, E, R>,
    fallback: (failure: E) => Fallback
  ): Effect.Effect<A | Effect.Success<Fallback>, Effect.Error<Fallback>, R | Effect.Services<Fallback>>
} = dual(2, internal.orElse)

/**
 * What a failed fallback was a fallback for.
 *
 * **Example** (Finding the first failure)
 *
 * ```ts import.meta.vitest
 * import { Command } from "@blackgate/core"
 * import { Cause, Effect, Option } from "effect"
 *
 * const answer = Effect.fail("down").pipe(Command.orElse(() => Effect.fail("no cache")))
 *
 * const first = Effect.catchCause(answer, (cause) => Effect.succeed(Command.primary(cause)))
 *
 * Option.map(Effect.runSync(first), Cause.squash) // => Option.some("down")
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const primary = (cause: Cause.Cause<unknown>): Option.Option<Cause.Cause<unknown>> =>
  Context.getOption(Cause.annotations(cause), Primary)

/**
 * Runs in the background, from now on, as a child of the current fiber: when that ends, so does this.
 *
 * **Example** (Queue, then join)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect, Fiber } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10 } })
 *   const getCurrentUser = Command.make("get_current_user", (id: number) => Effect.succeed(`user ${id}`), { group })
 *   const fiber = yield* Command.queue(getCurrentUser(1))
 *   return yield* Fiber.join(fiber)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "user 1"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const queue = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkChild(self, { startImmediately: true })

/**
 * One policy of a command, with its settings.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly policy: string
  readonly [setting: string]: unknown
}

/**
 * The policies that a command has, from the outside in.
 *
 * **Example** (Listing them)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10 } })
 *   const getCurrentUser = Command.make("get_current_user", () => Effect.succeed("user 1"), {
 *     group,
 *     timeout: "1 second",
 *     fallback: () => Effect.succeed(null)
 *   })
 *   return (yield* Command.policies(getCurrentUser)).map(({ policy }) => policy)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["fallback", "outcomes", "timeout", "pool"]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const policies: <R>(
  command: Command<never, unknown, unknown, R>
) => Effect.Effect<ReadonlyArray<Policy>, never, R> = internal.policiesOf
