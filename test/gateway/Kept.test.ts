import { Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { groupOf, makeKept } from "../../packages/gateway/src/internal/Kept.ts"

const plan = (maxConcurrent: number, failures = 1) => ({
  name: "few",
  path: ["groups", "few"],
  options: { pool: { maxConcurrent }, circuit: { minimumCalls: failures } }
})

describe("a group that is kept", () => {
  it.effect("remembers nothing of those that were before, however many", () =>
    Effect.gen(function*() {
      const kept = yield* makeKept
      for (let i = 1; i <= 50; i++) {
        const scope = yield* Scope.make()
        yield* Scope.provide(groupOf(kept, plan(i, i)), scope)
        yield* Scope.close(scope, Exit.void)
      }
      assert.strictEqual(kept.sizes.size, 0)
    }))

  it.effect("has the size that an operator has given it, until the file says another one", () =>
    Effect.gen(function*() {
      const kept = yield* makeKept
      const { group } = yield* groupOf(kept, plan(4))
      const size = Effect.map(Pool.statistics(group.pool), ({ maxConcurrent }) => maxConcurrent)
      yield* Pool.resize(group.pool, { maxConcurrent: 2 })
      const same = yield* groupOf(kept, plan(4))
      assert.strictEqual(same.group, group)
      yield* same.resize(false)
      assert.strictEqual(yield* size, 2)
      yield* (yield* groupOf(kept, plan(5))).resize(false)
      assert.strictEqual(yield* size, 5)
    }))

  it.effect("is told its size when it comes back to a config that did not have it, though it was still there", () =>
    Effect.gen(function*() {
      const kept = yield* makeKept
      const { group } = yield* groupOf(kept, plan(4))
      yield* Pool.resize(group.pool, { maxConcurrent: 2 })
      yield* (yield* groupOf(kept, plan(4))).resize(true)
      assert.strictEqual((yield* Pool.statistics(group.pool)).maxConcurrent, 4)
    }))
})
