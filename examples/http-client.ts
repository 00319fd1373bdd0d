// An Effect HttpClient that is protected by a group: `node examples/http-client.ts`.
import { Command, Group, Pool } from "@blackgate/core"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

class Reports extends Group.Service<Reports>()("api.reports") {}

// Whatever is asked of this client waits for a permit, and is over in time. The rest of the program need not know.
const protect = (client: HttpClient.HttpClient) =>
  HttpClient.transform(
    client,
    (call, request) => call.pipe(Command.within(Reports, { key: request.method, timeout: "500 millis" }))
  )

const program = Effect.gen(function*() {
  const client = protect(yield* HttpClient.HttpClient)
  const origin = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const ask = (path: string) =>
    client.get(origin + path).pipe(
      Effect.andThen((response) => response.text),
      Effect.catch((failure) => Effect.succeed(failure._tag))
    )

  yield* Console.log("one:", yield* ask("/report"))
  yield* Console.log("too slow:", yield* ask("/slow"))
  const many = yield* Effect.all(Array.from({ length: 10 }, () => ask("/report")), { concurrency: "unbounded" })
  yield* Console.log("ten at once:", many.filter((one) => one === "PoolFull").length, "refused")
  const { pool } = yield* Reports
  yield* Console.log("rejected by the pool:", (yield* Pool.statistics(pool)).rejected)
})

const ReportServer = HttpRouter.serve(
  Layer.mergeAll(
    HttpRouter.add("GET", "/report", HttpServerResponse.text("a report")),
    HttpRouter.add("GET", "/slow", Effect.delay(Effect.succeed(HttpServerResponse.text("a long report")), "5 seconds"))
  ),
  { disableLogger: true, disableListenLog: true }
).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })))

NodeRuntime.runMain(
  Effect.provide(program, [
    Reports.layer({ pool: { maxConcurrent: 2, maxQueued: 3 } }),
    ReportServer,
    FetchHttpClient.layer
  ])
)
