import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { redacted } from "../../packages/gateway/src/internal/redact.ts"
import { eventually } from "../harness/eventually.ts"
import type { HttpMessage } from "../harness/HttpMessage.ts"
import * as OtlpCollector from "../harness/OtlpCollector.ts"
import { attribute } from "../harness/OtlpCollector.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { response } from "../harness/RawUpstream.ts"
import { explained, refused, started, startedInCode } from "./started.ts"

const [server, client] = [2, 3]

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"

const ask = (url: string, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const answer = await fetch(url, { headers })
    await answer.arrayBuffer()
    return answer.status
  })

const upstreamOf = Effect.gen(function*() {
  const seen: Array<HttpMessage> = []
  const { url } = yield* RawUpstream.answering(() => response("ok"), seen)
  const last = (name: string) => seen.at(-1)!.fields.find(([field]) => field.toLowerCase() === name)?.[1]
  return { url, last }
})

const file = (upstream: string, otlp?: string) =>
  "port: 0\ngroups:\n  a: { pool: { max_concurrent: 9 } }\n"
  + `routes:\n  - { name: shop, match: { path: /shop }, upstream: "${upstream}", group: a }\n`
  + (otlp === undefined ? "" : `telemetry:\n  otlp: { ${otlp} }\n`)

const filtered = (upstream: string, collector: string) => ({
  config: {
    port: 0,
    routes: [{ name: "shop", match: { path: "/shop" }, upstream }],
    telemetry: { otlp: { url: collector, interval: "1h", metrics: false } }
  },
  middleware: <R>(answer: Effect.Effect<HttpServerResponse.HttpServerResponse, never, R>) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
      headers["x-key"] === undefined
        ? Effect.succeed(HttpServerResponse.empty({ status: 401 }))
        : Effect.andThen(Effect.withSpan(Effect.void, "who is it"), Effect.withSpan(answer, "inside")))
})

describe("telemetry", { timeout: 30_000 }, () => {
  it.live("a request has a span, and so has that to the upstream, which hears of it", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { last, url } = yield* upstreamOf
      const { origin } = yield* started(
        file(url, `url: "${collector.url}/", interval: 20ms, headers: { x-token: t1 }, attributes: { zone: z }`)
      )
      yield* ask(`${origin}/shop/1?q=1`, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` })
      yield* eventually("two spans", () => collector.spans.length >= 2)
      const [one, other] = [server, client].map((kind) => collector.spans.find((span) => span.kind === kind))
      assert.deepStrictEqual([one?.name, one?.traceId, one?.parentSpanId], ["GET shop", traceId, "00f067aa0ba902b7"])
      assert.deepStrictEqual([other?.traceId, other?.parentSpanId], [traceId, one?.spanId])
      assert.strictEqual(last("traceparent"), `00-${traceId}-${other?.spanId}-01`)
      assert.deepStrictEqual(
        ["http.request.method", "http.response.status_code", "http.route", "blackgate.group"].map((name) =>
          attribute(one!.attributes, name)
        ),
        ["GET", 200, "/shop", "a"]
      )
      const post = collector.posts.find(({ path }) => path === "/v1/traces")
      assert.strictEqual(post?.headers["x-token"], "t1")
      for (const attributes of collector.resources) {
        assert.deepStrictEqual(["service.name", "zone"].map((name) => attribute(attributes, name)), ["blackgate", "z"])
      }
    }))

  it.live("what no route takes has a span, too", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { url } = yield* upstreamOf
      const { origin } = yield* started(file(url, `url: "${collector.url}", interval: 20ms`))
      assert.strictEqual(yield* ask(`${origin}/other`), 404)
      yield* eventually("a span", () => collector.spans.length === 1)
      assert.strictEqual(attribute(collector.spans[0]!.attributes, "http.response.status_code"), 404)
    }))

  it.live("the metrics of the groups are pushed, compressed if that is said", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { url } = yield* upstreamOf
      const { origin } = yield* started(
        file(url, `url: "${collector.url}", interval: 20ms, traces: false, logs: false, gzip: true`)
      )
      yield* ask(`${origin}/shop`)
      yield* eventually(
        "a metric",
        () => collector.metrics.includes("blackgate_command_calls_total"),
        () => [...new Set(collector.metrics)]
      )
      assert.deepStrictEqual([...new Set(collector.posts.map(({ path }) => path))], ["/v1/metrics"])
      assert.strictEqual(collector.posts[0]?.headers["content-encoding"], "gzip")
    }))

  it.live("without it nothing is traced, and what the client says of its trace passes as it came", () =>
    Effect.gen(function*() {
      const { last, url } = yield* upstreamOf
      const { origin } = yield* started(file(url))
      const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
      yield* ask(`${origin}/shop`, { traceparent })
      assert.strictEqual(last("traceparent"), traceparent)
    }))

  it.live("sample: every so many have a trace, and what a client has not sampled has none", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { last, url } = yield* upstreamOf
      const gateway = yield* started(file(url, `url: "${collector.url}", interval: 1h, metrics: false, sample: 0.25`))
      for (let i = 0; i < 8; i++) yield* ask(`${gateway.origin}/shop`)
      assert.match(last("traceparent")!, /-01$/)
      yield* ask(`${gateway.origin}/shop`, { traceparent: `00-${traceId}-00f067aa0ba902b7-00` })
      assert.match(last("traceparent")!, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
      // Of its random part, less than a quarter, and more.
      yield* ask(`${gateway.origin}/shop`, { traceparent: `00-${"1".repeat(19)}3ffffffffffff-00f067aa0ba902b7-01` })
      yield* ask(`${gateway.origin}/shop`, { traceparent: `00-${"1".repeat(19)}4000000000000-00f067aa0ba902b7-01` })
      yield* gateway.reload(file(url))
      yield* eventually("all of it", () => collector.spans.length >= 6)
      assert.lengthOf(collector.spans.filter(({ kind }) => kind === server), 3)
      assert.strictEqual(collector.spans.at(-1)?.traceId, `${"1".repeat(19)}3ffffffffffff`)
    }))

  it.live("what is not kept costs the upstream nothing either: it is told so, with ids of the form that they have", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { last, url } = yield* upstreamOf
      const gateway = yield* started(file(url, `url: "${collector.url}", interval: 1h, metrics: false, sample: 0.25`))
      const told = (traceparent?: string) =>
        Effect.map(
          ask(`${gateway.origin}/shop`, traceparent === undefined ? {} : { traceparent, tracestate: "a=1" }),
          () => [last("traceparent"), last("tracestate")] as const
        )
      const [made] = yield* told()
      assert.match(made!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
      assert.notStrictEqual((yield* told())[0], made)
      // Nothing is changed: it passes as it came.
      const theirs = `00-${traceId}-00f067aa0ba902b7-00`
      assert.deepStrictEqual(yield* told(theirs), [theirs, "a=1"])
      // The flag is changed: the trace goes on, under another id.
      const [changed, state] = yield* told(`00-${"f".repeat(32)}-00f067aa0ba902b7-01`)
      assert.match(changed!, new RegExp(`^00-${"f".repeat(32)}-(?!00f067aa0ba902b7)[0-9a-f]{16}-00$`))
      assert.strictEqual(state, "a=1")
      yield* gateway.reload(file(url))
      assert.lengthOf(collector.spans, 0)
    }))

  it.live("what stands in a query under the name of a secret is not told", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { url } = yield* upstreamOf
      const { origin } = yield* started(file(url, `url: "${collector.url}", interval: 20ms`))
      const headers = { authorization: "Bearer hunter2", "x-api-key": "hunter2", cookie: "hunter2" }
      yield* ask(`${origin}/shop?q=1&access_token=hunter2&code=hunter2&API-Key=hunter2&sessionid=hunter2`, headers)
      yield* eventually("two spans", () => collector.spans.length === 2)
      const text = JSON.stringify(collector.spans)
      assert.notInclude(text, "hunter2")
      assert.include(text, "q=1")
    }))

  it.live("the span of a request covers the filter, too, and has the name of the route that it comes to", () =>
    Effect.gen(function*() {
      const collector = yield* OtlpCollector.make
      const { last, url } = yield* upstreamOf
      yield* Effect.scoped(Effect.gen(function*() {
        const { origin } = yield* startedInCode(filtered(url, collector.url))
        assert.strictEqual(yield* ask(`${origin}/shop`), 401)
        assert.strictEqual(yield* ask(`${origin}/shop`, { "x-key": "1" }), 200)
        assert.strictEqual(yield* ask(`${origin}/nothing`, { "x-key": "1" }), 404)
      }))
      const servers = collector.spans.filter(({ kind }) => kind === server)
      assert.deepStrictEqual(
        servers.map(({ attributes, name }) => [name, attribute(attributes, "http.response.status_code")]),
        [["GET", 401], ["GET shop", 200], ["GET", 404]]
      )
      assert.strictEqual(attribute(servers[1]!.attributes, "http.route"), "/shop")
      const named = (name: string) => collector.spans.find((span) => span.name === name)!
      assert.strictEqual(named("who is it").parentSpanId, servers[1]!.spanId)
      assert.strictEqual(named("inside").parentSpanId, servers[1]!.spanId)
      const sent = collector.spans.find(({ kind }) => kind === client)!
      assert.strictEqual(sent.parentSpanId, named("inside").spanId)
      assert.strictEqual(last("traceparent"), `00-${servers[1]!.traceId}-${sent.spanId}-01`)
    }))

  it.live("a reload changes where it goes, sends what was for the old one there, and keeps what did not change", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* OtlpCollector.make, yield* OtlpCollector.make]
      const { url } = yield* upstreamOf
      const to = ({ url: collector }: OtlpCollector.OtlpCollector) =>
        file(url, `url: "${collector}", interval: 1h, metrics: false`)
      const gateway = yield* started(to(a))
      yield* ask(`${gateway.origin}/shop`)
      yield* gateway.reload(`${to(a)}log: { level: debug }\n`)
      assert.lengthOf(a.spans, 0)
      yield* gateway.reload(to(b))
      yield* eventually("the spans of the first", () => a.spans.length === 2)
      yield* ask(`${gateway.origin}/shop`)
      yield* gateway.reload(file(url))
      yield* eventually("the spans of the second", () => b.spans.length === 2)
      assert.lengthOf(a.spans, 2)
    }))

  it.live("with a collector that is down requests are answered as ever", () =>
    Effect.gen(function*() {
      const { url } = yield* upstreamOf
      const { origin } = yield* started(
        file(url, `url: "http://127.0.0.1:${yield* RawUpstream.deadPort}", interval: 10ms`)
      )
      for (let i = 0; i < 30; i++) assert.strictEqual(yield* ask(`${origin}/shop`), 200)
    }))

  it.effect("headers of the collector are not shown, in errors or by the admin API", () =>
    Effect.gen(function*() {
      const message = yield* refused(file("http://a", "url: \"http://b\", headers: { x-me: [hunter2] }"))
      assert.include(message, "telemetry.otlp.headers.x-me: expected text")
      assert.notInclude(message, "hunter2")
      const config = { telemetry: { otlp: { url: "http://b", headers: { "x-me": "hunter2" } } } }
      assert.deepStrictEqual(redacted(config, () => undefined), {
        telemetry: { otlp: { url: "http://b", headers: { "x-me": "<redacted>" } } }
      })
    }))

  const wrong: ReadonlyArray<readonly [otlp: string, message: string]> = [
    [
      "interval: 1s",
      "blackgate.yml:7:3: telemetry.otlp.url: it is missing: expected an http or https URL, without a user, a query or a fragment"
    ],
    [
      "url: http://a, sample: 0",
      "blackgate.yml:7:34: telemetry.otlp.sample: expected a number of more than 0 and at most 1, found 0"
    ],
    [
      "url: http://a, trace: true",
      "blackgate.yml:7:26: telemetry.otlp.trace: expected one of url, headers, interval, gzip, traces, metrics, logs, sample, temporality, service, attributes, found \"trace\" (did you mean traces?)"
    ]
  ]
  for (const [otlp, message] of wrong) {
    it.effect(`${otlp} is refused with its line`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* refused(file("http://a", otlp)), message)
      }))
  }

  it.effect("routes --explain says where traces go", () =>
    Effect.gen(function*() {
      const text = file("http://a", "url: http://b, sample: 0.1").replace("/shop", "/")
      assert.match(yield* explained(text), /^traces +a share of 0\.1, to http:\/\/b$/m)
    }))
})
