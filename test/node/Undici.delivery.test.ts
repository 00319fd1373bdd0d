import { Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpEffect, HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/** What an upstream answers, and how much of it is there with the head. */
const answers = {
  "whole": [`HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\nhello`],
  "in parts": ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\nhe", "llo"],
  "in chunks": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n2\r\nhe\r\n",
    "3\r\nllo\r\n0\r\n\r\n"
  ]
}

type Response = HttpServerResponse.HttpServerResponse
type App<E, R> = Effect.Effect<Response, E, R>

const asked = (
  parts: ReadonlyArray<string>,
  middleware: <E, R>(app: App<E, R>) => App<E, R | HttpServerRequest.HttpServerRequest>,
  options: Pick<Proxy.Options, "rewriteResponse"> = {}
) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make((wire) =>
      Effect.forever(Effect.andThen(wire.message(), Effect.sync(() => wire.send(parts[0]!))))
    )
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.provide(
        Proxy.route("/*", { ...options, group, upstream: upstream.url }),
        HttpRouter.middleware(middleware, { global: true })
      )
    )
    const client = yield* gateway.connect
    client.send(get)
    if (parts.length > 1) {
      yield* client.until("the head", ({ text }) => text.includes("\r\n\r\n"))
      ;(yield* upstream.wire(0)).send(parts[1]!)
    }
    const got = yield* client.message()
    assert.strictEqual(status(got), 200)
    assert.strictEqual(String(got.body), "hello")
    yield* gateway.quiet
    // The connection is as good as before.
    client.send(get)
    yield* client.until("the next head", ({ text }) => text.includes("\r\n\r\n"))
    return got
  })

describe("8. what is written straight to the client is what middleware has seen", { timeout: 30_000 }, () => {
  for (const [how, parts] of Object.entries(answers)) {
    it.live(`as it came, ${how}`, () =>
      Effect.gen(function*() {
        const got = yield* asked(parts, (app) => app)
        assert.deepStrictEqual(values(got, "x-twice"), ["1", "2"])
      }))

    it.live(`with what middleware adds to the value, ${how}`, () =>
      Effect.gen(function*() {
        const got = yield* asked(parts, (app) => Effect.map(app, HttpServerResponse.setHeader("x-added", "yes")))
        assert.deepStrictEqual(values(got, "x-added"), ["yes"])
        assert.deepStrictEqual(values(got, "x-twice"), ["1", "2"])
      }))

    for (const when of ["before", "after"] as const) {
      it.live(`with what a handler adds that was appended ${when} the route has answered, ${how}`, () =>
        Effect.gen(function*() {
          const append = HttpEffect.appendPreResponseHandler((_, response) =>
            Effect.succeed(HttpServerResponse.setHeader(response, "x-added", "yes"))
          )
          const got = yield* asked(
            parts,
            (app) => when === "before" ? Effect.andThen(append, app) : Effect.tap(app, () => append)
          )
          assert.deepStrictEqual(values(got, "x-added"), ["yes"])
        }))
    }

    it.live(`with what a rewrite of the response adds, ${how}`, () =>
      Effect.gen(function*() {
        const got = yield* asked(parts, (app) => app, {
          rewriteResponse: (response) => ({ ...response, headers: [...response.headers, "X-Added", "yes"] })
        })
        assert.deepStrictEqual(values(got, "x-added"), ["yes"])
      }))
  }

  it.live("a cookie of middleware's own arrives beside those of the upstream", () =>
    Effect.gen(function*() {
      const got = yield* asked(
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello"],
        (app) => Effect.map(app, HttpServerResponse.setCookieUnsafe("c", "3"))
      )
      assert.deepStrictEqual(values(got, "set-cookie"), ["a=1", "b=2", "c=3"])
    }))
})
