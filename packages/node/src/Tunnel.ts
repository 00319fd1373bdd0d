/**
 * What a server needs so that connections can become tunnels: WebSockets, and any other `Upgrade`.
 *
 * Proxy routes do the rest, over `Undici`: see `Proxy.Options.upgrade`. It does not read what goes through a tunnel.
 *
 * @since 0.1.0
 */
import type * as Http from "node:http"
import type * as Https from "node:https"
import { acceptFor } from "./internal/Offer.ts"

/**
 * Lets a server give its connections away to the tunnels of proxy routes.
 *
 * **Details**
 *
 * Effect's own WebSockets, on other routes of that server, work as before. A request that gets an ordinary answer leaves its
 * connection open for the next one. An `Upgrade` that is pipelined behind a request whose answer is under way is ignored, and so is,
 * before Node 26, that of a request with a body: these go on as plain requests, the last on their connections.
 *
 * **Gotchas**
 *
 * It must be called before Effect gets the server: that is the only moment at which nothing that a client sends right behind its
 * request can be lost. Without it, a route answers a request for a WebSocket with a 501.
 *
 * **Example** (A gateway that passes WebSockets)
 *
 * ```ts
 * import { Group } from "@blackgate/core"
 * import { Proxy } from "@blackgate/http"
 * import { Tunnel, Undici } from "@blackgate/node"
 * import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 * class Sockets extends Group.Service<Sockets>()("api.v1.sockets") {}
 *
 * const ApiV1 = Proxy.route("/*", { group: Api, upstream: "http://intra.service.com", upgrade: { group: Sockets } })
 *
 * const Gateway = HttpRouter.serve(ApiV1).pipe(
 *   Layer.provide([
 *     Api.layer({ pool: { maxConcurrent: 10 } }),
 *     Sockets.layer({ pool: { maxConcurrent: 10_000 } }),
 *     Undici.layer
 *   ]),
 *   Layer.provide(NodeHttpServer.layer(() => Tunnel.accept(createServer()), { port: 8888 }))
 * )
 *
 * NodeRuntime.runMain(Layer.launch(Gateway))
 * ```
 *
 * @category servers
 * @since 0.1.0
 */
export const accept = <Server extends Http.Server | Https.Server>(server: Server): Server => {
  acceptFor(server)
  return server
}
