import { Group } from "@blackgate/core"
import { Forwarded, HeaderList, Proxy, Transport, UpstreamError } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpEffect, HttpServerResponse } from "effect/http"

describe("Proxy.make", () => {
  it.live("has found its group, its transport, the forwarding and who is told of failures, once for all requests", () =>
    Effect.gen(function*() {
      class Api extends Group.Service<Api>()("api") {}
      const told: Array<string> = []
      const services = Layer.mergeAll(
        Api.layer({ pool: { maxConcurrent: 1 } }),
        Forwarded.layer({ send: "none" }),
        Layer.succeed(UpstreamError.Report, (_, key) => Effect.sync(() => told.push(key))),
        Transport.layerMemory(({ headers, target }) =>
          target === "/broken"
            ? Effect.fail("broken")
            : Effect.succeed(HttpServerResponse.text(`${HeaderList.get(headers, "x-forwarded-host")} ${target}`))
        )
      )
      const made = yield* Effect.provide(
        Proxy.make({ group: Api, upstream: "http://a.test", key: "made" }),
        yield* Layer.build(services)
      )
      const fetch = HttpEffect.toWebHandler(made)
      const got = yield* Effect.promise(() => fetch(new Request("http://gateway.test/a")))
      assert.strictEqual(yield* Effect.promise(() => got.text()), "undefined /a")
      const failed = yield* Effect.promise(() => fetch(new Request("http://gateway.test/broken")))
      assert.strictEqual(failed.status, 502)
      assert.deepStrictEqual(told, ["made"])
    }))

  it.effect("fails with options that make no sense", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const made = Effect.match(Proxy.make({ group, upstream: "ftp://a.test" }), {
        onFailure: ({ message }) => message,
        onSuccess: () => "it was made"
      })
      const transport = Transport.layerMemory(() => Effect.succeed(HttpServerResponse.empty()))
      assert.include(yield* Effect.provide(made, transport), "ftp://a.test")
    }))
})
