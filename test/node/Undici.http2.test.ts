import { type Proxy, Transport, Upstream } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpBody, HttpServerRequest } from "effect/http"
import type { OutgoingHttpHeaders } from "node:http2"
import type { Readable } from "node:stream"
import { text } from "node:stream/consumers"
import { eventually, settled } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { answering, type Asked, silent } from "../harness/Http2Upstream.ts"
import * as Http2Upstream from "../harness/Http2Upstream.ts"
import { status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const host = "Host: gateway.test"
const get = `GET / HTTP/1.1\r\n${host}\r\n\r\n`
const post = (body: string, ...fields: ReadonlyArray<string>) =>
  [`POST / HTTP/1.1`, host, `Content-Length: ${body.length}`, ...fields, "", body].join("\r\n")

type Settings = Parameters<typeof Gateway.start>[1]

/** A gateway before an upstream that speaks HTTP/2. */
const before = (
  answer: Parameters<typeof Http2Upstream.make>[0],
  { route = {}, settings, upstream: { connections, ...options } = {} }: {
    readonly route?: Omit<Parameters<typeof Gateway.start>[0], "upstream">
    readonly settings?: Settings
    readonly upstream?: Parameters<typeof Http2Upstream.make>[1] & { readonly connections?: number }
  } = {}
) =>
  Effect.gen(function*() {
    const upstream = yield* Http2Upstream.make(answer, options)
    const gateway = yield* Gateway.start(
      { upstream: yield* Upstream.make(upstream.url, { http: "2", connections }), ...route },
      settings
    )
    return { upstream, gateway, client: yield* gateway.connect }
  })

const asks = (gateway: Gateway.Gateway, count: number) =>
  Effect.forEach(Array.from({ length: count }), () =>
    Effect.gen(function*() {
      const client = yield* gateway.connect
      client.send(get)
      return status(yield* client.message())
    }), { concurrency: "unbounded" })

describe("27. HTTP/2 to the upstream: heads", { timeout: 30_000 }, () => {
  it.live("a request has the pseudo-header fields, then its own, in order, in lower case, and none of the connection's", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(answering())
      client.send(
        `GET /a%20b?c=%2F&d HTTP/1.1\r\n${host}\r\nX-B: 2\r\nConnection: keep-alive, X-Hop, te\r\nX-Hop: 1\r\nTE: trailers\r\n` +
          "Keep-Alive: timeout=5\r\nX-A: 1\r\nX-B: \xe4\r\nX-Empty:\r\nUser-Agent: one\r\nUser-Agent: two\r\nCookie: a=1\r\n\r\n"
      )
      assert.strictEqual(status(yield* client.message()), 200)
      const { raw } = upstream.asked[0]!
      const pairs = raw.flatMap((name, i) => i % 2 === 0 ? [`${name}=${raw[i + 1]}`] : [])
      assert.deepStrictEqual(pairs.slice(0, 4), [
        ":method=GET",
        ":scheme=http",
        `:authority=127.0.0.1:${upstream.port}`,
        ":path=/a%20b?c=%2F&d"
      ])
      assert.deepStrictEqual(
        pairs.slice(4).filter((pair) => !/^(?:x-forwarded|forwarded|via|traceparent)/.test(pair)),
        [
          "x-b=2",
          "x-a=1",
          "x-b=\xe4",
          "x-empty=",
          "user-agent=one",
          "user-agent=two",
          "cookie=a=1",
          "te=trailers"
        ]
      )
    }))

  it.live("10. its authority is the upstream's, or the client's Host with preserveHost", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(answering(), { route: { preserveHost: true } })
      client.send(get)
      yield* client.message()
      assert.deepStrictEqual(upstream.asked[0]!.values(":authority"), ["gateway.test"])
      assert.deepStrictEqual(upstream.asked[0]!.values("host"), [])
    }))

  it.live("8. a response keeps duplicates, their order, empty values and bytes, and every cookie", () =>
    Effect.gen(function*() {
      const { client } = yield* before(answering("hello", {
        "set-cookie": ["a=1; Path=/", "b=2", "a=1; Path=/"],
        "x-b": ["2", "1"],
        "x-empty": "",
        "x-bytes": "\xe4"
      }))
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(got.startLine, "HTTP/1.1 200 OK")
      assert.strictEqual(got.body.toString(), "hello")
      assert.deepStrictEqual(values(got, "set-cookie"), ["a=1; Path=/", "b=2", "a=1; Path=/"])
      assert.deepStrictEqual(values(got, "x-b").join(", "), "2, 1")
      assert.deepStrictEqual([...values(got, "x-empty"), ...values(got, "x-bytes")], ["", "\xe4"])
      assert.deepStrictEqual(got.fields.filter(([name]) => name.startsWith(":")), [])
    }))

  for (const [method, code] of [["HEAD", 200], ["GET", 204], ["GET", 304]] as const) {
    it.live(`20. the answer to ${method} with ${code} has no body, and the next one has its own`, () =>
      Effect.gen(function*() {
        const { client } = yield* before(({ stream }) => {
          stream.respond({ ":status": code, ...(code !== 204 && { "content-length": "5" }) }, { endStream: true })
        })
        for (let i = 0; i < 2; i++) {
          client.send(`${method} / HTTP/1.1\r\n${host}\r\n\r\n`)
          const got = yield* client.message({ bodiless: true })
          assert.strictEqual(status(got), code)
          assert.deepStrictEqual(values(got, "content-length"), code === 204 ? [] : ["5"])
        }
        assert.strictEqual(client.text, "")
      }))
  }

  it.live("more fields than Node takes by itself pass", () =>
    Effect.gen(function*() {
      const many: OutgoingHttpHeaders = {}
      for (let i = 0; i < 500; i++) many[`x-${i}`] = String(i)
      const { client } = yield* before(answering("ok", many))
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(got.fields.filter(([name]) => /^x-\d+$/.test(name)).length, 500)
    }))
})

describe("21. HTTP/2 to the upstream: interim responses and trailers", { timeout: 30_000 }, () => {
  it.live("103 passes, an unasked 100 does not, and trailers follow the body", () =>
    Effect.gen(function*() {
      const { client } = yield* before((asked) => {
        asked.stream.additionalHeaders({ ":status": 100 })
        asked.stream.additionalHeaders({ ":status": 103, link: "</a.css>" })
        answering("hello", { trailer: "x-sum" }, { "x-sum": ["1", "2"], authorization: "x" } as OutgoingHttpHeaders)(
          asked
        )
      })
      client.send(get)
      const hints = yield* client.head
      assert.strictEqual(status(hints), 103)
      assert.deepStrictEqual(values(hints, "link"), ["</a.css>"])
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.deepStrictEqual(values(got, "trailer"), ["x-sum"])
      assert.deepStrictEqual(got.trailers, [["x-sum", "1"], ["x-sum", "2"]])
      assert.strictEqual(got.body.toString(), "hello")
    }))

  it.live("trailers after no body, and a head that is all there is", () =>
    Effect.gen(function*() {
      const { client } = yield* before((asked) =>
        asked.values(":path")[0] === "/only"
          ? asked.stream.respond({ ":status": 200, "grpc-status": "5" }, { endStream: true })
          : answering("", {}, { "grpc-status": "0" })(asked)
      )
      client.send(get)
      assert.deepStrictEqual((yield* client.message()).trailers, [["grpc-status", "0"]])
      client.send(`GET /only HTTP/1.1\r\n${host}\r\n\r\n`)
      const got = yield* client.message()
      assert.deepStrictEqual(values(got, "grpc-status"), ["5"])
      assert.strictEqual(got.body.length, 0)
    }))

  it.live("trailers of a request pass, but for those that may not", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(({ stream }) => {
        stream.on("end", () => {
          stream.respond({ ":status": 200 })
          stream.end("ok")
        })
      })
      client.send(`POST / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n`)
      client.send("5\r\nhello\r\n0\r\nX-Sum: 1\r\nAuthorization: x\r\n\r\n")
      assert.strictEqual(status(yield* client.message()), 200)
      const asked = upstream.asked[0]!
      assert.strictEqual(asked.body.toString(), "hello")
      assert.deepStrictEqual(asked.trailers.map((each) => each.toLowerCase()), ["x-sum", "1"])
      assert.deepStrictEqual(asked.values("trailer"), ["X-Sum"])
      assert.deepStrictEqual(asked.values("transfer-encoding"), [])
    }))

  it.live("a client that waits with its body is told to go on when that is about to be read", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(({ stream }) => {
        stream.on("end", () => {
          stream.respond({ ":status": 200 })
          stream.end("ok")
        })
      })
      client.send(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`)
      assert.strictEqual(status(yield* client.head), 100)
      client.send("hello")
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(upstream.asked[0]!.values("expect"), [])
      assert.strictEqual(upstream.asked[0]!.body.toString(), "hello")
    }))
})

describe("16. HTTP/2 to the upstream: bodies", { timeout: 30_000 }, () => {
  it.live("2. with and without a length, by any method, they arrive whole both ways", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(({ stream }) => {
        stream.respond({ ":status": 200 })
        stream.pipe(stream)
      }, { upstream: { reads: false } })
      const large = "x".repeat(1_000_000)
      client.send(post(large))
      assert.strictEqual((yield* client.message()).body.length, large.length)
      assert.deepStrictEqual(upstream.asked[0]!.values("content-length"), [String(large.length)])
      client.send(`DELETE / HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`)
      assert.strictEqual((yield* client.message()).body.toString(), "hello")
      client.send(post(""))
      assert.strictEqual((yield* client.message()).body.length, 0)
    }))

  it.live("a slow client bounds what the upstream can send, and its neighbours on the connection go on", () =>
    Effect.gen(function*() {
      let poured = 0
      const { client, gateway, upstream } = yield* before((asked) => {
        if (asked.values(":path")[0] !== "/flood") return answering()(asked)
        const { stream } = asked
        stream.respond({ ":status": 200 })
        const chunk = Buffer.alloc(64 * 1024)
        const more = () => {
          while (poured < 64 * 1024 * 1024) {
            poured += chunk.length
            if (!stream.write(chunk)) return void stream.once("drain", more)
          }
          stream.end()
        }
        more()
      })
      client.stopReading()
      client.send(`GET /flood HTTP/1.1\r\n${host}\r\n\r\n`)
      yield* eventually("some of it", () => poured > 128 * 1024)
      const stood = yield* settled("what was sent", () => poured)
      assert.isBelow(stood, 16 * 1024 * 1024)
      assert.deepStrictEqual(yield* asks(gateway, 3), [200, 200, 200])
      assert.strictEqual(upstream.sessions.length, 1)
      client.discard()
      client.readOn()
      yield* client.until("all of it", ({ discarded }) => discarded > 64 * 1024 * 1024)
      yield* gateway.quiet
    }))

  it.live("a slow upstream bounds what is read from the client", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(silent, { upstream: { reads: false } })
      const length = 64 * 1024 * 1024
      client.send(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: ${length}\r\n\r\n`)
      client.pour(length)
      const asked = yield* upstream.request(0)
      assert.isBelow(yield* settled("what was taken", () => client.poured), 16 * 1024 * 1024)
      asked.read()
      yield* eventually("all of it", () => asked.bytes === length)
      answering()(asked)
      assert.strictEqual(status(yield* client.message()), 200)
    }))

  it.live("an answer before the end of the request is passed on, and the rest is not sent", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before((asked) => {
        asked.stream.respond({ ":status": 413 })
        asked.stream.end("too large")
      }, { upstream: { reads: false } })
      client.send(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: ${10_000_000}\r\n\r\nhello`)
      const got = yield* client.message()
      assert.strictEqual(status(got), 413)
      assert.strictEqual(got.body.toString(), "too large")
      yield* eventually("the end of it", () => upstream.asked[0]!.closed !== undefined)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
      assert.deepStrictEqual(yield* asks(gateway, 1), [413])
      assert.strictEqual(upstream.sessions.length, 1)
    }))
})

describe("27. HTTP/2 to the upstream: connections", { timeout: 30_000 }, () => {
  it.live("requests share one, at the same time and one after the other", () =>
    Effect.gen(function*() {
      const { gateway, upstream } = yield* before(silent)
      const fiber = yield* Effect.forkChild(asks(gateway, 50), { startImmediately: true })
      yield* upstream.request(49)
      assert.strictEqual(upstream.sessions.length, 1)
      for (const asked of upstream.asked) answering()(asked)
      assert.deepStrictEqual(new Set(yield* Fiber.join(fiber)), new Set([200]))
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 50 })
    }))

  it.live("where one takes no more at once, another is opened", () =>
    Effect.gen(function*() {
      const { gateway, upstream } = yield* before(silent, { upstream: { settings: { maxConcurrentStreams: 10 } } })
      const fiber = yield* Effect.forkChild(asks(gateway, 45), { startImmediately: true })
      yield* upstream.request(44)
      assert.strictEqual(upstream.sessions.length, 5)
      for (const asked of upstream.asked) answering()(asked)
      yield* Fiber.join(fiber)
    }))

  it.live("an Upstream's connections bound them, and requests wait for a place in their order", () =>
    Effect.gen(function*() {
      let most = 0
      let now = 0
      const held: Array<Asked> = []
      const { gateway, upstream } = yield* before((asked) => {
        most = Math.max(most, ++now)
        asked.stream.once("close", () => now--)
        if (most === 6) { for (const each of [asked, ...held.splice(0)]) answering()(each) }
        else held.push(asked)
      }, { upstream: { connections: 2, settings: { maxConcurrentStreams: 3 } } })
      assert.deepStrictEqual(new Set(yield* asks(gateway, 60)), new Set([200]))
      assert.strictEqual(upstream.sessions.length, 2)
      assert.isAtMost(most, 6)
      yield* gateway.quiet
    }))

  it.live("18. a client that leaves while its request waits for a place gives it up", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(silent, {
        upstream: { connections: 1, settings: { maxConcurrentStreams: 1 } }
      })
      client.send(get)
      const first = yield* upstream.request(0)
      const second = yield* gateway.connect
      second.send(get)
      yield* gateway.becomes("2 active, 0 queued")
      second.reset()
      yield* gateway.becomes("1 active, 0 queued")
      answering()(first)
      assert.strictEqual(status(yield* client.message()), 200)
      yield* gateway.quiet
      assert.strictEqual(upstream.asked.length, 1)
    }))

  it.live("one on which nothing is under way is closed in a while", () =>
    Effect.gen(function*() {
      const { gateway, upstream } = yield* before(answering(), { settings: { undici: { http2: { keepAlive: 50 } } } })
      yield* asks(gateway, 1)
      yield* eventually("its end", () => upstream.sessions[0]!.destroyed)
      assert.deepStrictEqual(yield* asks(gateway, 1), [200])
      assert.strictEqual(upstream.sessions.length, 2)
    }))

  it.live("one that is busy for longer stays", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(silent, {
        settings: { undici: { http2: { keepAlive: 20 } } }
      })
      client.send(get)
      const first = yield* upstream.request(0)
      const second = yield* gateway.connect
      second.send(get)
      answering()(yield* upstream.request(1))
      yield* second.message()
      first.stream.respond({ ":status": 200 })
      first.stream.write("hello")
      yield* client.until("some of it", ({ text }) => text.includes("hello"))
      yield* Effect.sleep(60) // The time in which it would be closed.
      first.stream.end(" world")
      assert.strictEqual((yield* client.message()).body.toString(), "hello world")
    }))
})

describe("27. HTTP/2 to the upstream: the layer closes", { timeout: 30_000 }, () => {
  for (const ends of [true, false]) {
    it.live(`what is under way ${ends ? "may end by itself" : "is cut when it does not end in time"}`, () =>
      Effect.gen(function*() {
        const upstream = yield* Http2Upstream.make(({ stream }) => {
          stream.respond({ ":status": 200 })
          stream.write("hello")
        })
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Undici.layerWith({ drain: ends ? "1 hour" : 50 }), scope)
        let exit: Exit.Exit<Transport.Response, unknown> | undefined
        let head: Transport.Response | undefined
        Context.get(context, Transport.Transport).send({
          upstream: yield* Upstream.make(upstream.url, { http: "2" }),
          method: "GET",
          target: "/",
          headers: [],
          body: HttpBody.empty,
          source: HttpServerRequest.fromWeb(new Request("http://gateway.test/")),
          idle: undefined
        }, { answer: (response) => head = response, end: (is) => exit = is })
        const { body } = yield* eventually("the head", () => head)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        if (ends) upstream.asked[0]!.stream.end(" world")
        const read = yield* Effect.exit(Effect.tryPromise(() => text((body as HttpBody.Raw).body as Readable)))
        assert.strictEqual(read._tag === "Success" ? read.value : "cut", ends ? "hello world" : "cut")
        assert.strictEqual((yield* eventually("the end", () => exit))._tag, ends ? "Success" : "Failure")
        yield* Fiber.join(closing)
        yield* eventually("the end of the connection", () => upstream.sessions[0]!.destroyed)
      }))
  }
})

describe("18. HTTP/2 to the upstream: the client goes away, or time is up", { timeout: 30_000 }, () => {
  const cancelled = (asked: Asked) =>
    eventually("a reset of the stream", () => asked.closed !== undefined && { code: asked.closed })

  for (
    const [when, begin] of [
      ["before the head", () => {}],
      ["in the middle of the body", ({ stream }: Asked) => {
        stream.respond({ ":status": 200 })
        stream.write("hello")
      }]
    ] as const
  ) {
    it.live(`${when}: the stream is cancelled, the permit comes back, and the connection stays`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* before(silent)
        client.send(get)
        const asked = yield* upstream.request(0)
        begin(asked)
        if (when !== "before the head") yield* client.until("some of it", ({ text }) => text.includes("hello"))
        client.reset()
        assert.deepStrictEqual(yield* cancelled(asked), { code: 8 })
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
        const next = yield* gateway.connect
        next.send(get)
        answering()(yield* upstream.request(1))
        assert.strictEqual(status(yield* next.message()), 200)
        assert.strictEqual(upstream.sessions.length, 1)
      }))
  }

  it.live("in the middle of its request body: the upstream never sees an end of it", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(silent)
      client.send(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 100\r\n\r\nhello`)
      const asked = yield* upstream.request(0)
      yield* eventually("some of it", () => asked.bytes === 5)
      client.reset()
      assert.deepStrictEqual(yield* cancelled(asked), { code: 8 })
      assert.isTrue(asked.stream.aborted)
      assert.strictEqual(asked.bytes, 5)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
    }))

  it.live("19. a route's timeout cancels the stream, and the connection serves the next request", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before(silent, { route: { timeout: 50 } })
      client.send(get)
      const asked = yield* upstream.request(0)
      assert.strictEqual(status(yield* client.message()), 504)
      assert.deepStrictEqual(yield* cancelled(asked), { code: 8 })
      client.send(get)
      answering()(yield* upstream.request(1))
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(upstream.sessions.length, 1)
    }))

  it.live("22. it ends at the head: a body may take longer, and silence within it is bounded by idle", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(({ stream }) => {
        stream.respond({ ":status": 200 })
        stream.write("hello")
      }, { route: { timeout: 50, idle: 200 } })
      client.send(get)
      yield* client.until("some of it", ({ text }) => text.includes("hello"))
      yield* client.until("the end of it", ({ ended }) => ended)
      assert.isFalse(client.text.endsWith("0\r\n\r\n"))
      assert.deepStrictEqual(yield* cancelled(upstream.asked[0]!), { code: 8 })
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      assert.isTrue(gateway.logs.some((line) => line.includes("silent for too long")))
    }))
})

describe("27. an upstream in HTTP/1.1 beside it", { timeout: 30_000 }, () => {
  it.live("is spoken to in HTTP/1.1 unless the Upstream says otherwise", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const gateway = yield* Gateway.start({ upstream: upstream.url } satisfies Partial<Proxy.Options>)
      assert.deepStrictEqual(yield* asks(gateway, 1), [200])
    }))

  it.live(`"auto" without TLS is HTTP/1.1`, () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const gateway = yield* Gateway.start({ upstream: yield* Upstream.make(upstream.url, { http: "auto" }) })
      assert.deepStrictEqual(yield* asks(gateway, 1), [200])
    }))
})
