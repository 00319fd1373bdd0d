import { Command, Group, InvalidOptions, Pool, RateLimit, SharedLimits } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { handed, Member, seats, SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import { afterFirstSleep, state, Work } from "./calls.ts"

// Members of one thread. Threads are another file's.

/** Bells come by the event loop. */
const turns = (count: number) =>
  Effect.promise(async () => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
  })

const until = (what: string, isSo: () => boolean) =>
  Effect.gen(function*() {
    for (let i = 0; i < 1000 && !isSo(); i++) yield* turns(1)
    assert.isTrue(isSo(), what)
  })

const make = (memory: SharedArrayBuffer, member: number, options: Group.Options, name = "api") =>
  Group.make(name, options).pipe(Effect.provide(SharedLimits.layer(memory, member)))

/** A group of a name in each of two members. */
const pair = Effect.fnUntraced(function*(options: Group.Options) {
  const memory = SharedLimits.make({ members: 2 })
  return { memory, a: yield* make(memory, 0, options), b: yield* make(memory, 1, options) }
})

const begin = (group: Group.Group, work: Work) =>
  Effect.forkChild(work.run.pipe(Command.within(group, { key: "k" })), { startImmediately: true })

describe("a pool", () => {
  it.effect("4. has one limit in all members", () =>
    Effect.gen(function*() {
      const { a, b } = yield* pair({ pool: { maxConcurrent: 2 } })
      const work = new Work()
      const fibers = [yield* begin(a, work), yield* begin(b, work)]
      assert.strictEqual(state(yield* begin(a, work)), "PoolFull")
      assert.strictEqual(state(yield* begin(b, work)), "PoolFull")
      yield* work.finish
      yield* Fiber.joinAll(fibers)
      const others = new Work()
      yield* begin(b, others)
      yield* begin(b, others)
      assert.strictEqual(others.active, 2)
      assert.strictEqual(state(yield* begin(a, others)), "PoolFull")
      assert.strictEqual((yield* Pool.statistics(a.pool)).active, 0) // statistics are the member's
    }))

  it.effect("of another name, or without the layer, has a limit of its own", () =>
    Effect.gen(function*() {
      const { a, memory } = yield* pair({ pool: { maxConcurrent: 1 } })
      const other = yield* make(memory, 1, { pool: { maxConcurrent: 1 } }, "other")
      const alone = yield* Group.make("alone", { pool: { maxConcurrent: 1 } })
      const work = new Work()
      for (const group of [a, other, alone]) yield* begin(group, work)
      assert.strictEqual(work.active, 3)
    }))

  it.effect("hands a permit to the members in turn, the one that gives it among them", () =>
    Effect.gen(function*() {
      const { a, b } = yield* pair({ pool: { maxConcurrent: 1, maxQueued: 10 } })
      const order: Array<string> = []
      const gates: Array<Deferred.Deferred<void>> = []
      const call = (name: string, group: Group.Group) =>
        Effect.suspend(() => {
          order.push(name)
          const gate = Deferred.makeUnsafe<void>()
          gates.push(gate)
          return Deferred.await(gate)
        }).pipe(Command.within(group, { key: name }))
      const fibers: Array<Fiber.Fiber<void, unknown>> = []
      for (const name of ["a1", "a2", "a3", "a4", "b1", "b2"]) {
        fibers.push(
          yield* Effect.forkChild(call(name, name.startsWith("a") ? a : b), { startImmediately: true })
        )
      }
      for (let i = 0; i < 6; i++) {
        yield* until("one more runs", () => gates.length > i)
        yield* turns(3)
        assert.strictEqual(gates.length, i + 1)
        yield* Deferred.succeed(gates[i]!, undefined)
      }
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(order, ["a1", "b1", "a2", "b2", "a3", "a4"])
    }))

  it.effect("7. loses nothing to those who leave the line: by interruption, or because they waited for too long", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const { a, b } = yield* pair({ pool: { maxConcurrent: 1, maxQueued: 10, queueTimeout: "1 second" } })
      const first = new Work()
      yield* begin(a, first)
      const work = new Work()
      const leaves = yield* begin(b, work)
      const late = yield* begin(b, work)
      yield* Fiber.interrupt(leaves)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(state(late), "QueueTimeout")
      yield* first.finish
      yield* turns(3)
      // Nobody waits: whoever comes first has it.
      const next = new Work()
      yield* begin(a, next)
      yield* until("it runs", () => next.active === 1)
      // One who leaves after a permit was handed over and before the bell is heard.
      const gone = yield* begin(b, work)
      yield* next.finish
      yield* Fiber.interrupt(gone)
      const last = new Work()
      yield* until("the permit is back", () => work.started === 0)
      yield* turns(3)
      yield* begin(a, last)
      yield* until("it runs", () => last.active === 1)
    }))

  it.effect("11. resized up wakes those who wait in every member; resized down lets nobody in until enough have ended", () =>
    Effect.gen(function*() {
      const { a, b } = yield* pair({ pool: { maxConcurrent: 1, maxQueued: 10 } })
      const resize = (maxConcurrent: number) =>
        Effect.forEach([a, b], ({ pool }) => Pool.resize(pool, { maxConcurrent }), { discard: true })
      const [one, two, three] = [new Work(), new Work(), new Work()]
      yield* begin(a, one)
      yield* begin(b, two)
      yield* begin(a, three)
      yield* resize(3)
      yield* until("all run", () => one.active + two.active + three.active === 3)
      yield* resize(1)
      const waits = new Work()
      yield* begin(b, waits)
      yield* one.finish
      yield* two.finish
      yield* turns(3)
      assert.strictEqual(waits.active, 0)
      yield* three.finish
      yield* until("it runs", () => waits.active === 1)
    }))

  it.effect("has the limit that the first one said that was built: another one of its name says nothing until it is resized", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2 })
      const sized = (maxConcurrent: number) => ({ pool: { maxConcurrent } })
      const first = yield* make(memory, 0, sized(2))
      const begun = yield* Scope.make()
      const next = yield* make(memory, 0, sized(1)).pipe(Scope.provide(begun))
      const other = yield* make(memory, 1, sized(9))
      const work = new Work()
      yield* begin(first, work)
      yield* begin(other, work)
      assert.strictEqual(work.active, 2)
      assert.strictEqual(state(yield* begin(other, work)), "PoolFull")
      // It was built, and is not used after all.
      yield* Scope.close(begun, Exit.void)
      yield* Pool.resize(other.pool, { maxConcurrent: 3 })
      yield* begin(other, work)
      assert.strictEqual(work.active, 3)
      assert.strictEqual(next.name, "api")
    }))

  it.effect("26. has an adaptive limit of each member below the ceiling of all", () =>
    Effect.gen(function*() {
      const { a, b } = yield* pair({
        pool: { maxConcurrent: 3, maxQueued: 10 },
        adaptiveLimit: { algorithm: "aimd", target: "1 second", min: 1, initial: 2 }
      })
      const work = new Work()
      for (const group of [a, a, a, b, b]) yield* begin(group, work)
      assert.strictEqual(work.active, 3)
      assert.deepStrictEqual(
        (yield* Effect.forEach([a, b], ({ pool }) => Pool.statistics(pool))).map((
          { active, queued }
        ) => [active, queued]),
        [[2, 1], [1, 1]]
      )
    }))

  it.effect("that is closed lets those who wait end, and is gone then", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2, maxGroups: 1 })
      const options: Group.Options = { pool: { maxConcurrent: 1, maxQueued: 10 } }
      const scope = yield* Scope.make()
      const [a, b] = [
        yield* make(memory, 0, options).pipe(Scope.provide(scope)),
        yield* make(memory, 1, options).pipe(Scope.provide(scope))
      ]
      const [one, two] = [new Work(), new Work()]
      yield* begin(a, one)
      const waits = yield* begin(b, two)
      yield* Scope.close(scope, Exit.void)
      const full = yield* Effect.flip(make(memory, 0, options, "other"))
      assert.include(full.message, "other: maxGroups")
      yield* one.finish
      yield* until("it runs", () => two.active === 1)
      yield* two.finish
      yield* Fiber.join(waits)
      const other = yield* make(memory, 0, options, "other")
      // A call that comes after the end takes nothing of anybody.
      yield* begin(a, new Work())
      const work = new Work()
      yield* begin(other, work)
      assert.strictEqual(work.active, 1)
    }))

  it.effect("is one with that which takes its place in the same member, while both have calls", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2 })
      const options: Group.Options = { pool: { maxConcurrent: 1, maxQueued: 10 } }
      const before = yield* Scope.make()
      const old = yield* make(memory, 0, options).pipe(Scope.provide(before))
      const one = new Work()
      yield* begin(old, one)
      const next = yield* make(memory, 0, options)
      yield* Scope.close(before, Exit.void)
      const two = new Work()
      yield* begin(next, two)
      assert.strictEqual(two.active, 0)
      yield* one.finish
      yield* until("it runs", () => two.active === 1)
    }))

  it.effect("has back what a member held that has died, and those who wait have it", () =>
    Effect.gen(function*() {
      const { a, b, memory } = yield* pair({ pool: { maxConcurrent: 2, maxQueued: 10 } })
      yield* begin(a, new Work())
      yield* begin(a, new Work())
      const work = new Work()
      for (let i = 0; i < 3; i++) yield* begin(b, work)
      yield* SharedLimits.release(memory, 0)
      yield* until("two run", () => work.active === 2)
      yield* turns(3)
      assert.strictEqual(work.active, 2)
    }))
})

it("a seat is taken as one however many there were before", () => {
  for (const before of [0x7fff_fffe, 0x7fff_ffff, -2, -1]) {
    const shared = SharedMemory.of(SharedLimits.make({ members: 1 }))!
    shared.words[seats] = before
    const region = shared.join("api", 0, 1)!
    const seat = shared.words[shared.of(region, 0) + Member.seat]!
    assert.isAbove(seat, handed)
    assert.strictEqual(seat & handed, 0)
  }
})

describe("a rate limit", () => {
  const admitted = Effect.fnUntraced(function*(count: number, each: (i: number) => Effect.Effect<unknown, unknown>) {
    let n = 0
    for (let i = 0; i < count; i++) if (Exit.isSuccess(yield* Effect.exit(each(i)))) n++
    return n
  })

  for (const algorithm of ["token-bucket", "fixed-window"] as const) {
    it.effect(`is one of all members, of the group and of each key (${algorithm})`, () =>
      Effect.gen(function*() {
        const { a, b } = yield* pair({
          pool: { maxConcurrent: 10 },
          rateLimit: { limit: 4, window: "1 second", algorithm }
        })
        const all = [a, b].map((group) => Command.make("all", () => Effect.void, { group }))
        const keyed = [a, b].map((group) =>
          // oxlint-disable-next-line no-unused-vars -- as it is meant
          Command.make("keyed", (_: string) => Effect.void, { group, rateLimit: { key: (key) => key } })
        )
        const counts = () =>
          Effect.all([
            admitted(10, (i) => all[i % 2]!()),
            admitted(10, (i) => keyed[i % 2]!("x")),
            admitted(10, (i) => keyed[i % 2]!("y"))
          ])
        assert.deepStrictEqual(yield* counts(), [4, 4, 4])
        yield* TestClock.adjust(500)
        const half = algorithm === "token-bucket" ? 2 : 0
        assert.deepStrictEqual(yield* counts(), [half, half, half])
        yield* TestClock.adjust(5000)
        assert.deepStrictEqual(yield* counts(), [4, 4, 4])
      }))
  }

  it.effect("of more keys than there is memory for forgets those that run out first, and no key is another's", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 1, maxKeys: 100 })
      const group = yield* make(memory, 0, { pool: { maxConcurrent: 1 }, rateLimit: { limit: 2, window: "1 minute" } })
      // oxlint-disable-next-line no-unused-vars -- as it is meant
      const call = Command.make("k", (_: string) => Effect.void, { group, rateLimit: { key: (key) => key } })
      yield* admitted(2, () => call("busy"))
      yield* TestClock.adjust(1)
      // Each has a token left, whether it was forgotten or not; what was used up runs out last.
      assert.strictEqual(yield* admitted(10_000, (i) => call(`user ${i}`)), 10_000)
      assert.strictEqual(yield* admitted(1, () => call("busy")), 0)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* admitted(3, () => call("busy")), 2)
    }))

  it.effect("that someone else keeps is asked there", () =>
    Effect.gen(function*() {
      const limiters = Layer.provide(RateLimiter.layer, RateLimiter.layerStoreMemory)
      const memory = SharedLimits.make({ members: 2 })
      const options: Group.Options = { pool: { maxConcurrent: 1 }, rateLimit: { limit: 1, window: "1 minute" } }
      const groups = yield* Effect.all([
        make(memory, 0, options).pipe(Effect.provide(limiters)),
        make(memory, 1, options)
      ])
      for (const group of groups) yield* Effect.void.pipe(Command.within(group, { key: "k" }))
    }))

  it.effect("of no group is the thread's own", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2 })
      for (const member of [0, 1]) {
        const limit = yield* RateLimit.make("api", { limit: 1, window: "1 minute" }).pipe(
          Effect.provide(SharedLimits.layer(memory, member))
        )
        yield* Effect.void.pipe(RateLimit.withLimit(limit))
      }
    }))
})

describe("12. what makes no sense is refused by name", () => {
  it("of the memory", () => {
    const refused = (options: Parameters<typeof SharedLimits.make>[0]) => {
      try {
        SharedLimits.make(options)
      } catch (error) {
        return error instanceof InvalidOptions.InvalidOptions ? error.problem : error
      }
      return undefined
    }
    assert.include(refused({ members: 0 }), "members")
    assert.include(refused({ members: 257 }), "members: expected at most 256")
    assert.include(refused({ members: Infinity }), "members")
    assert.include(refused({ members: 1, maxGroups: 0.5 }), "maxGroups")
    assert.include(refused({ members: 1, maxKeys: -1 }), "maxKeys")
  })

  it.effect("of a layer", () =>
    Effect.gen(function*() {
      const build = (memory: SharedArrayBuffer, member: number) =>
        Effect.map(
          Effect.sandbox(Effect.flip(Effect.sandbox(Layer.build(SharedLimits.layer(memory, member))))),
          String
        )
      assert.include(yield* build(new SharedArrayBuffer(1024), 0), "memory")
      assert.include(yield* build(SharedLimits.make({ members: 2 }), 2), "member")
      assert.include(yield* build(SharedLimits.make({ members: 2 }), -1), "member")
    }))
})
