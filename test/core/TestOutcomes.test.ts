import { Command, Group, Pool, TestDependency, TestOutcomes } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

const { byArgs, die, fail, hang, make, succeed, uninterruptible } = TestDependency

class Users extends Group.Service<Users>()("users") {}
const UsersLive = Users.layer({
  pool: { maxConcurrent: 10 },
  circuit: { consecutive: 100 },
  rateLimit: { limit: 9, window: "1 day" }
})

const ways = byArgs((how: "ok" | "fail" | "die" | "hang") =>
  how === "ok" ? succeed(1) : how === "fail" ? fail("bad") : how === "die" ? die("bug") : hang
)

describe("of", () => {
  it.effect("counts each outcome once, what was degraded too, and leaves out what there was none of", () =>
    Effect.gen(function*() {
      const { call } = yield* make(ways)
      const get = Command.make("get", call, { group: Users, timeout: 10 })
      assert.deepStrictEqual(yield* TestOutcomes.of(Users, "get"), {})
      for (const how of ["ok", "ok", "fail", "die"] as const) yield* Effect.exit(get(how))
      yield* Effect.exit(Command.within(Effect.interrupt, Users, { key: "get" }))
      yield* Command.queue(get("hang"))
      yield* TestClock.adjust(10)
      const rescued = Command.make("get", call, { group: Users, fallback: () => Effect.succeed(0) })
      yield* rescued("fail")
      yield* Effect.exit(Command.within(Effect.void, Users, { key: "outer" }))
      const inside = Command.within(Effect.exit(get("ok")), Users, { key: "other" })
      yield* inside // re-entered
      yield* Effect.exit(get("ok")) // the limit is used up
      assert.deepStrictEqual(yield* TestOutcomes.of(Users, "get"), {
        success: 2,
        failure: 2,
        defect: 1,
        timeout: 1,
        interrupted: 1,
        "rate-limited": 2,
        degraded: 1
      })
    }).pipe(Effect.provide(UsersLive)))

  it.effect("adds up all commands of the group without a key, and knows nothing of a group of the same name", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const other = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      yield* Effect.void.pipe(Command.within(group, { key: "one" }))
      yield* Effect.exit(Effect.fail("bad").pipe(Command.within(group, { key: "two" })))
      assert.deepStrictEqual(yield* TestOutcomes.of(group), { success: 1, failure: 1 })
      assert.deepStrictEqual(yield* TestOutcomes.of(other), {})
    }))
})

describe("since", () => {
  it.effect("counts what ended meanwhile, data first and last, with a key and without", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const call = (key: string) => Effect.as(Command.within(Effect.void, group, { key }), key)
      yield* call("one")
      const both = Effect.all([call("one"), call("two")])
      assert.deepStrictEqual(yield* TestOutcomes.since(both, group, "one"), [["one", "two"], { success: 1 }])
      assert.deepStrictEqual(yield* TestOutcomes.since(both, group), [["one", "two"], { success: 2 }])
      assert.deepStrictEqual(yield* both.pipe(TestOutcomes.since(group, "two")), [["one", "two"], { success: 1 }])
      assert.deepStrictEqual(yield* both.pipe(TestOutcomes.since(group)), [["one", "two"], { success: 2 }])
      assert.deepStrictEqual(yield* Effect.void.pipe(TestOutcomes.since(group)), [undefined, {}])
    }))

  it.effect("fails as the effect does", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.fail("bad").pipe(TestOutcomes.since(Users), Effect.flip)
      assert.strictEqual(failed, "bad")
    }).pipe(Effect.provide(UsersLive)))
})

describe("expect", () => {
  it.effect("is content with exactly what is expected", () =>
    Effect.gen(function*() {
      yield* TestOutcomes.expect(Users, "get", {})
      yield* Effect.void.pipe(Command.within(Users, { key: "get" }))
      yield* TestOutcomes.expect(Users, "get", { success: 1, failure: 0 })
      yield* TestOutcomes.expect(Users, { success: 1 })
    }).pipe(Effect.provide(UsersLive)))

  it.effect("names the group, the key and each difference otherwise: too few, too many, of the wrong kind", () =>
    Effect.gen(function*() {
      const { call } = yield* make(ways)
      const get = Command.make("get", call, { group: Users, fallback: () => Effect.succeed(0) })
      for (const how of ["ok", "ok", "fail"] as const) yield* get(how)
      const wrong = yield* Effect.flip(TestOutcomes.expect(Users, "get", { success: 2, timeout: 1 }))
      assert.strictEqual(
        wrong.message,
        "outcomes of get in users:\n  failure: 1, expected 0\n  timeout: 0, expected 1\n  degraded: 1, expected 0"
      )
      assert.deepInclude({ ...wrong }, {
        _tag: "UnexpectedOutcomes",
        group: "users",
        key: "get",
        actual: { success: 2, failure: 1, degraded: 1 },
        expected: { success: 2, timeout: 1 }
      })
      const all = yield* Effect.flip(TestOutcomes.expect(Users, {}))
      assert.isTrue(all.message.startsWith("outcomes of all commands in users:\n  success: 2, expected 0\n"))
    }).pipe(Effect.provide(UsersLive)))
})

describe("expectIdle", () => {
  it.effect("is content when no permit is held and nobody waits", () =>
    Effect.gen(function*() {
      yield* TestOutcomes.expectIdle(Users)
      yield* Effect.exit(Effect.die("bug").pipe(Command.within(Users, { key: "get" })))
      yield* TestOutcomes.expectIdle(Users)
    }).pipe(Effect.provide(UsersLive)))

  it.effect("says what is left otherwise: calls that run, that wait, that were told to stop and have not", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 2, maxQueued: 5 } })
      const { call, recover } = yield* make<void>(uninterruptible(hang))
      const get = Command.make("get", call, { group, timeout: 10, detach: true })
      yield* Command.queue(get())
      assert.strictEqual(
        (yield* Effect.flip(TestOutcomes.expectIdle(group))).message,
        "the pool of g is not idle: 1 active (0 of them overdue), 0 queued"
      )
      yield* Command.queue(get())
      yield* TestClock.adjust(10)
      yield* Command.queue(get())
      const left = yield* Effect.flip(TestOutcomes.expectIdle(group))
      assert.strictEqual(left.message, "the pool of g is not idle: 2 active (2 of them overdue), 1 queued")
      assert.deepInclude({ ...left }, { _tag: "NotIdle", group: "g", active: 2, queued: 1, overdue: 2 })
      yield* recover(succeed())
      yield* TestOutcomes.expectIdle(group)
      assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 3)
    }))
})
