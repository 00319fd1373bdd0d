/**
 * For tests: what became of the calls of a group, and whether all of it has been given back.
 *
 * The numbers are those that `CommandMetrics` exports, read from the group itself: no registry, and no other test's numbers. It
 * imports no test framework: what is not as expected is a failure, whose message says where and how it differs.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as CommandMetrics from "./CommandMetrics.ts"
import type * as Group from "./Group.ts"
import { groupOf } from "./internal/GroupState.ts"
import { outcomes } from "./internal/Record.ts"

/**
 * How many calls ended how, without the outcomes that there were none of; and how many were answered by their fallback, or by a
 * last good value, whatever their outcome.
 *
 * @category models
 * @since 0.1.0
 */
export type Counts = { readonly [Counted in CommandMetrics.Outcome | "degraded"]?: number }

/**
 * The calls of a group ended otherwise than expected.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnexpectedOutcomes extends Data.TaggedError("UnexpectedOutcomes")<{
  /** The name of the group. */
  readonly group: string
  /** The key of the command; `undefined` if it is all of the group's. */
  readonly key: string | undefined
  readonly actual: Counts
  readonly expected: Counts
}> {
  override get message(): string {
    const { actual, expected, group, key } = this
    const lines = counted.filter((outcome) => (actual[outcome] ?? 0) !== (expected[outcome] ?? 0)).map((outcome) =>
      `  ${outcome}: ${actual[outcome] ?? 0}, expected ${expected[outcome] ?? 0}`
    )
    return `outcomes of ${key ?? "all commands"} in ${group}:\n${lines.join("\n")}`
  }
}

/**
 * The pool of a group is still in use.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotIdle extends Data.TaggedError("NotIdle")<{
  /** The name of the group. */
  readonly group: string
  readonly active: number
  readonly queued: number
  readonly overdue: number
}> {
  override get message(): string {
    const { active, group, overdue, queued } = this
    return `the pool of ${group} is not idle: ${active} active (${overdue} of them overdue), ${queued} queued`
  }
}

const counted = [...outcomes, "degraded"] as const

type Writable = { -readonly [Counted in keyof Counts]: Counts[Counted] }

/**
 * How the calls of a command have ended so far; those of all commands of the group, without a key.
 *
 * **Example** (One call that succeeds, one that takes too long)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, TestDependency, TestOutcomes } from "@blackgate/core"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const { hang, make, sequence, succeed } = TestDependency
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("users", { pool: { maxConcurrent: 10 } })
 *   const users = yield* make(sequence(succeed("user 1"), hang))
 *   const getUser = Command.make("get_user", users.call, { group, timeout: "1 second" })
 *   yield* getUser()
 *   yield* Command.queue(getUser())
 *   yield* TestClock.adjust("1 second")
 *   return yield* TestOutcomes.of(group, "get_user")
 * })
 *
 * await Effect.runPromise(Effect.scoped(Effect.provide(program, TestClock.layer()))) // => { success: 1, timeout: 1 }
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const of = <Self = never>(group: Group.Ref<Self>, key?: string): Effect.Effect<Counts, never, Self> =>
  Effect.map(state(group), ({ all }) => {
    const counts: Writable = {}
    for (const record of all) {
      if (key !== undefined && record.key !== key) continue
      for (const outcome of counted) add(counts, outcome, record.total(outcome))
    }
    return counts
  })

/**
 * How the calls have ended that ended while an effect ran, with what it succeeded with.
 *
 * **Example** (Leaving out what went before)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, TestOutcomes } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("users", { pool: { maxConcurrent: 10 } })
 *   const getUser = Command.make("get_user", (id: number) => Effect.succeed(`user ${id}`), { group })
 *   yield* getUser(1)
 *   return yield* getUser(2).pipe(TestOutcomes.since(group, "get_user"))
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["user 2", { success: 1 }]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const since: {
  <Self = never>(
    group: Group.Ref<Self>,
    key?: string
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<readonly [A, Counts], E, R | Self>
  <A, E, R, Self = never>(
    self: Effect.Effect<A, E, R>,
    group: Group.Ref<Self>,
    key?: string
  ): Effect.Effect<readonly [A, Counts], E, R | Self>
} = dual(
  (args) => Effect.isEffect(args[0]) && args.length > 1 && !Predicate.isString(args[1]),
  <A, E, R, Self>(self: Effect.Effect<A, E, R>, group: Group.Ref<Self>, key?: string) =>
    Effect.gen(function*() {
      const before = yield* of(group, key)
      const value = yield* self
      const counts: Writable = { ...yield* of(group, key) }
      for (const outcome of counted) add(counts, outcome, -(before[outcome] ?? 0))
      return [value, counts] as const
    })
)

/**
 * Fails unless the calls of a command have ended as expected so far, no more and no less; an outcome that isn't there is zero.
 *
 * **Example** (What it says)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, TestOutcomes } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("users", { pool: { maxConcurrent: 10 } })
 *   yield* Effect.void.pipe(Command.within(group, { key: "get_user" }))
 *   return yield* Effect.flip(TestOutcomes.expect(group, "get_user", { success: 2 }))
 * })
 *
 * const { message } = await Effect.runPromise(Effect.scoped(program))
 * message // => "outcomes of get_user in users:\n  success: 1, expected 2"
 * ```
 *
 * @category assertions
 * @since 0.1.0
 */
export const expect: {
  <Self = never>(group: Group.Ref<Self>, key: string, expected: Counts): Effect.Effect<void, UnexpectedOutcomes, Self>
  <Self = never>(group: Group.Ref<Self>, expected: Counts): Effect.Effect<void, UnexpectedOutcomes, Self>
} = <Self>(
  group: Group.Ref<Self>,
  ...rest: readonly [key: string, expected: Counts] | readonly [expected: Counts]
): Effect.Effect<void, UnexpectedOutcomes, Self> =>
  Effect.gen(function*() {
    const [key, expected] = rest.length === 2 ? rest : [undefined, rest[0]]
    const actual = yield* of(group, key)
    if (counted.every((outcome) => (actual[outcome] ?? 0) === (expected[outcome] ?? 0))) return
    const { name } = yield* state(group)
    return yield* new UnexpectedOutcomes({ group: name, key, actual, expected })
  })

/**
 * Fails unless all permits of the pool are back, nobody waits for one, and nothing goes on that was told to stop.
 *
 * **When to use**
 *
 * Use at the end of a test: whatever it did, nothing may be left of it.
 *
 * @category assertions
 * @since 0.1.0
 */
export const expectIdle = <Self = never>(group: Group.Ref<Self>): Effect.Effect<void, NotIdle, Self> =>
  Effect.flatMap(
    state(group),
    ({ name, pool: { active, overdue, queued } }) =>
      active === 0 && queued === 0 && overdue === 0
        ? Effect.void
        : Effect.fail(new NotIdle({ group: name, active, queued, overdue }))
  )

const state = <Self>(group: Group.Ref<Self>) =>
  Effect.contextWith((context: Context.Context<Self>) => Effect.succeed(groupOf(group, context)))

const add = (counts: Writable, outcome: keyof Counts, count: number): void => {
  const sum = (counts[outcome] ?? 0) + count
  if (sum === 0) delete counts[outcome]
  else counts[outcome] = sum
}
