// The floor on several cores: as one process, as two of `node:cluster`, or as two threads that listen on one port.
import cluster, { type Worker as Process } from "node:cluster"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { floor } from "./floor.ts"

export type Floor = "one process" | "two processes" | "two threads"

const listening = (server: Server, port: number, reusePort: boolean): Promise<number> =>
  new Promise((resolve) => {
    server.listen({ port, reusePort, host: "127.0.0.1", backlog: 4096 }, () => {
      resolve((server.address() as AddressInfo).port)
    })
  })

const thread = (upstream: string, port: number): Promise<number> =>
  new Promise((resolve) => {
    new Worker(new URL(import.meta.url), { workerData: { upstream, port } }).once("message", resolve)
  })

const process2 = (): Promise<{ readonly child: Process; readonly port: number }> =>
  new Promise((resolve) => {
    const child = cluster.fork()
    child.once("listening", ({ port }) => resolve({ child, port }))
  })

const begin = async (
  upstream: string,
  how: Floor
): Promise<{ readonly port: number; readonly pids: Array<number> }> => {
  if (how === "one process") return { port: await listening(floor(upstream), 0, false), pids: [process.pid] }
  if (how === "two threads") {
    const port = await thread(upstream, 0)
    return { port: await thread(upstream, port), pids: [process.pid] }
  }
  const [a, b] = [await process2(), await process2()]
  return { port: a.port, pids: [process.pid, a.child.process.pid!, b.child.process.pid!] }
}

const [, , upstream = "", how = "one process"] = process.argv
if (!isMainThread) {
  parentPort!.postMessage(await listening(floor(workerData.upstream), workerData.port, true))
} else if (cluster.isWorker) await listening(floor(upstream), 0, false)
else {
  process.on("disconnect", () => process.exit())
  process.send!(await begin(upstream, how as Floor))
}
