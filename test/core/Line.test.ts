import { Command, Criticality, Group, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import type { PoolState } from "../../packages/core/src/internal/PoolState.ts"
import { afterFirstSleep, Work } from "./calls.ts"

const counts = (pool: Pool.Pool) =>
  Effect.map(Pool.statistics(pool), ({ active, overdue, queued }) => ({ active, overdue, queued }))

const idle = { active: 0, overdue: 0, queued: 0 }

describe("13. a constant number of queue steps", () => {
  const line = (waiters: number) =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: Infinity })
      const { line } = pool as PoolState
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
      const before = line.steps
      const call = Effect.void.pipe(Pool.withPermit(pool))
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < waiters; i++) fibers.push(yield* Command.queue(call))
      return { pool, line, work, fibers, perWaiter: (line.steps - before) / waiters }
    })

  const perGrant = (waiters: number) =>
    Effect.gen(function*() {
      const { line: { steps }, perWaiter, pool, work } = yield* line(waiters)
      yield* work.finish
      assert.deepStrictEqual(yield* counts(pool), idle)
      return { perWaiter, perGrant: ((pool as PoolState).line.steps - steps) / waiters }
    })

  it.effect("for a grant and a release, with 10 waiters as with 100,000", () =>
    Effect.gen(function*() {
      const few = yield* perGrant(10)
      const many = yield* perGrant(100_000)
      assert.isAtLeast(few.perGrant, 1)
      assert.isAtMost(few.perGrant, 5)
      assert.deepStrictEqual(many, few)
    }), 60_000)

  it.effect("for leaving from the middle, and for a look at the statistics", () =>
    Effect.gen(function*() {
      const leaving = (waiters: number) =>
        Effect.gen(function*() {
          const { fibers, line: queue, pool } = yield* line(waiters)
          const before = queue.steps
          fibers[waiters / 2]!.interruptUnsafe()
          yield* Pool.statistics(pool)
          return queue.steps - before
        })
      assert.strictEqual(yield* leaving(1000), yield* leaving(10))
    }))

  it.effect("27. for finding who gives way, and for a grant when all levels wait", () =>
    Effect.gen(function*() {
      const shedding = (waiters: number) =>
        Effect.gen(function*() {
          const pool = yield* Pool.make("p", { maxConcurrent: 1, maxQueued: waiters })
          const { line } = pool as PoolState
          const work = new Work()
          yield* Command.queue(work.run.pipe(Pool.withPermit(pool)))
          const call = (level: Criticality.Criticality) =>
            Effect.void.pipe(Pool.withPermit(pool), Criticality.provide(level), Effect.exit, Command.queue)
          for (let i = 0; i < waiters; i++) yield* call(Criticality.levels[1 + i % 3]!)
          const before = line.steps
          yield* call("critical-plus")
          const toShed = line.steps - before
          assert.strictEqual((yield* Pool.statistics(pool)).shed, 1)
          yield* work.finish
          return { toShed, toGrant: Math.ceil((line.steps - before - toShed) / waiters) }
        })
      const few = yield* shedding(12)
      assert.isAtMost(few.toShed, 15)
      assert.isAtMost(few.toGrant, 16)
      assert.deepStrictEqual(yield* shedding(60_000), few)
    }), 60_000)

  it.effect("and 50,000 waiting synchronous calls pass without a stack overflow", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 50_000, queueTimeout: 1000 } })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Command.within(group, { key: "first" })))
      let ran = 0
      const count = Effect.sync(() => {
        ran++
      })
      const call = count.pipe(Command.within(group, { key: "rest", timeout: 1000 }))
      const fibers: Array<Fiber.Fiber<void, unknown>> = []
      for (let i = 0; i < 50_000; i++) fibers.push(yield* Command.queue(call))
      yield* work.finish
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.strictEqual(ran, 50_000)
      assert.deepStrictEqual(yield* counts(group.pool), idle)
      assert.strictEqual((group as GroupState).timers.size, 0)
    }), 60_000)
})
