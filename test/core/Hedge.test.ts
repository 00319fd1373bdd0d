import {
  Circuit,
  Command,
  CommandMetrics,
  Group,
  Hedge,
  InvalidOptions,
  Pool,
  RetryBudget,
  TestDependency,
  TestOutcomes
} from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Logger, Metric, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import { hedgesOf } from "../../packages/core/src/internal/HedgeWork.ts"
import { afterFirstSleep, ending, idle, state } from "./calls.ts"

const { die, fail, hang, lingering, sequence, succeed } = TestDependency

const make = (options: Partial<Group.Options> = {}) =>
  Group.make("g", { pool: { maxConcurrent: 10 }, ...options }).pipe(Effect.provide(Logger.layer([])))

type Script = TestDependency.TestDependency<unknown, unknown>
type Attempt = TestDependency.Behaviour<unknown, unknown>

/** What its attempts do, in turn. */
const scripted = (...attempts: ReadonlyArray<Attempt>): Effect.Effect<Script> =>
  TestDependency.make(sequence(...attempts))

const after = (millis: number, value: string) => TestDependency.after(millis, succeed(value))
const failAfter = (millis: number, failure: string) => TestDependency.after(millis, fail(failure))

/** How a call ended, and after how long. */
const timed = (call: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const from = yield* Clock.currentTimeMillis
    const exit = yield* Effect.exit(call)
    return [Exit.isSuccess(exit) ? exit.value : ending(exit), (yield* Clock.currentTimeMillis) - from] as const
  })

const hedged = (script: Script, hedge: Hedge.Options = { after: 50 }, options: Partial<Group.Options> = {}) =>
  Effect.gen(function*() {
    const group = yield* make(options)
    const fiber = yield* Command.queue(timed(script.call().pipe(Command.within(group, { key: "k", hedge }))))
    yield* TestClock.adjust("1 hour")
    yield* idle(group)
    return yield* Fiber.join(fiber)
  })

describe("24. a hedge waits", () => {
  it.effect("and is made beside a first attempt that is slow; the first success is the answer", () =>
    Effect.gen(function*() {
      const script = yield* scripted(after(200, "first"), after(30, "second"))
      assert.deepStrictEqual(yield* hedged(script), ["second", 80])
      assert.deepStrictEqual(script.startedAt, [0, 50])
      assert.deepStrictEqual(script.states, ["Interrupt", "Success"])
    }))

  it.effect("whichever it is", () =>
    Effect.gen(function*() {
      const script = yield* scripted(after(60, "first"), after(30, "second"))
      assert.deepStrictEqual(yield* hedged(script), ["first", 60])
      assert.deepStrictEqual(script.states, ["Success", "Interrupt"])
    }))

  it.effect("and is not made when the first attempt is over in time", () =>
    Effect.gen(function*() {
      const script = yield* scripted(after(49, "first"))
      assert.deepStrictEqual(yield* hedged(script), ["first", 49])
      assert.deepStrictEqual(script.startedAt, [0])
      const now = yield* scripted(succeed("now"))
      assert.strictEqual((yield* hedged(now))[0], "now")
      assert.strictEqual(now.calls.length, 1)
    }))

  it.effect("nor when it has failed: that is the failure", () =>
    Effect.gen(function*() {
      const script = yield* scripted(failAfter(20, "bad"), after(1, "second"))
      assert.deepStrictEqual(yield* hedged(script), ["bad", 20])
      assert.deepStrictEqual(script.startedAt, [0])
    }))

  it.effect("max more, each as long after the one before", () =>
    Effect.gen(function*() {
      const script = yield* scripted(hang, hang, after(70, "third"), hang)
      assert.deepStrictEqual(yield* hedged(script, { after: 50, max: 3 }), ["third", 170])
      assert.deepStrictEqual(script.startedAt, [0, 50, 100, 150])
    }))

  it.effect("none more once one has succeeded", () =>
    Effect.gen(function*() {
      const script = yield* scripted(hang, succeed("second"), hang)
      assert.deepStrictEqual(yield* hedged(script, { after: 50, max: 3 }), ["second", 50])
      assert.deepStrictEqual(script.startedAt, [0, 50])
    }))

  it.effect("one more by default", () =>
    Effect.gen(function*() {
      const script = yield* scripted(after(1000, "first"), hang)
      yield* hedged(script)
      assert.deepStrictEqual(script.startedAt, [0, 50])
    }))

  it.effect("2. not beyond the deadline; both at one instant: the outer one wins", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const script = yield* scripted(hang)
      const fiber = yield* Command.queue(
        script.call().pipe(Command.within(group, { key: "k", timeout: 50, hedge: { after: 50 } }))
      )
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.deepStrictEqual(script.startedAt, [0])
      yield* idle(group)
    }))
})

describe("24. what became of the attempts", () => {
  it.effect("a failure waits for the others", () =>
    Effect.gen(function*() {
      const first = yield* scripted(failAfter(60, "first"), after(30, "second"))
      assert.deepStrictEqual(yield* hedged(first), ["second", 80])
      const second = yield* scripted(after(100, "first"), failAfter(10, "second"))
      assert.deepStrictEqual(yield* hedged(second), ["first", 100])
    }))

  it.effect("when all fail, the failure is the first attempt's, although another's came before", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* hedged(yield* scripted(failAfter(100, "first"), failAfter(10, "second"))), [
        "first",
        100
      ])
      assert.deepStrictEqual(yield* hedged(yield* scripted(failAfter(60, "first"), failAfter(30, "second"))), [
        "first",
        80
      ])
    }))

  it.effect("when all that were made have failed, no more are", () =>
    Effect.gen(function*() {
      const script = yield* scripted(failAfter(60, "first"), failAfter(30, "second"), after(1, "third"))
      assert.deepStrictEqual(yield* hedged(script, { after: 50, max: 5 }), ["first", 80])
      assert.strictEqual(script.calls.length, 2)
    }))

  it.effect("23. a defect of any is the end, not hidden by another's success", () =>
    Effect.gen(function*() {
      const bug = (millis: number) => TestDependency.after(millis, die("bug"))
      assert.deepStrictEqual(yield* hedged(yield* scripted(bug(60), after(30, "second"))), ["Die", 60])
      assert.deepStrictEqual(yield* hedged(yield* scripted(after(100, "first"), bug(10))), ["Die", 60])
    }))

  it.effect("an interruption of its own is the end too", () =>
    Effect.gen(function*() {
      const gone = TestDependency.after(60, TestDependency.effect(Effect.interrupt))
      assert.deepStrictEqual(yield* hedged(yield* scripted(gone, after(30, "second"))), ["Interrupt", 60])
    }))
})

describe("24. its own permit", () => {
  it.effect("each attempt has one", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const script = yield* scripted(hang)
      yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 1)
      yield* TestClock.adjust(50)
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 2)
      yield* script.recover(succeed("done"))
      yield* idle(group)
    }))

  it.effect("a full pool refuses the second attempt, not the call", () =>
    Effect.gen(function*() {
      const script = yield* scripted(after(100, "first"), hang)
      assert.deepStrictEqual(yield* hedged(script, { after: 50 }, { pool: { maxConcurrent: 1 } }), ["first", 100])
      assert.deepStrictEqual(script.startedAt, [0])
    }))

  it.effect("the second attempt waits for one, and gives up its place when the first has won", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 5 } })
      const script = yield* scripted(after(100, "first"), hang)
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* TestClock.adjust(99)
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 1, queued: 1 })
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "first")
      assert.deepStrictEqual(script.startedAt, [0])
      yield* idle(group)
    }))

  it.effect("the winner does not wait for the loser's finalizers; the loser's permit does", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const script = yield* scripted(lingering(500, hang), after(30, "second"))
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* TestClock.adjust(80)
      assert.strictEqual(yield* Fiber.join(fiber), "second")
      assert.deepStrictEqual(script.states, ["running", "Success"])
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 1, overdue: 1 })
      yield* TestClock.adjust(499)
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 1)
      yield* TestClock.adjust(1)
      // It was interrupted at once, at 80.
      assert.deepInclude(script.calls[0], { state: "Interrupt", endedAt: 580 })
      yield* idle(group)
    }))

  it.effect("a loser that ends at once gives its permit back before the caller goes on", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 2 } })
      const script = yield* scripted(hang, after(30, "second"))
      const both = Effect.gen(function*() {
        yield* script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } }))
        return (yield* Pool.statistics(group.pool)).active
      })
      const fiber = yield* Command.queue(both)
      yield* TestClock.adjust(80)
      assert.strictEqual(yield* Fiber.join(fiber), 0)
    }))

  it.effect("a defect in a loser's finalizers is logged: nobody waits for it", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel }) => void logged.push(logLevel))
      const messy = Effect.onInterrupt(Effect.never, () => Effect.die("bug"))
      const script = yield* scripted(TestDependency.effect(messy), after(30, "second"))
      const group = yield* make()
      const call = script.call().pipe(
        Command.within(group, { key: "k", hedge: { after: 50 } }),
        Effect.provide(Logger.layer([logger]))
      )
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(80)
      assert.strictEqual(yield* Fiber.join(fiber), "second")
      assert.deepStrictEqual(logged, ["Error"])
    }))
})

describe("24. its own budget", () => {
  it.effect("an exhausted one: the first attempt goes on alone, and the retries have theirs", () =>
    Effect.gen(function*() {
      const group = yield* make({ hedgeBudget: { ratio: 0, perSecond: 0.2 } })
      const attempts: Array<number> = []
      for (let i = 0; i < 4; i++) {
        const script = yield* scripted(after(100, "first"), hang)
        const fiber = yield* Command.queue(
          script.call().pipe(Command.within(group, { key: "k", retry: {}, hedge: { after: 50 } }))
        )
        yield* TestClock.adjust(100)
        assert.strictEqual(yield* Fiber.join(fiber), "first")
        attempts.push(script.calls.length)
      }
      assert.deepStrictEqual(attempts, [2, 2, 1, 1])
      assert.strictEqual(yield* Hedge.remaining(group), 0)
      assert.strictEqual(yield* RetryBudget.remaining(group), 100)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Hedge.remaining(group), 2)
    }))

  it.effect("of zero: nothing is hedged, and the call goes on", () =>
    Effect.gen(function*() {
      const group = yield* make({ hedgeBudget: { ratio: 0, perSecond: 0 } })
      const script = yield* scripted(after(100, "first"), hang)
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "first")
      assert.strictEqual(script.calls.length, 1)
    }))

  it.effect("10 % of the calls that could be hedged, and one a second, by default", () =>
    Effect.gen(function*() {
      const group = yield* make()
      yield* Effect.replicateEffect(Effect.void.pipe(Command.within(group, { key: "k", hedge: { after: 50 } })), 50, {
        discard: true
      })
      assert.strictEqual(yield* Hedge.remaining(group), 15)
    }))

  it.effect("a dependency that is slow as a whole is not asked twice for everything", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: Infinity } })
      const script = yield* scripted(after(1000, "slow"))
      const call = script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } }))
      const fiber = yield* Command.queue(Effect.replicateEffect(call, 1000, { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(script.calls.length, 1000 + 100 + 10)
      yield* idle(group)
    }))
})

describe("24. the p95 of the latest calls", () => {
  const free = { hedgeBudget: { perSecond: Infinity } }
  const run = (group: Group.Group, script: Script, options: Hedge.Options = { after: "p95" }) =>
    Effect.gen(function*() {
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: options })))
      yield* TestClock.adjust(10_000)
      yield* Fiber.join(fiber)
      return script.startedAt.slice(1).map((at) => at - script.startedAt[0]!)
    })

  it.effect("is not known before there were 20", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      for (let i = 0; i < 19; i++) assert.deepStrictEqual(yield* run(group, yield* scripted(after(10, "ok"))), [])
      assert.deepStrictEqual(yield* run(group, yield* scripted(after(5000, "ok"))), [])
      assert.lengthOf(yield* run(group, yield* scripted(after(5000, "ok"))), 1)
    }))

  it.effect("to within a tenth, and above", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      for (let millis = 1; millis <= 100; millis++) {
        yield* run(group, yield* scripted(after(millis, "ok")), { after: "p95" })
      }
      const [delay] = yield* run(group, yield* scripted(after(5000, "ok")))
      assert.isAtLeast(delay!, 90)
      assert.isAtMost(delay!, 106)
    }))

  it.effect("other quantiles accordingly, each on its own", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      const delays: Array<number> = []
      for (const quantile of ["p90", "p99"] as const) {
        for (let millis = 1; millis <= 100; millis++) {
          yield* run(group, yield* scripted(after(millis, "ok")), { after: quantile })
        }
        delays.push((yield* run(group, yield* scripted(after(5000, "ok")), { after: quantile }))[0]!)
      }
      assert.isBelow(delays[0]!, delays[1]!)
    }))

  it.effect("a first attempt that lost took so long at least: hedges do not make hedges sooner", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      for (let i = 0; i < 100; i++) yield* run(group, yield* scripted(after(100, "ok")))
      const [before] = yield* run(group, yield* scripted(after(5000, "ok"), after(1, "ok")))
      for (let i = 0; i < 100; i++) yield* run(group, yield* scripted(after(5000, "ok"), after(1, "ok")))
      const [later] = yield* run(group, yield* scripted(after(5000, "ok"), after(1, "ok")))
      assert.isAtLeast(later!, before!)
    }))

  it.effect("and counts as a slow one, so that what is slow more often than that is waited for", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      for (let i = 0; i < 100; i++) yield* run(group, yield* scripted(after(10, "ok")))
      const [before] = yield* run(group, yield* scripted(after(5000, "ok"), after(1, "ok")))
      for (let i = 0; i < 400; i++) {
        yield* run(group, yield* scripted(after(i % 10 === 0 ? 5000 : 10, "ok"), after(1, "ok")))
      }
      const [later] = yield* run(group, yield* scripted(after(5000, "ok"), after(1, "ok")))
      assert.isAbove(later!, before! * 1.2)
    }))

  it.effect("as does one that the deadline cut off", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      const calls = (number: number, script: Effect.Effect<Script>) =>
        Effect.gen(function*() {
          let hedges = 0
          for (let i = 0; i < number; i++) {
            const current = yield* script
            const call = current.call().pipe(Command.within(group, { key: "k", timeout: 100, hedge: { after: "p95" } }))
            const fiber = yield* Command.queue(Effect.exit(call))
            yield* TestClock.adjust(100)
            yield* Fiber.join(fiber)
            hedges += current.calls.length - 1
          }
          return hedges
        })
      assert.strictEqual(yield* calls(30, scripted(after(10, "ok"))), 0)
      assert.isAbove(yield* calls(30, scripted(hang)), 0)
      assert.strictEqual(yield* calls(10, scripted(hang)), 0)
    }))

  it.effect("follows when everything becomes slower, and when it recovers", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      for (let i = 0; i < 100; i++) yield* run(group, yield* scripted(after(10, "ok")))
      for (let i = 0; i < 1500; i++) yield* run(group, yield* scripted(after(400, "ok"), hang))
      const [slow] = yield* run(group, yield* scripted(after(5000, "ok")))
      assert.isAtLeast(slow!, 400)
      for (let i = 0; i < 1500; i++) yield* run(group, yield* scripted(after(10, "ok")))
      const [fast] = yield* run(group, yield* scripted(after(5000, "ok")))
      assert.isAtMost(fast!, 12)
    }))

  it.effect("32. of 1,000 keys are kept apart, whatever keys are made of; later ones share theirs", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      for (let i = 0; i < 3000; i++) {
        yield* Hedge.withBudget(Effect.void, group, { key: `user ${i}`, after: "p95" })
      }
      const { delays } = hedgesOf(group, Context.empty()) as unknown as { readonly delays: Map<string, unknown> }
      assert.strictEqual(delays.size, 1001)
    }))

  it.effect("failures say nothing", () =>
    Effect.gen(function*() {
      const group = yield* make(free)
      const script = yield* scripted(failAfter(1, "bad"))
      for (let i = 0; i < 50; i++) {
        const fiber = yield* Command.queue(
          Effect.flip(script.call().pipe(Command.within(group, { key: "k", hedge: { after: "p95" } })))
        )
        yield* TestClock.adjust(10)
        yield* Fiber.join(fiber)
      }
      assert.deepStrictEqual(yield* run(group, yield* scripted(after(5000, "ok"))), [])
    }))
})

describe("14. the circuit inside of it", () => {
  const circuit = { consecutive: 2, openFor: "1 hour" } as const

  it.effect("a deadline that passes while both run is a failure of each", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      const fiber = yield* Command.queue(
        Effect.never.pipe(Command.within(group, { key: "k", timeout: 100, hedge: { after: 50 } }))
      )
      yield* TestClock.adjust(99)
      assert.strictEqual(yield* Circuit.state(group, "k"), "closed")
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.strictEqual(yield* Circuit.state(group, "k"), "open")
      yield* idle(group)
    }))

  it.effect("in the queue it is none", () =>
    Effect.gen(function*() {
      const group = yield* make({
        circuit: { consecutive: 1, openFor: "1 hour" },
        pool: { maxConcurrent: 1, maxQueued: 9 }
      })
      yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "other" })))
      const fiber = yield* Command.queue(
        Effect.flip(Effect.never.pipe(Command.within(group, { key: "k", timeout: 100, hedge: { after: 50 } })))
      )
      yield* TestClock.adjust(100)
      assert.deepInclude({ ...yield* Fiber.join(fiber) }, { option: "timeout", started: false })
      assert.strictEqual(yield* Circuit.state(group, "k"), "closed")
    }))

  it.effect("an interruption of the caller is none", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      const fiber = yield* Command.queue(
        Effect.never.pipe(Command.within(group, { key: "k", timeout: 1000, hedge: { after: 50 } }))
      )
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 2)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state(fiber), "Interrupt")
      assert.strictEqual(yield* Circuit.state(group, "k"), "closed")
      yield* idle(group)
    }))

  it.effect("nor is that of a loser", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 1 } })
      const script = yield* scripted(hang, after(30, "second"))
      const fiber = yield* Command.queue(
        script.call().pipe(Command.within(group, { key: "k", timeout: 1000, hedge: { after: 50 } }))
      )
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "second")
      assert.strictEqual(yield* Circuit.state(group, "k"), "closed")
    }))

  it.effect("for a command inside of the attempt all of that is an interruption from outside", () =>
    Effect.gen(function*() {
      const outer = yield* make()
      const inner = yield* make({ circuit: { consecutive: 1 } })
      const call = Effect.never.pipe(
        Command.within(inner, { key: "inner" }),
        Command.within(outer, { key: "outer", timeout: 100, hedge: { after: 50 } })
      )
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(100)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.strictEqual(yield* Circuit.state(inner, "inner"), "closed")
      yield* idle(inner)
    }))

  it.effect("an open one refuses the second attempt, not the call", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit })
      const script = yield* scripted(after(100, "first"), hang)
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* Circuit.force(group, "k", "open")
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "first")
      assert.deepStrictEqual(script.startedAt, [0])
    }))
})

describe("with the other policies", () => {
  it.effect("retries are outside: what both failed with is retried, and hedged again", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const script = yield* scripted(failAfter(80, "bad"), failAfter(80, "bad"), hang, after(10, "good"))
      const fiber = yield* Command.queue(timed(
        script.call().pipe(
          Command.within(group, { key: "k", retry: { base: 100 }, hedge: { after: 50 } }),
          Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 })
        )
      ))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["good", 240])
      assert.deepStrictEqual(script.startedAt, [0, 50, 180, 230])
      yield* idle(group)
    }))

  it.effect("2. attemptTimeout bounds each attempt, from its own start", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const script = yield* scripted(hang, after(60, "second"))
      const fiber = yield* Command.queue(timed(
        script.call().pipe(Command.within(group, { key: "k", attemptTimeout: 70, hedge: { after: 50 } }))
      ))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["second", 110])
    }))

  it.effect("9. detached: the deadline lets the caller go while both linger", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make()
      const fiber = yield* Command.queue(
        Effect.uninterruptible(Effect.sleep(500)).pipe(
          Command.within(group, { key: "k", detach: true, timeout: 100, hedge: { after: 50 } })
        )
      )
      yield* TestClock.adjust(100)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 2, overdue: 2 })
      yield* TestClock.adjust(500)
      yield* idle(group)
    }))

  it.effect("7. otherwise it waits for the finalizers of both, and hears of their defects", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make()
      let number = 0
      const run = Effect.suspend(() => {
        const bug = ++number
        return Effect.onExit(Effect.never, () => Effect.andThen(Effect.sleep(bug * 100), Effect.die(bug)))
      })
      const fiber = yield* Command.queue(
        run.pipe(Command.within(group, { key: "k", timeout: 100, hedge: { after: 50 } }))
      )
      yield* TestClock.adjust(299)
      assert.strictEqual(state(fiber), "running")
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "CommandTimeout+Die+Die")
      yield* idle(group)
    }))

  it.effect("32. one outcome for a call, its attempts, waits and hedges counted", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("hedge.metrics", { pool: { maxConcurrent: 1, maxQueued: 5 } })
      const attributes = { group: "hedge.metrics", key: "k" }
      yield* Command.queue(Effect.sleep(40).pipe(Command.within(group, { key: "other" })))
      const script = yield* scripted(after(100, "first"), after(1, "second"))
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* TestClock.adjust(1000)
      yield* Fiber.join(fiber)
      const value = <I, S>(metric: Metric.Metric<I, S>) => Metric.value(Metric.withAttributes(metric, attributes))
      yield* TestOutcomes.expect(group, "k", { success: 1 })
      assert.deepInclude(yield* value(CommandMetrics.hedges), { count: 1 })
      assert.deepInclude(yield* value(CommandMetrics.attempts), { count: 1, sum: 1 })
      // The first attempt waited from 0 to 40, the second from 50 until the first had won, at 140.
      assert.deepInclude(yield* value(CommandMetrics.queueWait), { count: 1, sum: 0.13 })
    }))

  it.effect("1. each attempt takes a token: a limit that is used up refuses the second, not the call", () =>
    Effect.gen(function*() {
      const group = yield* make({ rateLimit: { limit: 1, window: "1 hour" } })
      const script = yield* scripted(after(100, "first"), after(1, "second"))
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "first")
      assert.strictEqual(script.calls.length, 1)
      const refused = script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } }))
      assert.strictEqual(ending(yield* Effect.exit(refused)), "RateLimited")
    }))

  it.effect("1. it stands inside of retry, outside of circuit and pool, and says what it does", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: {} })
      const command = Command.make("k", () => Effect.void, { group, retry: {}, hedge: { after: "1 second", max: 2 } })
      const policies = yield* Command.policies(command)
      assert.deepStrictEqual(policies.map(({ policy }) => policy), ["outcomes", "retry", "hedge", "circuit", "pool"])
      assert.deepStrictEqual(policies[2], {
        policy: "hedge",
        after: Duration.seconds(1),
        max: 2,
        budget: { ratio: 0.1, perSecond: 1, window: Duration.seconds(10) }
      })
    }))

  it.effect("an attempt that interrupts its own caller as it starts is interrupted too, whichever it is", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const ways = [
        Command.within(group, { key: "k", hedge: { after: 50 } }),
        // With nothing between it and the one around it, a hedge is a wrap.
        <A, E, R>(self: Effect.Effect<A, E, R>) =>
          Command.make("k", () => self, { group, hedge: { after: 50 }, coalesce: { key: () => "one" } })(),
        Hedge.withBudget(group, { after: 50 })
      ] as const
      for (const way of ways) {
        for (const which of [1, 2]) {
          let caller: Fiber.Fiber<unknown, unknown> | undefined
          const interrupts = Effect.andThen(Effect.sync(() => caller!.interruptUnsafe()), Effect.never)
          const script = yield* scripted(
            TestDependency.byNumber((n) => n === which ? TestDependency.effect(interrupts) : hang)
          )
          const run = Effect.andThen(
            // Before the first one, its caller isn't known yet.
            Effect.suspend(() => caller === undefined ? Effect.yieldNow : Effect.void),
            script.call()
          )
          caller = yield* Command.queue(way(run))
          yield* TestClock.adjust(100)
          assert.strictEqual(state(caller), "Interrupt")
          assert.strictEqual(script.calls.length, which)
          assert.strictEqual(script.inFlight, 0)
          yield* idle(group)
        }
      }
    }))

  it.effect("after the end of the group the first attempt goes on alone", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const group = yield* Scope.provide(make(), scope)
      const script = yield* scripted(after(100, "first"), hang)
      const fiber = yield* Command.queue(script.call().pipe(Command.within(group, { key: "k", hedge: { after: 50 } })))
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), "first")
      assert.deepStrictEqual(script.startedAt, [0])
    }))
})

describe("3. alone", () => {
  it.effect("around any effect, from the budget of a group", () =>
    Effect.gen(function*() {
      class Session extends Group.Service<Session>()("service.session") {}
      const script = yield* scripted(hang, after(30, "second"))
      const call = script.call().pipe(
        Hedge.withBudget(Session, { after: 50 }),
        Effect.andThen((answer) => Effect.map(Hedge.remaining(Session), (left) => [answer, left]))
      )
      const fiber = yield* Command.queue(call.pipe(Effect.provide(Session.layer({ pool: { maxConcurrent: 1 } }))))
      yield* TestClock.adjust(80)
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["second", 9])
      assert.deepStrictEqual(script.states, ["Interrupt", "Success"])
    }))

  it.effect("by a quantile of its key, data first", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = (script: Script) => Hedge.withBudget(script.call(), group, { key: "k", after: "p95" })
      for (let i = 0; i < 20; i++) {
        const fiber = yield* Command.queue(call(yield* scripted(after(10, "ok"))))
        yield* TestClock.adjust(10)
        yield* Fiber.join(fiber)
      }
      const script = yield* scripted(hang, after(1, "second"))
      const fiber = yield* Command.queue(call(script))
      yield* TestClock.adjust(20)
      assert.strictEqual(yield* Fiber.join(fiber), "second")
    }))

  it.effect("an interruption ends all attempts", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const script = yield* scripted(hang)
      const fiber = yield* Command.queue(script.call().pipe(Hedge.withBudget(group, { after: 50, max: 3 })))
      yield* TestClock.adjust(100)
      assert.strictEqual(script.inFlight, 3)
      fiber.interruptUnsafe()
      assert.strictEqual(state(fiber), "Interrupt")
      assert.strictEqual(script.inFlight, 0)
      assert.strictEqual((group as GroupState).timers.size, 0)
    }))
})

describe("12. options that make no sense are refused, by name", () => {
  const refused = (hedge: unknown, problem: string) =>
    it(`${JSON.stringify(hedge)}: ${problem}`, () => {
      const ways = [
        () => Command.make("k", () => Effect.void, { group: {}, hedge } as never),
        () => Command.within(Effect.void, {} as never, { key: "k", hedge } as never)
      ]
      for (const way of ways) {
        try {
          way()
        } catch (failure) {
          assert.instanceOf(failure, InvalidOptions.InvalidOptions)
          assert.include(failure.message, problem)
          continue
        }
        assert.fail("accepted")
      }
    })

  refused({}, "hedge.after")
  refused({ after: 0 }, "hedge.after")
  refused({ after: "p42" }, "hedge.after")
  refused({ after: Infinity }, "hedge.after")
  refused({ after: 50, max: 0 }, "hedge.max")
  refused({ after: 50, max: 1.5 }, "hedge.max")
  refused({ after: 50, budget: 1 }, "hedge.budget")

  it("for a callback: its answer may still be in use when another arrives", () => {
    assert.throws(() => Command.callback("k", () => {}, { group: {}, hedge: { after: 50 } } as never), /hedge/)
  })
})
