import { Proxy, Transport } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Tracer } from "effect"
import { FetchHttpClient, HttpMiddleware } from "effect/http"
import { eventuallyEqual } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

/** A tracer that keeps its spans. */
const tracing = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const of = (kind: Tracer.SpanKind) => spans.filter((span) => span.kind === kind)
  return { tracer, spans, of }
}

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
const host = "Host: gateway.test"
const states = ["tracestate: a=1,b=2", "TraceState: c=3"]

/** Sends a request through a gateway that is traced, or not, and shows what the upstream got. */
const exchange = (
  lines: ReadonlyArray<string>,
  { answer = response("ok"), tracer, transport }: {
    readonly answer?: string
    readonly tracer?: Tracer.Tracer
    readonly transport?: Layer.Layer<Transport.Transport> | undefined
  } = {}
) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => answer, seen)
    const started = Gateway.withRoutes((group) => {
      const route = Proxy.route("/*", { group, upstream: upstream.url })
      return transport === undefined ? route : Layer.provide(route, transport)
    })
    const gateway = yield* tracer === undefined ? started : Effect.provideService(started, Tracer.Tracer, tracer)
    const client = yield* gateway.connect
    client.send(["GET / HTTP/1.1", host, ...lines, "", ""].join("\r\n"))
    const got = yield* client.message()
    return { got, gateway, upstream, sent: seen[0]! }
  })

const parts = (sent: HttpMessage) => {
  const [parent = "", ...more] = values(sent, "traceparent")
  assert.isEmpty(more)
  assert.match(parent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)
  const [, traceId, spanId, flags] = parent.split("-")
  return { traceId, spanId, flags }
}

const parentOf = (span: Tracer.Span | undefined): string | undefined =>
  span?.parent._tag === "Some" ? span.parent.value.spanId : undefined

describe("12. without a tracer", { timeout: 30_000 }, () => {
  const fetch = Transport.layerHttpClient.pipe(Layer.provide(FetchHttpClient.layer))
  for (const [name, transport] of [["undici", undefined], ["an HttpClient", fetch]] as const) {
    it.live(`12. traceparent, tracestate and b3 pass as they came, over ${name}`, () =>
      Effect.gen(function*() {
        const { sent } = yield* exchange(["TraceParent: 00-odd", ...states, "b3: 0"], { transport })
        assert.deepStrictEqual(values(sent, "traceparent"), ["00-odd"])
        assert.strictEqual(
          values(sent, "tracestate").join(","),
          transport === undefined ? "a=1,b=2,c=3" : "a=1,b=2, c=3"
        )
        assert.deepStrictEqual(values(sent, "b3"), ["0"])
      }))

    it.live(`12. nothing is made up, over ${name}`, () =>
      Effect.gen(function*() {
        const { sent } = yield* exchange([], { transport })
        assert.deepStrictEqual(values(sent, "traceparent"), [])
        assert.deepStrictEqual(values(sent, "b3"), [])
      }))
  }
})

describe("12. with a tracer", { timeout: 30_000 }, () => {
  it.live("12. the client's trace continues: the upstream's parent is the attempt, and that's the server's span", () =>
    Effect.gen(function*() {
      const { of, tracer } = tracing()
      const { sent } = yield* exchange([`Traceparent: ${traceparent}`, ...states], { tracer })
      const [server] = of("server")
      const [attempt, ...more] = of("client")
      assert.isEmpty(more)
      assert.strictEqual(parentOf(server), "00f067aa0ba902b7")
      assert.strictEqual(parentOf(attempt), server?.spanId)
      assert.deepStrictEqual(parts(sent), { traceId, spanId: attempt?.spanId, flags: "01" })
      assert.deepStrictEqual(values(sent, "tracestate"), ["a=1,b=2", "c=3"])
      assert.deepStrictEqual(values(sent, "b3"), [])
    }))

  it.live("12. over an HttpClient too: one span, no b3", () =>
    Effect.gen(function*() {
      const { of, tracer } = tracing()
      const transport = Transport.layerHttpClient.pipe(Layer.provide(FetchHttpClient.layer))
      const { sent } = yield* exchange([`traceparent: ${traceparent}`], { tracer, transport })
      assert.strictEqual(of("client").length, 1)
      assert.deepStrictEqual(parts(sent), { traceId, spanId: of("client")[0]?.spanId, flags: "01" })
      assert.deepStrictEqual(values(sent, "b3"), [])
    }))

  it.live("12. a trace that is not sampled stays so, and has no span of the attempt", () =>
    Effect.gen(function*() {
      const { of, tracer } = tracing()
      const { sent } = yield* exchange([`traceparent: ${traceparent.slice(0, -1)}0`], { tracer })
      assert.deepInclude(parts(sent), { traceId, flags: "00" })
      assert.lengthOf(of("client"), 0)
    }))

  for (
    const bad of [
      [],
      [`traceparent: ${traceparent}`, `traceparent: ${traceparent}`],
      ["traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
      [`traceparent: ff-${traceId}-00f067aa0ba902b7-01`],
      [`traceparent: ${traceparent.toUpperCase()}`]
    ]
  ) {
    it.live(`12. where there is no context, or none that is valid, a trace begins, without the other's state: ${bad}`, () =>
      Effect.gen(function*() {
        const { of, tracer } = tracing()
        const { sent } = yield* exchange([...bad, ...states], { tracer })
        const told = parts(sent)
        assert.notStrictEqual(told.traceId, traceId)
        assert.strictEqual(told.spanId, of("client")[0]?.spanId)
        assert.deepStrictEqual(values(sent, "tracestate"), [])
      }))
  }

  it.live("12. an attempt says what it was: method, server, status; and what it ended with", () =>
    Effect.gen(function*() {
      const { of, tracer } = tracing()
      const { gateway, upstream } = yield* exchange([], { tracer, answer: response("no").replace("200", "503") })
      yield* gateway.quiet
      const [span] = of("client")
      assert.strictEqual(span?.name, "http.client GET")
      assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "http.response.status_code": 503,
        "error.type": "503"
      })
      assert.isTrue(span?.status._tag === "Ended" && Exit.isFailure(span.status.exit))
    }))

  it.live("12. an attempt that fails before the head is a span that failed, once", () =>
    Effect.gen(function*() {
      const { of, tracer } = tracing()
      const upstream = `http://127.0.0.1:${yield* RawUpstream.deadPort}`
      const gateway = yield* Effect.provideService(Gateway.start({ upstream }), Tracer.Tracer, tracer)
      const client = yield* gateway.connect
      client.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n`)
      assert.strictEqual(status(yield* client.message()), 502)
      const [span, ...more] = of("client")
      assert.isEmpty(more)
      assert.isTrue(span?.status._tag === "Ended" && Exit.isFailure(span.status.exit))
    }))

  it.live("12. a span lasts until the body has ended, and ends with the time that is up", () =>
    Effect.gen(function*() {
      const { of, tracer } = tracing()
      const more = Deferred.makeUnsafe<void>()
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.gen(function*() {
          const { startLine } = yield* wire.message()
          if (startLine.includes("/never")) return
          wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
          yield* Deferred.await(more)
          wire.send("b")
        })
      )
      const started = Gateway.withRoutes((group) =>
        Layer.merge(
          Proxy.route("/*", { group, upstream: upstream.url }),
          Proxy.route("/never", { group, upstream: upstream.url, timeout: 50 })
        )
      )
      const gateway = yield* Effect.provideService(started, Tracer.Tracer, tracer)
      const client = yield* gateway.connect
      const state = (index: number) => Effect.sync(() => of("client")[index]?.status._tag)
      client.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n`)
      yield* client.until("the first half", ({ text }) => text.endsWith("\r\n\r\na"))
      assert.strictEqual(yield* state(0), "Started")
      yield* Deferred.succeed(more, undefined)
      yield* client.message()
      yield* eventuallyEqual("the end of the span", "Ended", state(0))

      client.send(`GET /never HTTP/1.1\r\n${host}\r\n\r\n`)
      assert.strictEqual(status(yield* client.message()), 504)
      assert.strictEqual(yield* state(1), "Ended")
    }))

  it.live("12. a request that Effect's server is told not to trace passes as it came", () =>
    Effect.gen(function*() {
      const { spans, tracer } = tracing()
      const seen: Array<HttpMessage> = []
      const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
      const gateway = yield* Gateway.start({ upstream: upstream.url }).pipe(Effect.provideContext(
        Context.make(Tracer.Tracer, tracer).pipe(Context.add(HttpMiddleware.TracerDisabledWhen, () => true))
      ))
      const client = yield* gateway.connect
      client.send(`GET / HTTP/1.1\r\n${host}\r\ntraceparent: ${traceparent}\r\n\r\n`)
      yield* client.message()
      assert.deepStrictEqual(values(seen[0]!, "traceparent"), [traceparent])
      assert.isEmpty(spans)
    }))
})
