// The proxy that users are told to write.
import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { reportUsage } from "./memory.usage.ts"

class Api extends Group.Service<Api>()("api") {}

const Routes = HttpRouter.serve(Proxy.route("/*", { group: Api, upstream: process.argv[2]! }), {
  disableLogger: true,
  disableListenLog: true
})

const Ready = Layer.effectDiscard(
  HttpServer.addressFormattedWith((address) =>
    Effect.sync(() => process.send!({ port: Number(new URL(address).port) }))
  )
)

NodeRuntime.runMain(
  Layer.launch(
    Layer.merge(Routes, Ready).pipe(
      Layer.provide([Api.layer({ pool: { maxConcurrent: 10 } }), Undici.layer]),
      Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
    )
  )
)
reportUsage()
