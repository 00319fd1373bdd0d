import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { type Config, type ConfigModule, defineConfig, type GroupConfig, type Middleware } from "blackgate/config"
import { Context, Data, Effect, FileSystem, Layer } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { describe, expect, it } from "tstyche"

class Users extends Group.Service<Users>()("users") {}
class Orders extends Group.Service<Orders>()("orders") {}
class Database extends Context.Service<Database, { readonly query: Effect.Effect<string> }>()("Database") {}
class NoUser extends Data.TaggedError("NoUser")<{}> {}

const upstream = "http://intra.service.com"
const pool = { max_concurrent: 1 }
const config = { groups: { users: { pool } } } as const
const response = HttpServerResponse.empty()

describe("the config", () => {
  it("is what a file can say", () => {
    expect(defineConfig).type.toBeCallableWith({})
    expect(defineConfig).type.toBeCallableWith({
      config: {
        port: 9654,
        admin: {},
        routes: [{ match: { path: "/" }, upstream, retries: {} }],
        groups: { a: { pool } }
      }
    })
    expect(defineConfig({ config })).type.toBe<ConfigModule>()
    expect<NonNullable<Config["groups"]>[string]>().type.toBe<GroupConfig>()
  })

  it("has no other key, and no value of another kind", () => {
    expect(defineConfig).type.not.toBeCallableWith({ config: { prot: 1 } })
    expect(defineConfig).type.not.toBeCallableWith({ config: { port: "9654" } })
    expect(defineConfig).type.not.toBeCallableWith({ config: { log: { level: "loud" } } })
    expect(defineConfig).type.not.toBeCallableWith({ config: { groups: { a: { pool: {} } } } })
    expect(defineConfig).type.not.toBeCallableWith({ confg: {} })
  })
})

describe("routes", () => {
  const route = Proxy.route("/users/*", { group: Users, upstream })

  it("may ask for the groups of the config, and for no other group", () => {
    expect(defineConfig).type.toBeCallableWith({ config, routes: route })
    expect(defineConfig).type.not.toBeCallableWith({ config, routes: Proxy.route("/a", { group: Orders, upstream }) })
    expect(defineConfig).type.not.toBeCallableWith({ routes: route })
    expect(defineConfig).type.not.toBeCallableWith({ config: { port: 1 }, routes: route })
  })

  it("may ask for a group of which only the type of the config does not know", () => {
    const read: { readonly [name: string]: GroupConfig } = {}
    expect(defineConfig).type.toBeCallableWith({ config: { groups: read }, routes: route })
  })

  it("provide everything else to themselves", () => {
    const needs = HttpRouter.use((router) =>
      Effect.flatMap(Database, ({ query }) => router.add("GET", "/", Effect.as(query, response)))
    )
    expect(defineConfig).type.not.toBeCallableWith({ routes: needs })
    expect(defineConfig).type.toBeCallableWith({
      routes: Layer.provide(needs, Layer.succeed(Database, { query: Effect.succeed("") }))
    })
  })

  it("have handlers that may ask for the same for each request, and fail with anything", () => {
    expect(defineConfig).type.toBeCallableWith({
      config,
      routes: HttpRouter.add(
        "GET",
        "/",
        Effect.gen(function*() {
          yield* HttpServerRequest.HttpServerRequest
          yield* HttpRouter.params
          yield* Users
          yield* FileSystem.FileSystem
          return yield* new NoUser()
        })
      )
    })
    expect(defineConfig).type.not.toBeCallableWith({
      config,
      routes: HttpRouter.add("GET", "/", Effect.as(Orders, response))
    })
    expect(defineConfig).type.not.toBeCallableWith({
      routes: HttpRouter.add("GET", "/", Effect.as(Database, response))
    })
  })

  it("may be an HttpApi, and have middleware for all of the router", () => {
    class Api extends HttpApi.make("api").add(
      HttpApiGroup.make("all", { topLevel: true }).add(HttpApiEndpoint.get("one", "/one"))
    ) {}
    const handlers = HttpApiBuilder.group(
      Api,
      "all",
      (handlers) => Effect.succeed(handlers.handle("one", () => Effect.void))
    )
    expect(defineConfig).type.toBeCallableWith({
      routes: Layer.mergeAll(
        HttpApiBuilder.layer(Api).pipe(Layer.provide(handlers)),
        HttpRouter.cors(),
        HttpRouter.middleware(HttpMiddleware.logger, { global: true })
      )
    })
  })
})

describe("middleware", () => {
  it("is handed an answer that does not fail, and may fail with anything", () => {
    expect(defineConfig).type.toBeCallableWith({
      middleware: Effect.map(HttpServerResponse.setHeader("x-gateway", "blackgate"))
    })
    expect<Parameters<Middleware>[0] extends Effect.Effect<unknown, infer E, unknown> ? E : 0>().type.toBe<never>()
    expect(defineConfig).type.toBeCallableWith({ middleware: () => Effect.fail(new NoUser()) })
  })

  it("may ask for the groups of the config, and for no other service of its own", () => {
    const asks = (answer: Parameters<Middleware>[0]) => Effect.andThen(Users, answer)
    expect(defineConfig).type.toBeCallableWith({ config, middleware: asks })
    expect(defineConfig).type.not.toBeCallableWith({ middleware: asks })
    expect(defineConfig).type.not.toBeCallableWith({
      middleware: (answer: Parameters<Middleware>[0]) => Effect.andThen(Database, answer)
    })
  })

  it("answers with a response", () => {
    expect(defineConfig).type.not.toBeCallableWith({ middleware: () => Effect.succeed("hello") })
  })
})
