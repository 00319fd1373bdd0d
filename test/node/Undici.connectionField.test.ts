import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
const bodies = {
  "a length": `Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  "chunks": `Transfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
}
const named = [
  "transfer-encoding",
  "content-length",
  "Transfer-Encoding, Content-Length",
  "close, transfer-encoding",
  "host, content-length, te, trailer",
  "content-length ,, , transfer-encoding",
  "x-a\r\nConnection: transfer-encoding\r\nConnection: content-length"
]

describe("3. what Connection names never unframes a message", { timeout: 30_000 }, () => {
  for (const [framing, body] of Object.entries(bodies)) {
    for (const names of named) {
      it.live(`a request with ${framing}, and Connection: ${JSON.stringify(names)}`, () =>
        Effect.gen(function*() {
          const seen: Array<HttpMessage> = []
          const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
          const gateway = yield* Gateway.start({ upstream: upstream.url })
          const client = yield* gateway.connect
          client.send(`POST / HTTP/1.1\r\nHost: a\r\nConnection: ${names}\r\nX-A: 1\r\n${body}`)
          assert.strictEqual(status(yield* client.message()), 200)
          yield* gateway.quiet
          assert.deepStrictEqual(seen.map(({ body, framing, startLine }) => [startLine, framing, body.toString()]), [
            ["POST / HTTP/1.1", framing === "chunks" ? "chunked" : "length", smuggled]
          ])
          assert.lengthOf(values(seen[0]!, "host"), 1)
          assert.deepStrictEqual(values(seen[0]!, "connection"), ["keep-alive"])
          assert.deepStrictEqual(values(seen[0]!, "x-a"), names.startsWith("x-a") ? [] : ["1"])
        }))

      it.live(`a response with ${framing}, and Connection: ${JSON.stringify(names)}`, () =>
        Effect.gen(function*() {
          const upstream = yield* RawUpstream.answering(() =>
            `HTTP/1.1 200 OK\r\nConnection: ${names}\r\nX-A: 1\r\n${body}`
          )
          const gateway = yield* Gateway.start({ upstream: upstream.url })
          const client = yield* gateway.connect
          for (let i = 0; i < 2; i++) {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            const got = yield* client.message()
            assert.strictEqual(status(got), 200)
            assert.strictEqual(got.framing, framing === "chunks" ? "chunked" : "length")
            assert.strictEqual(got.body.toString(), smuggled)
            assert.strictEqual(client.text, "")
          }
        }))
    }
  }
})
