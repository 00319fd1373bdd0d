// An upstream to try the gateway with: `node examples/upstream.ts`. It listens on 127.0.0.1, port 9700 (UPSTREAM_PORT).
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout } from "node:timers/promises"

let flaky = 0

const server = createServer(async (request, response) => {
  const json = (status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

  const path = request.url ?? "/"
  if (path.startsWith("/v1/slow")) {
    await setTimeout(5000)
    return json(200, { path, took: "5 seconds" })
  }
  // In the middle of its head: a connection that just closes could be one that was idle for too long, and is tried again.
  if (path.startsWith("/v1/flaky") && flaky++ % 3 === 0) return request.socket.end("HTTP/1.1 200 OK\r\n")
  // Whatever is sent comes back, as it comes.
  if (path.startsWith("/v1/echo")) return request.pipe(response)
  return json(200, { path, method: request.method, host: request.headers.host, node: process.version })
})

server.listen(Number(process.env["UPSTREAM_PORT"] ?? 9700), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})

// Started by the example gateway, it ends with it, however that ends.
if (process.argv.includes("--with-parent")) process.stdin.resume().on("end", () => process.exit())
