// A thread that gives back what members had that have died, all at once, as one that looks after others does.
import { SharedLimits } from "@blackgate/core"
import { Effect } from "effect"
import { parentPort, workerData } from "node:worker_threads"

const { members, memory } = workerData as {
  readonly memory: SharedArrayBuffer
  readonly members: ReadonlyArray<number>
}
const release = (member: number) => SharedLimits.release(memory, member)
await Effect.runPromise(Effect.forEach(members, release, { concurrency: "unbounded", discard: true }))
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
parentPort!.postMessage("done")
