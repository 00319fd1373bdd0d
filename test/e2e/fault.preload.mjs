/**
 * Given to the program by `node --import`, in a test: a request can have the worker that takes it die, in one of the ways in which
 * threads die. Node tells of each request before the program sees it.
 */
import { subscribe } from "node:diagnostics_channel"
import { isMainThread } from "node:worker_threads"

const fill = () => {
  const kept = []
  for (;;) kept.push(Array.from({ length: 100_000 }, (_, i) => ({ i })))
}

if (!isMainThread) {
  subscribe("http.server.request.start", ({ request }) => {
    if (request.url === "/fault/throw") setImmediate(() => { throw new Error("a fault of the test") })
    if (request.url === "/fault/exit") process.exit(7)
    if (request.url === "/fault/memory") fill()
    while (request.url === "/fault/hang");
  })
}
