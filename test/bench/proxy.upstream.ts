// What `proxy.ts` sends to, in a process of its own. It is written for bytes, not for show: parsing is done by Node, and each answer is
// one write, or one write after the other as the connection takes them.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { pipeline, Readable } from "node:stream"
import { chunks } from "./memory.body.ts"

/** The body of a small answer: 91 bytes, and how its end is told from anything else that a proxy may write. */
export const small = Buffer.from(
  JSON.stringify({ id: 1, name: "somebody who uses a service", email: "user@intra.service.com", end: "~~~~" })
)

const whole = new Map<number, Buffer>()

const bytes = (size: number): Buffer => {
  let known = whole.get(size)
  if (known === undefined) whole.set(size, known = Buffer.concat([...chunks(size)]))
  return known
}

const answer = (request: IncomingMessage, response: ServerResponse): void => {
  const sized = /^\/bytes\/(\d+)/.exec(request.url!)
  if (sized !== null) {
    const size = Number(sized[1])
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": size })
    if (size <= 64 * 1024) response.end(bytes(size))
    else pipeline(Readable.from(chunks(size)), response, () => {})
  } else {
    response.writeHead(200, { "content-type": "application/json", "content-length": small.length })
    response.end(small)
  }
}

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  if (request.url === "/never") return
  if (request.method === "GET") return answer(request, response)
  request.resume()
  request.on("end", () => answer(request, response))
})

server.listen(0, "127.0.0.1", 4096, () => process.send!({ port: (server.address() as AddressInfo).port }))
process.on("disconnect", () => process.exit())
