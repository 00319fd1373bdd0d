import {
  Circuit,
  Command,
  CommandMetrics,
  Deadline,
  Group,
  InvalidOptions,
  Pool,
  Retry,
  RetryBudget,
  TestDependency,
  TestOutcomes
} from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Logger, Metric, Random, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { afterFirstSleep, ending, idle, state } from "./calls.ts"

const { after, fail, hang, lingering, sequence, succeed, times, uninterruptible } = TestDependency

const make = (options: Partial<Group.Options> = {}) =>
  Group.make("g", { pool: { maxConcurrent: 10 }, ...options }).pipe(Effect.provide(Logger.layer([])))

/** Without chance: each delay is this share of what it is at most. */
const chance = (share: number) =>
  Effect.provideService(Random.Random, { nextDoubleUnsafe: () => share, nextIntUnsafe: () => 0 })

type Flaky = TestDependency.TestDependency<string, unknown>

/** Fails so many times, in turn with each of the failures, and is good then. */
const failing = (count: number, failures: ReadonlyArray<unknown> = ["bad"]): Effect.Effect<Flaky> =>
  TestDependency.make(sequence(times(count, sequence(...failures.map(fail))), succeed("good")))

/** How it ended and when, after as much time as it takes; and when it was tried. Counted from now on. */
const trace = Effect.fnUntraced(
  function*(flaky: Flaky, call: Effect.Effect<unknown, unknown, Scope.Scope>) {
    const from = yield* Clock.currentTimeMillis
    const timed = Effect.gen(function*() {
      const exit = yield* Effect.exit(call)
      return { end: ending(exit), at: yield* Clock.currentTimeMillis }
    })
    const fiber = yield* Command.queue(timed)
    yield* TestClock.adjust("1 hour")
    const { at, end } = yield* Fiber.join(fiber)
    return { end, at: at - from, attempts: flaky.startedAt.map((at) => at - from) }
  }
)

const unlimited = { retryBudget: { perSecond: Infinity } }

describe("21. retries back off exponentially with full jitter", () => {
  const delays = (options: Retry.Options<unknown>, share: number) =>
    Effect.gen(function*() {
      const group = yield* make()
      const flaky = yield* failing(Infinity)
      const { attempts, end } = yield* trace(
        flaky,
        flaky.call().pipe(Command.within(group, { key: "k", retry: options }), chance(share))
      )
      assert.strictEqual(end, "bad")
      yield* idle(group)
      return attempts.slice(1).map((at, i) => at - attempts[i]!)
    })

  it.effect("each delay is a share of twice what the one before it could be", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays({ times: 5, base: 100 }, 0.5), [50, 100, 200, 400, 800])
    }))

  it.effect("up to max", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays({ times: 5, base: 100, max: 300 }, 0.5), [50, 100, 150, 150, 150])
    }))

  it.effect("two more attempts, 100 ms and 10 s, by default", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays({}, 0.5), [50, 100])
      assert.deepStrictEqual((yield* delays({ times: 12 }, 1)).slice(5), [
        3200,
        6400,
        10_000,
        10_000,
        10_000,
        10_000,
        10_000
      ])
    }))

  it.effect("however often: no power of two is too large", () =>
    Effect.gen(function*() {
      const group = yield* make(unlimited)
      const flaky = yield* failing(1100)
      const call = flaky.call().pipe(
        Command.within(group, { key: "k", retry: { times: 2000, base: 1, max: 2 } }),
        chance(1)
      )
      assert.strictEqual((yield* trace(flaky, call)).end, "Success")
    }))

  it.effect("none with times: 0", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays({ times: 0 }, 0.5), [])
    }))

  it.effect("by the Random of the caller, anywhere between nothing and the bound", () =>
    Effect.gen(function*() {
      const group = yield* make(unlimited)
      const seen: Array<number> = []
      for (let seed = 0; seed < 100; seed++) {
        const flaky = yield* failing(1)
        const call = flaky.call().pipe(
          Command.within(group, { key: "k", retry: { base: 1000 } }),
          Random.withSeed(seed)
        )
        const { attempts } = yield* trace(flaky, call)
        seen.push(attempts[1]! - attempts[0]!)
      }
      assert.isBelow(Math.min(...seen), 50)
      assert.isAbove(Math.max(...seen), 950)
      assert.isAtMost(Math.max(...seen), 1000)
      assert.approximately(seen.reduce((a, b) => a + b) / seen.length, 500, 100)
    }))
})

describe("21. retries honour Retry-After", () => {
  const delay = (failure: unknown, options: Retry.Options<unknown> = {}, share = 0) =>
    Effect.gen(function*() {
      const group = yield* make()
      const flaky = yield* failing(1, [failure])
      const call = flaky.call().pipe(
        Command.within(group, { key: "k", retry: { base: 100, ...options } }),
        chance(share)
      )
      const { attempts } = yield* trace(flaky, call)
      return attempts.length === 1 ? "none" : attempts[1]! - attempts[0]!
    })

  it.effect("a duration or milliseconds, as the failure says", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* delay({ retryAfter: Duration.seconds(2) }), 2000)
      assert.strictEqual(yield* delay({ retryAfter: 1500 }), 1500)
      assert.strictEqual(yield* delay({ retryAfter: "3 seconds" }), 3000)
    }))

  it.effect("the jitter is on top, so that not all come at once", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* delay({ retryAfter: 1500 }, {}, 0.5), 1550)
    }))

  it.effect("as an option reads it; where that says nothing, as the failure does", () =>
    Effect.gen(function*() {
      const retryAfter = (failure: unknown) =>
        typeof failure === "object" && failure !== null && "seconds" in failure
          ? Duration.seconds(Number(failure.seconds))
          : undefined
      assert.strictEqual(yield* delay({ seconds: 4, retryAfter: 7 }, { retryAfter }), 4000)
      assert.strictEqual(yield* delay({ retryAfter: 7 }, { retryAfter }), 7)
    }))

  it.effect("what is no duration is not heard", () =>
    Effect.gen(function*() {
      for (const retryAfter of ["120", "soon", NaN, -5, null, undefined, {}, true]) {
        assert.isAtMost(Number(yield* delay({ retryAfter })), 1, String(retryAfter))
      }
    }))

  it.effect("one that asks for too long is not retried", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* delay({ retryAfter: "1 minute" }), 60_000)
      assert.strictEqual(yield* delay({ retryAfter: 60_001 }), "none")
      assert.strictEqual(yield* delay({ retryAfter: Infinity }), "none")
      assert.strictEqual(yield* delay({ retryAfter: 1001 }, { maxRetryAfter: "1 second" }), "none")
    }))
})

describe("21. retries never start a sleep that outlasts the deadline", () => {
  const within = (timeout: number, failure: unknown, retry: Retry.Options<unknown>) =>
    Effect.gen(function*() {
      const group = yield* make()
      const flaky = yield* failing(Infinity, [failure])
      const call = flaky.call().pipe(Command.within(group, { key: "k", timeout, retry }), chance(1))
      const { at, attempts, end } = yield* trace(flaky, call)
      yield* idle(group)
      return [end, at, attempts.length]
    })

  it.effect("the failure is returned at once instead", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* within(1000, "bad", { times: 9, base: 100 }), ["bad", 700, 4])
    }))

  it.effect("nor one that ends with it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* within(100, "bad", { base: 100 }), ["bad", 0, 1])
      assert.deepStrictEqual(yield* within(101, "bad", { base: 100, times: 1 }), ["bad", 100, 2])
    }))

  it.effect("nor one that the failure asks for", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* within(1000, { _tag: "Busy", retryAfter: "5 seconds" }, {}), ["Busy", 0, 1])
    }))

  it.effect("nor one that a schedule asks for; the budget keeps what is not begun", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = Effect.fail("bad").pipe(
        Command.within(group, { key: "k", timeout: 100, retry: { schedule: Schedule.spaced("1 second") } }),
        Effect.flip
      )
      assert.strictEqual(yield* call, "bad")
      assert.strictEqual(yield* RetryBudget.remaining(group), 100)
    }))

  it.effect("nor, for a callback, one that outlasts its total", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = Command.callback(
        "k",
        (completion: Command.Completion<never, string>) => completion.end(Exit.fail("bad")),
        { group, total: 100, retry: { base: 100 } }
      )
      assert.strictEqual(yield* Effect.flip(chance(1)(call())), "bad")
    }))
})

describe("21. retries are spent from a budget, shared by the group", () => {
  it.effect("an exhausted one returns the original failure", () =>
    Effect.gen(function*() {
      const group = yield* make({ retryBudget: { ratio: 0, perSecond: 0.3 } })
      const first = yield* failing(Infinity, ["one", "two", "three"])
      const { end } = yield* trace(
        first,
        first.call().pipe(Command.within(group, { key: "first", retry: { times: 2, base: 1 } }))
      )
      assert.strictEqual(end, "three")
      yield* TestClock.setTime(4_000_000)
      const second = yield* failing(Infinity, ["one", "two", "three"])
      const both = Effect.gen(function*() {
        const one = yield* Effect.exit(
          first.call().pipe(Command.within(group, { key: "first", retry: { times: 2, base: 1 } }))
        )
        const two = yield* Effect.exit(
          second.call().pipe(Command.within(group, { key: "second", retry: { times: 2, base: 1 } }))
        )
        return [ending(one), ending(two)]
      })
      const fiber = yield* Command.queue(both)
      yield* TestClock.adjust(10)
      // Of the three that there are, the first command takes two.
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["three", "two"])
      yield* idle(group)
    }))

  it.effect("of zero: nothing is retried", () =>
    Effect.gen(function*() {
      const group = yield* make({ retryBudget: { ratio: 0, perSecond: 0 } })
      const flaky = yield* failing(1)
      assert.strictEqual(
        yield* Effect.flip(flaky.call().pipe(Command.within(group, { key: "k", retry: { times: 5 } }))),
        "bad"
      )
      assert.strictEqual(flaky.calls.length, 1)
    }))

  it.effect("a storm is cut to it: 1,000 calls that fail are not 3,000", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: Infinity } })
      const flaky = yield* failing(Infinity)
      const call = Effect.exit(flaky.call().pipe(Command.within(group, { key: "k", retry: { base: 10 } })))
      const fiber = yield* Command.queue(
        Effect.forEach(Array.from({ length: 1000 }), () => call, { concurrency: "unbounded" })
      )
      yield* TestClock.adjust(1000)
      yield* Fiber.join(fiber)
      assert.isAtMost(flaky.calls.length, 1000 + 200 + 100)
      assert.isAtLeast(flaky.calls.length, 1000 + 200)
      yield* idle(group)
    }))
})

describe("22. an open circuit ends the retries", () => {
  const circuit = { consecutive: 2, openFor: "1 second" } as const

  it.effect("with what the effect failed with: a call that ran does not end as one that was refused", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      const flaky = yield* failing(Infinity, ["one", "two", "three"])
      const call = flaky.call().pipe(Command.within(group, { key: "k", retry: { times: 9, base: 1 } }))
      const { attempts, end } = yield* trace(flaky, call)
      assert.strictEqual(attempts.length, 2)
      assert.strictEqual(end, "two")
    }))

  it.effect("a call that it turns away is not retried", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      yield* Circuit.force(group, "k", "open")
      const flaky = yield* failing(0)
      const call = flaky.call().pipe(Command.within(group, { key: "k", retry: { times: 9, while: () => true } }))
      assert.deepInclude(yield* trace(flaky, call), { end: "CircuitOpen", attempts: [] })
    }))

  it.effect("unless it is to be waited for: as long as it says", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      const flaky = yield* failing(2)
      const call = flaky.call().pipe(
        Command.within(group, { key: "k", retry: { times: 9, base: 100, waitFor: ["CircuitOpen"] } }),
        chance(0.1)
      )
      const { attempts, end } = yield* trace(flaky, call)
      assert.strictEqual(end, "Success")
      assert.strictEqual(attempts.length, 3)
      assert.isAtLeast(attempts[2]! - attempts[1]!, 1000)
      yield* idle(group)
    }))

  it.effect("not beyond the deadline", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      const flaky = yield* failing(Infinity)
      const call = flaky.call().pipe(
        Command.within(group, { key: "k", timeout: 500, retry: { times: 9, base: 1, waitFor: ["CircuitOpen"] } })
      )
      const { at, end } = yield* trace(flaky, call)
      assert.strictEqual(end, "bad")
      assert.isBelow(at, 500)
    }))

  it.effect("each attempt is an outcome for it", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 3, openFor: "1 second" } })
      const call = Effect.fail("bad").pipe(Command.within(group, { key: "k", retry: { times: 2, base: 1 } }))
      const fiber = yield* Command.queue(Effect.flip(call))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "bad")
      assert.strictEqual(yield* Circuit.state(group, "k"), "open")
    }))
})

describe("23. what is never retried", () => {
  const attempts = (effect: Effect.Effect<unknown, unknown>, retry: Retry.Options<unknown> = { times: 5, base: 1 }) =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* TestDependency.make(TestDependency.effect(effect))
      const fiber = yield* Command.queue(
        dependency.call().pipe(Command.within(group, { key: "k", retry }), Effect.exit)
      )
      yield* TestClock.adjust(1000)
      yield* idle(group)
      return [ending(yield* Fiber.join(fiber)), dependency.calls.length]
    })

  it.effect("a defect", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* attempts(Effect.die("bug")), ["Die", 1])
    }))

  it.effect("a failure with a defect beside it", () =>
    Effect.gen(function*() {
      const both = Cause.combine(Cause.fail("bad"), Cause.die("bug"))
      assert.deepStrictEqual(yield* attempts(Effect.failCause(both)), ["bad+Die", 1])
      assert.deepStrictEqual(yield* attempts(Effect.failCause(Cause.combine(Cause.interrupt(), both))), [
        "Interrupt+bad+Die",
        1
      ])
    }))

  it.effect("an interruption of its own", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* attempts(Effect.interrupt), ["Interrupt", 1])
    }))

  it.effect("a failure that while is against", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* attempts(Effect.fail("fatal"), { times: 5, base: 1, while: (failure) => failure !== "fatal" }),
        ["fatal", 1]
      )
    }))

  it.effect("anything, when while throws: that is a bug, and the call dies of it", () =>
    Effect.gen(function*() {
      const bug = () => {
        throw new Error("bug")
      }
      assert.deepStrictEqual(yield* attempts(Effect.fail("bad"), { times: 5, base: 1, while: bug }), ["Die", 1])
      assert.deepStrictEqual(yield* attempts(Effect.fail("bad"), { times: 5, base: 1, retryAfter: bug }), ["Die", 1])
    }))

  it.effect("a rejection by the pool", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 1, queueTimeout: 10 } })
      const dependency = yield* TestDependency.make<void>(hang)
      yield* Command.queue(dependency.call().pipe(Command.within(group, { key: "first" })))
      const retry = { times: 5, base: 1, while: () => true }
      const late = yield* Command.queue(Effect.flip(Command.within(Effect.void, group, { key: "k", retry })))
      const full = yield* Effect.flip(Command.within(Effect.void, group, { key: "k", retry }))
      assert.strictEqual(full._tag, "PoolFull")
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(late))._tag, "QueueTimeout")
      const reentered = yield* Effect.void.pipe(
        Command.within(group, { key: "inner", retry }),
        Command.within(yield* make(), { key: "other" }),
        Command.within(group, { key: "outer" }),
        Effect.flip,
        Command.queue
      )
      yield* dependency.recover(succeed())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(reentered))._tag, "PoolReentered")
      assert.strictEqual(yield* RetryBudget.remaining(group), 100)
    }))

  it.effect("unless it is to be waited for", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1 } })
      yield* Command.queue(Effect.sleep(250).pipe(Command.within(group, { key: "first" })))
      const call = Effect.succeed("in").pipe(
        Command.within(group, { key: "k", retry: { times: 9, base: 100, max: 100, waitFor: ["PoolFull"] } }),
        chance(1)
      )
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(299)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "in")
    }))

  it.effect("what a command inside was refused", () =>
    Effect.gen(function*() {
      const outer = yield* make()
      const inner = yield* Group.make("inner", { pool: { maxConcurrent: 1 } })
      yield* Command.queue(Effect.never.pipe(Command.within(inner, { key: "first" })))
      const refused = Effect.void.pipe(Command.within(inner, { key: "k" }))
      const dependency = yield* TestDependency.make(TestDependency.effect(refused))
      const call = dependency.call().pipe(
        Command.within(outer, { key: "k", retry: { times: 5, base: 1 } }),
        Effect.flip
      )
      assert.strictEqual((yield* call)._tag, "PoolFull")
      assert.strictEqual(dependency.calls.length, 1)
    }))
})

describe("a schedule instead of base and max", () => {
  const follow = (
    schedule: Schedule.Schedule<unknown, unknown>,
    options: { timeout?: number; times?: number } = {},
    group = make()
  ) =>
    Effect.gen(function*() {
      const flaky = yield* failing(Infinity)
      const call = flaky.call().pipe(
        Command.within(yield* group, {
          key: "k",
          timeout: options.timeout ?? "1 day",
          retry: { schedule, times: options.times }
        })
      )
      return yield* trace(flaky, call)
    })

  it.effect("says when and how often", () =>
    Effect.gen(function*() {
      const result = yield* follow(Schedule.spaced(30).pipe(Schedule.upTo({ times: 3 })))
      assert.deepStrictEqual(result, { end: "bad", at: 90, attempts: [0, 30, 60, 90] })
    }))

  it.effect("for each call anew", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = Command.make("k", (flaky: Flaky) => flaky.call(), { group, retry: { schedule: Schedule.recurs(2) } })
      for (let i = 0; i < 3; i++) {
        const flaky = yield* failing(Infinity)
        assert.strictEqual((yield* trace(flaky, call(flaky))).attempts.length, 3)
      }
    }))

  it.effect("is handed the failures", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const seen: Array<unknown> = []
      const schedule = Schedule.fromStepWithMetadata(Effect.succeed((metadata: Schedule.InputMetadata<unknown>) => {
        seen.push(metadata.input)
        return metadata.attempt > 2
          ? Cause.done("enough")
          : Effect.succeed(["again", Duration.millis(1)] as [string, Duration.Duration])
      }))
      const flaky = yield* failing(Infinity, ["one", "two", "three"])
      const result = yield* trace(flaky, flaky.call().pipe(Command.within(group, { key: "k", retry: { schedule } })))
      assert.strictEqual(result.end, "three")
      assert.deepStrictEqual(seen, ["one", "two", "three"])
    }))

  it.effect("what the failure asks for comes before its delay", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const flaky = yield* failing(1, [{ retryAfter: 500 }])
      const call = flaky.call().pipe(Command.within(group, { key: "k", retry: { schedule: Schedule.spaced(30) } }))
      assert.deepStrictEqual((yield* trace(flaky, call)).attempts, [0, 530])
    }))

  it.effect("one that never ends is bounded by times, 100 by default", () =>
    Effect.gen(function*() {
      const free = make(unlimited)
      assert.strictEqual((yield* follow(Schedule.forever, {}, free)).attempts.length, 101)
      assert.strictEqual((yield* follow(Schedule.forever, { times: 7 }, free)).attempts.length, 8)
    }))

  it.effect("by the deadline", () =>
    Effect.gen(function*() {
      const result = yield* follow(Schedule.spaced(30), { timeout: 100, times: Infinity })
      assert.deepStrictEqual(result, { end: "bad", at: 90, attempts: [0, 30, 60, 90] })
    }))

  it.effect("by the budget", () =>
    Effect.gen(function*() {
      const group = make({ retryBudget: { ratio: 0, perSecond: 1 } })
      assert.strictEqual((yield* follow(Schedule.spaced(1), { times: Infinity }, group)).attempts.length, 11)
    }))

  it.effect("one whose delays make no sense has none, and is bounded all the same", () =>
    Effect.gen(function*() {
      for (const delay of [0, NaN, -5000, -Infinity]) {
        const odd = Schedule.forever.pipe(Schedule.modifyDelay(() => Effect.succeed(Duration.millis(delay))))
        const { at, attempts, end } = yield* follow(odd, { times: 3 }, make(unlimited))
        assert.deepStrictEqual([end, attempts.length], ["bad", 4], String(delay))
        assert.isAtMost(at, 3)
      }
    }))

  it.effect("one that counts elapsed time is bounded although the wall clock is set back all the time", () =>
    Effect.gen(function*() {
      let wall = 1e12
      const clock = yield* Clock.Clock
      const jumping = new Proxy(clock, {
        get: (target, name) => name === "currentTimeMillisUnsafe" ? () => wall -= 1e6 : Reflect.get(target, name)
      })
      const group = Effect.provideService(make(unlimited), Clock.Clock, jumping)
      const during = Schedule.spaced(1).pipe(Schedule.upTo({ duration: "10 millis" }))
      assert.strictEqual((yield* follow(during, { times: 50 }, make(unlimited))).attempts.length, 12)
      assert.strictEqual((yield* follow(during, { times: 50 }, group)).attempts.length, 51)
    }))

  it.effect("one that dies ends the call with it", () =>
    Effect.gen(function*() {
      const bug = Schedule.spaced(1).pipe(Schedule.addDelay(() => Effect.die("bug")))
      assert.deepInclude(yield* follow(bug), { end: "Die", attempts: [0] })
      const thrown = Schedule.spaced(1).pipe(Schedule.addDelay(() => {
        throw new Error("bug")
      }))
      assert.deepInclude(yield* follow(thrown), { end: "Die", attempts: [0] })
    }))

  it.effect("one that takes its time is waited for, and let go by the deadline and by an interruption", () =>
    Effect.gen(function*() {
      const slow = Schedule.spaced(10).pipe(Schedule.addDelay(() => Effect.as(Effect.sleep(100), 0)))
      assert.deepStrictEqual(yield* follow(slow, { times: 2 }), { end: "bad", at: 220, attempts: [0, 110, 220] })
      const group = yield* make()
      const call = Effect.fail("bad").pipe(Command.within(group, { key: "k", retry: { schedule: slow } }))
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(50)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state(fiber), "Interrupt")
      const late = yield* Command.queue(
        Effect.fail("bad").pipe(Command.within(group, { key: "k", timeout: 50, retry: { schedule: slow } }))
      )
      yield* TestClock.adjust(50)
      assert.strictEqual(state(late), "CommandTimeout")
      yield* TestClock.adjust(1000)
      yield* idle(group)
    }))

  it.effect("one that waits for ever is not followed", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* follow(Schedule.spaced(Infinity)), { end: "bad", at: 0, attempts: [0] })
    }))

  it.effect("one that takes its time to end is asked once", () =>
    Effect.gen(function*() {
      const group = yield* make()
      let asked = 0
      const schedule = Schedule.fromStepWithMetadata(Effect.succeed(({ attempt }: Schedule.InputMetadata<unknown>) => {
        asked++
        const step: Effect.Effect<[string, Duration.Duration]> = Effect.succeed(["again", Duration.millis(10)])
        return Effect.andThen(Effect.sleep(100), attempt > 1 ? Cause.done("enough") : step)
      }))
      const flaky = yield* failing(Infinity)
      const result = yield* trace(flaky, flaky.call().pipe(Command.within(group, { key: "k", retry: { schedule } })))
      assert.deepStrictEqual(result, { end: "bad", at: 210, attempts: [0, 110] })
      assert.strictEqual(asked, 2)
      yield* idle(group)
    }))
})

describe("where it stands", () => {
  it.effect("1. inside of the deadline, outside of circuit and pool", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 3 } })
      const command = Command.make("k", () => Effect.void, {
        group,
        timeout: 1,
        attemptTimeout: 1,
        retry: { times: 3, waitFor: ["CircuitOpen"] },
        hedge: { after: "p95" },
        fallback: () => Effect.void
      })
      const policies = yield* Command.policies(command)
      assert.deepStrictEqual(policies.map(({ policy }) => policy), [
        "fallback",
        "outcomes",
        "timeout",
        "retry",
        "hedge",
        "circuit",
        "pool",
        "attemptTimeout"
      ])
      assert.deepStrictEqual(policies.find(({ policy }) => policy === "retry"), {
        policy: "retry",
        times: 3,
        base: Duration.millis(100),
        max: Duration.seconds(10),
        maxRetryAfter: Duration.minutes(1),
        waitFor: ["CircuitOpen"],
        budget: { ratio: 0.2, perSecond: 10, window: Duration.seconds(10) }
      })
    }))

  it.effect("an attempt has a permit of its own; none is held in between", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1 } })
      const flaky = yield* failing(1)
      const fiber = yield* Command.queue(
        flaky.call().pipe(Command.within(group, { key: "k", retry: { base: 100 } }), chance(1))
      )
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
      assert.strictEqual(
        yield* Effect.succeed("in between").pipe(Command.within(group, { key: "other" })),
        "in between"
      )
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "good")
      assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 3)
      yield* idle(group)
    }))

  it.effect("2. an attempt that takes too long is retried, after its finalizers; each has its own timeout", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1 } })
      const dependency = yield* TestDependency.make(lingering(5, hang))
      const fiber = yield* Command.queue(
        dependency.call().pipe(
          Command.within(group, { key: "k", timeout: 100, attemptTimeout: 20, retry: { times: 50, base: 5, max: 5 } }),
          chance(1)
        )
      )
      yield* TestClock.adjust(99)
      // From 0, 30, 60 and 90 on: 20 until its timeout, 5 for its finalizers, 5 until the next.
      assert.strictEqual(dependency.calls.length, 4)
      assert.strictEqual(dependency.maxInFlight, 1)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(5)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.strictEqual(dependency.calls.length, 4)
      yield* idle(group)
    }))

  it.effect("2. both at one instant: the outer one wins, nothing is retried", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* TestDependency.make<void>(hang)
      const fiber = yield* Command.queue(
        dependency.call().pipe(
          Command.within(group, { key: "k", timeout: 20, attemptTimeout: 20, retry: { times: 50, base: 1 } }),
          Effect.flip
        )
      )
      yield* TestClock.adjust(1000)
      assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "timeout" })
      assert.strictEqual(dependency.calls.length, 1)
      yield* idle(group)
    }))

  it.effect("2. in a later attempt too", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const dependency = yield* TestDependency.make<void>(hang)
      const fiber = yield* Command.queue(
        dependency.call().pipe(
          Command.within(group, { key: "k", timeout: 50, attemptTimeout: 20, retry: { times: 50, base: 10 } }),
          chance(1),
          Effect.flip
        )
      )
      yield* TestClock.adjust(1000)
      assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "timeout", started: true })
      assert.strictEqual(dependency.calls.length, 2)
      yield* idle(group)
    }))

  it.effect("14. a deadline that passes in an attempt is a failure for the circuit; in its queue, after an attempt that ran, none", () =>
    Effect.gen(function*() {
      const group = yield* make({
        circuit: { consecutive: 2, openFor: "1 hour" },
        pool: { maxConcurrent: 1, maxQueued: 9 }
      })
      const retry = { times: 1, base: 10 }
      // Its first attempt fails, its second runs until the deadline.
      let attempt = 0
      const hangs = Effect.suspend(() => ++attempt === 1 ? Effect.fail("bad") : Effect.never)
      const first = yield* Command.queue(
        hangs.pipe(Command.within(group, { key: "hangs", timeout: 50, retry }), chance(1))
      )
      yield* TestClock.adjust(50)
      assert.strictEqual(state(first), "CommandTimeout")
      assert.strictEqual(yield* Circuit.state(group, "hangs"), "open")
      // Its first attempt fails, its second waits until the deadline.
      const second = yield* Command.queue(
        Effect.fail("bad").pipe(Command.within(group, { key: "waits", timeout: 50, retry }), chance(1))
      )
      const dependency = yield* TestDependency.make<void>(hang)
      yield* Command.queue(dependency.call().pipe(Command.within(group, { key: "other" })))
      yield* TestClock.adjust(49)
      assert.strictEqual((yield* Pool.statistics(group.pool)).queued, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(state(second), "CommandTimeout")
      assert.strictEqual(yield* Circuit.state(group, "waits"), "closed")
      yield* dependency.recover(succeed())
      yield* idle(group)
    }))

  it.effect("14. what ended one attempt says nothing of the next", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 2, openFor: "1 hour" } })
      let attempts = 0
      const command = Command.make(
        "k",
        () => Effect.suspend(() => ++attempts === 1 ? Effect.never : Effect.fail(404)),
        {
          group,
          attemptTimeout: 10,
          retry: { times: 1, base: 1 },
          circuit: { isFailure: (failure) => failure !== 404 }
        }
      )
      const fiber = yield* Command.queue(Effect.flip(command()))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), 404)
      assert.strictEqual(yield* Circuit.state(group, "k"), "closed")
    }))

  it.effect("29. the fallback is handed the last failure, once", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const seen: Array<unknown> = []
      const flaky = yield* failing(Infinity, ["one", "two", "three"])
      const call = Command.make("k", flaky.call, {
        group,
        retry: { base: 1 },
        fallback: (failure) => Effect.sync(() => seen.push(failure))
      })
      yield* trace(flaky, call())
      assert.deepStrictEqual(seen, ["three"])
    }))

  it.effect("32. one outcome for a call, however many attempts, which are counted", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("retry.metrics", { pool: { maxConcurrent: 1 } })
      const attributes = { group: "retry.metrics", key: "k" }
      const call = (times: number) =>
        Effect.flatMap(failing(times), (flaky) =>
          flaky.call().pipe(Command.within(group, { key: "k", retry: { base: 1 } }), Effect.exit))
      const fiber = yield* Command.queue(Effect.all([call(0), call(2), call(9)]))
      yield* TestClock.adjust(1000)
      yield* Fiber.join(fiber)
      const attempts = yield* Metric.value(Metric.withAttributes(CommandMetrics.attempts, attributes))
      assert.deepInclude(attempts, { count: 3, sum: 7, min: 1, max: 3 })
      yield* TestOutcomes.expect(group, "k", { success: 2, failure: 1 })
    }))

  it.effect("32. the outcome is that of the attempt that it ends as, not that of the refusal that ended it", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("retry.refused", { pool: { maxConcurrent: 1 }, circuit: { consecutive: 2 } })
      const outcomes = (key: string) =>
        Effect.map(
          Effect.forEach(["failure", "timeout", "short-circuited"] as const, (outcome) =>
            Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: "retry.refused", key, outcome }))),
          (all) =>
            all.map(({ count }) =>
              count
            )
        )
      const fails = Effect.fail("no").pipe(Command.within(group, { key: "fails", retry: { times: 5 } }))
      const hangs = Effect.never.pipe(
        Command.within(group, { key: "hangs", attemptTimeout: 10, retry: { times: 5, base: 1 } })
      )
      const fiber = yield* Command.queue(Effect.all([Effect.exit(fails), Effect.exit(hangs), Effect.exit(fails)]))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(ending), ["no", "CommandTimeout", "CircuitOpen"])
      assert.deepStrictEqual(yield* outcomes("fails"), [1, 0, 1])
      assert.deepStrictEqual(yield* outcomes("hangs"), [0, 1, 0])
    }).pipe(Effect.provide(Logger.layer([]))))

  it.effect("a callback is called again, but not after its answer", () =>
    Effect.gen(function*() {
      const group = yield* make()
      let attempts = 0
      const call = Command.callback("k", (completion: Command.Completion<string, string>) => {
        if (++attempts === 1) return completion.end(Exit.fail("bad"))
        completion.answer("head")
        completion.end(Exit.fail("broken body"))
      }, { group, retry: { times: 5, base: 1 } })
      const fiber = yield* Command.queue(call())
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "head")
      assert.strictEqual(attempts, 2)
      yield* idle(group)
    }))
})

describe("a callback can ask whether it would be called again", () => {
  interface Asked {
    readonly retry?: Retry.Options<string> | undefined
    readonly total?: number
    readonly attemptTimeout?: number
    readonly retryBudget?: RetryBudget.Options
    readonly outer?: number
  }
  /** What it was told, attempt by attempt, where each of them fails after its question, unless it is told no. */
  const told = ({ outer, retryBudget = { perSecond: Infinity }, ...options }: Asked, share = 1) =>
    Effect.gen(function*() {
      const group = yield* make({ retryBudget })
      const said: Array<boolean> = []
      const call = Command.callback("k", (running: Command.Running<string, string>) => {
        const again = running.mayRetry("bad")
        said.push(again)
        running.end(again ? Exit.fail("bad") : Exit.succeed("good enough"))
      }, { group, ...options })
      const within = outer === undefined ? call() : Deadline.within(call(), outer)
      const fiber = yield* Command.queue(Effect.exit(chance(share)(within)))
      yield* TestClock.adjust("1 hour")
      yield* idle(group)
      return [...said, ending(yield* Fiber.join(fiber))]
    })

  const cases: ReadonlyArray<readonly [name: string, options: Asked, expected: ReadonlyArray<unknown>]> = [
    ["not without a retry", {}, [false, "Success"]],
    ["until its times are over", { retry: { times: 2 } }, [true, true, false, "Success"]],
    ["not if `while` is against it", { retry: { while: () => false } }, [false, "Success"]],
    ["not if the failure asks for too long", {
      retry: { retryAfter: () => "2 seconds", maxRetryAfter: "1 second" }
    }, [false, "Success"]],
    ["not without a budget", { retry: {}, retryBudget: { ratio: 0, perSecond: 0.1 } }, [true, false, "Success"]],
    ["not if the delay would outlast its deadline", { retry: { base: 100 }, total: 250 }, [true, false, "Success"]],
    ["nor one around it", { retry: { base: 100 }, outer: 250 }, [true, false, "Success"]],
    ["a bound of the attempt is none of the delay", { retry: { base: 100, times: 1 }, attemptTimeout: 10 }, [
      true,
      false,
      "Success"
    ]],
    ["a schedule that is over has said yes, and the failure is the end", {
      retry: { schedule: Schedule.recurs(1) }
    }, [true, true, "bad"]]
  ]
  for (const [name, options, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* told(options), expected)
      }))
  }

  it.effect("the delay that it was told of is the one that is waited, once", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const draws = [0.1, 0.9]
      const at: Array<number> = []
      const clock = yield* Clock.Clock
      const call = Command.callback("k", (running: Command.Running<string, string>) => {
        at.push(clock.currentTimeMillisUnsafe())
        if (at.length === 1) running.mayRetry("bad")
        running.end(at.length < 3 ? Exit.fail("bad") : Exit.succeed("good"))
      }, { group, retry: { times: 2, base: 1000 } })
      const fiber = yield* Command.queue(
        Effect.provideService(call(), Random.Random, {
          nextDoubleUnsafe: () => draws.shift()!,
          nextIntUnsafe: () => 0
        })
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(at, [0, 100, 1900])
    }))

  it.effect("not after its answer, nor after its end", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const said: Array<boolean> = []
      const call = Command.callback("k", (running: Command.Running<string, string>) => {
        running.answer("head")
        said.push(running.mayRetry("bad"))
        running.end(Exit.succeed("head"))
        said.push(running.mayRetry("bad"))
      }, { group, retry: {} })
      yield* call()
      assert.deepStrictEqual(said, [false, false])
    }))

  it.effect("what `while` throws then ends the call as ever", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const bug = new Error("bug")
      const call = Command.callback("k", (running: Command.Running<string, string>) => {
        running.end(running.mayRetry("bad") ? Exit.fail("bad") : Exit.succeed("good enough"))
      }, {
        group,
        retry: {
          while: () => {
            throw bug
          }
        }
      })
      const exit = yield* Effect.exit(call())
      assert.strictEqual(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, bug)
      yield* idle(group)
    }))
})

describe("interruptions", () => {
  it.effect("of the caller, in a delay: at once, and the budget is not given back", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const flaky = yield* failing(Infinity)
      const fiber = yield* Command.queue(
        flaky.call().pipe(Command.within(group, { key: "k", retry: { times: 50, base: 100 } }), chance(1))
      )
      yield* TestClock.adjust(150)
      assert.deepStrictEqual(flaky.startedAt, [0, 100])
      fiber.interruptUnsafe()
      assert.strictEqual(state(fiber), "Interrupt")
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(flaky.startedAt, [0, 100])
      assert.strictEqual(yield* RetryBudget.remaining(group), 98)
      yield* idle(group)
    }))

  it.effect("of the caller, in an attempt whose finalizers fail", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const late = Effect.onExit(Effect.never, () => Effect.fail("late"))
      const dependency = yield* TestDependency.make(TestDependency.effect(late))
      const fiber = yield* Command.queue(
        dependency.call().pipe(Command.within(group, { key: "k", retry: { times: 50, base: 1 } }))
      )
      fiber.interruptUnsafe()
      yield* TestClock.adjust(100)
      assert.strictEqual(state(fiber), "Interrupt")
      assert.strictEqual(dependency.calls.length, 1)
      yield* idle(group)
    }))

  it.effect("of the caller, from inside of its own predicate", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const flaky = yield* failing(Infinity)
      let fiber: Fiber.Fiber<unknown, unknown> | undefined
      const retry = {
        times: 50,
        base: 10,
        while: () => {
          fiber?.interruptUnsafe()
          return true
        }
      }
      fiber = yield* Command.queue(flaky.call().pipe(Command.within(group, { key: "k", retry }), chance(1)))
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "Interrupt")
      yield* idle(group)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(flaky.startedAt, [0, 10])
      yield* idle(group)
    }))

  it.effect("the end of the group, in a delay: the failure, at once", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const group = yield* Scope.provide(make(), scope)
      const flaky = yield* failing(Infinity)
      const call = flaky.call().pipe(
        Command.within(group, { key: "k", timeout: 1000, retry: { base: 100 } }),
        chance(1)
      )
      const fiber = yield* Command.queue(call)
      assert.strictEqual(state(fiber), "running")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(state(fiber), "bad")
      assert.strictEqual(yield* Effect.flip(call), "bad")
    }))
})

describe("9. detached", () => {
  const stubborn = TestDependency.make(uninterruptible(after(30, succeed())))

  it.effect("an attempt that can't be interrupted ends before the next begins; the caller is let go by the deadline", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make()
      const dependency = yield* stubborn
      const fiber = yield* Command.queue(
        dependency.call().pipe(
          Command.within(group, {
            key: "k",
            detach: true,
            timeout: 50,
            attemptTimeout: 10,
            retry: { times: 9, base: 5, max: 5 }
          }),
          chance(1)
        )
      )
      yield* TestClock.adjust(29)
      assert.strictEqual(dependency.calls.length, 1)
      assert.strictEqual((yield* Pool.statistics(group.pool)).overdue, 1)
      yield* TestClock.adjust(6)
      assert.strictEqual(dependency.calls.length, 2)
      assert.strictEqual((yield* Pool.statistics(group.pool)).overdue, 0)
      yield* TestClock.adjust(14)
      assert.strictEqual(state(fiber), "running")
      assert.strictEqual((yield* Pool.statistics(group.pool)).overdue, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 1, overdue: 1 })
      yield* TestClock.adjust(100)
      assert.strictEqual(dependency.calls.length, 2)
      yield* idle(group)
    }))

  it.effect("in its last attempt the attempt's timeout lets it go", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make()
      const dependency = yield* stubborn
      const fiber = yield* Command.queue(
        dependency.call().pipe(
          Command.within(group, { key: "k", detach: true, attemptTimeout: 10, retry: { times: 1, base: 5 } }),
          chance(1),
          Effect.flip
        )
      )
      yield* TestClock.adjust(44)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "attemptTimeout" })
      assert.strictEqual((yield* Pool.statistics(group.pool)).overdue, 1)
      yield* TestClock.adjust(100)
      assert.strictEqual(dependency.calls.length, 2)
      yield* idle(group)
    }))
})

describe("3. alone", () => {
  it.effect("around any effect, from the budget of a group", () =>
    Effect.gen(function*() {
      class Session extends Group.Service<Session>()("service.session") {}
      const flaky = yield* failing(2)
      const call = Effect.gen(function*() {
        const answer = yield* flaky.call().pipe(Retry.withBudget(Session, { base: 100 }), chance(1))
        return [answer, yield* RetryBudget.remaining(Session)]
      })
      const fiber = yield* Command.queue(call.pipe(Effect.provide(Session.layer({ pool: { maxConcurrent: 1 } }))))
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["good", 98])
      assert.deepStrictEqual(flaky.startedAt, [0, 100, 300])
    }))

  it.effect("from a budget of its own, data first", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make("mail", { ratio: 0, perSecond: 0.1 })
      const flaky = yield* failing(Infinity, ["one", "two"])
      const fiber = yield* Command.queue(Effect.flip(Retry.withBudget(flaky.call(), budget, { times: 9, base: 1 })))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "two")
      assert.isTrue(RetryBudget.isRetryBudget(budget))
    }))

  it.effect("with what it likes by default", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make("mail")
      const flaky = yield* failing(2)
      assert.strictEqual((yield* trace(flaky, Retry.withBudget(flaky.call(), budget))).end, "Success")
      const again = yield* failing(2)
      assert.strictEqual((yield* trace(again, again.call().pipe(Retry.withBudget(budget)))).end, "Success")
    }))

  it.effect("an Effect.timeout around it ends a delay too", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make("mail")
      const call = Effect.fail("bad").pipe(Retry.withBudget(budget, { base: 100 }), chance(1), Effect.timeout(50))
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(50)
      assert.strictEqual(state(fiber), "TimeoutError")
    }))
})

describe("12. options that make no sense are refused, by name", () => {
  const refused = (retry: unknown, problem: string) =>
    it(problem, () => {
      try {
        Command.make("k", () => Effect.void, { group: {}, retry } as never)
      } catch (failure) {
        assert.instanceOf(failure, InvalidOptions.InvalidOptions)
        assert.include(failure.message, problem)
        return
      }
      assert.fail("accepted")
    })

  refused({ times: -1 }, "retry.times: expected a whole number of at least 0")
  refused({ times: 1.5 }, "retry.times")
  refused({ times: NaN }, "retry.times")
  refused({ base: 0 }, "retry.base")
  refused({ base: Infinity }, "retry.base")
  refused({ max: "soon" }, "retry.max")
  refused({ schedule: "1 second" }, "retry.schedule")
  refused({ schedule: Schedule.forever, base: 10 }, "retry.base: the schedule says how long the delays are")
  refused({ schedule: Schedule.forever, max: 10 }, "retry.max: the schedule says how long the delays are")
  refused({ while: true }, "retry.while")
  refused({ retryAfter: 5 }, "retry.retryAfter")
  refused({ maxRetryAfter: 0 }, "retry.maxRetryAfter")
  refused({ waitFor: ["PoolReentered"] }, "retry.waitFor.0")
  refused({ attempts: 3 }, "retry.attempts")

  it("alone as well", () => {
    const budget = Effect.runSync(Effect.scoped(RetryBudget.make("mail")))
    assert.throws(() => Retry.withBudget(Effect.void, budget, { times: -1 }), /times/)
  })
})
