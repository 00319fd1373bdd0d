import { CommandMetrics, Group, Pool } from "@blackgate/core"
import { Proxy, Transport, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Metric, type Scope, Stream } from "effect"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"
import * as Zlib from "node:zlib"
import { eventuallyEqual } from "../harness/eventually.ts"
import { type HttpMessage, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

let groups = 0

/** A gateway as a Web handler, over a transport. */
const gateway = (
  upstream: string | Upstream.Upstream,
  transport: Layer.Layer<Transport.Transport>,
  options: {
    readonly preserveHost?: boolean
    readonly total?: number
    readonly idle?: number
    readonly maxBodySize?: number
  } = {}
) =>
  Effect.gen(function*() {
    const logs: Array<string> = []
    const name = `transport ${++groups}`
    const group = yield* Group.make(name, { pool: { maxConcurrent: 10 } })
    const routes = Proxy.route("/*", { ...options, group, upstream }).pipe(
      Layer.provide(transport),
      Layer.provideMerge(Logger.layer([Logger.make(({ message }) => logs.push(String(message)))]))
    )
    const web = yield* Effect.acquireRelease(
      Effect.sync(() => HttpRouter.toWebHandler(routes, { disableLogger: true })),
      ({ dispose }) => Effect.promise(dispose)
    )
    return {
      logs,
      fetch: (path: string, init?: RequestInit & { readonly duplex?: "half" }) =>
        Effect.promise(() => web.handler(new Request(`http://gateway.test${path}`, init))),
      busy: Effect.map(Pool.statistics(group.pool), ({ active }) => active),
      count: (outcome: CommandMetrics.Outcome) =>
        Effect.map(
          Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: name, key: "/*", outcome })),
          ({ count }) => count
        )
    }
  })

const textOf = (got: Response) => Effect.promise(() => got.text())

const overFetch = Transport.layerHttpClient.pipe(Layer.provide(FetchHttpClient.layer))

/** In front of a server that answers on the wire. */
const overWire = (answer: string | Uint8Array) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => answer, seen)
    return { ...(yield* gateway(upstream.url, overFetch)), seen, upstream }
  })

describe("layerHttpClient", { timeout: 30_000 }, () => {
  for (const options of [{ tls: { minVersion: "TLSv1.3" } }, { http: "2" }] as const) {
    it.live(`28. never connects with less than was asked for: ${JSON.stringify(options)} is a 502`, () =>
      Effect.gen(function*() {
        const { fetch, logs } = yield* gateway(yield* Upstream.make("https://127.0.0.1:1", options), overFetch)
        assert.strictEqual((yield* fetch("/")).status, 502)
        assert.include(logs.join(), "takes no options for TLS or HTTP/2")
      }))
  }

  it.live("carries the method, the target, the fields and the body", () =>
    Effect.gen(function*() {
      const { fetch, seen, upstream } = yield* overWire(response("hi", "X-A: 1", "Content-Type: text/plain"))
      const got = yield* fetch("/a%2Fb?c=%20d", {
        method: "PUT",
        body: "hello",
        headers: { "content-length": "5", "content-type": "text/x", "x-b": "2", "te": "gzip" }
      })
      assert.strictEqual(got.status, 200)
      assert.strictEqual(got.statusText, "OK")
      assert.strictEqual(yield* textOf(got), "hi")
      assert.strictEqual(got.headers.get("x-a"), "1")
      assert.strictEqual(got.headers.get("content-type"), "text/plain")
      const [request] = seen
      assert.strictEqual(request!.startLine, "PUT /a%2Fb?c=%20d HTTP/1.1")
      assert.strictEqual(request!.body.toString(), "hello")
      assert.deepStrictEqual(values(request!, "content-type"), ["text/x"])
      assert.deepStrictEqual(values(request!, "x-b"), ["2"])
      assert.deepStrictEqual(values(request!, "te"), [])
      assert.deepStrictEqual(values(request!, "host"), [`127.0.0.1:${upstream.port}`])
    }))

  it.live("carries a request body that streams", () =>
    Effect.gen(function*() {
      const { fetch, seen } = yield* overWire(response("ok"))
      const body = Stream.toReadableStream(Stream.make("one ", "two").pipe(Stream.encodeText))
      assert.strictEqual((yield* fetch("/", { method: "POST", body, duplex: "half" })).status, 200)
      assert.strictEqual(seen[0]!.body.toString(), "one two")
    }))

  it.live("24. a body of more than maxBodySize is a 413, known beforehand or not, and the upstream never sees an end", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const { busy, count, fetch } = yield* gateway(upstream.url, overFetch, { maxBodySize: 5 })
      const known = yield* fetch("/", { method: "POST", body: "helloo", headers: { "content-length": "6" } })
      assert.strictEqual(known.status, 413)
      assert.strictEqual(upstream.wires.length, 0)
      const body = Stream.toReadableStream(Stream.make("hel", "loo").pipe(Stream.encodeText))
      const got = yield* fetch("/", { method: "POST", body, duplex: "half" })
      assert.strictEqual(got.status, 413)
      for (const wire of upstream.wires) {
        yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
        assert.notInclude(wire.text, "0\r\n\r\n")
      }
      yield* eventuallyEqual("the permits", 0, busy)
      assert.strictEqual(yield* count("interrupted"), 1)
      assert.strictEqual(yield* count("failure"), 0)
    }))

  it.live("24. a body of just maxBodySize passes", () =>
    Effect.gen(function*() {
      const seen: Array<HttpMessage> = []
      const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
      const { fetch } = yield* gateway(upstream.url, overFetch, { maxBodySize: 5 })
      const body = Stream.toReadableStream(Stream.make("hel", "lo").pipe(Stream.encodeText))
      assert.strictEqual((yield* fetch("/", { method: "POST", body, duplex: "half" })).status, 200)
      assert.strictEqual(seen[0]!.body.toString(), "hello")
    }))

  it.live("a GET has no body", () =>
    Effect.gen(function*() {
      const { fetch, seen } = yield* overWire(response("ok"))
      yield* fetch("/")
      assert.strictEqual(seen[0]!.framing, "none")
    }))

  it.live("8. every Set-Cookie arrives, in order, byte for byte", () =>
    Effect.gen(function*() {
      const cookies = [
        "a=1; Path=/; HttpOnly",
        "a=2; path=/x; SAMESITE=none",
        "b=\"x, y\"; Expires=Wed, 21 Oct 2065 07:28:00 GMT"
      ]
      const { fetch } = yield* overWire(response("ok", ...cookies.map((cookie) => `Set-Cookie: ${cookie}`)))
      const got = yield* fetch("/")
      assert.deepStrictEqual(got.headers.getSetCookie(), cookies)
      assert.strictEqual(yield* textOf(got), "ok")
    }))

  it.live("a redirect is not followed", () =>
    Effect.gen(function*() {
      const { fetch, seen } = yield* overWire("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
      const got = yield* fetch("/")
      assert.strictEqual(got.status, 302)
      assert.strictEqual(got.headers.get("location"), "/elsewhere")
      assert.strictEqual(seen.length, 1)
    }))

  it.live("a body that fetch has decoded says nothing of its encoding, or of its length before", () =>
    Effect.gen(function*() {
      const zipped = Zlib.gzipSync("hello")
      const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${zipped.length}\r\n\r\n`
      const { fetch } = yield* overWire(Buffer.concat([Buffer.from(head), zipped]))
      const got = yield* fetch("/", { headers: { "accept-encoding": "gzip" } })
      assert.strictEqual(yield* textOf(got), "hello")
      assert.isNull(got.headers.get("content-encoding"))
      assert.isNull(got.headers.get("content-length"))
    }))

  it.live("25. one that fetch has not decoded is as it came, and says so", () =>
    Effect.gen(function*() {
      for (const coding of ["unheard-of", "gzip, unheard-of", "identity"]) {
        const { fetch } = yield* overWire(
          `HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: 5\r\n\r\nhello`
        )
        const got = yield* fetch("/")
        assert.strictEqual(yield* textOf(got), "hello")
        assert.strictEqual(got.headers.get("content-encoding"), coding)
      }
      const { fetch } = yield* overWire("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n")
      const got = yield* fetch("/", { method: "HEAD" })
      assert.strictEqual(got.headers.get("content-encoding"), "gzip")
      assert.strictEqual(got.headers.get("content-length"), "5")
    }))

  it.live("20. HEAD keeps the Content-Length, and has no body", () =>
    Effect.gen(function*() {
      const { busy, fetch, seen } = yield* overWire("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
      const got = yield* fetch("/", { method: "HEAD" })
      assert.strictEqual(got.headers.get("content-length"), "1234")
      assert.strictEqual(yield* textOf(got), "")
      assert.strictEqual(seen[0]!.startLine, "HEAD / HTTP/1.1")
      yield* eventuallyEqual("the permit", 0, busy)
    }))

  for (const status of [204, 304]) {
    it.live(`20. ${status} has no body`, () =>
      Effect.gen(function*() {
        const { busy, fetch } = yield* overWire(`HTTP/1.1 ${status} X\r\nETag: "a"\r\n\r\n`)
        const got = yield* fetch("/")
        assert.strictEqual(got.status, status)
        assert.strictEqual(got.headers.get("etag"), "\"a\"")
        assert.strictEqual(yield* textOf(got), "")
        yield* eventuallyEqual("the permit", 0, busy)
      }))
  }

  it.live("a Content-Type is not invented", () =>
    Effect.gen(function*() {
      const { fetch } = yield* overWire(response("ok"))
      assert.isNull((yield* fetch("/")).headers.get("content-type"))
    }))

  it.live("17. a connection that is refused is a 502, with the cause in the log", () =>
    Effect.gen(function*() {
      const port = yield* RawUpstream.deadPort
      const { count, fetch, logs } = yield* gateway(`http://127.0.0.1:${port}`, overFetch)
      const got = yield* fetch("/")
      assert.strictEqual(got.status, 502)
      assert.strictEqual(yield* textOf(got), "{\"code\":502,\"message\":\"bad gateway\",\"errors\":[]}")
      assert.include(logs.join("\n"), `http://127.0.0.1:${port} failed`)
      assert.strictEqual(yield* count("failure"), 1)
    }))

  /** Sends a part of a body, and then what a test says. */
  const partial = RawUpstream.make((wire) =>
    Effect.andThen(
      wire.message(),
      Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst part"))
    )
  )

  it.live("17. a reset in the middle of the body breaks the body off, and is a failure", () =>
    Effect.gen(function*() {
      const upstream = yield* partial
      const { busy, count, fetch } = yield* gateway(upstream.url, overFetch)
      const got = yield* fetch("/")
      assert.strictEqual(yield* busy, 1)
      upstream.wires[0]!.reset()
      const failed = yield* Effect.promise(() => got.text().then(() => false, () => true))
      assert.isTrue(failed)
      yield* eventuallyEqual("the permit", 0, busy)
      assert.strictEqual(yield* count("failure"), 1)
    }))

  it.live("18. a client that leaves in the middle of the body: the upstream is told, and the permit is back", () =>
    Effect.gen(function*() {
      const upstream = yield* partial
      const { busy, count, fetch } = yield* gateway(upstream.url, overFetch)
      const got = yield* fetch("/")
      yield* Effect.promise(() => got.body!.cancel())
      yield* upstream.wires[0]!.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      yield* eventuallyEqual("the permit", 0, busy)
      assert.strictEqual(yield* count("interrupted"), 1)
    }))

  it.live("18. a client that leaves before the head: the upstream is told, and the permit is back", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const { busy, count, fetch } = yield* gateway(upstream.url, overFetch)
      const abort = new AbortController()
      yield* Effect.forkChild(fetch("/", { signal: abort.signal }))
      const wire = yield* upstream.wire(0)
      yield* wire.head
      abort.abort()
      yield* wire.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      yield* eventuallyEqual("the permit", 0, busy)
      assert.strictEqual(yield* count("interrupted"), 1)
    }))

  it.live("19. total breaks the body off, and tells the upstream", () =>
    Effect.gen(function*() {
      const upstream = yield* partial
      const { busy, count, fetch } = yield* gateway(upstream.url, overFetch, { total: 150 })
      const got = yield* fetch("/")
      assert.isTrue(yield* Effect.promise(() => got.text().then(() => false, () => true)))
      yield* upstream.wires[0]!.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      yield* eventuallyEqual("the permit", 0, busy)
      assert.strictEqual(yield* count("timeout"), 1)
    }))
})

describe("layerMemory", () => {
  it.live("finds the body of the request at its source", () =>
    Effect.gen(function*() {
      const { fetch } = yield* gateway(
        "http://a.test",
        Transport.layerMemory(({ body, source }) =>
          Effect.map(source.text, (text) =>
            HttpServerResponse.text(`${body._tag} ${"contentLength" in body ? body.contentLength : "none"} ${text}`))
        )
      )
      const got = yield* fetch("/", { method: "POST", body: "hello", headers: { "content-length": "5" } })
      assert.strictEqual(yield* textOf(got), "Incoming 5 hello")
    }))

  it.live("has the services of its layer, and a scope that is open until the body has ended", () =>
    Effect.gen(function*() {
      class Greeting extends Context.Service<Greeting, string>()("Greeting") {}
      let open = 0
      const upstream = Effect.gen(function*() {
        open++
        yield* Effect.addFinalizer(() => Effect.sync(() => open--))
        return HttpServerResponse.stream(Stream.make(yield* Greeting).pipe(Stream.encodeText))
      })
      const needs: Layer.Layer<Transport.Transport, never, Greeting> = Transport.layerMemory(() => upstream)
      const { fetch } = yield* gateway("http://a.test", Layer.provide(needs, Layer.succeed(Greeting)("hello")))
      const got = yield* fetch("/")
      assert.strictEqual(open, 1)
      assert.strictEqual(yield* textOf(got), "hello")
      yield* eventuallyEqual("the scope to close", 0, Effect.sync(() => open))
    }))

  it.live("passes on status, fields and cookies as they are", () =>
    Effect.gen(function*() {
      const { fetch } = yield* gateway(
        "http://a.test",
        Transport.layerMemory(() =>
          Effect.succeed(HttpServerResponse.text("ok", { status: 299, statusText: "Odd", headers: { "x-a": "1" } }))
            .pipe(
              Effect.map(HttpServerResponse.setCookiesUnsafe([["a", "1", { path: "/" }], ["b", "2", undefined]]))
            )
        )
      )
      const got = yield* fetch("/")
      assert.strictEqual(got.status, 299)
      assert.strictEqual(got.statusText, "Odd")
      assert.strictEqual(got.headers.get("x-a"), "1")
      assert.deepStrictEqual(got.headers.getSetCookie(), ["a=1; Path=/", "b=2"])
    }))

  it.live("a failure is that of an upstream, and an upstream that dies is a 500", () =>
    Effect.gen(function*() {
      const failing = yield* gateway("http://a.test", Transport.layerMemory(() => Effect.fail("no")))
      assert.strictEqual((yield* failing.fetch("/")).status, 502)
      assert.strictEqual(yield* failing.count("failure"), 1)
      const dying = yield* gateway("http://a.test", Transport.layerMemory(() => Effect.die("no")))
      assert.strictEqual((yield* dying.fetch("/")).status, 500)
      assert.strictEqual(yield* dying.count("defect"), 1)
      assert.strictEqual(yield* dying.busy, 0)
    }))

  it("needs what its effect needs, but for the scope", () => {
    const layer: Layer.Layer<Transport.Transport> = Transport.layerMemory(() =>
      Effect.as(Effect.scope as Effect.Effect<Scope.Scope, never, Scope.Scope>, HttpServerResponse.empty())
    )
    assert.isTrue(Layer.isLayer(layer))
  })
})
