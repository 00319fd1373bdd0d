import { Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

/** One request over a route that sends, and receives unless told otherwise; what the upstream got, and the client. */
const exchange = (fields: ReadonlyArray<string>, receive = true) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.mergeAll(
        Proxy.route("/*", {
          group,
          upstream: upstream.url,
          timeout: "30 seconds",
          callContext: { receive, send: true }
        })
      )
    )
    const client = yield* gateway.connect
    client.send(["GET / HTTP/1.1", "Host: gateway.test", ...fields, "", ""].join("\r\n"))
    const got = yield* client.message()
    return { got: status(got), seen, gateway }
  })

const envoy = "x-envoy-expected-rq-timeout-ms"

describe("27. over the wire", { timeout: 30_000 }, () => {
  it.live("what is left of the deadline goes out once, in place of what came in", () =>
    Effect.gen(function*() {
      const { got, seen: [sent] } = yield* exchange([
        "Grpc-Timeout: 10S",
        "X-Envoy-Expected-Rq-Timeout-Ms: 20000",
        "Blackgate-Criticality: sheddable"
      ])
      assert.strictEqual(got, 200)
      assert.deepStrictEqual(values(sent!, "blackgate-criticality"), ["sheddable"])
      assert.deepStrictEqual(values(sent!, "grpc-timeout"), [])
      const [left, ...more] = values(sent!, envoy)
      assert.deepStrictEqual(more, [])
      assert.match(left!, /^\d+$/)
      assert.isAtMost(Number(left), 10_000)
      assert.isAbove(Number(left), 0)
    }))

  it.live("headers that came twice are not read, nor passed on; nor is what a stranger says", () =>
    Effect.gen(function*() {
      const twice = [
        "Blackgate-Criticality: sheddable",
        "Blackgate-Criticality: critical-plus",
        `${envoy}: 0`,
        `${envoy}: 0`
      ]
      for (const receive of [true, false]) {
        const { got, seen: [sent] } = yield* exchange(twice, receive)
        assert.strictEqual(got, 200)
        assert.deepStrictEqual(values(sent!, "blackgate-criticality"), ["critical"])
        const left = values(sent!, envoy)
        assert.strictEqual(left.length, 1)
        assert.isAbove(Number(left[0]), 10_000)
      }
    }))

  it.live("a deadline that has passed is a 504, and the upstream hears nothing of it", () =>
    Effect.gen(function*() {
      const { gateway, got, seen } = yield* exchange(["grpc-timeout: 0S"])
      assert.deepStrictEqual([got, seen.length], [504, 0])
      assert.deepStrictEqual(yield* gateway.outcomes(), {})
    }))
})
