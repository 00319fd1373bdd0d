import { type HeaderList, Rewrite, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpBody, HttpServerRequest } from "effect/http"

const request = (path: string, headers: HeaderList.HeaderList = []): Rewrite.ProxyRequest => ({
  method: "GET",
  path,
  query: "?q=1",
  headers,
  body: HttpBody.empty,
  upstream: Effect.runSync(Upstream.make("http://a.test")),
  clientAddress: "192.0.2.1",
  source: HttpServerRequest.fromWeb(new Request("http://gateway.test/"))
})

const pathOf = (rewrite: Rewrite.Sync, path: string): string => rewrite(request(path)).path

describe("stripPrefix", () => {
  it.each([
    ["/api", "/api/v1/users", "/v1/users"],
    ["/api/", "/api/v1", "/v1"],
    ["/api", "/api", "/"],
    ["/api", "/api/", "/"],
    ["/api", "/api//a", "//a"],
    ["/api/v1", "/api/v1/a", "/a"],
    ["/", "/a", "/a"],
    ["", "/a", "/a"]
  ])("takes %s off %s", (prefix, path, expected) => {
    assert.strictEqual(pathOf(Rewrite.stripPrefix(prefix), path), expected)
  })

  it.each([["/api", "/apiary"], ["/api", "/v1/api"], ["/api", "/API/v1"], ["/api", "/"], ["/api", "/%61pi/v1"]])(
    "does not take %s off %s",
    (prefix, path) => {
      assert.strictEqual(pathOf(Rewrite.stripPrefix(prefix), path), path)
    }
  )
})

describe("the other rewrites", () => {
  it("addPrefix puts a prefix before the path, with one slash between", () => {
    assert.strictEqual(pathOf(Rewrite.addPrefix("/v1"), "/users"), "/v1/users")
    assert.strictEqual(pathOf(Rewrite.addPrefix("/v1/"), "/users"), "/v1/users")
    assert.strictEqual(pathOf(Rewrite.addPrefix("/"), "/users"), "/users")
  })

  it("mapPath changes the path alone", () => {
    const before = request("/github/users/1")
    const after = Rewrite.mapPath((path) => path.replace(/^\/github\/(.*)/, "/$1"))(before)
    assert.deepStrictEqual(after, { ...before, path: "/users/1" })
  })

  it("setHeader replaces whatever the client sent", () => {
    const after = Rewrite.setHeader("X-User", "1")(request("/", ["x-user", "evil", "a", "b", "X-USER", "evil"]))
    assert.deepStrictEqual(after.headers, ["a", "b", "X-User", "1"])
  })

  it("removeHeader takes all of a name", () => {
    assert.deepStrictEqual(Rewrite.removeHeader("a")(request("/", ["A", "1", "b", "2", "a", "3"])).headers, ["b", "2"])
  })

  it("to sends the request elsewhere, with its path", () => {
    const elsewhere = Effect.runSync(Upstream.make("http://b.test/base"))
    const after = Rewrite.to(elsewhere)(request("/a"))
    assert.strictEqual(after.upstream, elsewhere)
    assert.strictEqual(after.path, "/a")
  })

  it("none of them changes the request that it is given", () => {
    const before = request("/api/a", ["x", "1"])
    const copy = { ...before, headers: [...before.headers] }
    for (
      const rewrite of [
        Rewrite.stripPrefix("/api"),
        Rewrite.addPrefix("/x"),
        Rewrite.setHeader("x", "2"),
        Rewrite.removeHeader("x")
      ]
    ) {
      rewrite(before)
      assert.deepStrictEqual(before, copy)
    }
  })
})

describe("all", () => {
  it.effect("gives each what the one before made, effects and plain functions alike", () =>
    Effect.gen(function*() {
      const rewrite = Rewrite.all(
        Rewrite.stripPrefix("/api"),
        (request) => Effect.succeed({ ...request, path: `${request.path}/2` }),
        Rewrite.addPrefix("/1")
      )
      assert.strictEqual((yield* rewrite(request("/api/a"))).path, "/1/a/2")
    }))

  it.effect("stops at the first that fails", () =>
    Effect.gen(function*() {
      let reached = false
      const rewrite = Rewrite.all(() => Effect.fail("no"), (request) => {
        reached = true
        return request
      })
      assert.strictEqual(yield* Effect.flip(rewrite(request("/"))), "no")
      assert.isFalse(reached)
    }))

  it.effect("of nothing is the request itself", () =>
    Effect.gen(function*() {
      const before = request("/")
      assert.strictEqual(yield* Rewrite.all()(before), before)
    }))
})
