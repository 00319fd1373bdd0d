// A gateway whose config is a module, for what a file can't say. With `node examples/upstream.ts` beside it:
//
//   blackgate -c examples/blackgate.config.ts start
//   curl -i localhost:9654/v1/users/1 -H "x-api-key: demo"    # a route of the config
//   curl -i localhost:9654/v1/both -H "x-api-key: demo"       # a handler: two requests of the upstream, one answer
//   curl -i localhost:9654/v1/both                            # the filter's answer
import { Command, Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { defineConfig } from "blackgate/config"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

const { PORT = "9654", UPSTREAM = "http://127.0.0.1:9700" } = process.env

// By its name it is the group of the config: one pool for what goes through the config's route, and for what the handler asks.
class Api extends Group.Service<Api>()("api") {}

const get = Command.make(
  "get",
  (path: string) => Effect.flatMap(HttpClient.get(UPSTREAM + path), ({ json }) => json),
  { group: Api, timeout: "2 seconds" }
)

const both = HttpRouter.add(
  "GET",
  "/v1/both",
  Effect.all([get("/v1/users/1"), get("/v1/orders/1")], { concurrency: 2 }).pipe(
    Effect.map(([user, order]) => HttpServerResponse.jsonUnsafe({ user, order })),
    // What the upstream's failure is called is the business of this gateway.
    Effect.orElseSucceed(() =>
      HttpServerResponse.jsonUnsafe({ code: 502, message: "bad gateway", errors: [] }, { status: 502 })
    )
  )
).pipe(HttpRouter.provideRequest(FetchHttpClient.layer))

export default defineConfig({
  config: {
    port: Number(PORT),
    groups: { api: { pool: { max_concurrent: 100, max_queued: 200 }, circuit: { failure_rate: 0.5 } } },
    upstreams: { api: { url: UPSTREAM } },
    routes: [{ name: "api", match: { path: "/v1" }, upstream: "api", group: "api", timeout: "5s" }]
  },
  // Before those of the config. The echo of the upstream is for small bodies only.
  routes: Layer.merge(both, Proxy.route("/v1/echo/*", { group: Api, upstream: UPSTREAM, maxBodySize: 1024 })),
  // Around every request: nobody comes in without a key.
  middleware: (answer) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
      headers["x-api-key"] === "demo"
        ? answer
        : HttpServerResponse.json({ code: 401, message: "a key is missing", errors: [] }, { status: 401 }))
})
