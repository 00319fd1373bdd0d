import { Command, Group, InvalidOptions, RetryBudget } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Budget, settingsOf } from "../../packages/core/src/internal/Budget.ts"
import type { Timers } from "../../packages/core/src/internal/Timers.ts"

const make = (retryBudget?: RetryBudget.Options) => Group.make("g", { pool: { maxConcurrent: 10 }, retryBudget })

const calls = (group: Group.Group, number: number, key = "k") =>
  Effect.replicateEffect(Effect.void.pipe(Command.within(group, { key, retry: {} })), number, { discard: true })

/** Makes one retry, or finds that there is none to be made. */
const retried = (group: Group.Group) =>
  Effect.gen(function*() {
    let attempts = 0
    const fails = Effect.suspend(() => Effect.fail(++attempts))
    yield* Command.queue(Effect.exit(fails.pipe(Command.within(group, { key: "k", retry: { times: 1, base: 1 } }))))
    yield* TestClock.adjust(1)
    return attempts === 2
  })

describe("21. the budget of a group", () => {
  it.effect("is on by default: 20 % of the calls, and 10 a second, over 10 seconds", () =>
    Effect.gen(function*() {
      const group = yield* make()
      assert.strictEqual(yield* RetryBudget.remaining(group), 100)
      yield* calls(group, 50)
      assert.strictEqual(yield* RetryBudget.remaining(group), 110)
    }))

  it.effect("is shared by its commands, and no other group's", () =>
    Effect.gen(function*() {
      const [group, other] = [yield* make({ perSecond: 0, ratio: 0.1 }), yield* make({ perSecond: 0, ratio: 0.1 })]
      yield* calls(group, 10, "one")
      yield* calls(group, 20, "two")
      assert.strictEqual(yield* RetryBudget.remaining(group), 3)
      assert.strictEqual(yield* RetryBudget.remaining(other), 0)
    }))

  it.effect("counts the calls of commands that could retry", () =>
    Effect.gen(function*() {
      const group = yield* make({ perSecond: 0, ratio: 1 })
      yield* Effect.void.pipe(Command.within(group, { key: "k" }))
      assert.strictEqual(yield* RetryBudget.remaining(group), 0)
    }))

  it.effect("is read by the class of the group too", () =>
    Effect.gen(function*() {
      class Session extends Group.Service<Session>()("service.session") {}
      const live = Session.layer({ pool: { maxConcurrent: 1 }, retryBudget: { perSecond: 3 } })
      assert.strictEqual(yield* Effect.provide(RetryBudget.remaining(Session), live), 30)
    }))

  it.effect("has back what was spent when the window is over", () =>
    Effect.gen(function*() {
      const group = yield* make({ ratio: 0, perSecond: 0.2 })
      assert.isTrue(yield* retried(group))
      assert.isTrue(yield* retried(group))
      assert.isFalse(yield* retried(group))
      yield* TestClock.adjust("8 seconds")
      assert.isFalse(yield* retried(group))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* RetryBudget.remaining(group), 2)
    }))

  it.effect("forgets calls when the window is over", () =>
    Effect.gen(function*() {
      const group = yield* make({ ratio: 0.5, perSecond: 0, window: "1 second" })
      yield* calls(group, 10)
      yield* TestClock.adjust(500)
      yield* calls(group, 4)
      assert.strictEqual(yield* RetryBudget.remaining(group), 7)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* RetryBudget.remaining(group), 2)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* RetryBudget.remaining(group), 0)
    }))

  it.effect("has no limit with Infinity", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* RetryBudget.remaining(yield* make({ ratio: Infinity })), Infinity)
      assert.strictEqual(yield* RetryBudget.remaining(yield* make({ ratio: 0, perSecond: Infinity })), Infinity)
      assert.isTrue(yield* retried(yield* make({ ratio: Infinity, perSecond: 0 })))
    }))

  it.effect("of a tenth a call grants one for ten, whatever floating point says", () =>
    Effect.gen(function*() {
      for (const [ratio, number, expected] of [[0.1, 10, 1], [0.1, 30, 3], [0.29, 100, 29], [0.07, 100, 7]] as const) {
        const group = yield* make({ ratio, perSecond: 0 })
        yield* calls(group, number)
        assert.strictEqual(yield* RetryBudget.remaining(group), expected)
      }
    }))
})

describe("21. a clock that jumps", () => {
  // Time as it is told.
  const jumping = () => {
    const time = { millis: 1_000_000 }
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: () => 0,
      currentTimeMillis: Effect.succeed(0),
      currentTimeNanosUnsafe: () => 0n,
      currentTimeNanos: Effect.succeed(0n),
      monotonicTimeNanosUnsafe: () => BigInt(Math.floor(time.millis * 1e6)),
      monotonicTimeNanos: Effect.sync(() => BigInt(Math.floor(time.millis * 1e6))),
      sleep: () => Effect.never
    }
    return { time, clock }
  }
  const spent = Effect.gen(function*() {
    const { clock, time } = jumping()
    const group = yield* Effect.provideService(make({ ratio: 0, perSecond: 0.1 }), Clock.Clock, clock)
    const call = Effect.fail("bad").pipe(Command.within(group, { key: "k", retry: { times: 1, base: 1 } }))
    yield* Command.queue(Effect.exit(call))
    assert.strictEqual(yield* RetryBudget.remaining(group), 0)
    return { group, time }
  })

  it.effect("ahead: the window is over", () =>
    Effect.gen(function*() {
      const { group, time } = yield* spent
      time.millis += 1e12
      assert.strictEqual(yield* RetryBudget.remaining(group), 1)
    }))

  it.effect("back: it starts anew, and is not stuck until the clock has caught up", () =>
    Effect.gen(function*() {
      const { group, time } = yield* spent
      time.millis -= 9000
      assert.strictEqual(yield* RetryBudget.remaining(group), 0)
      time.millis -= 900_000
      assert.strictEqual(yield* RetryBudget.remaining(group), 1)
      time.millis = 0
      assert.strictEqual(yield* RetryBudget.remaining(group), 1)
    }))

  it.effect("by the wall: nothing is, it does not keep to that", () =>
    Effect.gen(function*() {
      const group = yield* make({ ratio: 0, perSecond: 0.1 })
      const wall = yield* Effect.provideService(
        Effect.gen(function*() {
          yield* Command.queue(
            Effect.exit(Effect.fail("bad").pipe(Command.within(group, { key: "k", retry: { base: 1 } })))
          )
          return yield* RetryBudget.remaining(group)
        }),
        Clock.Clock,
        jumping().clock
      )
      assert.strictEqual(wall, 0)
    }))
})

it("21. it agrees with a list of all that happened, and takes as long for the millionth call as for the first", () => {
  const timers = { now: () => 0 } as unknown as Timers
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constant("call" as const) },
    { weight: 3, arbitrary: fc.constant("retry" as const) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 1500 }) }
  )
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.constantFrom(0, 0.1, 0.5, 2),
      fc.constantFrom(0, 1, 2.5),
      (steps, ratio, perSecond) => {
        const budget = new Budget(
          "b",
          settingsOf({ ratio, perSecond, window: "1 second" }, { ratio, perSecond }),
          timers
        )
        const [called, spent]: [Array<number>, Array<number>] = [[], []]
        let now = 0
        // What happened in this tenth of a second, and the nine before.
        const recent = (all: ReadonlyArray<number>) =>
          all.filter((at) => Math.floor(now / 100) - Math.floor(at / 100) < 10).length
        const granted = () => Math.floor(ratio * recent(called) + perSecond + 1e-9)
        for (const step of steps) {
          if (step === "call") {
            budget.deposit(now)
            called.push(now)
          } else if (step === "retry") {
            const may = granted() - recent(spent) >= 1
            assert.strictEqual(budget.spend(now), may)
            if (may) spent.push(now)
          } else now += step
          assert.strictEqual(budget.remaining(now), Math.max(0, granted() - recent(spent)))
        }
      }
    )
  )
  const budget = new Budget("b", settingsOf({}, { ratio: 0.2, perSecond: 10 }), timers)
  for (let call = 0; call < 1_000_000; call++) budget.deposit(call / 100)
  assert.strictEqual(budget.remaining(10_000), Math.floor(900_000 * 0.2 + 100))
})

describe("12. options that make no sense are refused, by name", () => {
  const refused = [
    [{ ratio: -0.1 }, "ratio: expected a number of at least 0 (or Infinity, for no limit), got -0.1"],
    [{ ratio: NaN }, "ratio"],
    [{ perSecond: -1 }, "perSecond"],
    [{ perSecond: NaN }, "perSecond"],
    [{ window: 0 }, "window"],
    [{ window: Infinity }, "window"],
    [{ window: Duration.zero }, "window"],
    [{ percent: 20 }, "percent"]
  ] as const
  for (const [options, problem] of refused) {
    it.effect(problem, () =>
      Effect.gen(function*() {
        const alone = yield* Effect.flip(RetryBudget.make("mail", options as RetryBudget.Options))
        assert.instanceOf(alone, InvalidOptions.InvalidOptions)
        assert.include(alone.message, `mail: ${problem}`)
        const ofGroup = yield* Effect.flip(make(options as RetryBudget.Options))
        assert.include(ofGroup.message, `retryBudget.${problem}`)
        const ofHedges = yield* Effect.flip(
          Group.make("g", { pool: { maxConcurrent: 1 }, hedgeBudget: options as RetryBudget.Options })
        )
        assert.include(ofHedges.message, `hedgeBudget.${problem}`)
      }))
  }

  it.effect("nothing at all is a budget: nothing is retried", () =>
    Effect.gen(function*() {
      const group = yield* make({ ratio: 0, perSecond: 0 })
      yield* calls(group, 1000)
      assert.strictEqual(yield* RetryBudget.remaining(group), 0)
      const exit = yield* Effect.exit(Effect.fail("bad").pipe(Command.within(group, { key: "k", retry: { times: 9 } })))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "bad")
    }))
})
