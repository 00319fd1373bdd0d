import { Command, Group, SharedLimits } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Work } from "./calls.ts"

/** Lets the bells ring: they come by the event loop, in no time. */
const untilRung = (what: string, isSo: () => boolean) =>
  Effect.gen(function*() {
    for (let i = 0; i < 1000 && !isSo(); i++) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    assert.isTrue(isSo(), what)
  })

/** A group of a name in each member. */
const groups = (memory: SharedArrayBuffer, count: number, options: Group.Options, name = "api") =>
  Effect.forEach(
    Array.from({ length: count }, (_, member) => member),
    (member) => Group.make(name, options).pipe(Effect.provide(SharedLimits.layer(memory, member)))
  )

const call = (group: Group.Group, work: Work) => work.run.pipe(Command.within(group, { key: "k" }))

describe("a pool", () => {
  it.effect("has one limit in all members", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2 })
      const [a, b] = yield* groups(memory, 2, { pool: { maxConcurrent: 2 } })
      const work = new Work()
      const one = yield* Effect.forkChild(call(a!, work), { startImmediately: true })
      const two = yield* Effect.forkChild(call(b!, work), { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(call(a!, work)))._tag, "PoolFull")
      assert.strictEqual((yield* Effect.flip(call(b!, work)))._tag, "PoolFull")
      yield* work.finish
      yield* Fiber.join(one)
      yield* Fiber.join(two)
      yield* call(b!, work)
    }))

  it.effect("hands a permit to a member that waits", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2 })
      const [a, b] = yield* groups(memory, 2, { pool: { maxConcurrent: 1, maxQueued: 5 } })
      const first = new Work()
      const second = new Work()
      yield* Effect.forkChild(call(a!, first), { startImmediately: true })
      const waits = yield* Effect.forkChild(call(b!, second), { startImmediately: true })
      assert.strictEqual(second.active, 0)
      yield* first.finish
      yield* untilRung("the call runs", () => second.active === 1)
      yield* second.finish
      yield* Fiber.join(waits)
    }))
})

describe("a rate limit", () => {
  it.effect("is one of all members, of the group and of each key", () =>
    Effect.gen(function*() {
      const memory = SharedLimits.make({ members: 2 })
      const both = yield* groups(memory, 2, {
        pool: { maxConcurrent: 10 },
        rateLimit: { limit: 3, window: "1 second" }
      })
      const all = both.map((group) => Command.make("all", () => Effect.void, { group }))
      const keyed = both.map((group) =>
        Command.make("keyed", (_key: string) => Effect.void, { group, rateLimit: { key: (key) => key } })
      )
      const count = Effect.fnUntraced(function*(each: (i: number) => Effect.Effect<void, unknown>) {
        let n = 0
        for (let i = 0; i < 10; i++) if ((yield* Effect.exit(each(i)))._tag === "Success") n++
        return n
      })
      assert.strictEqual(yield* count((i) => all[i % 2]!()), 3)
      assert.strictEqual(yield* count((i) => keyed[i % 2]!("x")), 3)
      assert.strictEqual(yield* count((i) => keyed[i % 2]!("y")), 3)
    }))
})
