import {
  Coalesce,
  Command,
  CommandMetrics,
  Deadline,
  Group,
  Hedge,
  InvalidOptions,
  Pool,
  RateLimit,
  Retry
} from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Metric, Schedule } from "effect"
import { TestClock } from "effect/testing"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import { ending, state, Work } from "./calls.ts"

let groups = 0

/** A group of its own name, at an instant that is not the first: a time that nobody has read is 0. */
const make = (options: Partial<Group.Options> = {}) =>
  Effect.andThen(
    TestClock.adjust(12_345),
    Effect.suspend(() => Group.make(`deadline ${++groups}`, { pool: { maxConcurrent: 10 }, ...options }))
  )

const outcomes = (group: Group.Group, key = "k") =>
  Effect.map(
    Effect.forEach(["success", "failure", "timeout", "interrupted"] as const, (outcome) =>
      Effect.map(
        Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: group.name, key, outcome })),
        ({ count }) => [outcome, count] as const
      )),
    (counts) => Object.fromEntries(counts.filter(([, count]) => count > 0))
  )

const left = Effect.map(Deadline.remaining, Duration.toMillis)

/** A clock that the test moves by hand, and whose timers never ring: time that has passed before anyone has noticed. */
const deaf = () => {
  const clock = { now: 1000 }
  const nanos = () => BigInt(clock.now * 1e6)
  const service: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.now,
    currentTimeMillis: Effect.sync(() => clock.now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: () => Effect.never
  }
  return { clock, on: Effect.provideService(Clock.Clock, service) }
}

describe("27. Deadline.within bounds a part of a program", () => {
  it.effect("and fails at its instant, not before, with how long there was", () =>
    Effect.gen(function*() {
      const fiber = yield* Command.queue(Effect.never.pipe(Deadline.within("1 second")))
      yield* TestClock.adjust(999)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      const failure = yield* Effect.flip(Fiber.join(fiber))
      assert.deepStrictEqual(failure.timeout, Duration.seconds(1))
      assert.strictEqual(failure.message, "it took longer than 1s")
    }))

  it.effect("and leaves alone what ends in time, whatever it ends with", () =>
    Effect.gen(function*() {
      const ends = [Effect.succeed(1), Effect.fail("no"), Effect.die("bug"), Effect.interrupt].map((end) =>
        Effect.exit(Deadline.within(Effect.andThen(Effect.sleep(9), end), 10))
      )
      const fiber = yield* Command.queue(Effect.all(ends))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(ending), ["Success", "no", "Die", "Interrupt"])
    }))

  it.effect("the finalizers are waited for, and their calls have the time that they need", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const cleaned: Array<number> = []
      const clean = Effect.andThen(Effect.sleep(50), Effect.map(left, (millis) => cleaned.push(millis)))
      const fiber = yield* Effect.never.pipe(
        Effect.ensuring(clean.pipe(Command.within(group, { key: "clean", timeout: 70 }), Effect.ignore)),
        Deadline.within(10),
        Command.queue
      )
      yield* TestClock.adjust(59)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "DeadlineExceeded")
      assert.deepStrictEqual(cleaned, [20])
      assert.deepStrictEqual(yield* outcomes(group, "clean"), { success: 1 })
    }))

  it.effect("with no time left it does not start, with infinite time it is not bounded", () =>
    Effect.gen(function*() {
      const work = new Work()
      for (const none of [0, -5, Duration.zero] as const) {
        assert.strictEqual(ending(yield* Effect.exit(Deadline.within(work.run, none))), "DeadlineExceeded")
      }
      assert.strictEqual(work.started, 0)
      const fiber = yield* Command.queue(Effect.as(Effect.sleep("9 days"), "done").pipe(Deadline.within("Infinity")))
      yield* TestClock.adjust("9 days")
      assert.strictEqual(state(fiber), "Success")
    }))

  it("what is no duration is refused, by name", () => {
    for (const bad of [NaN, "soon" as "1 second"]) {
      assert.throws(() => Deadline.within(Effect.void, bad), InvalidOptions.InvalidOptions, /Deadline\.within: timeout/)
    }
  })

  it.effect("a deadline never extends one around it: the one that comes first counts, and whoever set it fails", () =>
    Effect.gen(function*() {
      const caught = (inner: number, outer: number) =>
        Effect.never.pipe(
          Deadline.within(inner),
          Effect.catchTag("DeadlineExceeded", () => Effect.succeed("the inner one")),
          Deadline.within(outer),
          Effect.catchTag("DeadlineExceeded", () => Effect.succeed("the outer one")),
          Command.queue
        )
      const fibers = [yield* caught(10, 20), yield* caught(20, 10), yield* caught(10, 10)]
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(fibers.map(state), ["running", "running", "running"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        yield* Effect.forEach(fibers, Fiber.join),
        ["the inner one", "the outer one", "the outer one"]
      )
    }))

  it.effect("nor the timeout of a command around it", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const fiber = yield* Effect.never.pipe(
        Deadline.within(50),
        Command.within(group, { key: "k", timeout: 20 }),
        Command.queue
      )
      yield* TestClock.adjust(20)
      assert.strictEqual(state(fiber), "CommandTimeout")
    }))

  it.effect("bounds what its caller can't be interrupted in, and not what can't be itself", () =>
    Effect.gen(function*() {
      const around = yield* Command.queue(Effect.uninterruptible(Deadline.within(Effect.never, 10)))
      const inside = yield* Command.queue(Deadline.within(Effect.uninterruptible(Effect.sleep(30)), 10))
      yield* TestClock.adjust(29)
      assert.deepStrictEqual([around, inside].map(state), ["DeadlineExceeded", "running"])
      yield* TestClock.adjust(1)
      assert.strictEqual(state(inside), "DeadlineExceeded")
    }))
})

describe("27. what is left of it", () => {
  it.effect("is that of the nearest: within, or the timeout of a command, its wait in the queue taken off", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 5, reentrant: true } })
      const first = new Work()
      yield* Command.queue(first.run.pipe(Command.within(group, { key: "first" })))
      const call = (timeout?: number, attemptTimeout?: number) =>
        left.pipe(Command.within(group, { key: "k", timeout, attemptTimeout }), Command.queue)
      const fibers = [
        yield* call(100),
        yield* call(100, 40),
        yield* call(undefined, 40),
        yield* call(50, 100),
        yield* call()
      ]
      yield* TestClock.adjust(30)
      yield* first.finish
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [70, 40, 40, 20, Infinity])
    }))

  it.effect("is the least of all around a nested call", () =>
    Effect.gen(function*() {
      const [outer, inner] = [yield* make(), yield* make()]
      const nested = (inside: number, around: number, bound: number) =>
        left.pipe(
          Command.within(inner, { key: "inner", timeout: inside }),
          Deadline.within(bound),
          Command.within(outer, { key: "outer", timeout: around })
        )
      assert.strictEqual(yield* nested(10, 20, 30), 10)
      assert.strictEqual(yield* nested(20, 10, 30), 10)
      assert.strictEqual(yield* nested(30, 20, 10), 10)
      assert.strictEqual(yield* Deadline.within(nested(30, 20, 10), 5), 5)
    }))

  it.effect("is seen through a hedge", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const hedged = left.pipe(Command.within(group, { key: "k", timeout: 100, hedge: { after: 10 } }))
      assert.strictEqual(yield* hedged, 100)
      assert.strictEqual(yield* Deadline.within(hedged, 50), 50)
    }))

  it.effect("is converted between clocks", () =>
    Effect.gen(function*() {
      const { clock, on } = deaf()
      const group = yield* on(Group.make("deaf", { pool: { maxConcurrent: 1 } }))
      const seen = yield* left.pipe(Command.within(group, { key: "k", timeout: 500 }), Deadline.within(100))
      assert.strictEqual(seen, 100)
      clock.now += 1000
      assert.strictEqual(yield* left.pipe(Command.within(group, { key: "k" }), Deadline.within(100)), 100)
      const own = Effect.andThen(Effect.sync(() => clock.now += 3), left)
      assert.strictEqual(yield* own.pipe(Command.within(group, { key: "k", timeout: 50 }), Deadline.within(100)), 47)
    }))

  it.effect("is nothing for what has outlived it, nor for a run that callers share", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const seen: Array<number> = []
      const see = Effect.map(left, (millis) => seen.push(millis))
      const behind = Effect.forkDetach(Effect.delay(see, 50), { startImmediately: true })
      yield* Deadline.within(behind, 10)
      yield* behind.pipe(Command.within(group, { key: "k", timeout: 10 }))
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(seen, [Infinity, Infinity])
      const shared = Command.make("k", () => left, { group, timeout: 100, coalesce: { key: () => "" } })
      assert.strictEqual(yield* Deadline.within(shared(), 50), Infinity)
      const alone = Coalesce.by((...args: ReadonlyArray<string>) => Effect.map(left, (millis) => [millis, ...args]), {
        key: String
      })
      assert.deepStrictEqual(yield* Deadline.within(alone("a"), 50), [Infinity, "a"])
    }))

  it.effect("is nothing for the finalizers of a command whose timeout has passed", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const seen: Array<number> = []
      const fiber = yield* Effect.never.pipe(
        Effect.ensuring(Effect.map(left, (millis) => seen.push(millis))),
        Command.within(group, { key: "k", timeout: 10 }),
        Command.queue
      )
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.deepStrictEqual(seen, [Infinity])
    }))

  it.effect("is for a callback what is left when it begins, until its answer", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 1 } })
      const first = new Work()
      yield* Command.queue(first.run.pipe(Command.within(group, { key: "first" })))
      const seen: Array<number> = []
      const see = (call: Command.Running<string>) => void seen.push(Duration.toMillis(call.remaining()))
      const callback = Command.callback("k", (call: Command.Running<string>) => {
        see(call)
        call.answer("head")
        see(call)
      }, { group, timeout: 100 })
      const fiber = yield* Command.queue(Deadline.within(callback(), 50))
      yield* TestClock.adjust(20)
      yield* first.finish
      assert.strictEqual(state(fiber), "Success")
      assert.deepStrictEqual(seen, [30, Infinity])
    }))
})

describe("27. a command in a deadline", () => {
  it.effect("that has passed takes nothing: neither token nor permit, and its outcome is a timeout", () =>
    Effect.gen(function*() {
      const { clock, on } = deaf()
      const limited = { pool: { maxConcurrent: 1 }, rateLimit: { limit: 1, window: "1 hour" } } as const
      const group = yield* on(Group.make("late", limited))
      const work = new Work()
      const call = work.run.pipe(Command.within(group, { key: "k" }))
      const late = Effect.andThen(Effect.sync(() => clock.now += 100), call)
      assert.strictEqual(ending(yield* Effect.exit(on(Deadline.within(late, 100)))), "DeadlineExceeded")
      assert.strictEqual(work.started, 0)
      assert.deepStrictEqual(yield* outcomes(group), { timeout: 1 })
      assert.deepInclude(yield* Pool.statistics(group.pool), { admitted: 0, rejected: 0 })
      // The token is still there.
      yield* work.finish
      yield* on(call)
      assert.deepStrictEqual(yield* outcomes(group), { success: 1, timeout: 1 })
    }))

  it.effect("that passes is interrupted, in the queue or at work: a timeout, of which a circuit hears nothing", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 1 }, circuit: { consecutive: 1 } })
      const work = new Work()
      const call = work.run.pipe(Command.within(group, { key: "k" }), Deadline.within(10), Command.queue)
      const fibers = [yield* call, yield* call]
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(fibers.map(state), ["DeadlineExceeded", "DeadlineExceeded"])
      assert.deepStrictEqual([work.started, work.active], [1, 0])
      assert.deepStrictEqual(yield* outcomes(group), { timeout: 2 })
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 0, queued: 0 })
      yield* work.finish
      assert.strictEqual(ending(yield* Effect.exit(work.run.pipe(Command.within(group, { key: "k" })))), "Success")
    }))

  it.effect("that shares a run is a timeout too, and the run of one who is left goes on", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = new Work()
      const call = Command.make("k", () => work.run, { group, coalesce: { key: () => "" } })
      const [short, long] = [yield* Command.queue(Deadline.within(call(), 10)), yield* Command.queue(call())]
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([short, long].map(state), ["DeadlineExceeded", "running"])
      yield* work.finish
      assert.strictEqual(state(long), "Success")
      assert.deepStrictEqual(yield* outcomes(group), { success: 1, timeout: 1 })
    }))

  it.effect("what ends by itself, late but before anyone has noticed, ends with what is its own", () =>
    Effect.gen(function*() {
      const { clock, on } = deaf()
      const late = (end: Effect.Effect<unknown, string>) =>
        Effect.exit(on(Deadline.within(Effect.andThen(Effect.sync(() => clock.now += 100), end), 50)))
      const ends = [Effect.succeed(1), Effect.fail("no"), Effect.die("bug")]
      assert.deepStrictEqual((yield* Effect.forEach(ends, late)).map(ending), ["Success", "no", "Die"])
    }))

  it.effect("no fallback and no last attempt hides that: whoever set the deadline fails", () =>
    Effect.gen(function*() {
      const group = yield* make()
      let rescued = 0
      const call = Command.make("k", () => Effect.never, {
        group,
        retry: { times: 5 },
        fallback: () => Effect.sync(() => ++rescued)
      })
      const fiber = yield* Command.queue(Deadline.within(call(), 10))
      yield* TestClock.adjust(1000)
      assert.strictEqual(state(fiber), "DeadlineExceeded")
      assert.strictEqual(rescued, 0)
    }))

  it.effect("keeps to its own timeout if that is shorter, and fails with that", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = Effect.never.pipe(Command.within(group, { key: "k", timeout: 5 }), Deadline.within(10))
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(5)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.strictEqual((group as GroupState).timers.size, 0)
    }))

  it.effect("interrupted by anything else it is interrupted, as ever", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = Effect.never.pipe(Command.within(group, { key: "k" }))
      const fiber = yield* Command.queue(Deadline.within(call, 10))
      yield* Fiber.interrupt(fiber)
      const nested = yield* call.pipe(Command.within(yield* make(), { key: "outer", timeout: 5 }), Command.queue)
      yield* TestClock.adjust(5)
      assert.strictEqual(state(nested), "CommandTimeout")
      assert.deepStrictEqual(yield* outcomes(group), { interrupted: 2 })
    }))
})

describe("21. a retry never starts a sleep that outlasts the deadline", () => {
  const down = (work: Work) => Effect.andThen(work.run, Effect.fail("down"))
  const base = { times: 1, schedule: Schedule.spaced(30) }

  it.effect("around its command, or around that in turn, but one that ends before it", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const run = (bound: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>) =>
        Effect.gen(function*() {
          const work = new Work()
          yield* work.finish
          const fiber = yield* down(work).pipe(Command.within(group, { key: "k", retry: base }), bound, Command.queue)
          return { fiber, work }
        })
      const outer = yield* make()
      const within = yield* run(Deadline.within(30))
      const nested = yield* run(Command.within(outer, { key: "outer", timeout: 30 }))
      const longer = yield* run(Deadline.within(31))
      assert.deepStrictEqual([within.fiber, nested.fiber, longer.fiber].map(state), ["down", "down", "running"])
      yield* TestClock.adjust(30)
      assert.deepStrictEqual([within.work.started, longer.work.started], [1, 2])
      assert.strictEqual(state(longer.fiber), "down")
    }))

  it.effect("alone, and in a run that callers share", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = new Work()
      yield* work.finish
      const alone = down(work).pipe(Retry.withBudget(group, base), Deadline.within(30))
      const shared = Command.make("k", () => down(work), { group, retry: base, coalesce: { key: () => "" } })
      const fibers = [yield* Command.queue(alone), yield* Command.queue(Deadline.within(shared(), 30))]
      assert.deepStrictEqual(fibers.map(state), ["down", "down"])
      assert.strictEqual(work.started, 2)
    }))
})

describe("27. a hedge does not start after the deadline", () => {
  it.effect("of its command, of what is around that, or alone", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = new Work()
      const run = Effect.uninterruptible(work.run)
      const hedge = { after: 10, max: 2 }
      const calls: ReadonlyArray<Effect.Effect<void, unknown>> = [
        Deadline.within(run.pipe(Command.within(group, { key: "k", hedge })), 10),
        run.pipe(Command.within(group, { key: "k", timeout: 10, hedge })),
        Deadline.within(run.pipe(Hedge.withBudget(group, hedge)), 10),
        Deadline.within(run.pipe(Hedge.withBudget(group, hedge)), 20),
        Deadline.within(Effect.uninterruptible(run.pipe(Hedge.withBudget(group, hedge))), 20)
      ]
      for (const call of calls) yield* Command.queue(call)
      yield* TestClock.adjust(100)
      assert.strictEqual(work.started, 7)
      yield* work.finish
    }))
})

it.effect("a rate limit alone takes no notice", () =>
  Effect.gen(function*() {
    const limit = yield* RateLimit.make("limit", { limit: 1, window: "1 hour" })
    assert.strictEqual(yield* Effect.succeed(1).pipe(RateLimit.withLimit(limit), Deadline.within(10)), 1)
  }))
