import { Proxy, type Rewrite, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { randomBytes } from "node:crypto"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import * as Http2Upstream from "../harness/Http2Upstream.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const host = "Host: gateway.test"
const head = (startLine: string, ...fields: ReadonlyArray<string>): string =>
  [startLine, host, ...fields, "", ""].join("\r\n")
const get = head("GET / HTTP/1.1")

const chunk = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")])
const lastChunk = "0\r\n\r\n"

/** A gateway in front of an upstream that does what a script says, and a client. */
const between = (script: RawUpstream.Script, options: { readonly method?: "GET" } = {}) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Gateway.withRoutes((group) =>
      Proxy.route("/*", { group, upstream: upstream.url, ...options })
    )
    return { upstream, gateway, client: yield* gateway.connect }
  })

/** The same with an upstream that gives every request the same answer. */
const answered = (answer: string, options: { readonly method?: "GET" } = {}) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => answer, seen)
    const gateway = yield* Gateway.withRoutes((group) =>
      Proxy.route("/*", { group, upstream: upstream.url, ...options })
    )
    return { seen, gateway, client: yield* gateway.connect }
  })

/** The connection is in step: the next request on it gets its own answer. */
const stillInStep = (client: Wire) =>
  Effect.gen(function*() {
    client.send(get)
    const next = yield* client.message()
    assert.match(next.startLine, /^HTTP\/1.1 \d/)
    assert.strictEqual(client.text, "")
  })

describe("2. a request keeps its body, whatever its method", { timeout: 30_000 }, () => {
  for (const method of ["POST", "PUT", "PATCH", "GET", "DELETE", "OPTIONS", "QUERY"]) {
    it.live(`${method} with a length`, () =>
      Effect.gen(function*() {
        const { client, seen } = yield* answered(response("ok"))
        client.send(head(`${method} / HTTP/1.1`, "Content-Length: 5") + "hello")
        assert.strictEqual(status(yield* client.message()), 200)
        assert.strictEqual(seen[0]!.startLine, `${method} / HTTP/1.1`)
        assert.strictEqual(seen[0]!.body.toString(), "hello")
        assert.deepStrictEqual(values(seen[0]!, "content-length"), ["5"])
        yield* stillInStep(client)
        assert.strictEqual(seen.length, 2)
      }))

    it.live(`${method} in chunks`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) =>
          Effect.gen(function*() {
            const request = yield* wire.message()
            wire.send(response(`${request.framing}: ${request.body.toString()}`))
          })
        )
        client.send(head(`${method} / HTTP/1.1`, "Transfer-Encoding: chunked") + "2;ext=1\r\nhe\r\n")
        const wire = yield* upstream.wire(0)
        yield* wire.until("the first chunk", ({ text }) => text.includes("he"))
        client.send(`3\r\nllo\r\n${lastChunk}`)
        assert.strictEqual((yield* client.message()).body.toString(), "chunked: hello")
        assert.strictEqual(yield* gateway.busy, Gateway.idle)
      }))
  }

  it.live("a POST with a length of 0 has that length, and no body", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"))
      client.send(head("POST / HTTP/1.1", "Content-Length: 0"))
      yield* client.message()
      assert.deepStrictEqual(values(seen[0]!, "content-length"), ["0"])
      assert.deepStrictEqual(values(seen[0]!, "transfer-encoding"), [])
    }))

  it.live("a GET without a body gets no framing", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"))
      client.send(get)
      yield* client.message()
      assert.deepStrictEqual(values(seen[0]!, "content-length"), [])
      assert.deepStrictEqual(values(seen[0]!, "transfer-encoding"), [])
    }))
})

describe("16. a body arrives as it was sent", { timeout: 30_000 }, () => {
  const size = 1024 * 1024
  const echo: RawUpstream.Script = (wire) =>
    Effect.gen(function*() {
      const request = yield* wire.message()
      wire.send(
        request.framing === "chunked"
          ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          : `HTTP/1.1 200 OK\r\nContent-Length: ${request.body.length}\r\n\r\n`
      )
      for (let at = 0; at < request.body.length; at += 10_007) {
        const piece = request.body.subarray(at, at + 10_007)
        wire.send(request.framing === "chunked" ? chunk(piece) : piece)
      }
      if (request.framing === "chunked") wire.send(lastChunk)
    })

  for (const framing of ["length", "chunked"]) {
    it.live(`1 MiB there and back, framed by ${framing}`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* between(echo)
        const body = randomBytes(size)
        if (framing === "length") {
          client.send(head("POST / HTTP/1.1", `Content-Length: ${size}`))
          client.send(body)
        } else {
          client.send(head("POST / HTTP/1.1", "Transfer-Encoding: chunked"))
          for (let at = 0; at < size; at += 30_011) client.send(chunk(body.subarray(at, at + 30_011)))
          client.send(lastChunk)
        }
        const got = yield* client.message()
        assert.strictEqual(got.framing, framing)
        assert.isTrue(got.body.equals(body), "the body is another one")
        assert.strictEqual(yield* gateway.busy, Gateway.idle)
      }))
  }

  it.live("a body that ends with the upstream's connection ends in order for the client", () =>
    Effect.gen(function*() {
      const { client } = yield* between((wire) =>
        Effect.gen(function*() {
          yield* wire.message()
          wire.send("HTTP/1.0 200 OK\r\n\r\nhello ")
          wire.send("world")
          wire.end()
        })
      )
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "hello world")
      yield* stillInStep(client)
    }))

  it.live("a client of HTTP/1.0 gets no chunks", () =>
    Effect.gen(function*() {
      const { client } = yield* answered(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n${lastChunk}`
      )
      client.send(head("GET / HTTP/1.0"))
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "hello")
      assert.deepStrictEqual(values(got, "transfer-encoding"), [])
    }))

  it.live("an upstream that answers before it has read the request body is heard", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* between((wire) =>
        Effect.gen(function*() {
          yield* wire.head
          wire.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
          wire.end()
        })
      )
      client.send(head("POST / HTTP/1.1", "Content-Length: 1000000") + "x".repeat(1000))
      const got = yield* client.message()
      assert.strictEqual(status(got), 413)
      assert.strictEqual(got.body.toString(), "big")
      client.close()
      yield* gateway.quiet
    }))
})

describe("20. responses without a body", { timeout: 30_000 }, () => {
  it.live("HEAD keeps the Content-Length, has no body, and leaves the connection in step", () =>
    Effect.gen(function*() {
      const { client, gateway, seen } = yield* answered("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
      client.send(head("HEAD / HTTP/1.1"))
      const got = yield* client.message({ bodiless: true })
      assert.deepStrictEqual(values(got, "content-length"), ["1234"])
      assert.strictEqual(seen[0]!.startLine, "HEAD / HTTP/1.1")
      yield* gateway.quiet
      client.send(head("HEAD / HTTP/1.1"))
      yield* client.message({ bodiless: true })
      assert.strictEqual(client.text, "")
    }))

  it.live("HEAD of what has no length stays without one", () =>
    Effect.gen(function*() {
      const { client } = yield* answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      client.send(head("HEAD / HTTP/1.1"))
      const got = yield* client.message({ bodiless: true })
      assert.deepStrictEqual(values(got, "content-length"), [])
      client.send(head("HEAD / HTTP/1.1"))
      yield* client.message({ bodiless: true })
      assert.strictEqual(client.text, "")
    }))

  it.live("HEAD through a GET route is a HEAD to the upstream", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", { method: "GET" })
      client.send(head("HEAD /a HTTP/1.1"))
      const got = yield* client.message({ bodiless: true })
      assert.deepStrictEqual(values(got, "content-length"), ["1234"])
      assert.strictEqual(seen[0]!.startLine, "HEAD /a HTTP/1.1")
    }))

  it.live("HEAD keeps a Content-Length of 0", () =>
    Effect.gen(function*() {
      const { client } = yield* answered("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      client.send(head("HEAD / HTTP/1.1"))
      assert.deepStrictEqual(values(yield* client.message({ bodiless: true }), "content-length"), ["0"])
      assert.strictEqual(client.text, "")
    }))

  it.live("HEAD with a body of its own is sent on with it", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
      client.send(head("HEAD / HTTP/1.1", "Content-Length: 5") + "hello")
      assert.deepStrictEqual(values(yield* client.message({ bodiless: true }), "content-length"), ["1234"])
      assert.strictEqual(seen[0]!.body.toString(), "hello")
      assert.strictEqual(client.text, "")
    }))

  for (const framing of ["Content-Length: 0", "Content-Length: 5", "Transfer-Encoding: chunked"]) {
    it.live(`204 loses its ${framing}`, () =>
      Effect.gen(function*() {
        const { client } = yield* answered(`HTTP/1.1 204 No Content\r\n${framing}\r\n\r\n`)
        client.send(get)
        const got = yield* client.message()
        assert.strictEqual(status(got), 204)
        assert.deepStrictEqual(values(got, "content-length"), [])
        assert.deepStrictEqual(values(got, "transfer-encoding"), [])
        yield* stillInStep(client)
      }))
  }

  it.live("304 has no Transfer-Encoding", () =>
    Effect.gen(function*() {
      const { client } = yield* answered("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n")
      client.send(get)
      assert.deepStrictEqual(values(yield* client.message(), "transfer-encoding"), [])
      yield* stillInStep(client)
    }))

  it.live("204 has neither body nor length, and leaves the connection in step", () =>
    Effect.gen(function*() {
      const { client } = yield* answered("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n")
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 204)
      assert.deepStrictEqual(values(got, "content-length"), [])
      assert.deepStrictEqual(values(got, "transfer-encoding"), [])
      yield* stillInStep(client)
    }))

  it.live("304 keeps the Content-Length of what has not changed, and leaves the connection in step", () =>
    Effect.gen(function*() {
      const { client } = yield* answered("HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n")
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 304)
      assert.deepStrictEqual(values(got, "content-length"), ["1234"])
      assert.deepStrictEqual(values(got, "transfer-encoding"), [])
      yield* stillInStep(client)
    }))

  for (const body of ["", "hello"]) {
    it.live(`205 is empty, also when the upstream sent ${JSON.stringify(body)}`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* answered(
          `HTTP/1.1 205 Reset\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        )
        client.send(get)
        const got = yield* client.message()
        assert.strictEqual(status(got), 205)
        assert.strictEqual(got.body.length, 0)
        yield* gateway.quiet
        yield* stillInStep(client)
      }))
  }
})

describe("21. Expect: 100-continue", { timeout: 30_000 }, () => {
  const expecting = head("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")

  it.live("the client is told to go on when the upstream is there, and the upstream gets the body without an Expect", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"))
      client.send(expecting)
      yield* client.until("100", ({ text }) => text === "HTTP/1.1 100 Continue\r\n\r\n")
      client.take(client.received.length)
      client.send("hello")
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(seen[0]!.body.toString(), "hello")
      assert.deepStrictEqual(values(seen[0]!, "expect"), [])
      yield* stillInStep(client)
    }))

  it.live("it is not told to go on while it waits for a permit", () =>
    Effect.gen(function*() {
      const goAhead = Deferred.makeUnsafe<void>()
      const upstream = yield* RawUpstream.answering(() => Effect.as(Deferred.await(goAhead), response("ok")))
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1, maxQueued: 1 } })
      const first = yield* gateway.connect
      first.send(get)
      yield* gateway.becomes("1 active, 0 queued")
      const second = yield* gateway.connect
      second.send(expecting)
      yield* gateway.becomes("1 active, 1 queued")
      assert.strictEqual(second.text, "")
      yield* Deferred.succeed(goAhead, undefined)
      yield* second.until("100", ({ text }) => text === "HTTP/1.1 100 Continue\r\n\r\n")
      second.take(second.received.length)
      second.send("hello")
      assert.strictEqual(status(yield* second.message()), 200)
    }))

  it.live("a request that is refused is not told to go on", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => wire.message())
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1 } })
      const first = yield* gateway.connect
      first.send(get)
      yield* gateway.becomes("1 active, 0 queued")
      const second = yield* gateway.connect
      second.send(expecting)
      assert.strictEqual(status(yield* second.message()), 503)
    }))
})

describe("22. a stream is passed on as it comes", { timeout: 30_000 }, () => {
  it.live("the head of an event stream arrives before its first event, and each event before the next", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"))
        )
      )
      client.send(head("GET /events HTTP/1.1"))
      const got = yield* client.head
      assert.deepStrictEqual(values(got, "content-type"), ["text/event-stream"])
      const wire = yield* upstream.wire(0)
      for (const event of ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]) {
        wire.send(event)
        yield* client.until(event, ({ text }) => text.endsWith(`${event}\r\n`))
      }
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      wire.end()
      yield* client.until("the end", ({ text }) => text.endsWith(`\r\n${lastChunk}`))
      yield* gateway.quiet
    }))

  it.live("bytes of a request body reach the upstream before the next are sent", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* between((wire) => wire.message())
      client.send(head("POST / HTTP/1.1", "Transfer-Encoding: chunked"))
      for (const part of ["one", "two", "three"]) {
        client.send(chunk(Buffer.from(part)))
        yield* (yield* upstream.wire(0)).until(part, ({ text }) => text.endsWith(part))
      }
    }))
})

describe("a body that has been read on its way", { timeout: 30_000 }, () => {
  const readBy = (read: (request: Rewrite.ProxyRequest) => Effect.Effect<unknown, unknown>, maxBodySize?: number) =>
    Effect.gen(function*() {
      const seen: Array<HttpMessage> = []
      const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
      const gateway = yield* Gateway.withRoutes((group) =>
        Proxy.route("/*", {
          group,
          upstream: upstream.url,
          maxBodySize,
          rewrite: (request) => Effect.as(read(request), request)
        })
      )
      return { seen, gateway, client: yield* gateway.connect }
    })
  const framings = {
    "with a length": (body: string) => `${head("POST / HTTP/1.1", `Content-Length: ${body.length}`)}${body}`,
    "in chunks": (body: string) =>
      `${head("POST / HTTP/1.1", "Transfer-Encoding: chunked")}${chunk(Buffer.from(body))}${lastChunk}`
  }

  for (const [framing, post] of Object.entries(framings)) {
    for (const bytes of [5, 200_000]) {
      it.live(`${framing}, ${bytes} bytes: goes on if Effect keeps it, as it does for text, JSON and array buffers`, () =>
        Effect.gen(function*() {
          const { client, gateway, seen } = yield* readBy(({ source }) => source.text)
          client.send(post("x".repeat(bytes)))
          assert.strictEqual(status(yield* client.message()), 200)
          assert.strictEqual(seen[0]!.body.toString(), "x".repeat(bytes))
          yield* gateway.quiet
          yield* stillInStep(client)
        }))

      it.live(`${framing}, ${bytes} bytes: is a 500 at once if it was a stream, of which nobody has anything any more`, () =>
        Effect.gen(function*() {
          const { client, gateway, seen } = yield* readBy(({ source }) => Stream.runDrain(source.stream))
          client.send(post("x".repeat(bytes)))
          assert.strictEqual(status(yield* client.message()), 500)
          yield* gateway.quiet
          assert.deepStrictEqual(yield* gateway.outcomes(), { defect: 1 })
          assert.strictEqual(seen.length, 0)
          yield* stillInStep(client)
        }))
    }
  }

  it.live("is bounded as any other", () =>
    Effect.gen(function*() {
      const { client, gateway, seen } = yield* readBy(({ source }) => source.text, 10)
      client.send(framings["in chunks"]("x".repeat(11)))
      assert.strictEqual(status(yield* client.message()), 413)
      yield* gateway.quiet
      assert.strictEqual(seen.length, 0)
    }))

  it.live("goes on over HTTP/2, too", () =>
    Effect.gen(function*() {
      const upstream = yield* Http2Upstream.make()
      const gateway = yield* Gateway.start({
        upstream: yield* Upstream.make(upstream.url, { http: "2" }),
        rewrite: (request) => Effect.as(request.source.text, request)
      })
      const client = yield* gateway.connect
      client.send(framings["in chunks"]("hello"))
      assert.strictEqual(status(yield* client.message()), 200)
      const asked = yield* upstream.request(0)
      yield* eventually("the end of the body", () => asked.ended)
      assert.strictEqual(asked.body.toString(), "hello")
    }))
})
