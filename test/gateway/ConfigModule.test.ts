import { Group, Pool } from "@blackgate/core"
import { Forwarded, Proxy, Transport } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { type Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { fromData } from "../../packages/gateway/src/Config.ts"
import { type Config, defineConfig, type Definition, isConfigModule } from "../../packages/gateway/src/ConfigModule.ts"
import { buildGeneration } from "../../packages/gateway/src/internal/Generation.ts"
import { makeKept } from "../../packages/gateway/src/internal/Kept.ts"
import { planOf } from "../../packages/gateway/src/internal/Plan.ts"

class Users extends Group.Service<Users>()("users") {}

const users = { users: { pool: { max_concurrent: 3 } } }

const planned = ({ config, middleware, routes }: Definition) =>
  Effect.flatMap(
    fromData(config, "blackgate.config.ts"),
    (loaded) => planOf({ ...loaded, code: defineConfig<string>({ routes, middleware }) }, () => "")
  )

const build = (definition: Definition) => Effect.flatMap(makeKept, (kept) => buildWith(definition, kept))

const buildWith = (definition: Definition, kept: Effect.Success<typeof makeKept>) =>
  Effect.flatMap(planned(definition), (plan) => buildGeneration(plan, kept))

type Generation = Effect.Success<ReturnType<typeof build>>

const text = (text: string) => Effect.succeed(HttpServerResponse.text(text))

/** Answers as a route of the config would, without an upstream. */
const redirect = (to: string, path: string, more: object = {}) => ({
  match: { path, ...more },
  redirect: { path: `/to/${to}` }
})

const ask = (generation: Generation, target: string, method = "GET", headers: Record<string, string> = {}) =>
  Effect.scoped(Effect.gen(function*() {
    const request = HttpServerRequest.fromWeb(new Request("http://gateway/", { method, headers })).modify({
      url: target
    })
    const response = yield* Effect.provideService(
      generation.answer,
      HttpServerRequest.HttpServerRequest,
      request
    )
    const web = HttpServerResponse.toWeb(response)
    const body = yield* Effect.promise(() => web.text())
    return { status: web.status, headers: web.headers, body }
  }))

/** What takes a request: the text of a handler, the end of a redirect's location, or the status. */
const taken = (generation: Generation, target: string, method?: string, headers?: Record<string, string>) =>
  Effect.map(
    ask(generation, target, method, headers),
    ({ body, headers, status }) =>
      headers.get("location")?.replace(/.*\/to\//, "") ?? (status === 200 ? body : String(status))
  )

const refusal = (definition: Definition) =>
  Effect.map(Effect.flip(build(definition)), ({ problems }) => problems.map(({ message }) => message).join("\n"))

describe("defineConfig", () => {
  it("is what a module exports, whatever copy of the package has made it", () => {
    assert.isTrue(isConfigModule(defineConfig({})))
    assert.isTrue(isConfigModule(JSON.parse(JSON.stringify(defineConfig({})))))
    assert.isFalse(isConfigModule({ config: {} }))
  })
})

describe("the config of a module", () => {
  const checked = (config: unknown) => Effect.map(fromData(config, "blackgate.config.ts"), ({ config }) => config)
  const messages = (config: unknown) => Effect.map(Effect.flip(checked(config)), ({ message }) => message.split("\n\n"))

  it.effect("is checked as a file is: all errors at once, with their paths", () =>
    Effect.gen(function*() {
      const wrong = { prot: 1, port: "x", groups: { a: { pool: { max_concurrent: 0 } } } }
      assert.deepStrictEqual(yield* messages(wrong), [
        "blackgate.config.ts: prot: expected one of port, sentry, proxies, listen, groups, upstreams, routes, limits, drain, "
        + "forwarded, admin, log, telemetry, found \"prot\" (did you mean port?)",
        "blackgate.config.ts: port: expected a whole number from 0 to 65535, found \"x\"",
        "blackgate.config.ts: groups.a.pool.max_concurrent: expected a whole number of at least 1, found 0",
        "3 errors in blackgate.config.ts"
      ])
    }))

  it.effect("has no key that has no value, and may be missing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* checked({ port: undefined, admin: null, log: { level: "none" } }), {
        log: { level: "none" }
      })
      assert.deepStrictEqual(yield* checked(undefined), {})
    }))

  const strange: ReadonlyArray<readonly [string, unknown, RegExp]> = [
    ["a function", { port: () => 1 }, /port: expected plain data, found a function/],
    ["a bigint", { port: 1n }, /port: expected plain data, found a bigint/],
    ["a symbol", { port: Symbol("a") }, /port: expected plain data, found a symbol/],
    ["an object of a class", { routes: [{ upstream: new URL("http://a") }] }, /upstream: .* found an object of URL/],
    ["a promise", { listen: Promise.resolve({}) }, /listen: expected plain data, found a promise/],
    ["no object", "port: 1", /expected a mapping, found "port: 1"/],
    ["not a number", { port: NaN }, /port: expected a whole number/],
    ["a getter that throws", {
      get port() {
        throw new Error("no port")
      }
    }, /it can't be read: no port/],
    ["a secret that is wrong", { admin: { token: 12_345 } }, /admin\.token: .*which is not shown/]
  ]
  for (const [what, config, says] of strange) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const said = (yield* messages(config)).join("\n")
        assert.match(said, says)
        assert.notInclude(said, "12345")
      }))
  }

  it.effect("refuses what contains itself, and what is larger than any config", () =>
    Effect.gen(function*() {
      const groups: Record<string, unknown> = {}
      groups["a"] = groups
      assert.match((yield* messages({ groups })).join("\n"), /groups\.a: it contains itself/)
      const proxies = Array.from({ length: 200_001 }, () => 1)
      assert.match((yield* messages({ proxies })).join("\n"), /it is too large/)
    }))
})

describe("routes in code and routes of the config", () => {
  const definition: Definition = {
    config: {
      routes: [
        redirect("users", "/users"),
        redirect("exact", "/", { path: { exact: "/both" } }),
        redirect("shop", "/", { host: "shop.example" })
      ],
      proxies: [{ name: "old", upstream_url: "http://127.0.0.1:1", request_path_regex: "/old/.*" }]
    },
    routes: Layer.mergeAll(
      HttpRouter.add("GET", "/both", text("code")),
      HttpRouter.add("GET", "/users/me", text("me")),
      HttpRouter.add("*", "/any/*", text("any")),
      HttpRouter.add("GET", "/old/new", text("new")),
      HttpRouter.use((router) => router.prefixed("/v1").add("GET", "/things", text("things"))),
      HttpRouter.use((router) => router.prefixed("/v1").prefixed("/more").add("GET", "/", text("more")))
    )
  }

  // What is asked, and what takes it.
  const table: ReadonlyArray<readonly [method: string, target: string, taken: string]> = [
    ["GET", "/both", "code"],
    ["GET", "/users/me", "me"],
    ["GET", "/users/1", "users"],
    ["GET", "/old/new", "new"],
    ["GET", "/any/thing?a=b", "any"],
    ["GET", "/any", "any"],
    ["GET", "/v1/things", "things"],
    ["GET", "/v1/more", "more"],
    ["GET", "/things", "404"],
    ["GET", "/nothing", "404"],
    // A method that no route in code has is for the config.
    ["POST", "/both", "exact"],
    ["POST", "/users/me", "users"],
    ["DELETE", "/any/thing", "any"]
  ]
  it.effect("those in code go first, then those of the config by their precedence, then proxies, then it is a 404", () =>
    Effect.gen(function*() {
      const generation = yield* build(definition)
      const found = yield* Effect.forEach(table, ([method, target]) => taken(generation, target, method))
      assert.deepStrictEqual(found, table.map(([, , taken]) => taken))
      assert.strictEqual(yield* taken(generation, "/old/1"), "502")
      assert.strictEqual(yield* taken(generation, "/both", "HEAD"), "code")
      assert.strictEqual(yield* taken(generation, "/a", "GET", { host: "shop.example" }), "shop")
      assert.strictEqual(yield* taken(generation, "/both", "GET", { host: "shop.example" }), "code")
    }))

  it.effect("are listed, those in code with their methods and paths", () =>
    Effect.gen(function*() {
      const { code } = yield* build(definition)
      assert.deepStrictEqual(
        code!.all.map(({ name }) => name).toSorted(),
        ["/any/*", "GET /both", "GET /old/new", "GET /users/me", "GET /v1/more", "GET /v1/things"]
      )
    }))

  it.effect("are listed with their upstream and group where they are proxies, under whatever prefix", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("own", { pool: { maxConcurrent: 1 } })
      const routes = Layer.mergeAll(
        Proxy.route("/a/*", { group: Users, upstream: "http://a.test/base" }),
        Layer.effectDiscard(Effect.gen(function*() {
          const router = yield* HttpRouter.HttpRouter
          const handler = Proxy.handler({ group, upstream: "http://b.test" })
          yield* router.prefixed("/v1").addAll([HttpRouter.route("GET", "/b", handler)])
        })),
        HttpRouter.add("GET", "/c", text("c"))
      )
      const { code } = yield* build({ config: { groups: users }, routes })
      const listed = code!.all.map(({ goes, name, target }) =>
        [name, goes, target._tag === "code" ? target.proxy?.group : undefined] as const
      )
      assert.sameDeepMembers(listed, [
        ["/a/*", "http://a.test/base", "users"],
        ["GET /v1/b", "http://b.test", "own"],
        ["GET /c", "code", undefined]
      ])
    }))

  const guarded: Definition = {
    config: { routes: [redirect("site", "/"), redirect("api", "/api")] },
    routes: Layer.mergeAll(
      HttpRouter.add("GET", "/admin", text("admin")),
      HttpRouter.add("GET", "/api/keys", text("keys")),
      HttpRouter.add("GET", "/files/*", text("files")),
      HttpRouter.add("GET", "/item/:id", text("item")),
      HttpRouter.add("GET", "/caf\u00e9", text("cafe"))
    )
  }
  // Spellings, each of which some server takes for another path.
  const spellings: ReadonlyArray<readonly [target: string, taken: string]> = [
    ["/admin", "admin"],
    ["/admin/", "admin"],
    ["/admin?a", "admin"],
    ["/admin/x", "site"],
    ["/administrator", "site"],
    ["/ADMIN", "400"],
    ["//admin", "400"],
    ["/admin//", "400"],
    ["/%61dmin", "400"],
    ["/admin;a=b", "400"],
    ["/;/admin", "400"],
    ["/admin%3Ba", "400"],
    ["/admin%3Fa", "400"],
    ["/admin%2F", "400"],
    ["/./admin", "400"],
    ["/a/../admin", "400"],
    ["/admin/../a", "site"],
    ["/admin/.", "400"],
    ["/a/..%2fadmin", "400"],
    ["/a%5c..%5cadmin", "400"],
    ["/%2561dmin", "site"],
    ["/api/keys", "keys"],
    ["/api/other", "api"],
    ["/api//keys", "400"],
    ["/api%2Fkeys", "400"],
    ["/api/Keys", "400"],
    ["/api/x/../keys", "400"],
    ["/api/keys/../x", "api"],
    ["/files/a%20b", "files"],
    ["/files/../a", "400"],
    ["/files/%2e%2e/a", "400"],
    ["/files/..;/a", "400"],
    ["/files/a/../b", "files"],
    ["/item/1", "item"],
    ["/item/1%2F2", "400"],
    ["/item/a%3Bb", "item"],
    [`/item/${"1".repeat(101)}`, "400"],
    ["/caf%C3%A9", "cafe"],
    ["/caf%c3%a9", "cafe"],
    ["/a\\b", "400"],
    ["/a%zz", "400"],
    ["/a%00", "400"],
    ["*", "400"]
  ]
  it.effect("no spelling leads from the one to the other: every reading of a path agrees, or it is a 400", () =>
    Effect.gen(function*() {
      const generation = yield* build(guarded)
      const found = yield* Effect.forEach(
        spellings,
        ([target]) => Effect.map(taken(generation, target), (taken) => [target, taken] as const)
      )
      assert.deepStrictEqual(found, spellings)
    }))
})

describe("what a module's layer is given", () => {
  it.effect("a class with the name of a group is the very group of the config, and stays it over reloads", () =>
    Effect.gen(function*() {
      const kept = yield* makeKept
      const seen: Array<Group.Group> = []
      const definition: Definition = {
        config: { groups: users },
        routes: Layer.merge(
          Layer.effectDiscard(Effect.map(Users, (group) => void seen.push(group))),
          // It is there for each request, too.
          HttpRouter.add("GET", "/", Effect.map(Users, ({ name }) => HttpServerResponse.text(name)))
        )
      }
      const first = yield* buildWith(definition, kept)
      assert.deepStrictEqual(first.groups, [seen[0]])
      assert.strictEqual((yield* Pool.statistics(seen[0]!.pool)).maxConcurrent, 3)
      const second = yield* buildWith(definition, kept)
      assert.strictEqual(seen[1], seen[0])
      assert.strictEqual(yield* taken(second, "/"), "users")
      yield* first.close()
      assert.strictEqual(yield* taken(second, "/"), "users")
    }))

  it.effect("a transport, and what the config says of forwarding", () =>
    Effect.gen(function*() {
      let trust: unknown
      yield* build({
        config: { forwarded: { trust: ["10.0.0.0/8"] } },
        routes: Layer.effectDiscard(Effect.gen(function*() {
          yield* Transport.Transport
          trust = (yield* Forwarded.Defaults).trust
        }))
      })
      assert.deepStrictEqual(trust, ["10.0.0.0/8"])
    }))

  it.effect("nothing of the request that has asked for a reload", () =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const layer = Layer.effectDiscard(Effect.contextWith((context: Context.Context<never>) => {
        keys.push(...context.mapUnsafe.keys())
        return Effect.void
      }))
      const kept = yield* makeKept
      yield* Effect.provideService(
        buildWith({ config: {}, routes: layer }, kept),
        HttpServerRequest.HttpServerRequest,
        HttpServerRequest.fromWeb(new Request("http://admin/api/reload"))
      )
      assert.isNotEmpty(keys)
      assert.notInclude(keys, HttpServerRequest.HttpServerRequest.key)
    }))
})

describe("a layer that can't be built is an error", () => {
  class Orders extends Group.Service<Orders>()("orders") {}

  it.effect("that names the group which the config does not have", () =>
    Effect.gen(function*() {
      const routes = Layer.effectDiscard(Orders) as Layer.Layer<never>
      assert.strictEqual(
        yield* refusal({ config: { groups: users }, routes }),
        "the layer of routes needs orders, which it does not provide, and which is no group of config.groups: those are users"
      )
      assert.match(yield* refusal({ config: {}, routes }), /config\.groups: there are no groups$/)
    }))

  it.effect("with what it fails with, or dies of", () =>
    Effect.gen(function*() {
      const says = "the layer of routes can't be built: "
      const failing = Layer.effectDiscard(Effect.die(new Error("no database")))
      assert.strictEqual(yield* refusal({ routes: failing }), `${says}no database`)
      assert.strictEqual(yield* refusal({ routes: Layer.effectDiscard(Effect.die("a string")) }), `${says}a string`)
      const twice = Layer.merge(HttpRouter.add("GET", "/a", text("1")), HttpRouter.add("GET", "/a", text("2")))
      assert.strictEqual(yield* refusal({ routes: twice }), `${says}Method 'GET' already declared for route '/a'`)
    }))

  it.effect("and what it had by then is let go of", () =>
    Effect.gen(function*() {
      let open = 0
      const resource = Layer.effectDiscard(Effect.acquireRelease(
        Effect.sync(() => void open++),
        () => Effect.sync(() => void open--)
      ))
      const failing = Layer.effectDiscard(Effect.fail("no"))
      yield* refusal({ routes: Layer.provide(failing, resource) })
      assert.strictEqual(open, 0)
    }))

  it.effect("if it is not built after a minute, too", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(refusal({ routes: Layer.effectDiscard(Effect.never) }))
      yield* TestClock.adjust("60 seconds")
      assert.match(yield* Fiber.join(fiber), /is not built after 60 seconds/)
    }))
})

describe("a filter", () => {
  const config: Config = { routes: [redirect("site", "/site")] }
  const routes = HttpRouter.add("GET", "/code", text("code"))
  const failing = Layer.merge(
    HttpRouter.add("GET", "/dies", Effect.die(new Error("a defect"))),
    HttpRouter.add("GET", "/fails", Effect.fail(HttpServerResponse.empty({ status: 418 })))
  )

  it.effect("stands around every request: routes in code and of the config, what is refused and what is not found", () =>
    Effect.gen(function*() {
      let applied = 0
      const generation = yield* build({
        config,
        routes: Layer.merge(routes, failing),
        middleware: (answer) => {
          applied++
          return Effect.map(answer, HttpServerResponse.setHeader("x-filter", "here"))
        }
      })
      for (
        const [target, status] of [
          ["/code", 200],
          ["/site", 302],
          ["/none", 404],
          ["/CODE", 400],
          ["/dies", 500],
          ["/fails", 418]
        ] as const
      ) {
        const answer = yield* ask(generation, target)
        assert.deepStrictEqual([target, answer.status, answer.headers.get("x-filter")], [target, status, "here"])
      }
      assert.strictEqual(applied, 1)
    }))

  it.effect("may answer by itself, fail with an answer, and die without harm to others", () =>
    Effect.gen(function*() {
      const generation = yield* build({
        config,
        middleware: (answer) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
            if (headers["x-do"] === "answer") return text("filter")
            if (headers["x-do"] === "fail") return Effect.fail(HttpServerResponse.empty({ status: 403 }))
            return headers["x-do"] === "die" ? Effect.die(new Error("a defect")) : answer
          })
      })
      const found = yield* Effect.forEach(
        ["answer", "fail", "die", ""],
        (what) => taken(generation, "/site", "GET", { "x-do": what })
      )
      assert.deepStrictEqual(found, ["filter", "403", "500", "site"])
    }))

  it.effect("sees the groups; it stands outside of the middleware that is for all of the router, which is for all requests, too", () =>
    Effect.gen(function*() {
      const add = (name: string) =>
        Effect.map((response: HttpServerResponse.HttpServerResponse) =>
          HttpServerResponse.setHeader(response, "x-order", `${response.headers["x-order"] ?? ""}${name}`)
        )
      const generation = yield* build({
        config: { ...config, groups: users },
        routes: Layer.mergeAll(
          routes,
          HttpRouter.middleware((answer) => add("a")(answer), { global: true }),
          HttpRouter.cors({ allowedOrigins: ["http://page"] })
        ),
        middleware: (answer) => Effect.flatMap(Users, ({ name }) => add(`(${name})`)(answer))
      })
      for (const target of ["/code", "/site", "/none"]) {
        assert.strictEqual((yield* ask(generation, target)).headers.get("x-order"), "a(users)", target)
      }
      // A preflight is for a route that has no OPTIONS.
      const preflight = yield* ask(generation, "/code", "OPTIONS", {
        origin: "http://page",
        "access-control-request-method": "GET"
      })
      assert.deepStrictEqual([preflight.status, preflight.headers.get("access-control-allow-origin")], [
        204,
        "http://page"
      ])
    }))

  it.effect("that is none is an error", () =>
    Effect.gen(function*() {
      const says = "middleware can't be used: "
      const throws = () => {
        throw new Error("a mistake")
      }
      assert.strictEqual(yield* refusal({ middleware: throws }), `${says}a mistake`)
      assert.strictEqual(
        yield* refusal({ middleware: (() => undefined) as unknown as NonNullable<Definition["middleware"]> }),
        `${says}it returns no effect`
      )
    }))
})

describe("what the layer has opened", () => {
  it.effect("is closed when the config is retired and its last request, with its filter, is over", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const held = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const generation = yield* build({
        routes: HttpRouter.add(
          "GET",
          "/held",
          Effect.andThen(Deferred.succeed(held, undefined), Effect.as(Deferred.await(gate), HttpServerResponse.empty()))
        ).pipe(Layer.provideMerge(Layer.effectDiscard(Effect.acquireRelease(
          Effect.sync(() => log.push("opened")),
          () => Effect.andThen(Effect.sync(() => log.push("closed")), Deferred.succeed(closed, undefined))
        )))),
        middleware: (answer) => Effect.ensuring(answer, Effect.sync(() => log.push("filtered")))
      })
      const scope = yield* Scope.make()
      const request = HttpServerRequest.fromWeb(new Request("http://gateway/held"))
      const fiber = yield* Effect.forkChild(
        generation.answer.pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Scope.provide(scope)
        )
      )
      yield* Deferred.await(held)
      yield* generation.retire()
      assert.deepStrictEqual(log, ["opened"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["opened", "filtered"])
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(closed)
      assert.deepStrictEqual(log, ["opened", "filtered", "closed"])
    }))
})
