import { Command, Group, GroupSnapshot } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { mergeSnapshots } from "../../packages/gateway/src/internal/workers/mergeSnapshots.ts"

const options = {
  pool: { maxConcurrent: 3, maxQueued: 5 },
  circuit: { consecutive: 2 },
  retryBudget: { ratio: 0.2, perSecond: 10 },
  rateLimit: { limit: 100, window: "1 minute" }
} as const

/** A group as a worker has it, in which calls took so long. */
const worker = (millis: ReadonlyArray<number>, key = "k") =>
  Effect.gen(function*() {
    const group = yield* Group.make("a", options)
    for (const each of millis) {
      const fiber = yield* Effect.forkChild(Command.within(Effect.sleep(each), group, { key }), {
        startImmediately: true
      })
      yield* TestClock.adjust(each)
      yield* Fiber.join(fiber)
    }
    return group
  })

describe("mergeSnapshots", () => {
  it.effect("is a snapshot: counts add up, limits of the program stay, limits of workers add up", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* worker([10, 20]), yield* worker([30])]
      const [merged, ...others] = mergeSnapshots([[yield* GroupSnapshot.take(a)], [yield* GroupSnapshot.take(b)]])
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(Schema.decodeUnknownSync(GroupSnapshot.GroupSnapshot)(merged), merged)
      const { circuits, keys, pool, rateLimit, retryBudget, total } = merged!
      assert.deepStrictEqual([pool.maxConcurrent, pool.maxQueued, pool.admitted], [3, 10, 3])
      assert.strictEqual(total.calls, 3)
      assert.strictEqual(total.outcomes.success, 3)
      assert.deepStrictEqual(keys.map(({ calls, key }) => [key, calls]), [["k", 3]])
      assert.closeTo(total.latency!.meanMillis, 20, 0.1)
      assert.strictEqual(total.latency!.maxMillis, 30)
      assert.strictEqual(retryBudget.perSecond, 20)
      assert.strictEqual(retryBudget.ratio, 0.2)
      assert.strictEqual(rateLimit!.limit, 100)
      assert.deepStrictEqual(circuits!.circuits.map(({ circuit }) => circuit), ["k"])
    }))

  it.effect("each group stays one of its own, and each key", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* worker([10], "x"), yield* worker([30], "y")]
      const other = yield* GroupSnapshot.take(yield* Group.make("b", options))
      const merged = mergeSnapshots([[yield* GroupSnapshot.take(a), other], [yield* GroupSnapshot.take(b)]])
      assert.deepStrictEqual(merged.map(({ group, keys }) => [group, ...keys.map(({ key }) => key)]), [
        ["a", "x", "y"],
        ["b"]
      ])
    }))

  it.effect("of a circuit the worst is shown", () =>
    Effect.gen(function*() {
      const snapshot = yield* GroupSnapshot.take(yield* worker([10]))
      const circuit = (state: "open" | "closed" | "half-open") => ({
        ...snapshot,
        circuits: {
          circuits: [{ circuit: "k", state, forced: false, retryAfterMillis: state === "open" ? 7 : 0 }],
          omitted: 0,
          shared: false
        }
      })
      for (const order of [["closed", "open", "half-open"], ["open", "half-open", "closed"]] as const) {
        const [merged] = mergeSnapshots(order.map((state) => [circuit(state)]))
        assert.deepStrictEqual(merged!.circuits!.circuits, circuit("open").circuits.circuits)
      }
    }))

  it.effect("no limit stays none, and a hundred keys are shown of more", () =>
    Effect.gen(function*() {
      const snapshot = yield* GroupSnapshot.take(yield* Group.make("c", { pool: { maxConcurrent: Infinity } }))
      const keys = Array.from({ length: 80 }, (_, i) => ({ ...snapshot.total, key: `k${i}` }))
      const more = Array.from({ length: 80 }, (_, i) => ({ ...snapshot.total, key: `m${i}` }))
      const [merged] = mergeSnapshots([[{ ...snapshot, keys }], [{ ...snapshot, keys: more }]])
      assert.strictEqual(merged!.pool.maxConcurrent, null)
      assert.deepStrictEqual([merged!.keys.length, merged!.keysOmitted], [100, 60])
      assert.strictEqual(merged!.circuits, null)
      assert.strictEqual(merged!.rateLimit, null)
    }))

  it("of no worker nothing is known", () => {
    assert.deepStrictEqual(mergeSnapshots([]), [])
  })
})
