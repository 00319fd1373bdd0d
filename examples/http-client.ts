// An Effect HttpClient that is protected by a group: `node examples/http-client.ts`.
import { Group, Pool } from "@blackgate/core"
import { Client } from "@blackgate/http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Option } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

class Reports extends Group.Service<Reports>()("api.reports") {}

// Whatever is asked of this client waits for a permit, is over in time, and is tried again. The rest of the program need not know.
const ProtectedClient = Client.layer(Reports, { timeout: "500 millis", retry: { base: "10 millis" } }).pipe(
  Layer.provide(FetchHttpClient.layer),
  Layer.provideMerge(Reports.layer({ pool: { maxConcurrent: 2, maxQueued: 3 }, circuit: { consecutive: 5 } }))
)

const program = Effect.gen(function*() {
  const client = yield* HttpClient.HttpClient
  const origin = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const ask = (path: string) =>
    client.get(origin + path).pipe(
      Effect.andThen((response) => response.text),
      Effect.catch((failure) =>
        Effect.succeed(
          Option.match(Client.commandError(failure), { onNone: () => failure._tag, onSome: ({ _tag }) => _tag })
        )
      )
    )

  yield* Console.log("one:", yield* ask("/report"))
  yield* Console.log("at the third attempt:", yield* ask("/flaky"))
  yield* Console.log("too slow:", yield* ask("/slow"))
  const many = yield* Effect.all(Array.from({ length: 10 }, () => ask("/report")), { concurrency: "unbounded" })
  yield* Console.log("ten at once:", many.filter((one) => one === "PoolFull").length, "refused")
  yield* Console.log("down:", yield* ask("/down"), "and", yield* ask("/down"), "and", yield* ask("/down"))
  const { pool } = yield* Reports
  yield* Console.log("rejected by the pool:", (yield* Pool.statistics(pool)).rejected)
})

let attempts = 0
const ReportServer = HttpRouter.serve(
  Layer.mergeAll(
    HttpRouter.add("GET", "/report", HttpServerResponse.text("a report")),
    HttpRouter.add(
      "GET",
      "/flaky",
      () =>
        Effect.succeed(++attempts < 3 ? HttpServerResponse.empty({ status: 503 }) : HttpServerResponse.text("a report"))
    ),
    HttpRouter.add("GET", "/down", HttpServerResponse.text("down", { status: 503 })),
    HttpRouter.add("GET", "/slow", Effect.delay(Effect.succeed(HttpServerResponse.text("a long report")), "5 seconds"))
  ),
  { disableLogger: true, disableListenLog: true }
).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })))

NodeRuntime.runMain(Effect.provide(program, [ProtectedClient, ReportServer]))
