import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import type { HttpMessage } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { response } from "../harness/RawUpstream.ts"
import { explained, refused, started } from "./started.ts"

const ask = (url: string, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const answer = await fetch(url, { headers })
    await answer.arrayBuffer()
    return answer.status
  })

const asked = Effect.gen(function*() {
  const seen: Array<HttpMessage> = []
  const { url } = yield* RawUpstream.answering(() => response("ok"), seen)
  const last = (name: string) => seen.at(-1)!.fields.find(([field]) => field.toLowerCase() === name)?.[1]
  return { seen, url, last }
})

const deadUrl = Effect.map(RawUpstream.deadPort, (port) => `http://127.0.0.1:${port}`)

const group =
  "groups:\n  a: { pool: { max_concurrent: 9 }, circuit: { consecutive: 1 }, rate_limit: { limit: 4, window: 1h } }\n"

const route = (url: string, ...lines: ReadonlyArray<string>) =>
  ["port: 0", "routes:", `  - upstream: ${url}`, ...lines.map((line) => `    ${line}`), ""].join("\n")

const deadline = "x-envoy-expected-rq-timeout-ms"
const level = "blackgate-criticality"

describe("call_context", { timeout: 30_000 }, () => {
  it.live("without it the headers are like any other", () =>
    Effect.gen(function*() {
      const { last, url } = yield* asked
      const { origin } = yield* started(route(url))
      assert.strictEqual(yield* ask(origin, { [deadline]: "0", [level]: "sheddable" }), 200)
      assert.deepStrictEqual([last(deadline), last(level)], ["0", "sheddable"])
    }))

  it.live("receive: a deadline that has passed is a 504, and the upstream never hears of it", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* asked
      const { origin } = yield* started(route(url, "call_context: { receive: true }"))
      assert.strictEqual(yield* ask(origin, { [deadline]: "0" }), 504)
      assert.strictEqual(seen.length, 0)
    }))

  it.live("send: the upstream hears what is left, and the level of the route, not what the client said", () =>
    Effect.gen(function*() {
      const { last, url } = yield* asked
      const { origin } = yield* started(
        route(url, "call_context: { send: { criticality_header: x-level } }", "criticality: sheddable", "timeout: 10s")
      )
      assert.strictEqual(yield* ask(origin, { [deadline]: "5", "x-level": "critical-plus" }), 200)
      assert.strictEqual(last("x-level"), "sheddable")
      assert.isTrue(Number(last(deadline)) > 5 && Number(last(deadline)) <= 10_000, last(deadline))
    }))

  it.live("receive and send: what is said goes on, as long as it is no more than may be", () =>
    Effect.gen(function*() {
      const { last, url } = yield* asked
      const { origin } = yield* started(
        route(
          url,
          "call_context: { send: true, receive: { max_deadline: 9s, max_criticality: sheddable-plus } }",
          "criticality: sheddable"
        )
      )
      yield* ask(origin, { [deadline]: "60000", [level]: "critical-plus" })
      assert.strictEqual(last(level), "sheddable-plus")
      assert.isTrue(Number(last(deadline)) <= 9000, last(deadline))
      yield* ask(origin)
      assert.deepStrictEqual([last(level), last(deadline)], ["sheddable", undefined])
    }))

  it.live("trust: what others say does nothing, and goes nowhere", () =>
    Effect.gen(function*() {
      const { last, url } = yield* asked
      const trusting = (network: string) => route(url, `call_context: { receive: { trust: [${network}] } }`)
      const others = yield* started(trusting("10.0.0.0/8"))
      assert.strictEqual(yield* ask(others.origin, { [deadline]: "0", [level]: "sheddable" }), 200)
      assert.deepStrictEqual([last(deadline), last(level)], [undefined, undefined])
      const these = yield* started(trusting("127.0.0.0/8"))
      assert.strictEqual(yield* ask(these.origin, { [deadline]: "0" }), 504)
      const one = yield* started(trusting("127.0.0.1"))
      assert.strictEqual(yield* ask(one.origin, { [deadline]: "0" }), 504)
    }))
})

describe("keys of a route", { timeout: 30_000 }, () => {
  it.live("circuit: routes that name the same one share it", () =>
    Effect.gen(function*() {
      const { url } = yield* asked
      const at = (path: string, to: string, circuit: string) =>
        `  - { match: { path: ${path} }, upstream: "${to}", group: a, circuit: ${circuit} }\n`
      const { origin } = yield* started(
        `${group}port: 0\nroutes:\n${at("/a", yield* deadUrl, "x")}${at("/b", url, "x")}${at("/c", url, "y")}`
      )
      assert.deepStrictEqual(
        yield* Effect.forEach(["/b", "/a", "/b", "/c"], (path) => ask(origin + path)),
        [200, 502, 503, 200]
      )
    }))

  it.live("rate_limit_tokens: a request takes so many", () =>
    Effect.gen(function*() {
      const { url } = yield* asked
      const { origin } = yield* started(group + route(url, "group: a", "rate_limit_tokens: 2"))
      assert.deepStrictEqual(yield* Effect.forEach([1, 2, 3], () => ask(origin)), [200, 200, 429])
    }))

  it.live("forwarded: what a route says goes before what is said of all", () =>
    Effect.gen(function*() {
      const { last, url } = yield* asked
      const { origin } = yield* started(
        `forwarded: { send: both, via: mine }\n${route(url, "forwarded: { send: none }")}`
      )
      yield* ask(origin)
      assert.deepStrictEqual([last("x-forwarded-for"), last("forwarded")], [undefined, undefined])
      assert.include(last("via"), "mine")
    }))

  it.live("upgrade.origins: pages of others are a 403", () =>
    Effect.gen(function*() {
      const { url } = yield* asked
      const { origin } = yield* started(route(url, "upgrade: { origins: same, idle: 1m }"))
      const socket = (from: string) =>
        Effect.callback<number>((resume) => {
          const request = Http.request(origin, {
            headers: { upgrade: "websocket", connection: "upgrade", origin: from }
          }).on("response", (answer) => {
            request.destroy()
            resume(Effect.succeed(answer.statusCode!))
          }).end()
        })
      assert.deepStrictEqual([yield* socket("http://evil.test"), yield* socket(origin)], [403, 200])
    }))

  it.live("retries.failures: what is not among them is not sent again", () =>
    Effect.gen(function*() {
      const breaks = yield* RawUpstream.make((wire) => Effect.andThen(wire.message(), Effect.sync(() => wire.reset())))
      const retrying = (failures: string) =>
        route(breaks.url, `retries: { attempts: 2, backoff: { base: 1ms }, failures: ${failures} }`)
      const others = yield* started(retrying("[connect, timeout]"))
      assert.strictEqual(yield* ask(others.origin), 502)
      assert.strictEqual(breaks.wires.length, 1)
      const these = yield* started(retrying("head"))
      assert.strictEqual(yield* ask(these.origin), 502)
      assert.strictEqual(breaks.wires.length, 3)
    }))

  it.live("retries.max_retry_after: what asks for more is passed on", () =>
    Effect.gen(function*() {
      const seen: Array<HttpMessage> = []
      const { url } = yield* RawUpstream.answering(
        () => response("", "Retry-After: 2").replace("200 OK", "503 No"),
        seen
      )
      const { origin } = yield* started(route(url, "retries: { statuses: true, max_retry_after: 1s }"))
      assert.strictEqual(yield* ask(origin), 503)
      assert.strictEqual(seen.length, 1)
    }))

  it.live("retries.wait_for: a refusal is waited out", () =>
    Effect.gen(function*() {
      const { url } = yield* asked
      const limited = group.replace("limit: 4, window: 1h", "limit: 1, window: 100ms")
      const lines = ["group: a", "retries: { attempts: 9, backoff: { base: 1ms }, wait_for: rate_limited }"]
      const { origin } = yield* started(limited + route(url, ...lines))
      assert.deepStrictEqual(yield* Effect.forEach([1, 2, 3], () => ask(origin)), [200, 200, 200])
    }))

  const wrong: ReadonlyArray<readonly [line: string, message: string]> = [
    ["circuit: x", "blackgate.yml:4:14: routes[0].circuit: expected a group with a circuit"],
    ["rate_limit_tokens: 2", "blackgate.yml:4:24: routes[0].rate_limit_tokens: expected a group with a rate limit"],
    ["upgrade: { group: x }", "blackgate.yml:4:23: routes[0].upgrade.group: there are no groups, found \"x\""],
    [
      "upgrade: { origins: [app.test] }",
      "blackgate.yml:4:26: routes[0].upgrade.origins[0]: expected an origin such as https://app.example.com, found \"app.test\""
    ],
    [
      "upgrade: { origins: [\"https://app.test/\"] }",
      "blackgate.yml:4:26: routes[0].upgrade.origins[0]: expected an origin such as https://app.example.com, found \"https://app.test/\""
    ],
    [
      "criticality: urgent",
      "blackgate.yml:4:18: routes[0].criticality: expected critical-plus, critical, sheddable-plus or sheddable, found \"urgent\""
    ],
    [
      "call_context: { recieve: true }",
      "blackgate.yml:4:21: routes[0].call_context.recieve: expected one of receive, send, found \"recieve\" (did you mean receive?)"
    ]
  ]
  for (const [line, message] of wrong) {
    it.effect(`${line} is refused with its line`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* refused(route("http://a", line)), message)
      }))
  }

  it.effect("more tokens than there are, are refused", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* refused(group + route("http://a", "group: a", "rate_limit_tokens: 5")),
        "blackgate.yml:7:24: routes[0].rate_limit_tokens: expected no more than the limit, 4, found 5"
      )
    }))

  it.effect("a redirect has none of them", () =>
    Effect.gen(function*() {
      const text = "routes:\n  - redirect: { host: b }\n    criticality: sheddable\n"
      assert.strictEqual(
        yield* refused(text),
        "blackgate.yml:3:18: routes[0].criticality: a route with a redirect forwards nothing"
      )
    }))

  it.effect("routes --explain says them", () =>
    Effect.gen(function*() {
      const text = group + route(
        "http://a",
        "group: a",
        "circuit: x",
        "rate_limit_tokens: 2",
        "criticality: sheddable",
        "call_context: { receive: true, send: true }",
        "upgrade: { group: a }",
        "retries: { wait_for: [pool_full] }"
      )
      assert.match(
        yield* explained(text),
        /policies +call context \(received and sent\), criticality sheddable, retries \(3 attempts; also at PoolFull\), rate limit 4 in 1h, of which a request takes 2, circuit x, pool 9 and 0 waiting, tunnels in group a/
      )
    }))
})
