import { Effect } from "effect"
import * as Net from "node:net"
import { Worker } from "node:worker_threads"
import { eventually } from "./eventually.ts"

// It listens, and its event loop stands still from then on: nothing is ever accepted.
const listener = `
const { createServer } = require("node:net")
const { parentPort } = require("node:worker_threads")
const server = createServer()
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
`

/** What Linux queues with a backlog of one, and some to spare. */
const enough = 8

/**
 * The port of a listener that accepts nobody, and whose queue is full: a SYN to it is never answered, as if it went to a host that
 * drops what it is sent.
 */
export const fullBacklog = Effect.gen(function*() {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(listener, { eval: true })),
    (worker) => Effect.promise(() => worker.terminate())
  )
  const port = yield* Effect.callback<number>((resume) =>
    void worker.once("message", (port: number) => resume(Effect.succeed(port)))
  )
  const sockets = yield* Effect.acquireRelease(
    Effect.sync(() =>
      Array.from({ length: enough }, () => Net.connect({ port, host: "127.0.0.1" }).on("error", () => {}))
    ),
    (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  )
  // They were all sent in one turn, so whoever comes now comes after them.
  yield* eventually("a place in the queue", () => sockets.some(({ pending }) => !pending))
  return port
})
