import { RetryBudget } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerRequest } from "effect/http"
import { parse } from "../../packages/gateway/src/Config.ts"
import { explain } from "../../packages/gateway/src/internal/explain.ts"
import { buildGeneration } from "../../packages/gateway/src/internal/Generation.ts"
import { makeKept } from "../../packages/gateway/src/internal/Kept.ts"
import { planOf } from "../../packages/gateway/src/internal/Plan.ts"
import { type HttpMessage } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const readFile = (): string => {
  throw new Error("there are no files")
}

const plan = (text: string) =>
  Effect.flatMap(parse(text, { file: "blackgate.yml", env: {}, readFile }), (loaded) => planOf(loaded, readFile))

/** A gateway of this file, asked directly. */
const running = (text: string) =>
  Effect.gen(function*() {
    const generation = yield* buildGeneration(yield* plan(text), yield* makeKept)
    yield* Effect.addFinalizer(() => generation.close())
    const ask = (method: string, headers: Record<string, string> = {}) => {
      const request = HttpServerRequest.fromWeb(new Request("http://gateway.test/a", { method, headers }))
      return Effect.scoped(
        Effect.map(
          Effect.provideService(generation.answer, HttpServerRequest.HttpServerRequest, request),
          ({ status }) => status
        )
      )
    }
    return { ask, group: generation.groups[0]! }
  })

/** Answers with these statuses, one after the other, and then with 200. */
const answering = (...statuses: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(
      () => response("ok").replace("200", String(statuses[seen.length - 1] ?? 200)),
      seen
    )
    return { seen, url: upstream.url }
  })

const route = (url: string, ...lines: ReadonlyArray<string>) =>
  [
    "groups:",
    "  a: { pool: { max_concurrent: 9 }, retry_budget: { ratio: 0, per_second: 3, window: 1s } }",
    "routes:",
    `  - upstream: ${url}`,
    "    group: a",
    ...lines.map((line) => `    ${line}`)
  ].join("\n")

describe("retries of a route in the file", { timeout: 30_000 }, () => {
  const quick = "backoff: { base: 1ms }"
  const cases: ReadonlyArray<readonly [retries: string, method: string, attempts: number]> = [
    [`{ ${quick} }`, "GET", 1],
    [`{ ${quick}, statuses: true }`, "GET", 3],
    [`{ ${quick}, statuses: [503], attempts: 2 }`, "GET", 2],
    [`{ ${quick}, statuses: [500] }`, "GET", 1],
    [`{ ${quick}, statuses: true, attempts: 1 }`, "GET", 1],
    [`{ ${quick}, statuses: true }`, "POST", 1],
    [`{ ${quick}, statuses: true, methods: post }`, "POST", 3],
    [`{ ${quick}, statuses: true, methods: [POST, PATCH] }`, "GET", 1],
    [`{ ${quick}, statuses: true, attempts: 9 }`, "GET", 4],
    [`{ ${quick}, statuses: true, failures: connect }`, "GET", 3]
  ]
  for (const [retries, method, attempts] of cases) {
    it.live(`retries: ${retries}: a ${method} is sent ${attempts} times`, () =>
      Effect.gen(function*() {
        const { seen, url } = yield* answering(...Array<number>(9).fill(503))
        const { ask, group } = yield* running(route(url, `retries: ${retries}`))
        assert.strictEqual(yield* RetryBudget.remaining(group), 3)
        assert.strictEqual(yield* ask(method), 503)
        assert.strictEqual(seen.length, attempts)
      }))
  }

  it.live("attempt_timeout bounds each attempt", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire, { wires }) =>
        Effect.map(wire.message(), () => wires.length > 1 && wire.send(response("ok")))
      )
      const { ask } = yield* running(route(upstream.url, `retries: { ${quick}, attempt_timeout: 50ms }`))
      assert.strictEqual(yield* ask("GET"), 200)
      assert.strictEqual(upstream.wires.length, 2)
    }))
})

describe("the key of a rate limit in the file", { timeout: 30_000 }, () => {
  const limited = (url: string, key: string) =>
    [
      "forwarded: { trust: [\"unix:\"] }",
      "groups:",
      `  a: { pool: { max_concurrent: 9 }, rate_limit: { limit: 1, window: 1h, key: ${key} } }`,
      "routes:",
      `  - upstream: ${url}`,
      "    group: a",
      "    request_headers: { remove: [x-api-key] }"
    ].join("\n")

  it.live("each value of a header as it came, and those without one together", () =>
    Effect.gen(function*() {
      const { url } = yield* answering()
      const { ask } = yield* running(limited(url, "{ header: X-API-Key }"))
      const statuses = [
        yield* ask("GET", { "x-api-key": "a" }),
        yield* ask("GET", { "x-api-key": "b" }),
        yield* ask("GET", { "x-api-key": "a" }),
        yield* ask("GET"),
        yield* ask("GET")
      ]
      assert.deepStrictEqual(statuses, [200, 200, 429, 200, 429])
    }))

  it.live("each client address, as those tell it who are believed", () =>
    Effect.gen(function*() {
      const { url } = yield* answering()
      const { ask } = yield* running(limited(url, "client_address"))
      const statuses = [
        yield* ask("GET", { "x-forwarded-for": "192.0.2.1" }),
        yield* ask("GET", { "x-forwarded-for": "192.0.2.2" }),
        yield* ask("GET", { "x-forwarded-for": "192.0.2.1" })
      ]
      assert.deepStrictEqual(statuses, [200, 200, 429])
    }))
})

describe("routes --explain", () => {
  const policies = (text: string) =>
    Effect.map(plan(text), (plan) => /policies {2}(.*)/.exec(explain(plan, "GET", "/a").text)?.[1])

  it.effect("says how often, and at which statuses, and for whom a rate limit is", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* policies(route("http://a", "timeout: 5s", "retries: {}")),
        "timeout 5s, retries (3 attempts), pool 9 and 0 waiting"
      )
      assert.strictEqual(
        yield* policies(route("http://a", "retries: { attempts: 2, statuses: true, attempt_timeout: 1s }")),
        "retries (2 attempts; also at 502 503 504), pool 9 and 0 waiting, attempt timeout 1s"
      )
      const limit = "rate_limit: { limit: 5, window: 1m, key: { header: X-Api-Key } }"
      assert.strictEqual(
        yield* policies(
          `groups: { a: { pool: { max_concurrent: 9 }, ${limit} } }\nroutes: [{ upstream: http://a, group: a }]`
        ),
        "rate limit 5 in 1m for each x-api-key, pool 9 and 0 waiting"
      )
    }))
})
