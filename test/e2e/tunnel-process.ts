// A gateway in a process of its own, for a test that tells it to stop: tunnels to the port in `UPSTREAM`, drained for `DRAIN` ms.
import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { Tunnel, Undici } from "@blackgate/node"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Layer } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"

class Api extends Group.Service<Api>()("api") {}

const server = Tunnel.accept(createServer())
server.once("listening", () => console.log(`port ${(server.address() as { readonly port: number }).port}`))

HttpRouter.serve(
  Proxy.route("/*", { group: Api, upstream: `http://127.0.0.1:${process.env["UPSTREAM"]}` }),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provide([Api.layer({ pool: { maxConcurrent: 10 } }), Undici.layer]),
  Layer.provide(NodeHttpServer.layer(() => server, {
    host: "127.0.0.1",
    port: 0,
    gracefulShutdownTimeout: Number(process.env["DRAIN"])
  })),
  Layer.launch,
  NodeRuntime.runMain
)
