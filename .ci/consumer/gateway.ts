// A program of somebody who has installed the packages: an upstream, a gateway before it, a request through both.
import { Command, Group } from "@blackgate/core"
import * as Pool from "@blackgate/core/Pool"
import { Proxy, Rewrite } from "@blackgate/http"
import { Server, Undici } from "@blackgate/node"
// By its path: the index wants `redis`, a peer that yarn 1 does not install.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { deepStrictEqual } from "node:assert"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

class Api extends Group.Service<Api>()("api") {}
const ApiLive = Api.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })

const greeting = Command.make("greeting", (name: string) => Effect.succeed(`hello ${name}`), {
  group: Api,
  timeout: "1 second",
  fallback: () => Effect.succeed(null)
})

const upstream = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
    const server = createServer((request, response) => response.end(`upstream ${request.url}`))
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close: () => server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const routes = (url: string) =>
  Proxy.route("/api/*", {
    group: Api,
    upstream: url,
    rewrite: Rewrite.stripPrefix("/api"),
    timeout: "5 seconds",
    fallback: () => HttpServerResponse.json({ code: 500 }, { status: 500 })
  })

const program = Effect.gen(function*() {
  const { url } = yield* upstream
  const gateway = yield* Layer.build(
    HttpRouter.serve(routes(url), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(Undici.layer),
      Layer.provideMerge(Server.layer({ host: "127.0.0.1", port: 0 }))
    )
  )
  const origin = yield* HttpServer.addressFormattedWith(Effect.succeed).pipe(Effect.provide(gateway))
  const answer = yield* Effect.promise(() => fetch(`${origin}/api/users/1?q`).then((response) => response.text()))
  const waiting = yield* Effect.succeed(0).pipe(Pool.withPermit(Api))
  deepStrictEqual([answer, yield* greeting("you"), waiting], ["upstream /users/1?q", "hello you", 0])
  yield* Console.log("core, http and node do what they should")
})

NodeRuntime.runMain(Effect.scoped(program).pipe(Effect.provide(ApiLive)))
