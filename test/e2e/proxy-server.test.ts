import { assert, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { randomBytes } from "node:crypto"
import { eventually } from "../harness/eventually.ts"
import { ask, echo } from "./ask.ts"
import { type ProxyServer, startProxyServer } from "./process.ts"

class Gateway extends Context.Service<Gateway, ProxyServer>()("test/Gateway") {}

// One after the other, so that none is in the way of a load.
const oneGateway = layer(Layer.effect(Gateway, startProxyServer), {
  concurrent: false,
  excludeTestServices: true,
  timeout: "1 minute"
})

oneGateway("proxy-server", (it) => {
  it.effect("/api/v1/users/1 is answered by the upstream, which saw /v1/users/1", () =>
    Effect.gen(function*() {
      const { origin } = yield* Gateway
      const { body, status } = yield* ask(`${origin}/api/v1/users/1`)
      assert.strictEqual(status, 200)
      assert.include(body, "\"path\":\"/v1/users/1\"")
    }), 60_000)

  it.effect("/api/v1/flaky fails now and then, with a 502", () =>
    Effect.gen(function*() {
      const { origin } = yield* Gateway
      const answers = yield* Effect.forEach(Array.from({ length: 9 }), () => ask(`${origin}/api/v1/flaky`))
      const statuses = answers.map(({ status }) => status)
      assert.sameMembers([...new Set(statuses)], [200, 502])
      assert.isAbove(statuses.filter((status) => status === 200).length, statuses.length / 2)
      const failed = answers.find(({ status }) => status === 502)
      assert.deepStrictEqual(JSON.parse(failed!.body), { code: 502, message: "bad gateway", errors: [] })
    }), 60_000)

  it.effect("/api/v1/echo streams some MiB there and back, unchanged", () =>
    Effect.gen(function*() {
      const { origin } = yield* Gateway
      const sent = randomBytes(8 * 1024 * 1024)
      const exchange = yield* echo(`${origin}/api/v1/echo`)
      const { request } = exchange

      // What is sent comes back before the rest is sent.
      const first = 64 * 1024
      request.write(sent.subarray(0, first))
      yield* eventually("the first bytes back", () => exchange.received === first, exchange.state)
      assert.strictEqual(exchange.status, 200)

      request.end(sent.subarray(first))
      yield* eventually("the rest of them", () => exchange.ended, exchange.state)
      assert.isTrue(exchange.body.equals(sent))
    }), 60_000)

  it.effect("an unknown path is a 404", () =>
    Effect.gen(function*() {
      const { origin } = yield* Gateway
      assert.strictEqual((yield* ask(`${origin}/elsewhere`)).status, 404)
    }), 60_000)

  it.effect("/api/v1/slow is answered by the fallback, after a second", () =>
    Effect.gen(function*() {
      const { origin } = yield* Gateway
      const { body, headers, millis, status } = yield* ask(`${origin}/api/v1/slow`)
      assert.strictEqual(status, 500)
      assert.match(headers["content-type"]!, /^application\/json/)
      assert.deepStrictEqual(JSON.parse(body), { code: 500, message: "internal server error", error: {} })
      assert.isAbove(millis, 900)
      // The upstream itself would have taken five seconds.
      assert.isBelow(millis, 4000)
    }), 60_000)

  it.effect(
    "of 200 requests to /api/v1/slow most are refused at once, and the users do not notice",
    () =>
      Effect.gen(function*() {
        const { origin } = yield* Gateway
        // In the order in which they were answered.
        const answers: Array<string> = []
        const note = (url: string) =>
          Effect.map(ask(origin + url), (answer) => {
            answers.push(`${url} ${answer.status}`)
            return answer
          })

        const load = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 200 }, () => note("/api/v1/slow")), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* eventually("a refusal", () => answers.length > 0)
        const users = yield* Effect.forEach(Array.from({ length: 5 }), () => note("/api/v1/users/1"))
        const slow = yield* Fiber.join(load)

        const refused = slow.filter(({ status }) => status === 503)
        const waited = slow.filter(({ status }) => status === 500)
        // Ten run and twenty wait. A few more get in where the load itself takes longer to arrive than they wait.
        assert.strictEqual(refused.length + waited.length, 200)
        assert.isAtLeast(waited.length, 30)
        assert.isAtLeast(refused.length, 140)
        for (const { body, headers } of refused) {
          assert.match(headers["retry-after"]!, /^[1-9]\d*$/)
          assert.strictEqual(JSON.parse(body).code, 503)
        }
        for (const { millis } of waited) assert.isAbove(millis, 900)

        // At once: they, and the users' answers, were there before the first second was over.
        const early = answers.slice(0, answers.indexOf("/api/v1/slow 500"))
        assert.isAtLeast(early.filter((answer) => answer === "/api/v1/slow 503").length, 140)
        assert.strictEqual(early.filter((answer) => answer === "/api/v1/users/1 200").length, users.length)
      }),
    60_000
  )
})
