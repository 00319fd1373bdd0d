import { type Proxy, type Replay, Upstream, type UpstreamError } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import { HttpServerResponse } from "effect/http"
import { once } from "node:events"
import * as Http2 from "node:http2"
import { text } from "node:stream/consumers"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import * as Http2Upstream from "../harness/Http2Upstream.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const request = (method: string, body = "", ...fields: ReadonlyArray<string>): string =>
  [
    `${method} / HTTP/1.1`,
    "Host: gateway.test",
    ...fields,
    ...(body === "" ? [] : [`Content-Length: ${body.length}`]),
    "",
    body
  ].join("\r\n")

const answer = (status: number, body: string, ...fields: ReadonlyArray<string>): string =>
  response(body, ...fields).replace("200 OK", `${status} Because`)

type Reply = string | ((wire: Wire) => unknown)

const reset = (wire: Wire) => wire.reset()

interface Options extends Omit<Parameters<typeof Gateway.start>[0], "upstream"> {
  readonly settings?: Parameters<typeof Gateway.start>[1]
}

const quick: Replay.Options = { base: 1 }

/** An upstream that treats the requests that come one after the other so, the last way for all that follow, and a gateway before it. */
const started = (replies: ReadonlyArray<Reply>, { settings, ...options }: Options = {}) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.make((wire) =>
      Effect.gen(function*() {
        for (;;) {
          seen.push(yield* wire.message())
          const reply = replies[Math.min(seen.length, replies.length) - 1]!
          if (typeof reply === "string") wire.send(reply)
          else reply(wire)
        }
      })
    )
    const gateway = yield* Gateway.start({ retry: quick, ...options, upstream: upstream.url }, settings)
    const client = yield* gateway.connect
    const ask = (text: string) =>
      Effect.suspend(() => {
        client.send(text)
        return client.message({ bodiless: text.startsWith("HEAD") })
      })
    return { seen, upstream, gateway, client, ask }
  })

describe("a connection that is refused", { timeout: 30_000 }, () => {
  const refusing = (options: Options) =>
    Effect.gen(function*() {
      let refusals = 0
      const counting = () => ++refusals > 0
      const retry: Replay.Options = { times: 100, base: 20, max: 20, while: counting }
      const it = yield* started([response("ok")], { retry, ...options })
      yield* it.upstream.kill
      return { ...it, refused: eventually("a connection that is refused", () => refusals > 0) }
    })

  it.live("is asked for again, until there is one", () =>
    Effect.gen(function*() {
      const { client, gateway, refused, seen, upstream } = yield* refusing({})
      client.send(request("GET"))
      yield* refused
      yield* upstream.start
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(seen.length, 1)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("is asked for again by a body that streams, too: nobody has asked for that", () =>
    Effect.gen(function*() {
      const { client, refused, seen, upstream } = yield* refusing({})
      client.send(request("PUT", "hello"))
      yield* refused
      yield* upstream.start
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(seen.map(({ body }) => body.toString()), ["hello"])
    }))

  it.live("a client that waits to be told to go on is told when there is a connection, once", () =>
    Effect.gen(function*() {
      const { client, refused, seen, upstream } = yield* refusing({})
      client.send(request("PUT", "", "Expect: 100-continue", "Content-Length: 5"))
      yield* refused
      assert.strictEqual(client.text, "")
      yield* upstream.start
      assert.strictEqual((yield* client.head).startLine, "HTTP/1.1 100 Continue")
      client.send("hello")
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(seen.map(({ body }) => body.toString()), ["hello"])
    }))

  it.live("a POST is not sent again, although the upstream has seen nothing of it", () =>
    Effect.gen(function*() {
      const { ask } = yield* refusing({})
      assert.strictEqual(status(yield* ask(request("POST"))), 502)
    }))

  it.live("is a 502 when the attempts are over", () =>
    Effect.gen(function*() {
      const { ask, gateway } = yield* refusing({ retry: quick })
      assert.strictEqual(status(yield* ask(request("GET"))), 502)
      assert.strictEqual(gateway.logs.length, 1)
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))
})

describe("a connection that breaks before a response head", { timeout: 30_000 }, () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"]) {
    it.live(`${method} is sent again, and is one call`, () =>
      Effect.gen(function*() {
        const { ask, gateway, seen } = yield* started([reset, reset, response("ok")])
        assert.strictEqual(status(yield* ask(request(method))), 200)
        assert.deepStrictEqual(seen.map(({ startLine }) => startLine), Array(3).fill(`${method} / HTTP/1.1`))
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
        assert.deepStrictEqual(gateway.logs, [])
      }))
  }

  for (
    const [what, options, sent] of [
      ["POST", {}, request("POST")],
      ["PATCH", {}, request("PATCH")],
      ["GET, on a route that says nothing of it", { retry: undefined }, request("GET")],
      ["GET, where only others are", { retry: { ...quick, methods: ["HEAD"] } }, request("GET")],
      ["a PUT whose body streamed", {}, request("PUT", "hello")],
      ["a GET whose body streamed", {}, request("GET", "hello")],
      [
        "a POST whose body streamed, where a POST may be",
        { retry: { ...quick, methods: ["POST"] } },
        request("POST", "a")
      ],
      ["GET, if `while` is against it", { retry: { ...quick, while: () => false } }, request("GET")]
    ] as ReadonlyArray<readonly [string, Options, string]>
  ) {
    it.live(`${what} is not sent again`, () =>
      Effect.gen(function*() {
        const { ask, gateway, seen } = yield* started([reset, response("ok")], options)
        assert.strictEqual(status(yield* ask(sent)), 502)
        assert.strictEqual(seen.length, 1)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      }))
  }

  it.live("nor is one whose streamed body was begun, and did not come to its end", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => Effect.map(wire.head, () => wire.reset()))
      const gateway = yield* Gateway.start({ upstream: upstream.url, retry: quick })
      const client = yield* gateway.connect
      client.send("PUT / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhello")
      yield* client.until("the answer", ({ text }) => text.startsWith("HTTP/1.1 502 "))
      assert.strictEqual(upstream.wires.length, 1)
    }))

  it.live("a POST is sent again where that is allowed, with the bytes that a rewrite gave it", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([reset, response("ok")], {
        retry: { ...quick, methods: ["POST"] },
        rewrite: (it) => ({ ...it, body: HttpServerResponse.text("mine").body })
      })
      assert.strictEqual(status(yield* ask(request("POST", "theirs"))), 200)
      assert.deepStrictEqual(seen.map(({ body }) => body.toString()), ["mine", "mine"])
    }))

  it.live("a response that has begun is not made another one", () =>
    Effect.gen(function*() {
      const { client, seen, upstream } = yield* started(["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"])
      client.send(request("GET"))
      yield* client.until("the first part", ({ text }) => text.endsWith("hello"))
      upstream.wires[0]!.reset()
      yield* client.until("the end of it", ({ gone }) => gone)
      assert.strictEqual(seen.length, 1)
    }))

  it.live("the upstream sees one request and `times` more, and the last failure is the answer", () =>
    Effect.gen(function*() {
      const failures: Array<Proxy.Failure> = []
      const { ask, seen } = yield* started([reset], {
        retry: { ...quick, times: 3 },
        fallback: (failure) => {
          failures.push(failure)
          return Effect.succeed(HttpServerResponse.text("sorry"))
        }
      })
      assert.strictEqual((yield* ask(request("GET"))).body.toString(), "sorry")
      assert.strictEqual(seen.length, 4)
      assert.deepStrictEqual(failures.map((failure) => (failure as UpstreamError.UpstreamError).phase), ["head"])
    }))
})

describe("a status that is worth another attempt", { timeout: 30_000 }, () => {
  const statuses = { ...quick, statuses: true }

  for (const code of [502, 503, 504]) {
    it.live(`a ${code} is thrown away`, () =>
      Effect.gen(function*() {
        const { ask, gateway, seen } = yield* started([answer(code, "sorry"), response("ok")], { retry: statuses })
        const got = yield* ask(request("GET"))
        assert.deepStrictEqual([status(got), got.body.toString()], [200, "ok"])
        assert.strictEqual(seen.length, 2)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
      }))
  }

  for (
    const [what, options, code] of [
      ["any, unless that is asked for", { retry: quick }, 503],
      ["a 500", { retry: statuses }, 500],
      ["a 503, where only others are", { retry: { ...quick, statuses: [500] } }, 503]
    ] as ReadonlyArray<readonly [string, Options, number]>
  ) {
    it.live(`but not ${what}`, () =>
      Effect.gen(function*() {
        const { ask, seen } = yield* started([answer(code, "sorry"), response("ok")], options)
        assert.strictEqual(status(yield* ask(request("GET"))), code)
        assert.strictEqual(seen.length, 1)
      }))
  }

  it.live("the last one is passed on, as it is, and is no failure", () =>
    Effect.gen(function*() {
      const { ask, gateway, seen } = yield* started([answer(503, "1"), answer(503, "2"), answer(503, "3", "X-A: b")], {
        retry: statuses
      })
      const got = yield* ask(request("GET"))
      assert.deepStrictEqual([status(got), got.body.toString(), values(got, "x-a")], [503, "3", ["b"]])
      assert.strictEqual(seen.length, 3)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("one to a body that streamed is passed on", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([answer(503, "sorry"), response("ok")], { retry: statuses })
      assert.strictEqual(status(yield* ask(request("PUT", "hello"))), 503)
      assert.strictEqual(seen.length, 1)
    }))

  it.live("one whose body streams is given up, and its connection is let go", () =>
    Effect.gen(function*() {
      const held: Array<Wire> = []
      const { client, upstream } = yield* started([
        "HTTP/1.1 503 Because\r\nContent-Length: 10\r\n\r\nhello",
        (wire) => held.push(wire)
      ], { retry: statuses })
      client.send(request("GET"))
      yield* eventually("the second attempt", () => held.length === 1)
      yield* upstream.wires[0]!.until("its end", ({ gone }) => gone)
      held[0]!.send(response("ok"))
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(upstream.wires.length, 2)
    }))

  it.live("one that has come whole leaves its connection to others", () =>
    Effect.gen(function*() {
      const { ask, upstream } = yield* started([answer(503, "sorry"), response("ok")], { retry: statuses })
      assert.strictEqual(status(yield* ask(request("GET"))), 200)
      assert.strictEqual(upstream.wires.length, 1)
    }))

  it.live("over HTTP/2 its stream alone is given up", () =>
    Effect.gen(function*() {
      const upstream = yield* Http2Upstream.make(({ stream }) => {
        if (upstream.asked.length > 1) return
        stream.respond({ ":status": 503 })
        stream.write("sorry")
      })
      const to = yield* Effect.orDie(Upstream.make(upstream.url, { http: "2" }))
      const gateway = yield* Gateway.start({ upstream: to, retry: statuses })
      const client = yield* gateway.connect
      client.send(request("GET"))
      const second = yield* upstream.request(1)
      yield* eventually("the end of the first", () => upstream.asked[0]!.closed !== undefined)
      second.stream.respond({ ":status": 200 })
      second.stream.end("ok")
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual([upstream.asked.length, upstream.sessions.length], [2, 1])
      yield* gateway.quiet
    }))

  it.live("one whose trailers have come with it leaves nothing of them", () =>
    Effect.gen(function*() {
      const chunked = (code: number, body: string, trailer: string) =>
        `HTTP/1.1 ${code} Because\r\nTransfer-Encoding: chunked\r\n\r\n${body.length}\r\n${body}\r\n0\r\n${trailer}\r\n\r\n`
      const { ask, gateway } = yield* started([chunked(503, "sorry", "X-A: 1"), chunked(200, "ok", "X-B: 2")], {
        retry: statuses
      })
      const got = yield* ask(request("GET"))
      assert.deepStrictEqual([status(got), got.body.toString(), got.trailers], [200, "ok", [["X-B", "2"]]])
      yield* gateway.quiet
    }))

  it.live("those that are all head leave the head of the last one as it is, over HTTP/2 on both sides", () =>
    Effect.gen(function*() {
      const upstream = yield* Http2Upstream.make(({ stream }) => {
        if (upstream.asked.length < 3) stream.respond({ ":status": 503 }, { endStream: true })
        else {
          stream.respond({ ":status": 200, "x-a": "1" })
          stream.end("ok")
        }
      })
      const to = yield* Effect.orDie(Upstream.make(upstream.url, { http: "2" }))
      const gateway = yield* Gateway.start({ upstream: to, retry: statuses }, {
        server: () => Http2.createServer()
      })
      const session = yield* Effect.acquireRelease(
        Effect.sync(() => Http2.connect(`http://127.0.0.1:${gateway.port}`)),
        (session) => Effect.sync(() => session.destroy())
      )
      const stream = session.request({ ":path": "/" })
      const got = yield* Effect.promise(() => once(stream, "response"))
      const body = yield* Effect.promise(() => text(stream))
      assert.deepStrictEqual([got[0][":status"], got[0]["x-a"], body], [200, "1", "ok"])
      yield* gateway.quiet
    }))

  it.live("its Retry-After is waited for", () =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const { ask } = yield* started([
        (wire) => {
          at.push(performance.now())
          wire.send(answer(503, "sorry", "Retry-After: 1"))
        },
        (wire) => {
          at.push(performance.now())
          wire.send(response("ok"))
        }
      ], { retry: statuses })
      assert.strictEqual(status(yield* ask(request("GET"))), 200)
      assert.isAtLeast(at[1]! - at[0]!, 990)
    }))

  it.live("one that asks for longer than maxRetryAfter is passed on", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([answer(503, "sorry", "Retry-After: 3"), response("ok")], {
        retry: { ...statuses, maxRetryAfter: "2 seconds" }
      })
      const got = yield* ask(request("GET"))
      assert.deepStrictEqual([status(got), values(got, "retry-after")], [503, ["3"]])
      assert.strictEqual(seen.length, 1)
    }))

  it.live("one whose better answer did not come is answered by its status", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([answer(429, "sorry", "Retry-After: 1"), response("ok")], {
        retry: { base: 1, statuses: [429] },
        settings: { policies: { circuit: { consecutive: 1 } } }
      })
      const got = yield* ask(request("GET"))
      assert.deepStrictEqual([status(got), values(got, "retry-after")], [429, ["1"]])
      assert.include(got.body.toString(), "too many requests")
      assert.strictEqual(seen.length, 1)
    }))
})

describe("what bounds the attempts", { timeout: 30_000 }, () => {
  const exhausted = { policies: { retryBudget: { ratio: 0, perSecond: 0.1 } } }

  it.live("a budget: when it is exhausted, the failure is the answer", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([reset], { retry: { ...quick, times: 5 }, settings: exhausted })
      assert.strictEqual(status(yield* ask(request("GET"))), 502)
      assert.strictEqual(seen.length, 2)
    }))

  it.live("a budget: when it is exhausted, a listed status is passed on", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([answer(503, "sorry")], {
        retry: { ...quick, times: 5, statuses: true },
        settings: exhausted
      })
      const got = yield* ask(request("GET"))
      assert.deepStrictEqual([status(got), got.body.toString()], [503, "sorry"])
      assert.strictEqual(seen.length, 2)
    }))

  for (const bound of ["timeout", "total"] as const) {
    it.live(`${bound} bounds all of them together`, () =>
      Effect.gen(function*() {
        const { ask, gateway, seen } = yield* started([reset, reset, () => {}], { retry: quick, [bound]: 200 })
        const before = performance.now()
        assert.strictEqual(status(yield* ask(request("GET"))), 504)
        assert.isBelow(performance.now() - before, 2000)
        assert.strictEqual(seen.length, 3)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1 })
      }))
  }

  it.live("a delay that would outlast it is not begun", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([answer(503, "sorry", "Retry-After: 5")], {
        retry: { ...quick, statuses: true },
        timeout: "2 seconds"
      })
      assert.strictEqual(status(yield* ask(request("GET"))), 503)
      assert.strictEqual(seen.length, 1)
    }))

  it.live("attemptTimeout bounds each of them, and its connection is let go", () =>
    Effect.gen(function*() {
      const { ask, gateway, seen, upstream } = yield* started([() => {}, response("ok")], { attemptTimeout: 50 })
      assert.strictEqual(status(yield* ask(request("GET"))), 200)
      assert.strictEqual(seen.length, 2)
      yield* upstream.wires[0]!.until("its end", ({ gone }) => gone)
      yield* gateway.quiet
    }))

  it.live("a client that is gone between two of them: there is no other", () =>
    Effect.gen(function*() {
      const { client, gateway, seen } = yield* started([reset, response("ok")], {
        retry: { base: 60_000, max: 60_000 }
      })
      client.send(request("GET"))
      yield* eventually("the first attempt", () => seen.length === 1)
      yield* gateway.quiet
      client.reset()
      yield* eventuallyEqual("the outcome", { interrupted: 1 }, gateway.outcomes())
      assert.strictEqual(seen.length, 1)
    }))

  it.live("a client that is gone in one of them: there is no other", () =>
    Effect.gen(function*() {
      const { client, gateway, seen, upstream } = yield* started([() => {}])
      client.send(request("GET"))
      yield* eventually("the first attempt", () => seen.length === 1)
      client.reset()
      yield* upstream.wires[0]!.until("its end", ({ gone }) => gone)
      yield* gateway.quiet
      assert.strictEqual(seen.length, 1)
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
    }))
})

describe("what each attempt has of its own", { timeout: 30_000 }, () => {
  it.live("the time that is left", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([reset, response("ok")], {
        retry: { base: 1, statuses: true },
        timeout: "10 seconds",
        callContext: { send: true }
      })
      assert.strictEqual(status(yield* ask(request("GET"))), 200)
      const left = seen.map((sent) => Number(values(sent, "x-envoy-expected-rq-timeout-ms")[0]))
      assert.isTrue(left.length === 2 && left.every((millis) => millis > 0 && millis <= 10_000), String(left))
    }))

  it.live("a permit, one at a time, and none in a delay", () =>
    Effect.gen(function*() {
      const held: Array<Wire> = []
      const { client, gateway } = yield* started([(wire) => held.push(wire)], {
        retry: { base: 100, times: 1, statuses: true },
        settings: { pool: { maxConcurrent: 1 } }
      })
      client.send(request("GET"))
      yield* eventually("the first attempt", () => held.length === 1)
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      held[0]!.send("HTTP/1.1 503 Because\r\nContent-Length: 10\r\n\r\nhello")
      yield* gateway.quiet
      yield* eventually("the second attempt", () => held.length === 2)
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      held[1]!.send("HTTP/1.1 503 Because\r\nContent-Length: 10\r\n\r\nhello")
      yield* client.until("its head", ({ text }) => text.endsWith("hello"))
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      held[1]!.send("world")
      yield* gateway.quiet
    }))

  it.live("a span, of which the upstream is told", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span(options) {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const { ask, gateway, seen } = yield* Effect.provideService(
        started([reset, answer(503, "sorry"), response("ok")], { retry: { ...quick, statuses: true } }),
        Tracer.Tracer,
        tracer
      )
      assert.strictEqual(status(yield* ask(request("GET"))), 200)
      yield* gateway.quiet
      const clients = spans.filter(({ kind }) => kind === "client")
      assert.deepStrictEqual(
        seen.map((sent) => values(sent, "traceparent")[0]!.split("-")[2]),
        clients.map(({ spanId }) => spanId)
      )
      assert.deepStrictEqual(clients.map((span) => span.attributes.get("http.response.status_code")), [
        undefined,
        503,
        200
      ])
      assert.isTrue(clients.every((span) => span.status._tag === "Ended"))
    }))

  it.live("a place in the circuit's count", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* started([reset], {
        retry: { ...quick, times: 5 },
        settings: { policies: { circuit: { consecutive: 2 } } }
      })
      assert.strictEqual(status(yield* ask(request("GET"))), 502)
      assert.strictEqual(seen.length, 2)
      assert.strictEqual(status(yield* ask(request("GET"))), 503)
      assert.strictEqual(seen.length, 2)
    }))
})

describe("keys of a request", { timeout: 30_000 }, () => {
  const tenant = (it: { readonly query: string }) => it.query

  it.live("a circuit for each", () =>
    Effect.gen(function*() {
      const { ask } = yield* started([reset, response("ok")], {
        retry: undefined,
        circuit: { key: tenant },
        settings: { policies: { circuit: { consecutive: 1 } } }
      })
      const of = (key: string) => request("GET").replace("/", `/?${key}`)
      assert.strictEqual(status(yield* ask(of("a"))), 502)
      assert.strictEqual(status(yield* ask(of("b"))), 200)
      assert.strictEqual(status(yield* ask(of("a"))), 503)
    }))

  it.live("a rate for each", () =>
    Effect.gen(function*() {
      const { ask } = yield* started([response("ok")], {
        rateLimit: { key: tenant },
        settings: { policies: { rateLimit: { limit: 1, window: "1 minute" } } }
      })
      const of = (key: string) => request("GET").replace("/", `/?${key}`)
      assert.strictEqual(status(yield* ask(of("a"))), 200)
      assert.strictEqual(status(yield* ask(of("b"))), 200)
      assert.strictEqual(status(yield* ask(of("a"))), 429)
    }))
})
