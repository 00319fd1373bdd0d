import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http2 from "node:http2"
import * as Frames from "../harness/Frames.ts"
import * as Gateway from "../harness/Gateway.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"

const { frame, nextOf, request, statusOf, types } = Frames
const { endHeaders, endStream } = Frames.flags

const open = (served: Pick<Served.Served, "connect">) =>
  Effect.gen(function*() {
    const client = yield* served.connect
    client.send(Buffer.concat([Frames.preface, Frames.settings()]))
    yield* nextOf(client, types.settings)
    client.send(frame(types.settings, Frames.flags.ack, 0))
    return client
  })

/** What an upstream of HTTP/1.1 answers, as a client of HTTP/2 sees it. */
const answered = (answer: string) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.answering(() => answer)
    const client = yield* open(yield* Served.proxying({ upstream: upstream.url }))
    client.send(request(1))
    return client
  })

describe("8. fields that Node takes for single ones pass to a client of HTTP/2 as often as they came", () => {
  it.live("in a head", () =>
    Effect.gen(function*() {
      const client = yield* answered(
        RawUpstream.response("x", "Server: a", "Server: b", "Last-Modified: a", "Age: 1", "Age: 2")
      )
      assert.strictEqual(statusOf(yield* nextOf(client, types.headers, 1)), 200)
    }))

  it.live("31. behind a body, where Node would end the process for it", () =>
    Effect.gen(function*() {
      const client = yield* answered(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nLast-Modified: a\r\nLast-Modified: b\r\n\r\n"
      )
      yield* nextOf(client, types.headers, 1)
      assert.strictEqual((yield* nextOf(client, types.headers, 1)).flags & endStream, endStream)
    }))
})

describe("31. a trailer that came twice, where Node would end the process for it", () => {
  const trailing =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nLast-Modified: a\r\nLast-Modified: b\r\n\r\n"

  it.live("ends the response of a client of HTTP/2, on a server of Node's own", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => trailing)
      const client = yield* open(
        yield* Gateway.start({ upstream: upstream.url }, { server: () => Http2.createServer() })
      )
      client.send(request(1))
      yield* nextOf(client, types.headers, 1)
      assert.strictEqual((yield* nextOf(client, types.headers, 1)).flags & endStream, endStream)
    }))
})

describe("24. a client of HTTP/2 does not keep a connection that nothing is served on", () => {
  const limits = { headTimeout: 100, bodyTimeout: 100, keepAlive: 200 }
  const connect: Parameters<typeof Frames.block>[0] = [[":method", "CONNECT"], [":authority", "a.test:443"]]
  const whole = request(1)
  const ways: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
    ["that says nothing", Buffer.alloc(0)],
    ["with half of a head", whole.subarray(0, 20)],
    ["with a head that is to be continued", frame(types.headers, 0, 1, whole.subarray(9))],
    ["with a CONNECT that does not end", frame(types.headers, endHeaders, 1, Frames.block(connect))],
    ["with an expectation that is none, and no end", request(1, [["expect", "x"]], { method: "POST", ends: false })]
  ]
  for (const [what, bytes] of ways) {
    it.live(what, () =>
      Effect.gen(function*() {
        const server = yield* Served.answering(limits)
        const client = yield* open(server)
        client.send(bytes)
        yield* client.until("the end", ({ gone }) => gone)
      }))
  }

  it.live("however often it asks whether anybody is there", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(limits)
      const client = yield* open(server)
      const pings = setInterval(() => client.send(frame(types.ping, 0, 0, Buffer.alloc(8))), 50)
      yield* Effect.ensuring(client.until("the end", ({ gone }) => gone), Effect.sync(() => clearInterval(pings)))
    }))

  it.live("but one whose answer takes its time is served", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(limits, Effect.as(Effect.sleep(1000), Served.ok))
      const client = yield* open(server)
      client.send(request(1))
      assert.strictEqual(statusOf(yield* nextOf(client, types.headers, 1)), 200)
    }))
})

describe("1. a target of HTTP/2 is a path, whatever the scheme is", () => {
  for (const path of ["http://evil.test/x", "https://evil.test/x", "*", "x"]) {
    it.live(path, () =>
      Effect.gen(function*() {
        let served = 0
        const server = yield* Served.answering({}, Effect.sync(() => (served++, Served.ok)))
        const client = yield* open(server)
        const head = [[":method", "GET"], [":scheme", "ftp"], [":authority", "a.test"], [":path", path]] as const
        client.send(frame(types.headers, endHeaders | endStream, 1, Frames.block(head)))
        const seen = yield* client.until("a refusal", ({ received }) => {
          const at = received.length < 9 ? undefined : received[3]
          if (at === undefined) return undefined
          const length = 9 + received.readUIntBE(0, 3)
          if (received.length < length) return undefined
          if (at === types.headers || at === types.reset) return { at, payload: received.subarray(9, length) }
          client.take(length)
          return undefined
        })
        if (seen.at === types.headers) assert.include([400, 404], statusOf(seen as never))
        assert.strictEqual(served, 0)
      }))
  }
})
