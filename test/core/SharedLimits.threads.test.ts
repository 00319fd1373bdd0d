import { SharedLimits } from "@blackgate/core"
import { Effect } from "effect"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { assert, describe, it, onTestFinished } from "vitest"
import { directory, Member, Region, SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import { Count, type Data, type Load, type Taken, type Tokens } from "../harness/limitsThread.ts"

// Real threads. They count what runs at once for themselves, in a memory of the test's.

const start = ({ counts, member, memory, task }: Data) => {
  const worker = new Worker(new URL("../harness/limitsThread.ts", import.meta.url), {
    workerData: { counts, member, memory, task }
  })
  const said: Array<unknown> = []
  worker.on("message", (message) => said.push(message))
  const ended = once(worker, "exit")
  return {
    worker,
    ready: once(worker, "message"),
    /** What it has said last, when it is over. */
    end: async () => {
      await ended
      return said.at(-1)
    }
  }
}

const memories = (members: number, options: { readonly maxKeys?: number } = {}) => {
  const memory = SharedLimits.make({ members, maxGroups: 4, ...options })
  const counts = new SharedArrayBuffer(256)
  const { words } = SharedMemory.of(memory)!
  const region = SharedMemory.of(memory)!.region(0)
  return {
    memory,
    counts,
    words: new Int32Array(counts),
    total: () => Atomics.load(words, region + Region.total),
    held: (member: number) => Atomics.load(words, SharedMemory.of(memory)!.of(region, member) + Member.held),
    seat: (member: number) => Atomics.load(words, SharedMemory.of(memory)!.of(region, member) + Member.seat)
  }
}

const load = (maxConcurrent: number, more: Partial<Load> = {}): Load => ({
  do: "calls",
  group: { pool: { maxConcurrent, maxQueued: Infinity } },
  atOnce: 20,
  calls: 3000,
  turns: 1,
  ...more
})

/** Until something has happened in other threads, which takes no time of this one's. */
const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

describe("threads", { concurrent: false, timeout: 60_000 }, () => {
  for (const k of [1, 3]) {
    it(`4. never run more than ${k} at once, do run so many, and every call ends`, async () => {
      const all = memories(4)
      const threads = [0, 1, 2, 3].map((member) => start({ ...all, member, task: load(k) }))
      for (const { end } of threads) assert.deepStrictEqual(await end(), [])
      assert.strictEqual(all.words[Count.most], k)
      assert.deepStrictEqual(Array.from(all.words.slice(Count.done, Count.done + 4)), [3000, 3000, 3000, 3000])
      assert.strictEqual(all.total(), 0)
    })
  }

  it("one that has one call at a time gets its permits while another is always busy", async () => {
    const all = memories(2)
    const busy = start({ ...all, member: 0, task: load(1, { atOnce: 200, calls: Infinity }) })
    await busy.ready
    const few = start({ ...all, member: 1, task: load(1, { atOnce: 1, calls: 200 }) })
    assert.deepStrictEqual(await few.end(), [])
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
    busy.worker.postMessage("stop")
    assert.deepStrictEqual(await busy.end(), [])
    assert.strictEqual(all.words[Count.done + 1], 200)
  })

  it("that are terminated between any two steps, 50 in a row, leave nothing that is held", async () => {
    const all = memories(3)
    const done = (member: number) => Atomics.load(all.words, member)
    const begin = async (member: number) => {
      const worker = new Worker(new URL("../harness/permitsThread.ts", import.meta.url), {
        workerData: { memory: all.memory, counts: all.counts, limit: 3, member }
      })
      await once(worker, "message")
      return worker
    }
    const end = async (member: number) => {
      await threads[member]!.terminate()
      await Effect.runPromise(SharedLimits.release(all.memory, member))
      assert.deepStrictEqual([all.held(member), all.seat(member)], [0, 0])
    }
    const threads = await Promise.all([0, 1, 2].map(begin))
    for (let i = 0; i < 50; i++) {
      await end(i % 3)
      // The others go on, and so does the next of this number.
      threads[i % 3] = await begin(i % 3)
      const before = [0, 1, 2].map(done)
      await until(() => before.every((count, member) => done(member) > count + 7 * i))
    }
    for (const member of [0, 1, 2]) await end(member)
    assert.strictEqual(all.total(), 0)
  })

  it("that are terminated with calls that run and calls that wait: the group goes on without them", async () => {
    const all = memories(3)
    const task = load(4, { calls: Infinity })
    const stays = start({ ...all, member: 0, task })
    await stays.ready
    for (let i = 0; i < 3; i++) {
      const [one, two] = [1, 2].map((member) => start({ ...all, member, task }))
      for (const member of [1, 2]) {
        const done = Atomics.load(all.words, Count.done + member)
        await until(() => Atomics.load(all.words, Count.done + member) > done + 10)
      }
      await Promise.all([one!.worker.terminate(), two!.worker.terminate()])
      for (const member of [1, 2]) await Effect.runPromise(SharedLimits.release(all.memory, member))
      const others = Atomics.load(all.words, Count.done)
      await until(() => Atomics.load(all.words, Count.done) > others + 10)
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
    stays.worker.postMessage("stop")
    assert.deepStrictEqual(await stays.end(), [])
    assert.strictEqual(all.total(), 0)
  })

  for (const algorithm of ["token-bucket", "fixed-window"] as const) {
    it(`take as many tokens as the limit says, of the group and of each key (${algorithm})`, async () => {
      const all = memories(3)
      const task: Tokens = {
        do: "tokens",
        limit: 2000,
        window: 2000,
        algorithm,
        keys: [undefined, "a", "b"],
        millis: 1000
      }
      const said = await Promise.all([0, 1, 2].map((member) => start({ ...all, member, task }).end())) as Array<Taken>
      for (let i = 0; i < task.keys.length; i++) {
        const of = said.map((taken) => taken[i]!)
        const admitted = of.reduce((sum, { admitted }) => sum + admitted, 0)
        const rate = task.limit / task.window
        const first = Math.min(...of.map(({ first }) => first))
        const most = task.limit + rate * (Math.max(...of.map(({ lastAdmitted }) => lastAdmitted)) - first)
        assert.isAtMost(admitted, most + 0.01)
        const least = algorithm === "fixed-window"
          ? task.limit
          : task.limit - 1 + rate * (Math.max(...of.map(({ lastRefused }) => lastRefused)) - first)
        // While all are held up, by a machine that is busy, it may be full and gain nothing.
        assert.isAtLeast(admitted, least - 100)
      }
    })
  }

  it(
    "two that died at once, one of them with the lock of the directory, are buried by one thread",
    { timeout: 10_000 },
    async () => {
      const { memory } = memories(3)
      SharedMemory.of(memory)!.lock(directory, 1)
      const worker = new Worker(new URL("../harness/releaseThread.ts", import.meta.url), {
        workerData: { memory, members: [0, 1] }
      })
      onTestFinished(async () => void (await worker.terminate()))
      // One that waits for itself says nothing.
      const [said] = await once(worker, "message")
      assert.strictEqual(said, "done")
    }
  )

  it("go on when one has died that held a lock", async () => {
    const all = memories(3)
    const memory = SharedMemory.of(all.memory)!
    const lock = memory.join("api", 2, Infinity)! + Region.lock
    memory.lock(lock, 2)
    const task: Tokens = {
      do: "tokens",
      limit: 5,
      window: 60_000,
      algorithm: "token-bucket",
      keys: [undefined],
      millis: 1
    }
    const one = start({ ...all, member: 0, task })
    // It sleeps, and has said so.
    await until(() => Atomics.load(memory.words, lock) % 2 === 1)
    await Effect.runPromise(SharedLimits.release(all.memory, 2))
    const [taken] = await one.end() as Taken
    assert.isAtLeast(taken!.admitted, 1)
    assert.strictEqual(Atomics.load(memory.words, lock), 0)
  })
})
