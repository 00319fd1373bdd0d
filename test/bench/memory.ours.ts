// The proxy that users are told to write, which loads what it uses; told `loaded`, all there is, as it is by `from "effect"`.
import * as Group from "@blackgate/core/Group"
import * as Proxy from "@blackgate/http/Proxy"
import * as Undici from "@blackgate/node/Undici"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { loadAll } from "./memory.all.ts"
import { reportUsage } from "./memory.usage.ts"

if (process.argv[3] === "loaded") await loadAll()

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
