/**
 * For tests: a dependency in memory that is slow, fails, hangs and recovers as a script says, and remembers what it was asked.
 *
 * A script is made of behaviours. One such as `succeed` answers a call; `sequence`, `times` and `during` say which behaviour it is
 * at this call, or at this time. The test can take over at any moment: `become` changes the behaviour, and calls that hang are
 * answered by hand.
 *
 * It imports no test framework, and takes no time but the `Clock`'s, and no chance but `Random`'s: under `TestClock` an hour of
 * trouble takes milliseconds. `TestOutcomes` says what became of the calls of a group.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { DependencyState } from "./internal/DependencyState.ts"
import * as script from "./internal/script.ts"

/**
 * What calls are answered with: a script, or a part of one. It is a value, that any number of dependencies can begin anew.
 *
 * @category models
 * @since 0.1.0
 */
export interface Behaviour<out A, out E = never, in Args = unknown> {
  readonly [script.TypeId]: {
    readonly start: script.Start
    readonly types?: (args: Args) => readonly [A, E]
  }
}

type Any = Behaviour<unknown, unknown, never>
type Success<B extends Any> = B extends Behaviour<infer A, unknown, never> ? A : never
type Failure<B extends Any> = B extends Behaviour<unknown, infer E, never> ? E : never
/** Arguments that all of them take. */
type ArgsOf<B extends Any> = [B] extends [Behaviour<unknown, unknown, infer Args>] ? Args : never

/**
 * What a dependency is called with: anything, if no behaviour says what that is.
 *
 * @category models
 * @since 0.1.0
 */
export type Arguments<Args> = Args extends ReadonlyArray<unknown> ? Args : ReadonlyArray<unknown>

/**
 * A call that has arrived: what is known of it, and its answer, as long as it hangs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call<in A, in E, out Args = unknown> {
  /** 1 for the first. */
  readonly number: number
  readonly args: Arguments<Args>
  /** In milliseconds of the clock: under `TestClock`, since the test began. */
  readonly startedAt: number
  /** The same; `undefined` while it is under way. */
  readonly endedAt: number | undefined
  /** `undefined` while it is under way. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  /** In a word: `"running"`, `"Success"`, the `_tag` of its failure (or the failure), `"Die"` or `"Interrupt"`. */
  readonly state: string
  /** Whether it hangs now, so that it can be answered by hand. */
  readonly hangs: boolean
  /** Answers it, if it hangs; dies otherwise, because then the test is wrong about it. */
  readonly succeed: (value: A) => Effect.Effect<void>
  /** The same, with a failure. */
  readonly fail: (failure: E) => Effect.Effect<void>
  /** The same, with a defect. */
  readonly die: (defect: unknown) => Effect.Effect<void>
}

/**
 * A dependency that behaves as it is told.
 *
 * **Details**
 *
 * Numbers and calls are plain values, to be read at any moment: what a fiber did until it suspended is there.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestDependency<in out A, in out E = never, in out Args = unknown> {
  /** What a command runs. It needs no `this`. */
  readonly call: (...args: Arguments<Args>) => Effect.Effect<A, E>
  /** Changes the behaviour of calls from now on; a script begins now. Calls under way go on as they were. */
  readonly become: (behaviour: Behaviour<A, E, Args>) => Effect.Effect<void>
  /** The same, and answers calls that hang with it too, in their order. */
  readonly recover: (behaviour: Behaviour<A, E, Args>) => Effect.Effect<void>
  /** The first call that `next` has not answered with yet. Waits for one, but not for time: that is the test's to move. */
  readonly next: Effect.Effect<Call<A, E, Args>>
  /** The n-th call, 1 being the first. Waits for it, but not for time. */
  readonly arrived: (n: number) => Effect.Effect<Call<A, E, Args>>
  /** All that have arrived, in their order. */
  readonly calls: ReadonlyArray<Call<A, E, Args>>
  /** When each of them arrived, in milliseconds of the clock. */
  readonly startedAt: ReadonlyArray<number>
  /** What has become of each of them: `"running"`, `"Success"`, the tag of a failure, `"Die"` or `"Interrupt"`. */
  readonly states: ReadonlyArray<string>
  /** How many are under way, finalizers included. */
  readonly inFlight: number
  /** The most that were under way at one instant. */
  readonly maxInFlight: number
}

/**
 * Makes a dependency of a script, which begins now.
 *
 * **When to use**
 *
 * Use as the `run` of a command under test, or as a method of a service that is provided to the program under test.
 *
 * **Details**
 *
 * Its types are those of the script. Where `become` will say more than that, or arguments matter, name them:
 * `make<string, "down", [id: string]>(succeed("up"))`.
 *
 * A single behaviour answers every call. A script that is over, such as `times(2, ...)` at the third call, dies: a call that
 * nothing was said of is a mistake.
 *
 * **Example** (Down for ten seconds)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, TestDependency, TestOutcomes } from "@blackgate/core"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const { during, fail, make, sequence, succeed } = TestDependency
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("users", { pool: { maxConcurrent: 10 } })
 *   const users = yield* make(sequence(during("10 seconds", fail("down")), succeed("user 1")))
 *   const getUser = Command.make("get_user", users.call, { group, fallback: () => Effect.succeed("nobody") })
 *
 *   const first = yield* getUser()
 *   yield* TestClock.adjust("10 seconds")
 *   const second = yield* getUser()
 *   yield* TestOutcomes.expect(group, "get_user", { failure: 1, degraded: 1, success: 1 })
 *   return [first, second, users.startedAt]
 * })
 *
 * const answers = await Effect.runPromise(Effect.scoped(Effect.provide(program, TestClock.layer())))
 * answers // => ["nobody", "user 1", [0, 10_000]]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, E = never, Args = unknown>(
  script: Behaviour<A, E, Args>
): Effect.Effect<TestDependency<A, E, Args>> =>
  Effect.clockWith((clock) => Effect.sync(() => new DependencyState(script, clock.currentTimeMillisUnsafe())))

/**
 * Succeeds at once.
 *
 * @category answers
 * @since 0.1.0
 */
export const succeed: {
  (): Behaviour<void>
  <A>(value: A): Behaviour<A>
} = <A>(value?: A) => script.effect(Effect.succeed(value))

/**
 * Fails at once. A string stays what it is: `fail("down")` fails with `"down"`, not with any string.
 *
 * @category answers
 * @since 0.1.0
 */
export const fail: {
  <E extends string | number>(failure: E): Behaviour<never, E>
  <E>(failure: E): Behaviour<never, E>
} = <E>(failure: E) => script.effect(Effect.fail(failure))

/**
 * Dies at once.
 *
 * @category answers
 * @since 0.1.0
 */
export const die = (defect: unknown): Behaviour<never> => script.effect(Effect.die(defect))

/**
 * Never answers, unless the test does: by the call's `succeed`, `fail` or `die`, or by `recover`. It can be interrupted.
 *
 * **Example** (Answering by hand)
 *
 * ```ts import.meta.vitest
 * import { Command, TestDependency } from "@blackgate/core"
 * import { Effect, Fiber } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const users = yield* TestDependency.make<string>(TestDependency.hang)
 *   const fiber = yield* Command.queue(users.call())
 *   const call = yield* users.next
 *   yield* call.succeed("user 1")
 *   return yield* Fiber.join(fiber)
 * })
 *
 * await Effect.runPromise(program) // => "user 1"
 * ```
 *
 * @category answers
 * @since 0.1.0
 */
export const hang: Behaviour<never> = script.hang

/**
 * Does whatever an effect does.
 *
 * @category answers
 * @since 0.1.0
 */
export const effect = <A, E>(answer: Effect.Effect<A, E>): Behaviour<A, E> => script.effect(answer)

/**
 * Takes its time first.
 *
 * @category answers
 * @since 0.1.0
 */
export const after = <A, E, Args>(
  duration: Duration.Input,
  then: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => script.after(duration, then)

/**
 * Holds on against an interruption: `uninterruptible(after("1 minute", succeed()))` for so long, `uninterruptible(hang)` until it
 * is answered by hand.
 *
 * @category answers
 * @since 0.1.0
 */
export const uninterruptible = <A, E, Args>(then: Behaviour<A, E, Args>): Behaviour<A, E, Args> =>
  script.uninterruptible(then)

/**
 * When it is interrupted, takes so long to clean up.
 *
 * @category answers
 * @since 0.1.0
 */
export const lingering = <A, E, Args>(
  duration: Duration.Input,
  then: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => script.lingering(duration, then)

/**
 * Answers at most so many calls at once; the others wait for their turn, first come, first served.
 *
 * **When to use**
 *
 * Use for a dependency that becomes slow under load, as one does that an adaptive limit is meant for. Where it becomes slow in
 * another way, use `byLoad`.
 *
 * **Example** (Four calls to a dependency that answers two in a second)
 *
 * ```ts import.meta.vitest
 * import { Command, TestDependency } from "@blackgate/core"
 * import { Effect, Fiber } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const { after, capacity, make, succeed } = TestDependency
 *
 * const program = Effect.gen(function*() {
 *   const dependency = yield* make(capacity(2, after("1 second", succeed("done"))))
 *   yield* Command.queue(Effect.replicateEffect(dependency.call(), 4, { concurrency: "unbounded" }))
 *   yield* TestClock.adjust("2 seconds")
 *   return dependency.calls.map(({ endedAt }) => endedAt)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TestClock.layer())) // => [1000, 1000, 2000, 2000]
 * ```
 *
 * @category answers
 * @since 0.1.0
 */
export const capacity = <A, E, Args>(
  maxConcurrent: number,
  then: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => script.capacity(maxConcurrent, then)

/**
 * One after another: each single answer once, and the last for ever. A part with an end of its own (`times`, `during`) lasts until
 * that, in the last place too.
 *
 * @category scripts
 * @since 0.1.0
 */
export const sequence = <const Parts extends ReadonlyArray<Any>>(
  ...parts: Parts
): Behaviour<Success<Parts[number]>, Failure<Parts[number]>, ArgsOf<Parts[number]>> => script.sequence(parts)

/**
 * Answers so many calls, and no more. A sequence in it begins anew whenever it is over.
 *
 * @category scripts
 * @since 0.1.0
 */
export const times = <A, E, Args>(count: number, then: Behaviour<A, E, Args>): Behaviour<A, E, Args> =>
  script.times(count, then)

/**
 * Answers all calls. A sequence in it begins anew whenever it is over: `forever(sequence(during("10 seconds", succeed("up")),
 * during("1 second", fail("down"))))` is down for the eleventh second of every eleven.
 *
 * @category scripts
 * @since 0.1.0
 */
export const forever = <A, E, Args>(then: Behaviour<A, E, Args>): Behaviour<A, E, Args> => script.forever(then)

/**
 * Answers calls that arrive in so much time, from when the part before it was over. Nobody has to call for that time to pass.
 *
 * @category scripts
 * @since 0.1.0
 */
export const during = <A, E, Args>(
  duration: Duration.Input,
  then: Behaviour<A, E, Args>
): Behaviour<A, E, Args> => script.during(duration, then)

/**
 * Chooses by the arguments, and says what they are.
 *
 * **Gotchas**
 *
 * What it chooses begins anew with each call: in a `sequence` that is made here, no call gets beyond the first part.
 *
 * @category choices
 * @since 0.1.0
 */
export const byArgs = <Args extends ReadonlyArray<unknown>, B extends Any>(
  choose: (...args: Args) => B
): Behaviour<Success<B>, Failure<B>, Args> => script.byArgs(choose)

/**
 * Chooses by the number of the call: 1 for the dependency's first.
 *
 * @category choices
 * @since 0.1.0
 */
export const byNumber = <B extends Any>(
  choose: (number: number) => B
): Behaviour<Success<B>, Failure<B>, ArgsOf<B>> => script.by(({ number }) => choose(number))

/**
 * Chooses by how many calls are under way, this one included: `byLoad((calls) => after(10 * calls, succeed()))` becomes slower
 * with each.
 *
 * @category choices
 * @since 0.1.0
 */
export const byLoad = <B extends Any>(
  choose: (load: number) => B
): Behaviour<Success<B>, Failure<B>, ArgsOf<B>> => script.by(({ load }) => choose(load))

/**
 * The first behaviour with a probability of 0 to 1, otherwise the second: by the caller's `Random`, so that `Random.withSeed` makes
 * it the same in every run.
 *
 * @category choices
 * @since 0.1.0
 */
export const withProbability = <B extends Any, Other extends Any>(
  probability: number,
  then: B,
  otherwise: Other
): Behaviour<Success<B | Other>, Failure<B | Other>, ArgsOf<B | Other>> =>
  script.withProbability(probability, then, otherwise)
