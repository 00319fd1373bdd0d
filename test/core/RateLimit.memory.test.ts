import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "vitest"
import { MemoryLimiter } from "../../packages/core/src/internal/Limiter.ts"
import { Hands, settings } from "./limits.ts"

// Apart from the other tests of the limit, and from each other: they take a second each, without a pause.

const algorithms = ["token-bucket", "fixed-window"] as const

describe("in memory", { concurrent: false, timeout: 60_000 }, () => {
  it("a fraction of a millisecond for each token adds up to no lost token", () => {
    for (const [limit, window] of [[3, 1000], [7, 1000], [999, 10], [100_000, 1000]] as const) {
      const clock = new Hands()
      clock.pass(1e10) // four months up
      const limiter = new MemoryLimiter(settings({ limit, window }), clock)
      for (let round = 0; round < 3; round++) {
        let admitted = 0
        while (admitted <= limit && limiter.take("k", 1) === 0) admitted++
        assert.strictEqual(admitted, limit)
        clock.pass(window)
      }
    }
  })

  it("18. a million keys from user input: no more than maxKeys are kept, and the one in use is not forgotten", {
    timeout: 60_000
  }, () => {
    const clock = new Hands()
    const limiter = new MemoryLimiter(settings({ limit: 1, window: 60_000, maxKeys: 1000 }), clock)
    assert.strictEqual(limiter.take("busy", 1), 0)
    let [refused, forgotten] = [0, 0]
    for (let i = 0; i < 1_000_000; i++) {
      if (limiter.take(`user ${i}`, 1) > 0) refused++
      if (i % 500 === 0 && limiter.take("busy", 1) === 0) forgotten++
    }
    assert.deepStrictEqual({ refused, forgotten }, { refused: 0, forgotten: 0 })
    assert.strictEqual(limiter.size, 1000)
    // One that was forgotten starts anew.
    assert.strictEqual(limiter.take("user 0", 1), 0)
  })

  it("keys whose tokens are all back are dropped as traffic passes", () => {
    const clock = new Hands()
    const limiter = new MemoryLimiter(settings({ limit: 1, window: 1000 }), clock)
    for (let i = 0; i < 10_000; i++) limiter.take(`user ${i}`, 1)
    clock.pass(1000)
    for (let i = 0; i < 10_000; i++) limiter.take(`later ${i}`, 1)
    assert.strictEqual(limiter.size, 10_000)
  })

  for (const algorithm of algorithms) {
    it(`100,000 keys take no more than 20 MB (${algorithm})`, () => {
      setFlagsFromString("--expose-gc")
      const gc = runInNewContext("gc") as () => void
      const limiter = new MemoryLimiter(settings({ algorithm }), new Hands())
      gc()
      const before = getHeapStatistics().used_heap_size
      for (let i = 0; i < 100_000; i++) limiter.take(`tenant-${i}@example.com`, 1)
      gc()
      const bytes = getHeapStatistics().used_heap_size - before
      assert.strictEqual(limiter.size, 100_000)
      assert.isBelow(bytes, 20_000_000)
    })
  }
})
