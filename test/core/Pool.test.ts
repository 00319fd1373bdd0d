import { Command, Group, InvalidOptions, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { type Context, Deferred, Duration, Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import type { Held } from "../../packages/core/src/internal/Held.ts"
import { heldIn } from "../../packages/core/src/internal/Held.ts"
import { afterFirstSleep, ending, state, Work } from "./calls.ts"

const counts = (pool: Pool.Pool) =>
  Effect.map(Pool.statistics(pool), ({ active, overdue, queued }) => ({ active, overdue, queued }))

const idle = { active: 0, overdue: 0, queued: 0 }

/** Waits of random lengths, the same in every run. */
const random = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
  return (seed >>> 8) % below
}

describe("4. active never exceeds maxConcurrent", () => {
  for (const detach of [false, true]) {
    it.effect(`after timeouts and interrupts too, with work that can't be interrupted${detach ? ", detached" : ""}`, () =>
      Effect.gen(function*() {
        const group = yield* Group.make("g", { pool: { maxConcurrent: 3, maxQueued: 20 } })
        const work = new Work()
        const below = random(detach ? 7 : 11)
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let i = 0; i < 400; i++) {
          const sleep = Effect.sleep(below(17))
          const call = work.around(below(3) === 0 ? Effect.uninterruptible(sleep) : sleep).pipe(
            Effect.ensuring(Effect.sleep(below(3))),
            Command.within(group, { key: "k", timeout: 1 + below(23), detach })
          )
          fibers.push(yield* Command.queue(call))
          if (below(3) === 0) yield* TestClock.adjust(1)
          if (below(4) === 0) fibers[below(fibers.length)]!.interruptUnsafe()
          assert.isAtMost((yield* Pool.statistics(group.pool)).active, 3)
        }
        yield* TestClock.adjust(1000)
        assert.strictEqual(work.most, 3)
        assert.strictEqual(work.active, 0)
        assert.deepStrictEqual(yield* counts(group.pool), idle)
        const tags = new Set(fibers.map(state))
        for (const tag of ["Success", "CommandTimeout", "PoolFull", "Interrupt"]) assert.isTrue(tags.has(tag), tag)
      }))
  }

  it.effect("while a call that was let go still runs, its permit is not given to another", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const work = new Work()
      const call = Effect.uninterruptible(work.run).pipe(Command.within(group, { key: "k", timeout: 10, detach: true }))
      const first = yield* Command.queue(call)
      yield* TestClock.adjust(10)
      assert.strictEqual(state(first), "CommandTimeout")
      assert.strictEqual(ending(yield* Effect.exit(call)), "PoolFull")
      yield* work.finish
      assert.strictEqual(ending(yield* Effect.exit(call)), "Success")
      assert.strictEqual(work.most, 1)
    }))
})

describe("5. waiting never exceeds maxQueued", () => {
  it.effect("and the rejection says active, queued and both limits", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("printer", { maxConcurrent: 2, maxQueued: 1 })
      const work = new Work()
      for (let i = 0; i < 3; i++) yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      const full = yield* Effect.flip(work.run.pipe(Pool.withPermit(pool, { key: "print" })))
      assert.instanceOf(full, Error)
      assert.deepStrictEqual(full.toJSON(), {
        _tag: "PoolFull",
        group: "printer",
        key: "print",
        active: 2,
        queued: 1,
        shed: false,
        maxConcurrent: 2,
        maxQueued: 1,
        message: "the pool of printer is full: 2 of 2 active, 1 of 1 queued"
      })
      assert.deepStrictEqual(yield* counts(pool), { active: 2, overdue: 0, queued: 1 })
    }))

  it.effect("maxQueued: 0, the default, turns away at once whatever can't run at once", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      const second = yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      assert.strictEqual(state(second), "PoolFull")
      assert.strictEqual(work.started, 1)
    }))

  it.effect("and a place that was left is free again", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1 })
      const work = new Work()
      const call = work.run.pipe(Pool.withPermit(pool))
      yield* Command.queue(call)
      const waiter = yield* Command.queue(call)
      assert.strictEqual(state(yield* Command.queue(call)), "PoolFull")
      yield* Fiber.interrupt(waiter)
      assert.strictEqual(state(yield* Command.queue(call)), "running")
      assert.strictEqual(state(yield* Command.queue(call)), "PoolFull")
    }))
})

describe("6. first come, first served", () => {
  it.effect("waiters are let in in the order in which they came", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 5 })
      const order: Array<number> = []
      const gates = Array.from({ length: 6 }, () => Deferred.makeUnsafe<void>())
      for (const [i, gate] of gates.entries()) {
        const call = Effect.andThen(Effect.sync(() => order.push(i)), Deferred.await(gate))
        yield* Command.queue(call.pipe(Pool.withPermit(pool)))
      }
      for (const [i, gate] of gates.entries()) {
        assert.deepStrictEqual(order, [0, 1, 2, 3, 4, 5].slice(0, i + 1))
        yield* Deferred.succeed(gate, undefined)
      }
      assert.deepStrictEqual(yield* counts(pool), idle)
    }))

  it.effect("nobody overtakes a waiter, not even who comes back while permits are being granted", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 5 })
      const order: Array<string> = []
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      const callers: Array<Fiber.Fiber<void, unknown>> = []
      for (const name of ["a", "b", "c"]) {
        // Synchronous work: each caller is back for its next call while the pool is still granting.
        const call = Effect.sync(() => order.push(name)).pipe(Pool.withPermit(pool))
        callers.push(yield* Command.queue(Effect.forEach([1, 2, 3], () => call, { discard: true })))
      }
      yield* work.finish
      for (const caller of callers) yield* Fiber.join(caller)
      assert.strictEqual(order.join(""), "abcabcabc")
    }))

  it.effect("nobody overtakes when a permit is free for an instant while somebody waits", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 5 })
      const order: Array<string> = []
      const mark = (name: string) => Effect.sync(() => order.push(name)).pipe(Pool.withPermit(pool))
      const work = new Work()
      // The caller's own next step is a call of the same pool, which somebody waits for.
      yield* Command.queue(Effect.andThen(work.run.pipe(Pool.withPermit(pool)), mark("holder again")))
      yield* Command.queue(mark("waiter"))
      yield* work.finish
      assert.deepStrictEqual(order, ["waiter", "holder again"])
    }))
})

describe("7. a permit is given back exactly once", () => {
  const ends: ReadonlyArray<readonly [name: string, end: Effect.Effect<unknown, unknown>]> = [
    ["success", Effect.void],
    ["a failure", Effect.fail("no")],
    ["a defect", Effect.die("bug")],
    ["an interruption from inside", Effect.interrupt],
    [
      "a throw",
      Effect.sync(() => {
        throw new Error("bug")
      })
    ]
  ]
  for (const [name, end] of ends) {
    it.effect(`after the finalizers: ${name}`, () =>
      Effect.gen(function*() {
        yield* afterFirstSleep
        const pool = yield* Pool.make("p", { maxConcurrent: 2 })
        const fiber = yield* Command.queue(
          Effect.andThen(Effect.sleep(10), end).pipe(Effect.ensuring(Effect.sleep(10)), Pool.withPermit(pool))
        )
        yield* TestClock.adjust(19)
        assert.deepStrictEqual(yield* counts(pool), { ...idle, active: 1 })
        assert.strictEqual(state(fiber), "running")
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* counts(pool), idle)
        assert.notStrictEqual(state(fiber), "running")
      }))
  }

  it.effect("after the finalizers: an interruption of the caller, who waits for them", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const pool = yield* Pool.make("p", { maxConcurrent: 2 })
      const fiber = yield* Command.queue(Effect.never.pipe(Effect.ensuring(Effect.sleep(10)), Pool.withPermit(pool)))
      fiber.interruptUnsafe()
      fiber.interruptUnsafe()
      yield* TestClock.adjust(9)
      assert.strictEqual(state(fiber), "running")
      assert.deepStrictEqual(yield* counts(pool), { active: 1, overdue: 1, queued: 0 })
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "Interrupt")
      assert.deepStrictEqual(yield* counts(pool), idle)
    }))

  it.effect("after the finalizers: an interruption by the work itself, as it starts", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1 })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      let caller: Fiber.Fiber<unknown, unknown> | undefined
      const interruptCaller = Effect.suspend(() => {
        caller!.interruptUnsafe()
        return Effect.never
      })
      caller = yield* Command.queue(interruptCaller.pipe(Effect.ensuring(Effect.sleep(10)), Pool.withPermit(pool)))
      yield* work.finish
      assert.strictEqual(state(caller), "running")
      assert.deepStrictEqual(yield* counts(pool), { active: 1, overdue: 1, queued: 0 })
      yield* TestClock.adjust(10)
      assert.strictEqual(state(caller), "Interrupt")
      assert.deepStrictEqual(yield* counts(pool), idle)
    }))

  it.effect("before the caller goes on, so that a sequential caller never meets its own permit", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      const call = Effect.yieldNow.pipe(Pool.withPermit(pool))
      yield* Effect.all(Array.from({ length: 10 }, () => call))
      assert.strictEqual((yield* Pool.statistics(pool)).admitted, 10)
    }))

  it.effect("interrupting a waiter frees its place at once, and its work never starts", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 3 })
      const [first, middle, last] = [new Work(), new Work(), new Work()]
      yield* Command.queue(first.run.pipe(Pool.withPermit(pool)))
      const waiter = yield* Command.queue(middle.run.pipe(Pool.withPermit(pool)))
      yield* Command.queue(last.run.pipe(Pool.withPermit(pool)))
      waiter.interruptUnsafe()
      assert.strictEqual(state(waiter), "Interrupt")
      assert.deepStrictEqual(yield* counts(pool), { active: 1, overdue: 0, queued: 1 })
      yield* first.finish
      assert.strictEqual(middle.started, 0)
      assert.strictEqual(last.active, 1)
    }))
})

describe("7. no permit leaks, wherever the scheduler yields when its caller is interrupted:", () => {
  const yields = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
  const policies = { key: "k", timeout: 1000, attemptTimeout: 1000 }
  const ways: { readonly [name: string]: (work: Work, group: Group.Group) => Effect.Effect<unknown, unknown> } = {
    "Pool.withPermit": (work, group) => work.around(yields).pipe(Pool.withPermit(group)),
    "Pool.withPermit, work that hangs": (work, group) => work.run.pipe(Pool.withPermit(group)),
    "Pool.withPermit, synchronous work": (work, group) => work.around(Effect.void).pipe(Pool.withPermit(group)),
    "Command.within": (work, group) => work.around(yields).pipe(Command.within(group, policies)),
    "Command.within, detached": (work, group) =>
      work.around(Effect.uninterruptible(yields)).pipe(Command.within(group, { ...policies, detach: true })),
    "Command.make, with a fallback": (work, group) =>
      Command.make("k", () => work.around(Effect.andThen(yields, Effect.fail("no"))), {
        group,
        timeout: 1000,
        fallback: () => yields
      })(),
    "Command.callback": (work, group) =>
      Command.callback("k", (_call: Command.Completion<void>) => {
        work.started++
        work.most = Math.max(work.most, ++work.active)
        return () => {
          work.active--
        }
      }, { group, timeout: 1000, total: 1000 })()
  }
  for (const [name, way] of Object.entries(ways)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* afterFirstSleep
        const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 1 } })
        const { timers } = group as GroupState
        const work = new Work()
        for (let ops = 3; ops <= 12; ops++) {
          const caller = way(work, group).pipe(
            Effect.ignore,
            Effect.forever,
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops)
          )
          for (let turns = 0; turns < 12; turns++) {
            const callers = [yield* Command.queue(caller), yield* Command.queue(caller)]
            for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
            for (const fiber of callers) yield* Fiber.interrupt(fiber)
            // Only who asked to be let go early leaves anything behind.
            for (let turn = 0; name.endsWith("detached") && turn < 20; turn++) yield* Effect.yieldNow
            const at = `${ops} ops, ${turns} turns`
            assert.deepStrictEqual(yield* counts(group.pool), idle, at)
            assert.strictEqual(work.active, 0, at)
            assert.strictEqual(timers.size, 0, at)
          }
        }
        assert.strictEqual(work.most, 1)
        assert.isAbove(work.started, 50)
      }), 60_000)
  }
})

it.effect("8. a wait that is over too late: the work never starts", () =>
  Effect.gen(function*() {
    const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1 })
    const [first, second] = [new Work(), new Work()]
    yield* Command.queue(first.run.pipe(Pool.withPermit(pool)))
    const fiber = yield* Command.queue(second.run.pipe(Pool.withPermit(pool), Effect.timeout(10)))
    yield* TestClock.adjust(10)
    assert.strictEqual(state(fiber), "TimeoutError")
    yield* first.finish
    assert.strictEqual(second.started, 0)
    assert.deepStrictEqual(yield* counts(pool), idle)
  }))

describe("9. work that can't be interrupted keeps its permit past the timeout, and is counted", () => {
  it.effect("as overdue, while its caller waits", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 2 } })
      const call = Effect.uninterruptible(Effect.sleep(100))
      const fiber = yield* Command.queue(call.pipe(Command.within(group, { key: "k", timeout: 10 })))
      yield* Command.queue(call.pipe(Command.within(group, { key: "k" })))
      assert.deepStrictEqual(yield* counts(group.pool), { active: 2, overdue: 0, queued: 0 })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* counts(group.pool), { active: 2, overdue: 1, queued: 0 })
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(90)
      assert.deepStrictEqual(yield* counts(group.pool), idle)
      assert.strictEqual(state(fiber), "CommandTimeout")
    }))

  it.effect("detach lets the caller go at the deadline; the permit comes back later", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const fiber = yield* Command.queue(
        Effect.uninterruptible(Effect.sleep(100)).pipe(Command.within(group, { key: "k", timeout: 10, detach: true }))
      )
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.deepStrictEqual(yield* counts(group.pool), { active: 1, overdue: 1, queued: 0 })
      yield* TestClock.adjust(90)
      assert.deepStrictEqual(yield* counts(group.pool), idle)
    }))

  it.effect("detach lets an interrupted caller go at once, too", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const fiber = yield* Command.queue(
        Effect.uninterruptible(Effect.sleep(100)).pipe(Command.within(group, { key: "k", detach: true }))
      )
      fiber.interruptUnsafe()
      assert.strictEqual(state(fiber), "Interrupt")
      assert.deepStrictEqual(yield* counts(group.pool), { active: 1, overdue: 1, queued: 0 })
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* counts(group.pool), idle)
    }))

  it.effect("work that stops when it is told to is never overdue", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const overdue: Array<number> = []
      const fiber = yield* Command.queue(
        Effect.never.pipe(
          Effect.ensuring(Effect.map(Pool.statistics(group.pool), (statistics) => overdue.push(statistics.overdue))),
          Command.within(group, { key: "k", timeout: 10 })
        )
      )
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "CommandTimeout")
      assert.deepStrictEqual(overdue, [0])
      assert.deepStrictEqual(yield* counts(group.pool), idle)
    }))
})

describe("10. a call from inside a call of the same pool fails fast with PoolReentered", () => {
  it.effect("even with room, and says who holds the permit", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10 } })
      const inner = Command.make("inner", () => Effect.void, { group })
      const outer = Command.make("outer", () => inner(), { group })
      const failure = yield* Effect.flip(outer())
      assert.deepStrictEqual(failure.toJSON(), {
        _tag: "PoolReentered",
        group: "service.session",
        key: "inner",
        heldBy: "outer",
        message: "inner called into the pool of service.session from inside outer, which holds a permit of it"
      })
      assert.strictEqual((yield* Pool.statistics(group.pool)).rejected, 1)
      assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 1)
    }))

  it.effect("through another pool: A, then B, then A", () =>
    Effect.gen(function*() {
      const a = yield* Pool.make("a", { maxConcurrent: 10 })
      const b = yield* Pool.make("b", { maxConcurrent: 10 })
      const inA = Pool.withPermit(a)
      const inB = Pool.withPermit(b)
      assert.strictEqual(ending(yield* Effect.exit(inB(inA(Effect.void)))), "Success")
      assert.strictEqual(ending(yield* Effect.exit(inA(inB(inA(Effect.void))))), "PoolReentered")
      assert.strictEqual(ending(yield* Effect.exit(inA(inB(inB(Effect.void))))), "PoolReentered")
    }))

  it.effect("from a child that was forked inside", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 10 })
      const inner = Effect.void.pipe(Pool.withPermit(pool))
      const outer = Effect.flatMap(Effect.forkChild(inner), Fiber.join).pipe(Pool.withPermit(pool))
      assert.strictEqual(ending(yield* Effect.exit(outer)), "PoolReentered")
    }))

  it.effect("by hand inside a command of the group", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 10 } })
      const outer = Effect.void.pipe(Pool.withPermit(group.pool), Command.within(group, { key: "outer" }))
      const failure = yield* Effect.flip(outer)
      assert.deepInclude({ ...failure }, { key: "g", heldBy: "outer" })
    }))

  it.effect("but not from a child that has outlived the call", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 10 })
      const work = new Work()
      const inner = Effect.void.pipe(Pool.withPermit(pool))
      const child = yield* Effect.forkDetach(Effect.andThen(work.run, inner), { startImmediately: true }).pipe(
        Pool.withPermit(pool)
      )
      yield* work.finish
      assert.strictEqual(ending(yield* Fiber.await(child)), "Success")
    }))

  it.effect("nor from inside a call of another pool that has outlived it", () =>
    Effect.gen(function*() {
      const a = yield* Pool.make("a", { maxConcurrent: 10 })
      const b = yield* Pool.make("b", { maxConcurrent: 10 })
      const work = new Work()
      const outlives = Effect.andThen(work.run, Effect.void.pipe(Pool.withPermit(a))).pipe(Pool.withPermit(b))
      const child = yield* Effect.forkDetach(outlives, { startImmediately: true }).pipe(Pool.withPermit(a))
      assert.strictEqual(work.active, 1)
      yield* work.finish
      assert.strictEqual(ending(yield* Fiber.await(child)), "Success")
    }))

  it.effect("nor after it, in the same fiber", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      const call = Effect.void.pipe(Pool.withPermit(pool))
      assert.strictEqual(ending(yield* Effect.exit(Effect.andThen(call, call))), "Success")
    }))

  it.effect("nor if the pool is reentrant", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 2, reentrant: true })
      const inPool = Pool.withPermit(pool)
      assert.strictEqual(ending(yield* Effect.exit(inPool(inPool(Effect.void)))), "Success")
      assert.strictEqual(ending(yield* Effect.exit(inPool(inPool(inPool(Effect.void))))), "PoolFull")
    }))

  it.effect("a call that starts the next one in the background does not keep all before it", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      let depth = 0
      const next = (n: number): Effect.Effect<unknown, unknown> =>
        Effect.contextWith((context: Context.Context<never>) => {
          depth = 0
          for (let held: Held | undefined = heldIn(context); held !== undefined; held = held.outer) depth++
          return n === 0 ? Effect.void : Effect.forkDetach(Effect.delay(next(n - 1), 1), { startImmediately: true })
        }).pipe(Pool.withPermit(pool))
      yield* next(20)
      yield* TestClock.adjust(20)
      assert.strictEqual((yield* Pool.statistics(pool)).admitted, 21)
      assert.strictEqual(depth, 1)
    }))
})

describe("11. resizing", () => {
  it.effect("down cancels nobody and blocks nobody; no one is let in until enough have ended", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 3, maxQueued: 2 })
      const gates = Array.from({ length: 5 }, () => new Work())
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const work of gates) fibers.push(yield* Command.queue(work.run.pipe(Pool.withPermit(pool))))
      yield* Pool.resize(pool, { maxConcurrent: 1, maxQueued: 0 })
      assert.deepStrictEqual(yield* counts(pool), { active: 3, overdue: 0, queued: 2 })
      assert.deepStrictEqual(fibers.map(state), Array(5).fill("running"))
      assert.strictEqual(state(yield* Command.queue(Effect.void.pipe(Pool.withPermit(pool)))), "PoolFull")
      yield* gates[0]!.finish
      yield* gates[1]!.finish
      assert.deepStrictEqual(yield* counts(pool), { active: 1, overdue: 0, queued: 2 })
      yield* gates[2]!.finish
      assert.deepStrictEqual(gates.map((work) => work.active), [0, 0, 0, 1, 0])
      yield* gates[3]!.finish
      yield* gates[4]!.finish
      assert.deepStrictEqual(fibers.map(state), Array(5).fill("Success"))
      assert.deepStrictEqual(yield* counts(pool), idle)
    }))

  it.effect("up wakes waiters at once, as many as there is room for", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 5 })
      const work = new Work()
      for (let i = 0; i < 5; i++) yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      yield* Pool.resize(pool, { maxConcurrent: 3 })
      assert.strictEqual(work.active, 3)
      assert.deepStrictEqual(yield* counts(pool), { active: 3, overdue: 0, queued: 2 })
      yield* Pool.resize(pool, { maxConcurrent: Infinity })
      assert.strictEqual(work.active, 5)
    }))

  it.effect("changes what it names and keeps the rest", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1 })
      yield* Pool.resize(pool, { maxQueued: 2 })
      assert.deepInclude(yield* Pool.statistics(pool), { maxConcurrent: 1, maxQueued: 2 })
      yield* Pool.resize({ maxConcurrent: 4 })(pool)
      assert.deepInclude(yield* Pool.statistics(pool), { maxConcurrent: 4, maxQueued: 2 })
    }))

  it.effect("of the queueTimeout is for those who come after", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 2, queueTimeout: 100 })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      const before = yield* Command.queue(Effect.flip(work.run.pipe(Pool.withPermit(pool))))
      yield* Pool.resize(pool, { queueTimeout: 10 })
      const after = yield* Command.queue(Effect.flip(work.run.pipe(Pool.withPermit(pool))))
      yield* TestClock.adjust(10)
      assert.deepInclude({ ...yield* Fiber.join(after) }, { queueTimeout: Duration.millis(10) })
      yield* TestClock.adjust(89)
      assert.strictEqual(state(before), "running")
      yield* TestClock.adjust(1)
      assert.deepInclude({ ...yield* Fiber.join(before) }, { queueTimeout: Duration.millis(100) })
    }))

  it.effect("takes the queueTimeout away, for those who come after", () =>
    Effect.gen(function*() {
      for (const queueTimeout of [Infinity, Duration.infinity] as const) {
        const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 2, queueTimeout: 100 })
        const work = new Work()
        yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
        const before = yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
        yield* Pool.resize(pool, { queueTimeout })
        const after = yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
        yield* TestClock.adjust("1 day")
        assert.deepStrictEqual([before, after].map(state), ["QueueTimeout", "running"])
      }
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      for (const queueTimeout of [0, NaN, -1, -Infinity, Duration.negativeInfinity, "never"] as const) {
        const failure = yield* Effect.flip(Pool.resize(pool, { queueTimeout: queueTimeout as Duration.Input }))
        assert.match(failure.problem, /^queueTimeout: .* or Infinity for none/)
      }
    }))

  it.effect("changes nothing when one of the limits makes no sense", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1 })
      const failure = yield* Effect.flip(Pool.resize(pool, { maxConcurrent: 5, maxQueued: NaN }))
      assert.match(failure.message, /^p: maxQueued: .*NaN/)
      assert.deepInclude(yield* Pool.statistics(pool), { maxConcurrent: 1, maxQueued: 1 })
    }))
})

describe("12. refused, with the name of the option:", () => {
  const good = { maxConcurrent: 1 }
  const refused: ReadonlyArray<readonly [option: string, options: object]> = [
    ...[NaN, -1, 0, 1.5, -Infinity, "10", null].map((n) => ["maxConcurrent", { maxConcurrent: n }] as const),
    ["maxConcurrent", {}],
    ...[NaN, -1, 1.5, -Infinity, "10"].map((n) => ["maxQueued", { ...good, maxQueued: n }] as const),
    ...[NaN, -1, 0, Infinity, -Infinity, "soon", "0 seconds", {}].map((duration) =>
      ["queueTimeout", { ...good, queueTimeout: duration }] as const
    ),
    ["reentrant", { ...good, reentrant: "no" }],
    ["maxQueue", { ...good, maxQueue: 1 }]
  ]
  const show = (options: object) =>
    `{ ${
      Object.entries(options).map(([key, value]) =>
        `${key}: ${typeof value === "number" ? value : JSON.stringify(value)}`
      )
    } }`

  for (const [option, options] of refused) {
    it.effect(`${option}, in ${show(options)}`, () =>
      Effect.gen(function*() {
        const failure = yield* Effect.flip(Pool.make("printer", options as Pool.Options))
        assert.instanceOf(failure, InvalidOptions.InvalidOptions)
        assert.strictEqual(failure.subject, "printer")
        assert.match(failure.problem, new RegExp(`^${option}: `))
      }))
  }

  it.effect("every one that makes no sense, at once", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(Pool.make("p", { maxConcurrent: 0, maxQueued: -1, queueTimeout: NaN }))
      for (const option of ["maxConcurrent", "maxQueued", "queueTimeout"]) assert.include(failure.problem, option)
    }))

  it.effect("but Infinity is a limit where it means that there is none", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: Infinity, maxQueued: Infinity })
      const work = new Work()
      for (let i = 0; i < 100; i++) yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      assert.strictEqual(work.active, 100)
    }))
})

describe("2. queueTimeout bounds the wait alone", () => {
  it.effect("fails the call that waits longer with QueueTimeout; its work never starts", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("printer", { maxConcurrent: 1, maxQueued: 1, queueTimeout: "50 millis" })
      const [first, second] = [new Work(), new Work()]
      yield* Command.queue(first.run.pipe(Pool.withPermit(pool)))
      const fiber = yield* Command.queue(Effect.flip(second.run.pipe(Pool.withPermit(pool, { key: "print" }))))
      yield* TestClock.adjust(49)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      const failure = yield* Fiber.join(fiber)
      assert.deepStrictEqual(failure.toJSON(), {
        _tag: "QueueTimeout",
        group: "printer",
        key: "print",
        queueTimeout: Duration.millis(50),
        message: "print waited longer than 50ms for the pool of printer"
      })
      assert.deepInclude(yield* Pool.statistics(pool), { active: 1, queued: 0, rejected: 1, queueTimeouts: 1 })
      yield* first.finish
      assert.strictEqual(second.started, 0)
    }))

  it.effect("a call that was let in may take its time", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1, queueTimeout: 50 })
      const sleep = (ms: number) => Command.queue(Effect.sleep(ms).pipe(Pool.withPermit(pool)))
      yield* sleep(49)
      const fiber = yield* sleep(500)
      yield* TestClock.adjust(549)
      assert.strictEqual(state(fiber), "Success")
    }))
})

describe("priorities", () => {
  it.effect("the higher is served first; within one it is first come, first served", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 10 })
      const work = new Work()
      const order: Array<string> = []
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      const arrivals = ["low 1", "normal 1", "high 1", "low 2", "normal 2", "high 2"]
      for (const name of arrivals) {
        const priority = name.split(" ")[0] as Pool.Priority
        yield* Command.queue(Effect.sync(() => order.push(name)).pipe(Pool.withPermit(pool, { priority })))
      }
      yield* work.finish
      assert.deepStrictEqual(order, ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"])
    }))

  it.effect("a call of a command has the command's, and normal is the default", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 10 } })
      const work = new Work()
      const order: Array<string> = []
      const mark = (name: string) => Effect.sync(() => order.push(name))
      yield* Command.queue(work.run.pipe(Pool.withPermit(group)))
      yield* Command.queue(mark("low").pipe(Command.within(group, { key: "k", priority: "low" })))
      yield* Command.queue(mark("default").pipe(Command.within(group, { key: "k" })))
      yield* Command.queue(Command.make("k", () => mark("high"), { group, priority: "high" })())
      yield* work.finish
      assert.deepStrictEqual(order, ["high", "default", "low"])
    }))

  it.effect("take no permit from who has it, and make no place in a full line", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1 })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool, { priority: "low" })))
      yield* Command.queue(Effect.void.pipe(Pool.withPermit(pool, { priority: "low" })))
      const high = yield* Command.queue(Effect.void.pipe(Pool.withPermit(pool, { priority: "high" })))
      assert.strictEqual(state(high), "PoolFull")
      assert.strictEqual(work.active, 1)
    }))
})

describe("statistics", () => {
  it.effect("counts admitted and rejected since the pool was made", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 1, queueTimeout: 10 })
      const work = new Work()
      const call = Effect.exit(work.run.pipe(Pool.withPermit(pool)))
      for (let i = 0; i < 4; i++) yield* Command.queue(call)
      assert.deepInclude(yield* Pool.statistics(pool), { admitted: 1, rejected: 2, queueTimeouts: 0 })
      yield* TestClock.adjust(10)
      assert.deepInclude(yield* Pool.statistics(pool), { admitted: 1, rejected: 3, queueTimeouts: 1 })
      yield* work.finish
      yield* call
      assert.deepInclude(yield* Pool.statistics(pool), { admitted: 2, rejected: 3, queueTimeouts: 1 })
    }))

  it.effect("measures the waits: of those that are over, and the longest that goes on", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1234.5)
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: 5 })
      const wait = Effect.map(Pool.statistics(pool), ({ wait: { count, current, longest, total } }) => ({
        count,
        total: Duration.toMillis(total),
        longest: Duration.toMillis(longest),
        current: Duration.toMillis(current)
      }))
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      assert.deepStrictEqual(yield* wait, { count: 0, total: 0, longest: 0, current: 0 })
      // Of any priority: the one that has waited longest is not the first to be served.
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool, { priority: "low" })))
      yield* TestClock.adjust(30)
      const second = yield* Command.queue(work.run.pipe(Pool.withPermit(pool, { priority: "high" })))
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(yield* wait, { count: 0, total: 0, longest: 0, current: 50 })
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(yield* wait, { count: 1, total: 20, longest: 20, current: 50 })
      yield* TestClock.adjust(10)
      yield* work.finish
      assert.deepStrictEqual(yield* wait, { count: 2, total: 80, longest: 60, current: 0 })
      // Nobody who was let in at once has waited.
      const third = yield* Command.queue(Effect.never.pipe(Pool.withPermit(pool)))
      assert.strictEqual((yield* wait).count, 2)
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      yield* TestClock.adjust(5)
      yield* Fiber.interrupt(third)
      assert.deepStrictEqual(yield* wait, { count: 3, total: 85, longest: 60, current: 0 })
    }))
})

describe("3. withPermit, alone,", () => {
  class Session extends Group.Service<Session>()("service.session") {}
  const live = Session.layer({ pool: { maxConcurrent: 1 } })

  it.effect("takes a group's class, a group, or a pool; data first or last", () =>
    Effect.gen(function*() {
      const group = yield* Session
      const active = Effect.map(Pool.statistics(group.pool), (statistics) => statistics.active)
      assert.deepStrictEqual(
        yield* Effect.all([
          active.pipe(Pool.withPermit(Session)),
          active.pipe(Pool.withPermit(group)),
          active.pipe(Pool.withPermit(group.pool)),
          Pool.withPermit(active, Session),
          Pool.withPermit(active, group),
          Pool.withPermit(active, group.pool, { priority: "high" }),
          active
        ]),
        [1, 1, 1, 1, 1, 1, 0]
      )
    }).pipe(Effect.provide(live)))

  it.effect("hands on what its effect ends with", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      const end = (effect: Effect.Effect<unknown, unknown>) => Effect.exit(effect.pipe(Pool.withPermit(pool)))
      assert.deepStrictEqual(yield* end(Effect.succeed(1)), Exit.succeed(1))
      assert.deepStrictEqual(yield* end(Effect.fail("no")), Exit.fail("no"))
      assert.strictEqual(ending(yield* end(Effect.die("bug"))), "Die")
      assert.strictEqual(ending(yield* end(Effect.interrupt)), "Interrupt")
    }))

  it.effect("follows the layer: one effect, run with two layers, uses two pools", () =>
    Effect.gen(function*() {
      const name = Effect.void.pipe(Pool.withPermit(Session), Effect.andThen(Effect.map(Session, ({ pool }) => pool)))
      const [a, b] = [
        yield* Effect.provide(name, live),
        yield* Effect.provide(name, Session.layer({ pool: { maxConcurrent: 2 } }))
      ]
      assert.strictEqual((yield* Pool.statistics(a)).admitted, 1)
      assert.strictEqual((yield* Pool.statistics(b)).admitted, 1)
    }))

  it.effect("its effect is interruptible, although the caller is not", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      const interruptible = yield* Effect.uninterruptible(
        Effect.withFiber((fiber) => Effect.succeed((fiber as unknown as { interruptible: boolean }).interruptible))
          .pipe(
            Pool.withPermit(pool)
          )
      )
      assert.isTrue(interruptible)
    }))

  describe("by hand: a pool, Effect's timeout, a fallback", () => {
    const userId = (fetch: Effect.Effect<string, "expired">) =>
      fetch.pipe(
        Pool.withPermit(Session),
        Effect.timeout("1 second"),
        Command.orElse(() => Effect.succeed(null))
      )

    it.effect("answers", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* userId(Effect.succeed("user 1")), "user 1")
        assert.strictEqual(yield* userId(Effect.fail("expired")), null)
      }).pipe(Effect.provide(live)))

    it.effect("answers the fallback when the second has passed, and the permit is back", () =>
      Effect.gen(function*() {
        const fiber = yield* Command.queue(userId(Effect.never))
        yield* TestClock.adjust("999 millis")
        assert.strictEqual(state(fiber), "running")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* Fiber.join(fiber), null)
        assert.deepStrictEqual(yield* counts((yield* Session).pool), idle)
      }).pipe(Effect.provide(live)))

    it.effect("answers the fallback at once when the pool is full", () =>
      Effect.gen(function*() {
        yield* Command.queue(userId(Effect.never))
        const fiber = yield* Command.queue(userId(Effect.succeed("user 1")))
        assert.strictEqual(yield* Fiber.join(fiber), null)
      }).pipe(Effect.provide(live)))
  })
})

it.effect("isPool tells pools from other things", () =>
  Effect.gen(function*() {
    const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
    assert.isTrue(Pool.isPool(group.pool))
    for (const other of [group, {}, null, undefined, "pool"]) assert.isFalse(Pool.isPool(other))
  }))
