import { Command, Group, InvalidOptions, Pool, Stale, TestDependency, TestOutcomes } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { LastGood } from "../../packages/core/src/internal/LastGood.ts"
import { ending, state } from "./calls.ts"

const { after, die, fail, hang, succeed } = TestDependency

const make = (more: Partial<Group.Options> = {}) => Group.make("g", { pool: { maxConcurrent: 10 }, ...more })

class Gone {
  readonly _tag = "Gone"
}

const up = TestDependency.make<string, string | Gone, [id: string]>(succeed("fresh"))

const stale = { key: (id: string) => id, maxAge: "1 minute" } as const

describe("31. the last good value is a fallback", () => {
  it.effect("for each key, and a failure where there is none", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale })
      assert.strictEqual(yield* get("a"), "fresh")
      yield* dependency.become(fail("down"))
      assert.strictEqual(yield* get("a"), "fresh")
      assert.strictEqual(yield* Effect.flip(get("b")), "down")
    }))

  it.effect("with a bound on its age, from when it came; then the failure is what it was", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale })
      yield* dependency.become(after("1 second", succeed("slow")))
      const first = yield* Command.queue(get("a"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      yield* dependency.become(fail("down"))
      yield* TestClock.adjust(59_999)
      assert.strictEqual(yield* get("a"), "slow")
      // Being served makes it no younger.
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Effect.flip(get("a")), "down")
      assert.strictEqual(yield* Effect.flip(get("a")), "down")
      yield* dependency.become(succeed("up"))
      assert.strictEqual(yield* get("a"), "up")
      yield* dependency.become(fail("down"))
      assert.strictEqual(yield* get("a"), "up")
    }))

  it.effect("the last one that came counts", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale })
      for (const value of ["one", "two"]) {
        yield* dependency.become(succeed(value))
        yield* get("a")
      }
      yield* dependency.become(fail("down"))
      assert.strictEqual(yield* get("a"), "two")
    }))

  it.effect("instead of a refusal or a timeout, too", () =>
    Effect.gen(function*() {
      const group = yield* make({
        pool: { maxConcurrent: 1 },
        circuit: {},
        rateLimit: { limit: 4, window: "1 minute" }
      })
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale, timeout: 100 })
      yield* get("a")
      yield* dependency.become(hang)
      const slow = yield* Command.queue(get("a"))
      assert.strictEqual(yield* get("a"), "fresh") // the pool is full
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(slow), "fresh")
      assert.strictEqual(yield* Effect.exit(get("b")).pipe(Effect.timeout(0), Effect.flip, Effect.as("spent")), "spent")
      assert.strictEqual(yield* get("a"), "fresh") // the limit is used up
      yield* TestOutcomes.expect(group, "get", {
        success: 1,
        rejected: 1,
        timeout: 1,
        interrupted: 1,
        "rate-limited": 1,
        degraded: 3
      })
    }))

  it.effect("chains: what it has no answer to is the fallback's", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, {
        group,
        stale,
        fallback: (failure, id) => Effect.succeed(`${String(failure)} ${id}`)
      })
      yield* get("a")
      yield* dependency.become(fail("down"))
      assert.deepStrictEqual([yield* get("a"), yield* get("b")], ["fresh", "down b"])
      assert.deepStrictEqual((yield* Command.policies(get)).slice(0, 3).map(({ policy }) => policy), [
        "fallback",
        "stale",
        "outcomes"
      ])
      yield* TestOutcomes.expect(group, "get", { success: 1, failure: 2, degraded: 2 })
    }))

  it.effect("a failure that it is no answer to makes it worthless", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, {
        group,
        stale: { ...stale, when: (failure) => !(failure instanceof Gone) }
      })
      yield* get("a")
      yield* dependency.become(fail(new Gone()))
      assert.strictEqual(ending(yield* Effect.exit(get("a"))), "Gone")
      yield* dependency.become(fail("down"))
      assert.strictEqual(yield* Effect.flip(get("a")), "down")
    }))

  it.effect("18. keys are bounded: the oldest value makes room", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale: { ...stale, maxKeys: 2 } })
      for (const id of ["a", "b", "a", "c"]) yield* get(id)
      yield* dependency.become(fail("down"))
      assert.deepStrictEqual(
        yield* Effect.forEach(["a", "b", "c"], (id) => Effect.map(Effect.exit(get(id)), ending)),
        ["Success", "down", "Success"]
      )
    }))

  it.effect("a clock that is set back, although it should never be, makes no value younger than new", () =>
    Effect.gen(function*() {
      const lastGood = new LastGood(stale)
      let now = 1e9
      const get = (run: Effect.Effect<unknown, unknown>) =>
        lastGood.around(run, ["a"], { now: () => now }) as Effect.Effect<unknown, unknown>
      yield* get(Effect.succeed("fresh"))
      now -= 3_600_000
      assert.strictEqual(yield* get(Effect.fail("down")), "fresh")
      now += 60_000
      assert.strictEqual(yield* Effect.flip(get(Effect.fail("down"))), "down")
    }))

  it.effect("values that are too old go as new ones come", () =>
    Effect.gen(function*() {
      const lastGood = new LastGood({ ...stale, maxKeys: 1000 })
      let now = 0
      const get = (id: string) =>
        lastGood.around(Effect.succeed(id), [id], { now: () => now }) as Effect.Effect<unknown, unknown>
      for (let i = 0; i < 500; i++) yield* get(`old ${i}`)
      now = 60_000
      for (let i = 0; i < 500; i++) yield* get(`new ${i}`)
      assert.strictEqual(lastGood.size, 500)
      for (let i = 0; i < 10_000; i++) yield* get(`user ${i}`)
      assert.strictEqual(lastGood.size, 1000)
    }))

  it.effect("is not shared between groups, nor between commands of one name", () =>
    Effect.gen(function*() {
      class Api extends Group.Service<Api>()("api") {}
      const dependency = yield* up
      const [get, other] = [1, 2].map(() => Command.make("get", dependency.call, { group: Api, stale }))
      const groups = yield* Effect.all([make(), make()])
      const at = (group: Group.Group) => Effect.provideService(Api, group)
      yield* get!("a").pipe(at(groups[0]))
      yield* dependency.become(fail("down"))
      assert.strictEqual(ending(yield* Effect.exit(get!("a").pipe(at(groups[1])))), "down")
      assert.strictEqual(ending(yield* Effect.exit(other!("a").pipe(at(groups[0])))), "down")
      assert.strictEqual(yield* get!("a").pipe(at(groups[0])), "fresh")
    }))
})

describe("30. nothing hides that the dependency failed", () => {
  it.effect("the call is counted by its primary outcome, and as degraded; its permit is back", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale })
      yield* get("a")
      yield* dependency.become(fail("down"))
      yield* Effect.replicateEffect(get("a"), 3)
      yield* TestOutcomes.expect(group, "get", { success: 1, failure: 3, degraded: 3 })
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
    }))

  it.effect("23. a defect stays one, and so does an interruption", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const get = Command.make("get", dependency.call, { group, stale })
      yield* get("a")
      yield* dependency.become(die("bug"))
      assert.strictEqual(ending(yield* Effect.exit(get("a"))), "Die")
      yield* dependency.become(hang)
      const fiber = yield* Command.queue(get("a"))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state(fiber), "Interrupt")
      yield* TestOutcomes.expect(group, "get", { success: 1, defect: 1, interrupted: 1 })
    }))

  it.effect("a function of the user's that throws is a defect of that call, which is counted as it ended", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* up
      const thrower = () => {
        throw new Error("bug")
      }
      const key = Command.make("get", dependency.call, { group, stale: { ...stale, key: thrower } })
      assert.strictEqual(ending(yield* Effect.exit(key("a"))), "Die")
      yield* dependency.become(fail("down"))
      assert.strictEqual(ending(yield* Effect.exit(key("a"))), "Die")
      const when = Command.make("get", dependency.call, { group, stale: { ...stale, when: thrower } })
      yield* dependency.become(succeed("fresh"))
      yield* when("a")
      yield* dependency.become(fail("down"))
      assert.strictEqual(ending(yield* Effect.exit(when("a"))), "Die")
      yield* TestOutcomes.expect(group, "get", { success: 2, failure: 2 })
    }))
})

describe("12. options that make no sense are refused by name:", () => {
  for (
    const [option, options] of [
      ["key", { maxAge: 1 }],
      ["maxAge", { key: () => "" }],
      ...[0, -1, NaN, Infinity].map((maxAge) => ["maxAge", { key: () => "", maxAge }] as const),
      ["maxKeys", { key: () => "", maxAge: 1, maxKeys: 0 }],
      ["ttl", { key: () => "", maxAge: 1, ttl: 1 }]
    ] as const
  ) {
    it.effect(`${option}, in ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const group = yield* make()
        const refused = (make: () => unknown) => {
          try {
            make()
          } catch (error) {
            if (error instanceof InvalidOptions.InvalidOptions) return error.problem
          }
          return ""
        }
        assert.match(
          refused(() => Command.make("get", () => Effect.void, { group, stale: options as never })),
          new RegExp(`^stale\\.${option}: `)
        )
        assert.match(refused(() => Stale.ifError(() => Effect.void, options as never)), new RegExp(`^${option}: `))
      }))
  }
})

describe("3. alone, as a combinator", () => {
  it.effect("ifError answers for any function, data first and last, on the caller's Clock", () =>
    Effect.gen(function*() {
      const dependency = yield* up
      const options: Stale.Options<[string], string | Gone> = { ...stale, when: (failure) => failure === "down" }
      for (const get of [Stale.ifError(dependency.call, options), Stale.ifError(options)(dependency.call)]) {
        yield* dependency.become(succeed("fresh"))
        assert.strictEqual(yield* get("a"), "fresh")
        yield* dependency.become(fail("down"))
        yield* TestClock.adjust(59_999)
        assert.strictEqual(yield* get("a"), "fresh")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* Effect.flip(get("a")), "down")
      }
    }))
})
