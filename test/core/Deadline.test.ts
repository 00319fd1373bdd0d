import { Command, Group, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import { ending, idle, state, Work } from "./calls.ts"

/** A group, at an instant that is not the first: a time that nobody has read is 0. */
const make = (maxConcurrent: number, maxQueued = 0) =>
  Effect.andThen(TestClock.adjust(12_345), Group.make("g", { pool: { maxConcurrent, maxQueued } }))

/** How many deadlines of the group are still pending. */
const pending = (group: Group.Group) => (group as GroupState).timers.size

describe("2. timeout bounds everything", () => {
  it.effect("and fails the call at its instant, not before, with what was measured", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const call = Effect.never.pipe(Command.within(group, { key: "get_current_user", timeout: "1 second" }))
      const fiber = yield* Command.queue(Effect.flip(call))
      yield* TestClock.adjust(999)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      const failure = yield* Fiber.join(fiber)
      assert.instanceOf(failure, Error)
      assert.deepStrictEqual(failure.toJSON(), {
        _tag: "CommandTimeout",
        group: "g",
        key: "get_current_user",
        option: "timeout",
        timeout: Duration.seconds(1),
        started: true,
        message: "get_current_user took longer than 1s (timeout)"
      })
      yield* idle(group)
    }))

  it.effect("8. the wait for a permit included; the effect never starts", () =>
    Effect.gen(function*() {
      const group = yield* make(1, 5)
      const [first, second] = [new Work(), new Work()]
      yield* Command.queue(first.run.pipe(Command.within(group, { key: "first" })))
      const fiber = yield* Command.queue(
        Effect.flip(second.run.pipe(Command.within(group, { key: "k", timeout: 100 })))
      )
      yield* TestClock.adjust(100)
      assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "timeout", started: false })
      assert.strictEqual((yield* Pool.statistics(group.pool)).queued, 0)
      yield* first.finish
      assert.strictEqual(second.started, 0)
      yield* idle(group)
    }))

  it.effect("what is left after the wait is left for the effect", () =>
    Effect.gen(function*() {
      const group = yield* make(1, 5)
      yield* Command.queue(Effect.sleep(60).pipe(Command.within(group, { key: "first" })))
      const fiber = yield* Command.queue(
        Effect.never.pipe(Command.within(group, { key: "k", timeout: 100 }), Effect.flip)
      )
      yield* TestClock.adjust(99)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "timeout", started: true })
    }))

  it.effect("and leaves a call alone that ends in time", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const call = (millis: number) =>
        Effect.sleep(millis).pipe(Command.within(group, { key: "k", timeout: 50 }), Effect.exit)
      const fiber = yield* Command.queue(Effect.all([call(10), call(60), call(49), call(51)]))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(ending), [
        "Success",
        "CommandTimeout",
        "Success",
        "CommandTimeout"
      ])
      yield* idle(group)
    }))

  it.effect("each at its own instant, however many there are", () =>
    Effect.gen(function*() {
      const group = yield* make(Infinity)
      const lengths = Array.from({ length: 300 }, (_, i) => (i * 7919) % 199 + 1)
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const timeout of lengths) {
        fibers.push(yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k", timeout }))))
      }
      // Some are gone before they are due, from anywhere in the heap.
      for (let i = 0; i < lengths.length; i += 7) fibers[i]!.interruptUnsafe()
      for (let now = 1; now <= 199; now++) {
        yield* TestClock.adjust(1)
        for (const [i, timeout] of lengths.entries()) {
          const expected = i % 7 === 0 ? "Interrupt" : timeout <= now ? "CommandTimeout" : "running"
          assert.strictEqual(state(fibers[i]!), expected, `a timeout of ${timeout} at ${now}`)
        }
      }
      yield* idle(group)
    }))

  it.effect("in any of Effect's spellings", () =>
    Effect.gen(function*() {
      const group = yield* make(Infinity)
      const timeouts = [30, "30 millis", Duration.millis(30), 30_000_000n, { milliseconds: 30 }] as const
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const timeout of timeouts) {
        fibers.push(yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k", timeout }))))
      }
      yield* TestClock.adjust(29)
      assert.deepStrictEqual(fibers.map(state), Array(5).fill("running"))
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(fibers.map(state), Array(5).fill("CommandTimeout"))
    }))

  it.effect("without one nothing does", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const fiber = yield* Command.queue(Effect.sleep("365 days").pipe(Command.within(group, { key: "k" })))
      assert.strictEqual(pending(group), 0)
      yield* TestClock.adjust("365 days")
      assert.strictEqual(state(fiber), "Success")
    }))
})

describe("2. attemptTimeout bounds the effect alone", () => {
  it.effect("from its start: a call that waited long has as much of it left as another", () =>
    Effect.gen(function*() {
      const group = yield* make(1, 5)
      yield* Command.queue(Effect.sleep(1000).pipe(Command.within(group, { key: "first" })))
      const fiber = yield* Command.queue(
        Effect.never.pipe(Command.within(group, { key: "k", attemptTimeout: 100 }), Effect.flip)
      )
      yield* TestClock.adjust(1099)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).toJSON(), {
        _tag: "CommandTimeout",
        group: "g",
        key: "k",
        option: "attemptTimeout",
        timeout: Duration.millis(100),
        started: true,
        message: "k took longer than 100ms (attemptTimeout)"
      })
      yield* idle(group)
    }))

  const first = (timeout: number, attemptTimeout: number) =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const fiber = yield* Command.queue(
        Effect.never.pipe(Command.within(group, { key: "k", timeout, attemptTimeout }), Effect.flip)
      )
      yield* TestClock.adjust(Math.max(timeout, attemptTimeout))
      yield* idle(group)
      const failure = yield* Fiber.join(fiber)
      return failure._tag === "CommandTimeout" ? failure.option : failure._tag
    })

  it.effect("the shorter of both ends the call; at one instant the outer one wins", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* first(20, 10), "attemptTimeout")
      assert.strictEqual(yield* first(10, 20), "timeout")
      assert.strictEqual(yield* first(20, 20), "timeout")
    }))

  it.effect("the outer one ends the call for good, whether the inner one has passed before, or passes after", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      for (const attemptTimeout of [10, 30]) {
        const fiber = yield* Command.queue(
          Effect.uninterruptible(Effect.sleep(100)).pipe(
            Command.within(group, { key: "k", timeout: 20, attemptTimeout }),
            Effect.flip
          )
        )
        yield* TestClock.adjust(100)
        assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "timeout" })
        yield* idle(group)
      }
    }))
})

describe("7. when a deadline passes", () => {
  it.effect("the effect is interrupted, and its finalizers run before the permit is back and the caller goes on", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const log: Array<string> = []
      const say = (what: string) => Effect.sync(() => log.push(what))
      const fiber = yield* Command.queue(
        Effect.never.pipe(
          Effect.onInterrupt(() => say("interrupted")),
          Effect.ensuring(Effect.andThen(Effect.sleep(500), say("cleaned"))),
          Command.within(group, { key: "k", timeout: "1 second" })
        )
      )
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(log, [])
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(log, ["interrupted"])
      assert.strictEqual(state(fiber), "running")
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, ["interrupted", "cleaned"])
      assert.strictEqual(state(fiber), "CommandTimeout")
      yield* idle(group)
    }))

  it.effect("defects of the finalizers are kept beside it", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const fiber = yield* Command.queue(
        Effect.never.pipe(Effect.ensuring(Effect.die("bug")), Command.within(group, { key: "k", timeout: 10 }))
      )
      yield* TestClock.adjust(10)
      const exit = yield* Fiber.await(fiber)
      assert.strictEqual(ending(exit), "CommandTimeout+Die")
      if (Exit.isFailure(exit)) {
        assert.deepStrictEqual(exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect), ["bug"])
      }
    }))

  it.effect("and beside an interruption of the caller", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const call = Effect.never.pipe(Effect.ensuring(Effect.die("bug")), Command.within(group, { key: "k" }))
      const fiber = yield* Command.queue(call)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state(fiber), "Interrupt+Die")
      yield* idle(group)
    }))

  it.effect("whatever the effect says after it is too late", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const late = (end: Effect.Effect<unknown, unknown>) =>
        Effect.sleep(20).pipe(
          Effect.andThen(end),
          Effect.uninterruptible,
          Command.within(group, { key: "k", timeout: 10 })
        )
      const fiber = yield* Command.queue(
        Effect.forEach(
          [Effect.succeed("late"), Effect.fail("late"), Effect.die("late")],
          (end) => Effect.exit(late(end))
        )
      )
      yield* TestClock.adjust(60)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(ending), [
        "CommandTimeout",
        "CommandTimeout",
        "CommandTimeout+Die"
      ])
    }))

  it.effect("an interruption of the caller meanwhile is an interruption", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const fiber = yield* Command.queue(
        Effect.uninterruptible(Effect.sleep(20)).pipe(Command.within(group, { key: "k", timeout: 10 }))
      )
      yield* TestClock.adjust(10)
      fiber.interruptUnsafe()
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "Interrupt")
      yield* idle(group)
    }))

  it.effect("after an interruption of the caller, nothing happens", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const fiber = yield* Command.queue(
        Effect.uninterruptible(Effect.sleep(20)).pipe(Command.within(group, { key: "k", timeout: 10 }))
      )
      fiber.interruptUnsafe()
      yield* TestClock.adjust(20)
      assert.strictEqual(state(fiber), "Interrupt")
      yield* idle(group)
    }))

  it.effect("the effect is interrupted although its caller can't be", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const fiber = yield* Command.queue(
        Effect.uninterruptible(Effect.never.pipe(Command.within(group, { key: "k", timeout: 10 })))
      )
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "CommandTimeout")
    }))

  it.effect("a command inside of a command is bounded by both", () =>
    Effect.gen(function*() {
      const outer = yield* make(1)
      const inner = yield* make(1)
      const call = (timeout: number) =>
        Effect.never.pipe(
          Command.within(inner, { key: "inner", timeout }),
          Command.within(outer, { key: "outer", timeout: 20 }),
          Effect.flip
        )
      const fiber = yield* Command.queue(Effect.all([call(10), call(30)]))
      yield* TestClock.adjust(30)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(({ key }) => key), ["inner", "outer"])
      yield* idle(outer)
      yield* idle(inner)
    }))
})
