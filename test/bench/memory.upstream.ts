// What `memory.ts` sends to and receives from, in a process of its own.
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { pipeline, Readable } from "node:stream"
import { chunks } from "./memory.body.ts"

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url!, "http://upstream")
  switch (pathname) {
    case "/download":
      response.writeHead(200, { "content-type": "application/octet-stream" })
      return void pipeline(Readable.from(chunks(Number(searchParams.get("bytes")))), response, () => {})
    case "/upload": {
      let received = 0
      request.on("data", (chunk: Buffer) => {
        received += chunk.length
      })
      return void request.on("end", () => response.end(String(received)))
    }
    default:
      return void pipeline(request, response, () => {})
  }
})

server.listen(0, "127.0.0.1", () => process.send!({ port: (server.address() as AddressInfo).port }))
process.on("disconnect", () => process.exit())
