import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Frames from "../harness/Frames.ts"
import { parse, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"
import type { Wire } from "../harness/Wire.ts"

const { frame, next, nextOf, request, statusOf, types, uint32 } = Frames
const { endStream } = Frames.flags

/** A client that has spoken, and been spoken to. */
const open = (served: Served.Served, ...settings: ReadonlyArray<readonly [number, number]>) =>
  Effect.gen(function*() {
    const client = yield* served.connect
    client.send(Buffer.concat([Frames.preface, Frames.settings(...settings)]))
    yield* nextOf(client, types.settings)
    client.send(frame(types.settings, Frames.flags.ack, 0))
    return client
  })

const status = (client: Wire, stream: number) => Effect.map(nextOf(client, types.headers, stream), statusOf)

/** The body of a stream's answer, to its end. */
const body = (client: Wire, stream: number) =>
  Effect.gen(function*() {
    const parts: Array<Buffer> = []
    for (;;) {
      const data = yield* nextOf(client, types.data, stream)
      parts.push(data.payload)
      if ((data.flags & endStream) !== 0) return Buffer.concat(parts).toString("latin1")
    }
  })

describe("27. HTTP/2 without TLS, with prior knowledge, on the port of HTTP/1.1", () => {
  it.live("both are served", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const second = yield* open(server)
      second.send(request(1))
      assert.strictEqual(yield* status(second, 1), 200)
      assert.strictEqual(yield* body(second, 1), "ok")
      const first = yield* server.connect
      first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      assert.strictEqual(String((yield* first.message()).body), "ok")
    }))

  it.live("the preface may come byte by byte", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const client = yield* server.connect
      for (const byte of Frames.preface) {
        client.send(Buffer.from([byte]))
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      client.send(Buffer.concat([Frames.settings(), request(1)]))
      assert.strictEqual(yield* status(client, 1), 200)
    }))

  it.live("it is off when told so: the preface is a 400", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ http2: false })
      const client = yield* server.connect
      client.send(Frames.preface)
      assert.match((yield* client.head).startLine, /^HTTP\/1.1 400 /)
    }))

  it.live("a client that closes is gone", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const client = yield* open(server)
      client.end()
      yield* client.until("the end", ({ closed }) => closed)
    }))
})

/** Between a client of HTTP/2 and an upstream of HTTP/1.1. */
const between = (script: RawUpstream.Script, options: Parameters<typeof Served.proxying>[1] = {}) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Served.proxying({ upstream: upstream.url }, options)
    return { upstream, gateway, client: yield* open(gateway) }
  })

describe("27. a request of HTTP/2, passed on as HTTP/1.1", () => {
  it.live("its authority is the forwarded host, its fields are the client's, its cookie crumbs are one, and there are no pseudo-fields", () =>
    Effect.gen(function*() {
      const seen: Array<Parameters<typeof values>[0] & { startLine: string }> = []
      const { client } = yield* between((wire) =>
        Effect.flatMap(wire.head, (head) =>
          Effect.sync(() => {
            seen.push(head)
            wire.send(RawUpstream.response("hello"))
          }))
      )
      client.send(
        request(1, [["cookie", "a=1"], ["x-a", "b"], ["cookie", "b=2"], ["te", "trailers"], ["x-a", "\xe9"]], {
          path: "/path?q=%2F"
        })
      )
      assert.strictEqual(yield* status(client, 1), 200)
      const [head] = seen
      assert.strictEqual(head!.startLine, "GET /path?q=%2F HTTP/1.1")
      assert.deepStrictEqual(values(head!, "cookie"), ["a=1; b=2"])
      assert.deepStrictEqual(values(head!, "x-a"), ["b", "\xe9"])
      assert.deepStrictEqual(values(head!, "te"), ["trailers"])
      assert.deepStrictEqual(values(head!, "x-forwarded-host"), ["gateway.test"])
      assert.deepStrictEqual(values(head!, "x-forwarded-proto"), ["http"])
      assert.deepStrictEqual(head!.fields.filter(([name]) => name.startsWith(":")), [])
    }))

  for (const length of [[], [["content-length", "10"]]] as const) {
    it.live(`a body streams up and down, ${length.length === 0 ? "without" : "with"} a length`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) =>
          Effect.gen(function*() {
            const message = yield* wire.message()
            wire.send(
              `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${
                message.body.length.toString(16)
              }\r\n${message.body}\r\n`
            )
            wire.send("3\r\nend\r\n0\r\n\r\n")
          })
        )
        client.send(request(1, length, { method: "POST", ends: false }))
        client.send(frame(types.data, 0, 1, Buffer.from("hello")))
        const wire = yield* upstream.wire(0)
        yield* wire.until("the first part", ({ text }) => text.includes("hello"))
        client.send(frame(types.data, endStream, 1, Buffer.from("world")))
        assert.strictEqual(yield* status(client, 1), 200)
        assert.strictEqual(yield* body(client, 1), "helloworldend")
        yield* gateway.becomes("0 active, 0 queued")
        assert.deepStrictEqual(yield* gateway.outcomes, { success: 1 })
      }))
  }

  it.live("16. an upstream that doesn't read closes the client's window", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* between((wire) => Effect.sync(() => wire.stopReading()))
      client.send(request(1, [], { method: "POST", ends: false }))
      yield* upstream.wire(0)
      // As much as the windows allow; updates come while somebody reads.
      let sent = 0
      let windows = [65_535, 65_535]
      const piece = Buffer.alloc(16_384)
      for (let quiet = 0; quiet < 100 && sent < 64 * 1024 * 1024;) {
        if (Math.min(...windows) >= piece.length) {
          client.send(frame(types.data, 0, 1, piece))
          sent += piece.length
          windows = windows.map((window) => window - piece.length)
        } else if (client.received.length >= 9) {
          quiet = 0
          const { payload, stream, type } = yield* next(client)
          if (type === types.window) windows[stream === 0 ? 0 : 1]! += payload.readUInt32BE(0)
        } else {
          quiet++
          yield* Effect.sleep(5)
        }
      }
      assert.isBelow(sent, 32 * 1024 * 1024)
    }))

  it.live("16. a client that doesn't read makes the upstream wait", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* between((wire) =>
        Effect.andThen(
          wire.head,
          Effect.sync(() => {
            wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`)
            wire.pour(64 * 1024 * 1024)
          })
        )
      )
      client.send(request(1))
      assert.strictEqual(yield* status(client, 1), 200)
      const wire = yield* upstream.wire(0)
      yield* wire.until("backpressure", ({ socket }) => socket.writableNeedDrain)
      assert.isBelow(wire.poured, 32 * 1024 * 1024)
    }))
})

const ways: ReadonlyArray<readonly [how: string, leave: (client: Wire) => void]> = [
  ["resets its stream", (client) => client.send(frame(types.reset, 0, 1, uint32(8)))],
  ["resets its stream with NO_ERROR", (client) => client.send(frame(types.reset, 0, 1, uint32(0)))],
  ["closes its connection", (client) => client.close()],
  ["resets its connection", (client) => client.reset()]
]

for (const [how, leave] of ways) {
  describe(`18. a client of HTTP/2 ${how}`, () => {
    it.live("before the head: the upstream is told, the permit is back, and it was an interruption", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(() => Effect.void)
        client.send(request(1))
        const wire = yield* upstream.wire(0)
        yield* wire.head
        leave(client)
        yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
        yield* gateway.becomes("0 active, 0 queued")
        assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
      }))

    for (const stuck of [false, true]) {
      it.live(`in the middle of ${stuck ? "a request body that nobody takes" : "a request body"}: the upstream sees no end of it, and it was an interruption`, () =>
        Effect.gen(function*() {
          const { client, gateway, upstream } = yield* between((wire) => Effect.sync(() => stuck && wire.stopReading()))
          client.send(request(1, [], { method: "POST", ends: false }))
          const wire = yield* upstream.wire(0)
          if (stuck) { for (let i = 0; i < 3; i++) client.send(frame(types.data, 0, 1, Buffer.alloc(16_384))) }
          else {
            client.send(frame(types.data, 0, 1, Buffer.from("hello")))
            yield* wire.until("the first part", ({ text }) => text.includes("hello"))
          }
          leave(client)
          wire.readOn()
          yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
          assert.isUndefined(parse(wire.received, { ended: wire.endedInOrder }), "it looks complete")
          yield* gateway.becomes("0 active, 0 queued")
          assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
        }))
    }

    it.live("in the middle of a response body: the upstream is told, the permit is back, and it was an interruption", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) =>
          Effect.andThen(wire.head, Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")))
        )
        client.send(request(1))
        yield* nextOf(client, types.data, 1)
        leave(client)
        const wire = yield* upstream.wire(0)
        yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
        yield* gateway.becomes("0 active, 0 queued")
        assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
      }))
  })
}

describe("HTTP/2: what breaks off, and what is refused", () => {
  it.live("17. the upstream resets mid-body: the stream is reset, and has no end", () =>
    Effect.gen(function*() {
      const { client } = yield* between((wire) =>
        Effect.andThen(
          wire.head,
          Effect.sync(() => {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
            setTimeout(() => wire.reset(), 20)
          })
        )
      )
      client.send(request(1))
      const first = yield* nextOf(client, types.data, 1)
      assert.strictEqual(first.flags & endStream, 0)
      const last = yield* next(client)
      assert.strictEqual(last.type, types.reset)
      assert.notStrictEqual(last.payload.readUInt32BE(0), 0)
    }))

  for (const [what, value] of [["a line break", "1\r\nx-b: 2"], ["a NUL", "1\x00"]] as const) {
    it.live(`11. a field with ${what} in its value never reaches the upstream: nghttp2 leaves it away`, () =>
      Effect.gen(function*() {
        const { client, upstream } = yield* between(() => Effect.void)
        client.send(request(1, [["x-a", value], ["x-c", "3"]]))
        const { fields } = yield* (yield* upstream.wire(0)).head
        assert.deepStrictEqual(fields.map(([name]) => name).filter((name) => /^x-.$/.test(name)), ["x-c"])
      }))
  }

  it.live("6. a body shorter than its content-length: the stream is reset, and the upstream sees no end", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* between(() => Effect.void)
      client.send(request(1, [["content-length", "10"]], { method: "POST", ends: false }))
      client.send(frame(types.data, 0, 1, Buffer.from("hello")))
      const wire = yield* upstream.wire(0)
      client.send(frame(types.data, endStream, 1, Buffer.from("you")))
      yield* nextOf(client, types.reset, 1)
      yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
      assert.isUndefined(parse(wire.received, { ended: wire.endedInOrder }))
    }))

  const malformed: ReadonlyArray<
    readonly [what: string, fields: Parameters<typeof request>[1], more?: Parameters<typeof request>[2]]
  > = [
    ["no authority", [], { authority: "" }],
    ["an authority with userinfo", [], { authority: "user@gateway.test" }],
    ["an authority that is a list", [], { authority: "gateway.test,<x>" }],
    ["an authority with a path", [], { authority: "gateway.test/x" }],
    ["connection", [["connection", "keep-alive"]]],
    ["transfer-encoding", [["transfer-encoding", "chunked"]]],
    ["upgrade", [["upgrade", "websocket"]]],
    ["te of something else than trailers", [["te", "gzip"]]],
    ["two content-lengths", [["content-length", "1"], ["content-length", "1"]]],
    ["a content-length that is no number", [["content-length", "+1"]]],
    ["a name in capitals", [["X-A", "1"]]],
    ["a pseudo-field behind a field", [["x-a", "1"], [":path", "/other"]]],
    ["two paths", [[":path", "/other"]]]
  ]
  for (const [what, fields, more] of malformed) {
    it.live(`1. ${what}: the stream is reset, and never served`, () =>
      Effect.gen(function*() {
        let served = 0
        const server = yield* Served.answering({}, Effect.sync(() => (served++, Served.ok)))
        const client = yield* open(server)
        client.send(request(1, fields, more))
        const { payload } = yield* nextOf(client, types.reset, 1)
        assert.strictEqual(payload.readUInt32BE(0), 1)
        assert.strictEqual(served, 0)
        // Nothing else of the connection changes.
        client.send(request(3))
        assert.strictEqual(yield* status(client, 3), 200)
      }))
  }

  const refused: ReadonlyArray<
    readonly [what: string, status: number, fields: Parameters<typeof request>[1], more?: Parameters<typeof request>[2]]
  > = [
    ["4. a Host that is another", 400, [["host", "other.test"]]],
    ["24. more fields than maxHeaders", 431, Array.from({ length: 20 }, () => ["x-a", "1"] as const)],
    ["24. more bytes than maxHeaderBytes", 431, [["x-a", "x".repeat(1000)]]],
    ["24. a longer target than maxUri", 414, [], { path: `/${"x".repeat(500)}` }],
    ["24. a content-length of more than maxBodySize", 413, [["content-length", "11"]], { method: "POST", ends: false }]
  ]
  for (const [what, code, fields, more] of refused) {
    it.live(`${what}: a ${code}, and a line in the log`, () =>
      Effect.gen(function*() {
        let served = 0
        const server = yield* Served.answering(
          { maxHeaderBytes: 1000, maxHeaders: 20, maxUri: 500, maxBodySize: 10 },
          Effect.sync(() => (served++, Served.ok))
        )
        const client = yield* open(server)
        client.send(request(1, fields, more))
        assert.strictEqual(yield* status(client, 1), code)
        assert.strictEqual(served, 0)
        const logs = yield* server.logged(`is refused with a ${code}`)
        assert.lengthOf(logs, 1)
      }))
  }

  it.live("24. a body that turns out longer than maxBodySize: a 413, and the upstream never sees an end", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between(() => Effect.void, { maxBodySize: 10 })
      client.send(request(1, [], { method: "POST", ends: false }))
      client.send(frame(types.data, 0, 1, Buffer.from("hello")))
      const wire = yield* upstream.wire(0)
      yield* wire.until("the first part", ({ text }) => text.includes("hello"))
      client.send(frame(types.data, endStream, 1, Buffer.from("world!")))
      assert.strictEqual(yield* status(client, 1), 413)
      yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
      assert.isUndefined(parse(wire.received, { ended: wire.endedInOrder }))
      yield* gateway.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
    }))

  it.live("24. a body of which nothing comes for bodyTimeout: a 408", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* between(() => Effect.void, { bodyTimeout: 150 })
      client.send(request(1, [], { method: "POST", ends: false }))
      client.send(frame(types.data, 0, 1, Buffer.from("hello")))
      assert.strictEqual(yield* status(client, 1), 408)
      yield* gateway.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
    }))

  it.live("24. after maxRequestsPerConnection a session is told to go, and what is under way is answered", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ maxRequestsPerConnection: 2 })
      const client = yield* open(server)
      client.send(request(1))
      assert.strictEqual(yield* status(client, 1), 200)
      client.send(request(3))
      const goaway = yield* nextOf(client, types.goaway)
      assert.strictEqual(goaway.payload.readUInt32BE(0), 3)
      assert.strictEqual(yield* status(client, 3), 200)
      yield* client.until("the end", ({ ended }) => ended)
    }))

  it.live("24. an idle session is told to go after keepAlive", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ keepAlive: 100 })
      const client = yield* open(server)
      yield* nextOf(client, types.goaway)
      yield* client.until("the end", ({ ended }) => ended)
      assert.deepStrictEqual(server.logs, [])
    }))

  it.live("an early answer: the rest of the body is not asked for, and the session goes on", () =>
    Effect.gen(function*() {
      const { client } = yield* between((wire) =>
        Effect.andThen(wire.head, Effect.sync(() => wire.send(RawUpstream.response("no"))))
      )
      client.send(request(1, [], { method: "POST", ends: false }))
      client.send(frame(types.data, 0, 1, Buffer.from("hello")))
      assert.strictEqual(yield* status(client, 1), 200)
      assert.strictEqual(yield* body(client, 1), "no")
      const reset = yield* nextOf(client, types.reset, 1)
      assert.strictEqual(reset.payload.readUInt32BE(0), 0)
      client.send(request(3))
      assert.strictEqual(yield* status(client, 3), 200)
    }))

  it.live("21. 100-continue: told when the body is wanted", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* between((wire) =>
        Effect.andThen(wire.message(), Effect.sync(() => wire.send(RawUpstream.response("done"))))
      )
      client.send(request(1, [["expect", "100-continue"]], { method: "POST", ends: false }))
      assert.strictEqual(yield* status(client, 1), 100)
      yield* upstream.wire(0)
      client.send(frame(types.data, endStream, 1, Buffer.from("hello")))
      assert.strictEqual(yield* status(client, 1), 200)
      assert.strictEqual(yield* body(client, 1), "done")
    }))

  it.live("an answer of the handler's own arrives whole", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(
        {},
        Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
          HttpServerResponse.text(`${request.method} ${request.url} ${request.headers["host"]}`))
      )
      const client = yield* open(server)
      client.send(request(1, [], { path: "/a?b" }))
      assert.strictEqual(yield* status(client, 1), 200)
      assert.strictEqual(yield* body(client, 1), "GET /a?b gateway.test")
    }))
})
