import { Coalesce, Command, Criticality, Group, InvalidOptions, Pool } from "@blackgate/core"
import { PoolFull } from "@blackgate/core/CommandError"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Order } from "effect"
import { TestClock } from "effect/testing"
import { ending, state, Work } from "./calls.ts"

/** A pool with one permit, which is taken, and a line of so many. */
const busy = (maxQueued: number, more: Partial<Pool.Options> = {}) =>
  Effect.gen(function*() {
    const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued, ...more } })
    const order: Array<string> = []
    const first = new Work()
    yield* Command.queue(first.run.pipe(Command.within(group, { key: "first" })))
    /** A call in the background that says when it runs. */
    const call = (name: string, level?: Criticality.Criticality, priority?: Pool.Priority) => {
      const made = Effect.sync(() => order.push(name)).pipe(Command.within(group, { key: name, priority }))
      return Command.queue(level === undefined ? made : Criticality.provide(made, level))
    }
    return { group, order, finish: first.finish, call, statistics: Pool.statistics(group.pool) }
  })

describe("27. under overload the pool sheds low-criticality calls first", () => {
  it.effect("a full line gives the place of its lowest level to a newcomer of a higher one", () =>
    Effect.gen(function*() {
      const { call, finish, order, statistics } = yield* busy(3)
      const plus = yield* call("plus", "sheddable-plus")
      const low = yield* call("low", "sheddable")
      const usual = yield* call("usual")
      const newcomer = yield* call("newcomer")
      assert.deepStrictEqual([plus, low, usual, newcomer].map(state), ["running", "PoolFull", "running", "running"])
      assert.deepInclude(yield* statistics, { active: 1, queued: 3, rejected: 1, shed: 1 })
      const another = yield* call("another", "critical-plus")
      assert.deepStrictEqual([plus, usual, another].map(state), ["PoolFull", "running", "running"])
      yield* finish
      assert.deepStrictEqual(order, ["usual", "newcomer", "another"])
    }))

  it.effect("of one level the one that joined last gives way, whatever its priority", () =>
    Effect.gen(function*() {
      const { call, finish, order } = yield* busy(3)
      yield* call("a", "sheddable", "low")
      yield* call("b", "sheddable", "normal")
      const last = yield* call("c", "sheddable", "high")
      yield* call("d")
      assert.strictEqual(state(last), "PoolFull")
      yield* finish
      assert.deepStrictEqual(order, ["b", "d", "a"])
    }))

  it.effect("a newcomer that is no more critical than any who wait is turned away, as ever", () =>
    Effect.gen(function*() {
      for (const level of Criticality.levels) {
        const { call, statistics } = yield* busy(2)
        const waiting = [yield* call("a", level), yield* call("b", level)]
        const newcomer = yield* call("c", level)
        assert.deepStrictEqual([...waiting, newcomer].map(state), ["running", "running", "PoolFull"])
        assert.deepInclude({ ...yield* Effect.flip(Fiber.join(newcomer)) }, { shed: false })
        assert.deepInclude(yield* statistics, { queued: 2, rejected: 1, shed: 0 })
      }
    }))

  it.effect("the usual level is critical: it gives way to critical-plus, and to nothing else", () =>
    Effect.gen(function*() {
      const { call } = yield* busy(1)
      const usual = yield* call("usual")
      assert.strictEqual(state(yield* call("critical", "critical")), "PoolFull")
      assert.strictEqual(state(yield* call("sheddable", "sheddable")), "PoolFull")
      assert.strictEqual(state(usual), "running")
      yield* call("more", "critical-plus")
      assert.strictEqual(state(usual), "PoolFull")
    }))

  it.effect("a call that is shed says so, and has waited: in its failure, its outcome and the statistics", () =>
    Effect.gen(function*() {
      const { call, statistics } = yield* busy(1)
      const low = yield* call("low", "sheddable")
      yield* TestClock.adjust(30)
      yield* call("usual")
      const failure = yield* Effect.flip(Fiber.join(low))
      assert.instanceOf(failure, PoolFull)
      assert.deepStrictEqual(failure.toJSON(), {
        _tag: "PoolFull",
        group: "g",
        key: "low",
        active: 1,
        queued: 1,
        maxConcurrent: 1,
        maxQueued: 1,
        shed: true,
        message: "the pool of g is full: 1 of 1 active, 1 of 1 queued; its place went to a call that is more critical"
      })
      const { wait } = yield* statistics
      assert.strictEqual(wait.count, 1)
    }))

  it.effect("nobody who holds a permit gives way", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 1 } })
      const work = new Work()
      const call = work.run.pipe(Command.within(group, { key: "k" }))
      const running = yield* Command.queue(Criticality.provide(call, "sheddable"))
      const waiting = yield* Command.queue(call)
      assert.strictEqual(state(yield* Command.queue(call)), "PoolFull")
      assert.deepStrictEqual([running, waiting].map(state), ["running", "running"])
    }))

  it.effect("a pool without a line has nothing to give, not even to those who were there before it had none", () =>
    Effect.gen(function*() {
      const { call, group } = yield* busy(1)
      const low = yield* call("low", "sheddable")
      yield* Pool.resize(group.pool, { maxQueued: 0 })
      assert.strictEqual(state(yield* call("usual", "critical-plus")), "PoolFull")
      assert.strictEqual(state(low), "running")
    }))

  it.effect("6. it changes nothing about who is served first: that is the priority, then who came first", () =>
    Effect.gen(function*() {
      const { call, finish, order } = yield* busy(10)
      yield* call("a", "sheddable")
      yield* call("b", "critical-plus")
      yield* call("c", "sheddable-plus", "high")
      yield* call("d", "critical", "low")
      yield* call("e")
      yield* finish
      assert.deepStrictEqual(order, ["c", "a", "b", "e", "d"])
    }))

  it.effect("the place is taken before the one that gave way goes on, so that it can't come back into it", () =>
    Effect.gen(function*() {
      const { call, group, statistics } = yield* busy(1)
      const back = Effect.void.pipe(
        Command.within(group, { key: "low" }),
        Command.orElse(() => Effect.void.pipe(Command.within(group, { key: "back" }))),
        Criticality.provide("sheddable")
      )
      const low = yield* Command.queue(back)
      const usual = yield* call("usual")
      assert.deepStrictEqual([low, usual].map(state), ["PoolFull", "running"])
      assert.deepInclude(yield* statistics, { queued: 1, rejected: 2, shed: 1 })
    }))

  it.effect("what it did not get it holds no more: neither a place nor a bound on its wait", () =>
    Effect.gen(function*() {
      const { call, finish, group, statistics } = yield* busy(1, { queueTimeout: 50 })
      yield* call("low", "sheddable")
      yield* call("usual")
      yield* TestClock.adjust(49)
      yield* finish
      yield* TestClock.adjust(100)
      assert.deepInclude(yield* statistics, { active: 0, queued: 0, queueTimeouts: 0 })
      assert.deepStrictEqual(yield* call("later").pipe(Effect.map(state)), "Success")
      assert.strictEqual((yield* Pool.statistics(group.pool)).rejected, 1)
    }))

  it.effect("a retry that waits for the pool tries again", () =>
    Effect.gen(function*() {
      const { call, finish, group } = yield* busy(1)
      const low = yield* Effect.void.pipe(
        Command.within(group, { key: "low", retry: { base: 10, waitFor: ["PoolFull"] } }),
        Criticality.provide("sheddable"),
        Command.queue
      )
      yield* call("usual")
      yield* finish
      assert.strictEqual(state(low), "running")
      yield* TestClock.adjust(10)
      assert.strictEqual(state(low), "Success")
    }))
})

describe("27. criticality travels in the fiber context", () => {
  it.effect("into nested commands and forked children; the innermost wins", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 3 } })
      const seen: Array<Criticality.Criticality> = []
      const see = Effect.map(Criticality.current, (level) => seen.push(level))
      const child = Effect.flatMap(Effect.forkChild(see, { startImmediately: true }), Fiber.join)
      const program = Effect.all([see, child, Criticality.provide(see, "critical-plus")]).pipe(
        Command.within(group, { key: "k" }),
        Criticality.provide("sheddable-plus")
      )
      yield* program
      yield* see
      assert.deepStrictEqual(seen, ["sheddable-plus", "sheddable-plus", "critical-plus", "critical"])
    }))

  it.effect("a run that callers share has the level of the one who started it", () =>
    Effect.gen(function*() {
      const { call, group } = yield* busy(1)
      const coalesced = Coalesce.by((key: string) => Effect.succeed(key).pipe(Pool.withPermit(group)), {
        key: (key) => key
      })
      const shared = [
        yield* Command.queue(Criticality.provide(coalesced("a"), "sheddable")),
        yield* Command.queue(coalesced("a"))
      ]
      yield* call("usual")
      assert.deepStrictEqual(shared.map(state), ["PoolFull", "PoolFull"])
    }))

  it.effect("a value that is no level counts as the usual one", () =>
    Effect.gen(function*() {
      const { call, group } = yield* busy(1)
      yield* call("low", "sheddable")
      const odd = Effect.void.pipe(
        Command.within(group, { key: "odd" }),
        Effect.provideService(Criticality.Criticality, "urgent" as Criticality.Criticality)
      )
      assert.deepStrictEqual([yield* Command.queue(odd), yield* Command.queue(odd)].map(state), ["running", "PoolFull"])
    }))
})

describe("levels", () => {
  it("are ordered, from what matters least", () => {
    assert.deepStrictEqual(Criticality.levels.toSorted(Criticality.Order), Criticality.levels.toReversed())
    assert.strictEqual(Order.max(Criticality.Order)("sheddable", "critical"), "critical")
    assert.isTrue(Criticality.isMoreCritical("sheddable")("sheddable-plus"))
    assert.isFalse(Criticality.isMoreCritical("critical", "critical-plus"))
  })

  it("are read in any case, and nothing else is read", () => {
    for (const level of Criticality.levels) {
      assert.deepStrictEqual(Criticality.fromString(level.toUpperCase()), Option.some(level))
    }
    for (const no of ["", " critical", "critical_plus", "0", "toString"]) {
      assert.deepStrictEqual(Criticality.fromString(no), Option.none())
    }
    assert.isFalse(Criticality.isCriticality(undefined))
  })

  it("provide refuses what is none, by name", () => {
    const bad = "urgent" as Criticality.Criticality
    assert.throws(
      () => Criticality.provide(Effect.void, bad),
      InvalidOptions.InvalidOptions,
      /Criticality\.provide: level/
    )
    assert.throws(() => Criticality.provide(bad)(Effect.void), InvalidOptions.InvalidOptions)
    assert.strictEqual(ending(Effect.runSyncExit(Criticality.provide("critical-plus")(Effect.void))), "Success")
  })
})
