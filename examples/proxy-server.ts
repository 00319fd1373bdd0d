// The gateway that `pnpm start` runs: three routes, two groups, and an upstream of its own to go to.
import { Group } from "@blackgate/core"
import { Proxy, Rewrite } from "@blackgate/http"
import { Server, Undici } from "@blackgate/node"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Exit, Layer, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

// Users go through one group and what is slow through another, so that the slow can't keep the users waiting.
class Users extends Group.Service<Users>()("api.users") {}
class Reports extends Group.Service<Reports>()("api.reports") {}

const GroupsLive = Layer.merge(
  Users.layer({ pool: { maxConcurrent: 50, maxQueued: 200 } }),
  Reports.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })
)

const routes = (upstream: string) =>
  Layer.mergeAll(
    Proxy.route("/api/v1/*", {
      group: Users,
      upstream,
      rewrite: Rewrite.stripPrefix("/api"),
      timeout: "5 seconds"
    }),
    Proxy.route("/api/v1/slow", {
      group: Reports,
      upstream,
      rewrite: Rewrite.stripPrefix("/api"),
      timeout: "1 second",
      // Whoever finds the pool full is told so, and when to come again; whoever waited in vain gets this.
      fallback: (failure) =>
        failure._tag === "PoolFull"
          ? Proxy.failureResponse(failure)
          : HttpServerResponse.json({ code: 500, message: "internal server error", error: {} }, { status: 500 })
    })
  )

// The upstream runs in a process of its own, so that it can be killed.
const startUpstream = Effect.gen(function*() {
  const child = yield* ChildProcess.make(
    process.execPath,
    [fileURLToPath(new URL("upstream.ts", import.meta.url)), "--with-parent"],
    { stderr: "inherit" }
  )
  const origin = yield* child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runHead,
    Effect.flatMap(Effect.fromOption)
  )
  return { origin, pid: child.pid }
})

const say = (upstream: { readonly origin: string; readonly pid: number }) =>
  HttpServer.addressFormattedWith((gateway) =>
    Console.log(`
Blackgate listens on ${gateway}. Its upstream is ${upstream.origin}, process ${upstream.pid}:
kill it and see; \`npx -y pnpm@12.21.0 upstream\` brings it back. Try

  curl -i ${gateway}/api/v1/users/1    # the upstream's answer
  curl -i ${gateway}/api/v1/slow       # too slow: the fallback's answer, after a second
  curl -i ${gateway}/api/v1/flaky      # now and then a 502
`)
  )

const Gateway = Layer.unwrap(Effect.gen(function*() {
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(9654))
  const upstream = yield* startUpstream
  const Routes = HttpRouter.serve(routes(upstream.origin), { disableLogger: true, disableListenLog: true })
  return Layer.merge(Routes, Layer.effectDiscard(say(upstream))).pipe(
    Layer.provide([GroupsLive, Undici.layer]),
    Layer.provide(Server.layer({ host: "127.0.0.1", port }))
  )
}))

// Told to stop, it ends what is under way, and then has done what it should.
NodeRuntime.runMain(Layer.launch(Gateway.pipe(Layer.provide(NodeServices.layer))), {
  teardown: (exit, onExit) => onExit(Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? 1 : 0)
})
