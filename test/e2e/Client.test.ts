import { type CommandError, Group, Pool } from "@blackgate/core"
import { Client } from "@blackgate/http"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { createServer } from "node:http"
import { eventuallyEqual } from "../harness/eventually.ts"

class Api extends Group.Service<Api>()("client.e2e") {}

const tagOf = (failure: unknown): CommandError.CommandError["_tag"] | undefined =>
  Option.getOrUndefined(Option.map(Client.commandError(failure), ({ _tag }) => _tag))

/** Routes on a port of their own, and where that is. */
const serve = (
  routes: Layer.Layer<never, never, HttpRouter.HttpRouter | Layer.Success<typeof HttpServer.layerServices>>
) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
      )
    )
    return yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), services)
  })

describe("an HttpApiClient", () => {
  class Flaky extends Schema.TaggedError<Flaky>()("Flaky", {}, { httpApiStatus: 503 }) {}
  class Reports extends HttpApi.make("reports").add(
    HttpApiGroup.make("reports", { topLevel: true }).add(
      HttpApiEndpoint.get("read", "/read", { success: Schema.String, error: Flaky }),
      HttpApiEndpoint.post("write", "/write", { success: Schema.String, error: Flaky }),
      HttpApiEndpoint.get("slow", "/slow", { success: Schema.String })
    )
  ) {}

  /** Fails twice for each method, then answers. */
  const server = Effect.suspend(() => {
    let reads = 0
    let writes = 0
    const handlers = HttpApiBuilder.group(Reports, "reports", (handlers) =>
      Effect.succeed(handlers.handleAll({
        read: () => ++reads % 3 === 0 ? Effect.succeed(`read ${reads}`) : Effect.fail(new Flaky()),
        write: () => ++writes % 3 === 0 ? Effect.succeed(`write ${writes}`) : Effect.fail(new Flaky()),
        slow: () => Effect.never
      })))
    return serve(HttpApiBuilder.layer(Reports).pipe(Layer.provide(handlers)))
  })

  it.live("is protected by `transformClient`, with failures that it knows", () =>
    Effect.gen(function*() {
      const baseUrl = yield* server
      const group = yield* Group.make("client.e2e", { pool: { maxConcurrent: 1 } })
      const reports = yield* HttpApiClient.make(Reports, {
        baseUrl,
        transformClient: (client) =>
          client.pipe(
            Client.within(group, { attemptTimeout: "5 seconds", retry: { base: 1 } }),
            Client.withHttpClientErrors
          )
      }).pipe(Effect.provide(FetchHttpClient.layer))
      assert.strictEqual(yield* reports.read(), "read 3")
      // What can't be repeated ends with the answer that there was, which the API knows.
      assert.strictEqual((yield* Effect.flip(reports.write()))._tag, "Flaky")
      const slow = yield* Effect.forkChild(reports.slow())
      yield* eventuallyEqual(
        "a permit that is taken",
        1,
        Effect.map(Pool.statistics(group.pool), ({ active }) => active)
      )
      const refused = yield* Effect.flip(reports.read())
      assert.strictEqual(refused._tag, "HttpClientError")
      assert.strictEqual(tagOf(refused), "PoolFull")
      yield* Fiber.interrupt(slow)
    }))

  it.live("is protected by `makeWith`, with the failures of the machinery as its own", () =>
    Effect.gen(function*() {
      const baseUrl = yield* server
      const reports = yield* HttpApiClient.makeWith(Reports, {
        baseUrl,
        httpClient: Client.within(yield* HttpClient.HttpClient, Api, { timeout: "100 millis" })
      })
      const failure = yield* Effect.flip(reports.slow())
      assert.strictEqual(failure._tag, "CommandTimeout")
    }).pipe(Effect.provide([FetchHttpClient.layer, Api.layer({ pool: { maxConcurrent: 1 } })])))

  it.live("is protected by the layer of its client", () =>
    Effect.gen(function*() {
      const baseUrl = yield* server
      const reports = yield* HttpApiClient.make(Reports, { baseUrl })
      assert.strictEqual(tagOf(yield* Effect.flip(reports.slow())), "CommandTimeout")
      const { pool } = yield* Api
      assert.strictEqual((yield* Pool.statistics(pool)).admitted, 1)
    }).pipe(Effect.provide(
      Client.layer(Api, { timeout: "100 millis" }).pipe(
        Layer.provide(FetchHttpClient.layer),
        Layer.provideMerge(Api.layer({ pool: { maxConcurrent: 1 } }))
      )
    )))
})

describe("a client of RPC over HTTP", () => {
  const Reports = RpcGroup.make(
    Rpc.make("read", { success: Schema.String, payload: { name: Schema.String } }),
    Rpc.make("slow", { success: Schema.String }),
    Rpc.make("pages", { success: Schema.Number, stream: true })
  )
  const server = Effect.suspend(() =>
    serve(
      RpcServer.layer(Reports).pipe(
        Layer.provide(Reports.toLayer({
          read: ({ name }) => Effect.succeed(`report ${name}`),
          slow: () => Effect.never,
          pages: () => Stream.make(1, 2, 3)
        })),
        Layer.provide(RpcServer.layerProtocolHttp({ path: "/rpc" })),
        Layer.provide(RpcSerialization.layerNdjson)
      )
    )
  )

  it.live("is protected by the layer of its client, streams included", () =>
    Effect.gen(function*() {
      const origin = yield* server
      const protocol = RpcClient.layerProtocolHttp({ url: `${origin}/rpc` }).pipe(
        Layer.provide(Client.layer(Api, { timeout: "2 seconds" })),
        Layer.provide([FetchHttpClient.layer, RpcSerialization.layerNdjson])
      )
      yield* Effect.gen(function*() {
        const client = yield* RpcClient.make(Reports)
        assert.strictEqual(yield* client.read({ name: "a" }), "report a")
        assert.deepStrictEqual(yield* Stream.runCollect(client.pages()), [1, 2, 3])
        const { pool } = yield* Api
        assert.strictEqual((yield* Pool.statistics(pool)).admitted, 2)
        const failure = yield* Effect.flip(client.slow())
        assert.deepStrictEqual([failure._tag, tagOf(failure)], ["RpcClientError", "CommandTimeout"])
      }).pipe(Effect.scoped, Effect.provide(protocol))
    }).pipe(Effect.provide(Api.layer({ pool: { maxConcurrent: 1 } }))))
})

describe("a response that nobody reads", () => {
  const clients = {
    fetch: FetchHttpClient.layer,
    "undici of Effect": NodeHttpClient.layerUndici,
    "node:http of Effect": NodeHttpClient.layerNodeHttp
  }
  /** Begins a body and never ends it, with a 503 twice, then with a 200. */
  const server = Effect.suspend(() => {
    const requests: Array<{ closed: boolean }> = []
    return Effect.map(
      serve(HttpRouter.add("GET", "/", () => {
        const request = { closed: false }
        requests.push(request)
        const body = Stream.concat(Stream.make(new TextEncoder().encode("a")), Stream.never).pipe(
          Stream.ensuring(Effect.sync(() => {
            request.closed = true
          }))
        )
        return Effect.succeed(HttpServerResponse.stream(body, { status: requests.length < 3 ? 503 : 200 }))
      })),
      (origin) => ({ origin, closed: Effect.sync(() => requests.map(({ closed }) => closed)) })
    )
  })

  for (const [name, layer] of Object.entries(clients)) {
    it.live(`of those that were tried again is let go of, and no permit stays behind: ${name}`, () =>
      Effect.gen(function*() {
        const { closed, origin } = yield* server
        const group = yield* Group.make("unread", { pool: { maxConcurrent: 1 } })
        const client = Client.within(yield* HttpClient.HttpClient, group, { retry: { base: 1 } })
        const response = yield* client.get(origin)
        assert.strictEqual(response.status, 200)
        yield* eventuallyEqual("the end of two responses, and not of the third", [true, true, false], closed)
        assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
        assert.isTrue(Option.isSome(yield* Stream.runHead(response.stream)))
        yield* eventuallyEqual("the end of the third, once it was read", [true, true, true], closed)
      }).pipe(Effect.provide(layer)))

    it.live(`as a whole within its deadline is given up: ${name}`, () =>
      Effect.gen(function*() {
        const { closed, origin } = yield* server
        const group = yield* Group.make("whole", { pool: { maxConcurrent: 1 } })
        const client = Client.within(yield* HttpClient.HttpClient, group, { until: "body", timeout: "200 millis" })
        const failure = yield* Effect.flip(client.get(origin))
        assert.strictEqual(failure._tag, "CommandTimeout")
        yield* eventuallyEqual("the end of the response", [true], closed)
        assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
      }).pipe(Effect.provide(layer)))
  }
})
