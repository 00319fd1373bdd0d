// A thread that speaks as a worker does, and fails as it is told: by the name of its config file, a script in JSON.
import { parentPort, workerData } from "node:worker_threads"
import { SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import { SharedRegion } from "../../packages/core/src/internal/SharedRegion.ts"
import { Beat, type Beginning, type Question, type Word } from "../../packages/gateway/src/internal/workers/protocol.ts"

/** What becomes of what. */
export type Fault = "exit" | "hang" | "refuse" | "is slow" | "builds"

/** What a config has of one worker. */
export interface Script {
  readonly version: number
  readonly prepare?: Fault
  readonly commit?: Fault
  readonly drain?: Fault
  /** How many permits it takes of the group `api`, and keeps. */
  readonly permits?: number
  /** An expression: what it posts, or throws, when it listens. */
  readonly posts?: string
  readonly throws?: string
}

/** By the numbers of the workers. */
export type Scripts = { readonly [worker: number]: Script }

const { limits, pulse, source, worker } = workerData as Beginning
const port = parentPort!
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
const say = (word: Word) => port.postMessage(word)
const scriptOf = (file: string): Script => (JSON.parse(file) as Scripts)[worker]!
const evaluated = (expression: string): unknown => new Function(`return ${expression}`)()

const beats = new Int32Array(pulse.words)
const beat = () => Atomics.add(beats, Beat.count, 1)
setInterval(beat, pulse.every).unref()
beat()

let script = scriptOf(source.file)
let next = script

const block = (millis: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)

const meet = (id: number, fault: Fault | undefined, value: unknown) => {
  if (fault === "exit") process.exit(7)
  // oxlint-disable-next-line no-constant-condition -- it hangs
  if (fault === "hang") { while (true); }
  if (fault === "is slow") block(5 * pulse.every)
  if (fault === "builds") {
    Atomics.store(beats, Beat.isBuilding, 1)
    block(30 * pulse.every)
    Atomics.store(beats, Beat.isBuilding, 0)
  }
  if (fault === "refuse") return say({ _tag: "refusal", id, error: { _tag: "Refused", message: "it is told to" } })
  say({ _tag: "answer", id, value })
}

port.on("message", ({ ask, id, value }: Question) => {
  switch (ask) {
    case "prepare":
      next = scriptOf(value.file)
      return meet(id, next.prepare, {})
    case "commit":
      script = next
      return meet(id, script.commit, [])
    case "routes":
      return say({ _tag: "answer", id, value: [script.version] })
    case "drain":
      if (script.drain === undefined) process.exit(0)
      return meet(id, script.drain, undefined)
    default:
      return say({ _tag: "answer", id, value: ask === "isReady" })
  }
})

if (script.permits !== undefined) {
  const memory = SharedMemory.of(limits)!
  const region = new SharedRegion(memory, memory.join("api", worker - 1, 10)!, worker - 1)
  for (let i = 0; i < script.permits; i++) region.take()
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
if (script.posts !== undefined) { for (const said of evaluated(script.posts) as Array<unknown>) port.postMessage(said) }
say({ _tag: "listens", addresses: ["http://127.0.0.1:1"], ports: {} })
if (script.throws !== undefined) {
  setTimeout(() => {
    throw evaluated(script.throws!)
  }, 50)
}
