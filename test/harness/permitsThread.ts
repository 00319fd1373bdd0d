// A thread that takes permits and gives them back, as fast as it can, until it is terminated. It loads in no time: it knows no Effect.
import { parentPort, workerData } from "node:worker_threads"
import { SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import { SharedPermits } from "../../packages/core/src/internal/SharedPermits.ts"
import { SharedRegion } from "../../packages/core/src/internal/SharedRegion.ts"

const { counts, limit, member, memory: buffer } = workerData as {
  readonly memory: SharedArrayBuffer
  readonly counts: SharedArrayBuffer
  readonly limit: number
  readonly member: number
}
const done = new Int32Array(counts)
const memory = SharedMemory.of(buffer)!
const permits = new SharedPermits(new SharedRegion(memory, memory.join("api", member, limit)!, member), () => {})

const pool = {
  maxConcurrent: limit,
  active: 0,
  queued: 0,
  get wants() {
    return this.queued > 0 && this.active < this.maxConcurrent
  },
  get idle() {
    return false
  },
  leaveShared() {},
  serveLine() {
    for (; this.wants && permits.take(); this.queued--) this.active++
  }
}
permits.add(pool)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
parentPort!.postMessage("ready")

for (;;) {
  for (let i = 0; i < 1000; i++) {
    if (pool.queued < 10) {
      const isNext = pool.queued === 0 && pool.active < limit
      if (isNext && (permits.take() || permits.takeOrWait())) pool.active++
      else pool.queued++
    }
    if (pool.active > 0 && i % 2 === 0) {
      pool.active--
      permits.give()
      Atomics.add(done, member, 1)
    }
  }
  await new Promise((resolve) => setImmediate(resolve))
}
