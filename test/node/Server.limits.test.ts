import type { Server } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
const post = (...fields: ReadonlyArray<string>) => ["POST / HTTP/1.1", "Host: a", ...fields, "", ""].join("\r\n")

/** Sends something to a server that has a limit, and answers what came of it. */
const refused = (options: Server.Options, bytes: string) =>
  Effect.gen(function*() {
    const server = yield* Served.answering(options)
    const client = yield* server.connect
    client.send(bytes)
    const answer = yield* client.message()
    yield* client.until("the end", ({ ended }) => ended)
    yield* server.logged("is refused")
    assert.lengthOf(server.logs, 1)
    return { status: status(answer), log: server.logs[0]! }
  })

describe("24. the limits of a head", () => {
  it.live("431: more bytes than maxHeaderBytes", () =>
    Effect.gen(function*() {
      const { log, status } = yield* refused(
        { maxHeaderBytes: 1000 },
        `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(1000)}\r\n\r\n`
      )
      assert.strictEqual(status, 431)
      assert.include(log, "longer than 1000 bytes")
    }))

  it.live("431: a head without an end, as soon as it is too long", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        (yield* refused({ maxHeaderBytes: 1000 }, `GET / HTTP/1.1\r\nX: ${"x".repeat(1000)}`)).status,
        431
      )
    }))

  it.live("431: trailers that are too long", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const server = yield* Served.answering({ maxHeaderBytes: 1000 }, gate.answer)
      const client = yield* server.connect
      client.send(`${post("Transfer-Encoding: chunked")}0\r\nX: ${"x".repeat(2000)}`)
      assert.strictEqual(status(yield* client.message()), 431)
      yield* client.until("the end", ({ ended }) => ended)
      gate.open()
    }))

  it.live("431: more fields than maxHeaders; not one fewer", () =>
    Effect.gen(function*() {
      const fields = (count: number) => `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(count - 1)}\r\n`
      const { log, status: code } = yield* refused({ maxHeaders: 10 }, fields(11))
      assert.strictEqual(code, 431)
      assert.include(log, "more than 10 header fields")
      const server = yield* Served.answering({ maxHeaders: 10 })
      const client = yield* server.connect
      client.send(fields(10))
      assert.strictEqual(status(yield* client.message()), 200)
    }))

  it.live("every field that is allowed arrives: none of them is left away", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(
        { maxHeaders: 3000, maxHeaderBytes: 65_536 },
        Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(String(Object.keys(headers).length)))
      )
      const client = yield* server.connect
      const fields = Array.from({ length: 2500 }, (_, i) =>
        `x-${i}: y`)
      client.send(`GET / HTTP/1.1\r\nHost: a\r\n${fields.join("\r\n")}\r\n\r\n`)
      assert.strictEqual(String((yield* client.message()).body), "2501")
    }))

  it.live("414: a longer target than maxUri; not one byte shorter", () =>
    Effect.gen(function*() {
      const target = (length: number) => `GET /${"x".repeat(length - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`
      const { log, status: code } = yield* refused({ maxUri: 100 }, target(101))
      assert.strictEqual(code, 414)
      assert.include(log, "longer than 100 bytes")
      const server = yield* Served.answering({ maxUri: 100 })
      const client = yield* server.connect
      client.send(target(100))
      assert.strictEqual(status(yield* client.message()), 200)
    }))

  it.live("414: a target that the whole head has no room for", () =>
    Effect.gen(function*() {
      const { status } = yield* refused({ maxUri: 100, maxHeaderBytes: 1000 }, `GET /${"x".repeat(5000)}`)
      assert.strictEqual(status, 414)
    }))

  it.live("408: a head that takes longer than headTimeout, however steadily it comes", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ headTimeout: 150 })
      const client = yield* server.connect
      client.send("GET / HTTP/1.1\r\nHost: a\r\n")
      const drip = setInterval(() => client.send("X: y\r\n"), 10)
      const answer = yield* client.head
      clearInterval(drip)
      assert.strictEqual(status(answer), 408)
      yield* client.until("the end", ({ closed, ended }) => closed || ended)
      yield* server.logged("408: its request head took too long")
    }))

  it.live("408: a connection that says nothing, or begins like HTTP/2 and stops", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ headTimeout: 150 })
      for (const bytes of ["", "PRI * HT"]) {
        const client = yield* server.connect
        client.send(bytes)
        assert.strictEqual(status(yield* client.message()), 408)
        yield* client.until("the end", ({ ended }) => ended)
      }
      yield* eventually("both lines", () => server.logs.length === 2)
    }))

  it.live("408: a second head on a connection that was fine", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ headTimeout: 150 })
      const client = yield* server.connect
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      client.send("GET / HTTP/1.1\r\nHost:")
      assert.strictEqual(status(yield* client.message()), 408)
    }))

  it.live("whoever speaks slowly keeps nobody else waiting", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      for (let i = 0; i < 200; i++) (yield* server.connect).send("GET / HTTP/1.1\r\nX")
      const client = yield* server.connect
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
    }))
})

describe("24. the limits of a body", () => {
  it.live("413: a Content-Length of more than maxBodySize, before any of it is read", () =>
    Effect.gen(function*() {
      const { log, status } = yield* refused({ maxBodySize: 10 }, post("Content-Length: 11"))
      assert.strictEqual(status, 413)
      assert.include(log, "longer than 10 bytes")
    }))

  it.live("413: chunks that are more than maxBodySize together; the upstream never sees an end, and it was not its failure", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Served.proxying({ upstream: upstream.url }, { maxBodySize: 10 })
      const client = yield* gateway.connect
      client.send(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n`)
      const wire = yield* upstream.wire(0)
      yield* wire.until("the first part", ({ text }) => text.includes("hello"))
      client.send("6\r\nworld!\r\n0\r\n\r\n")
      assert.strictEqual(status(yield* client.message()), 413)
      yield* client.until("the end", ({ ended }) => ended)
      yield* wire.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      assert.notInclude(wire.text, "0\r\n\r\n")
      yield* gateway.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
      assert.lengthOf(gateway.logs, 1)
    }))

  it.live("413: the same for a handler of any kind", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(
        { maxBodySize: 10 },
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          Effect.match(request.text, { onFailure: () => Served.ok, onSuccess: () => Served.ok }))
      )
      const client = yield* server.connect
      client.send(`${post("Transfer-Encoding: chunked")}b\r\nhello world\r\n0\r\n\r\n`)
      assert.strictEqual(status(yield* client.message()), 413)
      yield* client.until("the end", ({ ended }) =>
        ended)
    }))

  it.live("413: who reads the body only afterwards sees no end of it either", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const read: Array<string> = []
      const server = yield* Served.answering(
        { maxBodySize: 10 },
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          yield* gate.answer
          read.push(yield* Effect.orDie(request.text))
          return Served.ok
        }).pipe(Effect.uninterruptible)
      )
      const client = yield* server.connect
      client.send(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n`)
      assert.strictEqual(status(yield* client.message()), 413)
      gate.open()
      yield* client.until("the end", ({ ended }) => ended)
      client.close()
      yield* eventually("the end of the connection", () => Effect.runSync(server.server.connections) === 0)
      assert.deepStrictEqual(read, [])
    }))

  for (const where of ["a route's", "another server's"]) {
    it.live(`413: ${where} maxBodySize, known beforehand or not; the upstream never sees an end, and it was not its failure`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make(() => Effect.void)
        const route = { upstream: upstream.url, maxBodySize: 10 }
        const gateway = where === "a route's" ? yield* Served.proxying(route) : yield* Gateway.start(route)
        const known = yield* gateway.connect
        known.send(post("Content-Length: 11"))
        assert.strictEqual(status(yield* known.message()), 413)
        assert.strictEqual(upstream.wires.length, 0)
        const client = yield* gateway.connect
        client.send(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n`)
        const wire = yield* upstream.wire(0)
        yield* wire.until("the first part", ({ text }) => text.includes("hello"))
        client.send("6\r\nworld!\r\n0\r\n\r\n")
        assert.strictEqual(status(yield* client.message()), 413)
        yield* wire.until("the upstream to be told", ({ closed, ended }) => closed || ended)
        assert.notInclude(wire.text, "0\r\n\r\n")
        yield* gateway.becomes("0 active, 0 queued")
        const { outcomes } = gateway
        assert.deepStrictEqual(yield* Effect.isEffect(outcomes) ? outcomes : outcomes(), { interrupted: 1 })
        assert.deepStrictEqual(gateway.logs, Array(2).fill("a request was refused: its body is longer than 10 bytes"))
      }))
  }

  it.live("a body of just maxBodySize passes, in one piece or in chunks", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(({ body }) => RawUpstream.response(String(body)))
      const gateway = yield* Served.proxying({ upstream: upstream.url, maxBodySize: 10 }, { maxBodySize: 10 })
      const client = yield* gateway.connect
      client.send(`${post("Content-Length: 10")}helloworld`)
      assert.strictEqual(String((yield* client.message()).body), "helloworld")
      client.send(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n`)
      assert.strictEqual(String((yield* client.message()).body), "helloworld")
    }))

  it.live("an answer that has begun breaks off, when the body turns out too long", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(wire.head, Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")))
      )
      const gateway = yield* Served.proxying({ upstream: upstream.url }, { maxBodySize: 10 })
      const client = yield* gateway.connect
      client.send(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n`)
      yield* client.until("some", ({ text }) => text.endsWith("some"))
      client.send("6\r\nworld!\r\n")
      yield* client.until("the end", ({ closed, ended }) => closed || ended)
      yield* gateway.becomes("0 active, 0 queued")
      yield* gateway.logged("413")
    }))

  it.live("408: a body of which nothing comes for bodyTimeout; the upstream never sees an end", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Served.proxying({ upstream: upstream.url }, { bodyTimeout: 150 })
      const client = yield* gateway.connect
      client.send(`${post("Content-Length: 10")}hello`)
      assert.strictEqual(status(yield* client.message()), 408)
      yield* client.until("the end", ({ ended }) => ended)
      yield* gateway.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
      yield* gateway.logged("408: its request body took too long")
    }))

  it.live("21. a client that waits for a 100 is not slow", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(({ body }) => RawUpstream.response(String(body)))
      const server = yield* Served.answering(
        { bodyTimeout: 50 },
        Effect.andThen(Effect.sleep(300), Effect.succeed(Served.ok))
      )
      const client = yield* server.connect
      client.send(post("Content-Length: 5", "Expect: 100-continue"))
      assert.strictEqual(status(yield* client.message()), 200)
      const gateway = yield* Served.proxying({ upstream: upstream.url }, { bodyTimeout: 5000 })
      const other = yield* gateway.connect
      other.send(post("Content-Length: 5", "Expect: 100-continue"))
      assert.strictEqual(status(yield* other.head), 100)
      other.send("hello")
      assert.strictEqual(String((yield* other.message()).body), "hello")
    }))

  it.live("417: an expectation that nobody knows; its body is not taken, however long it is", () =>
    Effect.gen(function*() {
      const { log, status } = yield* refused({ maxBodySize: 10 }, post("Expect: x", "Transfer-Encoding: chunked"))
      assert.strictEqual(status, 417)
      assert.match(log, /with a 417: its request expects/)
    }))

  it.live("1. a chunk that is none: a 400, and the upstream never sees an end", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Served.proxying({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(`${post("Transfer-Encoding: chunked")}5\r\nhello\r\n`)
      const wire = yield* upstream.wire(0)
      yield* wire.until("the first part", ({ text }) => text.includes("hello"))
      client.send("-6\r\nworld!\r\n0\r\n\r\n")
      assert.strictEqual(status(yield* client.message()), 400)
      yield* client.until("the end", ({ ended }) => ended)
      yield* wire.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      assert.notInclude(wire.text, "0\r\n\r\n")
      yield* gateway.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
      yield* gateway.logged("400: its request is malformed")
    }))
})

describe("24. the limits of connections", () => {
  it.live("after maxRequestsPerConnection a connection is told to close, and closes", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ maxRequestsPerConnection: 2 })
      const client = yield* server.connect
      client.send(get)
      assert.notInclude(values(yield* client.message(), "connection"), "close")
      client.send(get)
      assert.include(values(yield* client.message(), "connection"), "close")
      yield* client.until("the end", ({ ended }) => ended)
      assert.deepStrictEqual(server.logs, [])
    }))

  it.live("what is pipelined beyond it is not served", () =>
    Effect.gen(function*() {
      let served = 0
      const server = yield* Served.answering({ maxRequestsPerConnection: 2 }, Effect.sync(() => (served++, Served.ok)))
      const client = yield* server.connect
      client.send(get.repeat(5))
      yield* client.message()
      yield* client.message()
      yield* client.until("the end", ({ ended }) => ended)
      assert.strictEqual(client.text, "")
      assert.strictEqual(served, 2)
    }))

  it.live("29. more than 100 that are pipelined and not answered: the others wait for nothing, and hold nothing", () =>
    Effect.gen(function*() {
      const { answer, open, waiting } = Served.gate()
      const server = yield* Served.answering(
        {},
        Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          ({ url }) => url === "/fast" ? Effect.succeed(Served.ok) : answer
        )
      )
      const client = yield* server.connect
      client.send(get.repeat(50) + get.replace("/", "/fast") + get.repeat(100))
      yield* server.logged("more than 100 requests that wait for their answers")
      assert.strictEqual(waiting(), 100)
      open()
      for (let i = 0; i < 101; i++) assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(status(yield* client.message()), 503)
      yield* client.until("the end", ({ ended }) => ended)
      assert.strictEqual(client.text, "")
    }))

  it.live("however many are pipelined are served, if they are answered", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const client = yield* server.connect
      client.send(get.repeat(1000))
      for (let i = 0; i < 1000; i++) assert.strictEqual(status(yield* client.message()), 200)
    }))

  it.live("one more than maxConnections is closed; when one leaves, there is room again", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ maxConnections: 2 })
      const [first] = [yield* server.connect, yield* server.connect]
      yield* eventually("two", () => Effect.runSync(server.server.connections) === 2)
      for (let i = 0; i < 3; i++) {
        const third = yield* server.connect
        yield* third.until("the end", ({ closed, ended }) => closed || ended)
      }
      yield* server.logged("too many connections")
      assert.lengthOf(server.logs, 1)
      first.close()
      yield* eventually("one", () => Effect.runSync(server.server.connections) === 1)
      const fourth = yield* server.connect
      fourth.send(get)
      assert.strictEqual(status(yield* fourth.message()), 200)
    }))

  it.live("an idle connection is closed after keepAlive, in order and without a word", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ keepAlive: 50 })
      const client = yield* server.connect
      client.send(get)
      yield* client.message()
      yield* client.until("the end", ({ endedInOrder }) => endedInOrder)
      assert.strictEqual(client.text, "")
      assert.deepStrictEqual(server.logs, [])
    }))

  it.live("29. a client that takes nothing of what was sent to it for stallTimeout is cut off, and the permit is back", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.head,
          Effect.sync(() => {
            wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`)
            wire.pour(64 * 1024 * 1024)
          })
        )
      )
      const gateway = yield* Served.proxying({ upstream: upstream.url }, { stallTimeout: 200 })
      const client = yield* gateway.connect
      client.stopReading()
      client.send(get)
      yield* gateway.becomes("1 active, 0 queued")
      yield* gateway.becomes("0 active, 0 queued")
      yield* gateway.logged("does not read")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 1 })
    }))

  it.live("22. an answer that takes its time is not a client that does", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(
        { stallTimeout: 50, bodyTimeout: 50, headTimeout: 50, keepAlive: 50 },
        Effect.as(Effect.sleep(400), Served.ok)
      )
      const client = yield* server.connect
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(server.logs, [])
    }))
})

describe("the options", () => {
  const wrong: ReadonlyArray<readonly [options: object, named: string]> = [
    [{ maxHeaderBytes: 0 }, "maxHeaderBytes"],
    [{ maxHeaders: 1.5 }, "maxHeaders"],
    [{ maxBodySize: -1 }, "maxBodySize"],
    [{ headTimeout: 0 }, "headTimeout"],
    [{ keepAlive: "soon" }, "keepAlive"],
    [{ maxHeader: 1 }, "maxHeader"],
    [{ tls: { certificates: [] } }, "tls.certificates"],
    [{ tls: { certificates: [{ cert: "x", key: "y" }] } }, "tls.certificates.0.cert"]
  ]
  for (const [options, named] of wrong) {
    it.live(`${JSON.stringify(options)} are refused by name`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Effect.scoped(Served.answering(options)))
        assert.include(String(exit), `Server.layer: ${named}`)
      }))
  }
})
