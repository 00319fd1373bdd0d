import { Group, InvalidOptions, TestOutcomes } from "@blackgate/core"
import { Proxy, Transport } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { type HttpRouter, type HttpServerError, HttpServerResponse } from "effect/http"
import { router, target } from "./requests.ts"

const bodyOf = ({ body }: HttpServerResponse.HttpServerResponse): string =>
  body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : body._tag

describe("many routes in a table", () => {
  const behind = (
    path: HttpRouter.PathInput,
    all: (group: Group.Group) => Parameters<typeof Proxy.routes<never>>[0],
    others: (group: Group.Group) => Parameters<typeof Proxy.routes<never>>[0] = () => []
  ) =>
    Effect.gen(function*() {
      const group = yield* Group.make("table", { pool: { maxConcurrent: 10 } })
      const upstreams = Transport.layerMemory(({ method, upstream: { origin } }) =>
        Effect.succeed(HttpServerResponse.text(`${method} ${origin}`))
      )
      const ask = yield* router(
        Layer.merge(Proxy.table(path, all(group)), Proxy.routes(others(group))).pipe(Layer.provide(upstreams))
      )
      const asked = (path: string, init?: RequestInit) => Effect.scoped(ask(target(path, init)))
      const get = (path: string, init?: RequestInit) => Effect.map(asked(path, init), bodyOf)
      return { asked, get, outcomes: (key: string) => TestOutcomes.of(group, key) }
    })

  it.effect("each has its upstream, its method, and its path or its own key to be counted by", () =>
    Effect.gen(function*() {
      const { asked, get, outcomes } = yield* behind("/*", (group) => [
        { path: "/users/*", group, upstream: "http://users.test" },
        { path: "/orders/*", group, upstream: "http://orders.test", method: "GET", key: "reads" },
        { path: "/orders/*", group, upstream: "http://writes.test", method: "POST" }
      ])
      assert.strictEqual(yield* get("/users/1"), "GET http://users.test")
      assert.strictEqual(yield* get("/orders/1"), "GET http://orders.test")
      assert.strictEqual(yield* get("/orders/1", { method: "POST" }), "POST http://writes.test")
      assert.strictEqual((yield* asked("/orders/1", { method: "HEAD" })).status, 200)
      assert.deepStrictEqual(yield* outcomes("/users/*"), { success: 1 })
      assert.deepStrictEqual(yield* outcomes("reads"), { success: 2 })
      assert.deepStrictEqual(yield* outcomes("/orders/*"), { success: 1 })
    }))

  it.effect("the path itself goes before the longest prefix, and that before a shorter one", () =>
    Effect.gen(function*() {
      const { get } = yield* behind("/*", (group) => [
        { path: "/*", group, upstream: "http://all.test" },
        { path: "/a/*", group, upstream: "http://a.test" },
        { path: "/a/b/c", group, upstream: "http://abc.test", method: "GET" },
        { path: "/a/b/*", group, upstream: "http://ab.test" }
      ])
      assert.strictEqual(yield* get("/a/b/c"), "GET http://abc.test")
      assert.strictEqual(yield* get("/a/b/c", { method: "POST" }), "POST http://ab.test")
      assert.strictEqual(yield* get("/a/b/c/d"), "GET http://ab.test")
      assert.strictEqual(yield* get("/a/b"), "GET http://ab.test")
      assert.strictEqual(yield* get("/a/c/d/e/f"), "GET http://a.test")
      assert.strictEqual(yield* get("/ab"), "GET http://all.test")
    }))

  it.effect("slashes at the end make no other route, however many", () =>
    Effect.gen(function*() {
      const { asked, get } = yield* behind("/*", (group) => [
        { path: "/a", group, upstream: "http://a.test" },
        { path: "/b/*", group, upstream: "http://b.test" },
        { path: "/*", group, upstream: "http://all.test" }
      ])
      for (const path of ["/a/", `/a${"/".repeat(8000)}`]) assert.strictEqual((yield* asked(path)).status, 400, path)
      assert.strictEqual(yield* get("/b/"), "GET http://b.test")
      assert.strictEqual(yield* get("/"), "GET http://all.test")
    }))

  it.effect("what is in none of them is nobody's, as in the router", () =>
    Effect.gen(function*() {
      const { asked } = yield* behind(
        "/*",
        (group) => [{ path: "/a/*", group, upstream: "http://a.test", method: "GET" }]
      )
      for (const [path, method] of [["/b", "GET"], ["/", "GET"], ["/a", "POST"]] as const) {
        const failure = yield* Effect.flip(asked(path, { method }))
        assert.strictEqual((failure as HttpServerError.HttpServerError).reason._tag, "RouteNotFound")
      }
    }))

  it.effect("other routes of the router that are more specific than its path come first", () =>
    Effect.gen(function*() {
      const { asked, get } = yield* behind(
        "/api/*",
        (group) => [{ path: "/api/*", group, upstream: "http://table.test" }],
        (group) => [
          { path: "/api/own/*", group, upstream: "http://own.test" },
          { path: "/*", group, upstream: "http://rest.test" }
        ]
      )
      assert.strictEqual(yield* get("/api/x"), "GET http://table.test")
      assert.strictEqual(yield* get("/api/own/x"), "GET http://own.test")
      assert.strictEqual(yield* get("/x"), "GET http://rest.test")
      // An upstream may read each of them as a path of the other route.
      for (const path of ["/api/x%2f..%2fown", "/api//own/x", "/api/x;/../own/x", "/x%2f..%2fapi"]) {
        assert.strictEqual((yield* asked(path)).status, 400, path)
      }
    }))

  it.effect("a path with an escape in it is found by both readings", () =>
    Effect.gen(function*() {
      const { asked, get } = yield* behind("/*", (group) => [
        { path: "/caf%C3%A9/*", group, upstream: "http://cafe.test" },
        { path: "/*", group, upstream: "http://all.test" }
      ])
      assert.strictEqual(yield* get("/caf%C3%A9/x"), "GET http://cafe.test")
      assert.strictEqual((yield* asked("/caf%c3%a9/x")).status, 400)
    }))

  const refusals: ReadonlyArray<readonly [string, HttpRouter.PathInput, ReadonlyArray<HttpRouter.PathInput>, RegExp]> =
    [
      ["a parameter", "/*", ["/a/:id"], /^\/a\/:id: expected a literal path/],
      ["a wildcard in a segment", "/*", ["/a*"], /^\/a\*: expected a literal path/],
      ["two of one path", "/*", ["/a/*", "/A/*"], /^\/A\/\*: there is another route/],
      ["two that an upstream may take for one", "/*", ["/a/b", "/a%2fb"], /^\/a%2fb: there is another route/],
      ["one beyond its own path", "/api/*", ["/a"], /^\/a: expected a path below \/api$/],
      ["no wildcard at its own path", "/api", ["/api"], /^\/api: expected a path such as/],
      ["a parameter in its own path", "/:a/*", ["/a/b"], /^\/:a\/\*: expected a path such as/]
    ]
  for (const [name, path, paths, message] of refusals) {
    it.effect(`${name} is refused by its name`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(
          behind(path, (group) => paths.map((path) => ({ path, group, upstream: "http://a.test" })))
        )
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOptions.InvalidOptions)
        assert.match(defect.message, message)
      }))
  }
})
