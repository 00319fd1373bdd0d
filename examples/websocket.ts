// WebSockets through the gateway, with permits of their own. `node examples/websocket.ts`
import { Group, Pool } from "@blackgate/core"
import { Proxy, Rewrite } from "@blackgate/http"
import { Tunnel, Undici } from "@blackgate/node"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"

class Api extends Group.Service<Api>()("api.v1") {}
class Sockets extends Group.Service<Sockets>()("api.v1.sockets") {}

// Something to go to: it says back what it hears.
const upstream = new WebSocketServer({ host: "127.0.0.1", port: 0 })
upstream.on("connection", (socket, { url }) => socket.on("message", (text) => socket.send(`${url} heard ${text}`)))
await once(upstream, "listening")

const Gateway = HttpRouter.serve(
  Proxy.route("/api/*", {
    group: Api,
    upstream: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    rewrite: Rewrite.stripPrefix("/api"),
    timeout: "5 seconds",
    // Two tunnels at once; they end when nothing was said for an hour; web pages of other hosts may not ask.
    upgrade: { group: Sockets, idle: "1 hour", origins: "same" }
  }),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provideMerge(
    Layer.merge(Api.layer({ pool: { maxConcurrent: 10 } }), Sockets.layer({ pool: { maxConcurrent: 2 } }))
  ),
  Layer.provide(Undici.layer),
  // `accept` lets the server give its connections away.
  Layer.provideMerge(NodeHttpServer.layer(() => Tunnel.accept(createServer()), { host: "127.0.0.1", port: 0 }))
)

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const url = `ws://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}/api/chat`
  const sockets = yield* Sockets

  const ask = (socket: WebSocket, text: string) =>
    Effect.promise(async () => {
      if (socket.readyState !== WebSocket.OPEN) await once(socket, "open")
      socket.send(text)
      return String((await once(socket, "message"))[0])
    })

  const [first, second] = [new WebSocket(url), new WebSocket(url)]
  yield* Console.log(yield* ask(first, "hello"))
  yield* Console.log(yield* ask(second, "hi"))
  yield* Console.log(`tunnels: ${(yield* Pool.statistics(sockets.pool)).active}`)

  const third = new WebSocket(url)
  const refused = yield* Effect.promise(() => once(third.on("error", () => {}), "unexpected-response"))
  yield* Console.log(`a third: ${refused[1].statusCode}`)

  const foreign = new WebSocket(url, { origin: "https://elsewhere.test" })
  const forbidden = yield* Effect.promise(() => once(foreign.on("error", () => {}), "unexpected-response"))
  yield* Console.log(`a page of elsewhere: ${forbidden[1].statusCode}`)

  for (const socket of [first, second, third, foreign]) socket.terminate()
  upstream.close()
})

NodeRuntime.runMain(Effect.provide(program, Gateway))
