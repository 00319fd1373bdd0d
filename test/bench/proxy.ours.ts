// Ours, as users are told to write it; what it is told says how much of it.
import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { reportUsage } from "./memory.usage.ts"

class Api extends Group.Service<Api>()("api") {}

const [, , upstream = "", how = "bare"] = process.argv
const pool = { maxConcurrent: 1024 }
const circuit = { failureRate: 0.5, consecutive: 100, window: { calls: 1000 } } as const

/** The group, and the routes. */
const setups: Record<string, () => readonly [Group.Options, Layer.Layer<never, never, any>]> = {
  "bare": () => [{ pool }, Proxy.route("/*", { group: Api, upstream })],
  "every policy": () => [{ pool, circuit }, Proxy.route("/*", { group: Api, upstream, timeout: "30 seconds" })],
  // The one permit is taken by the first request, which is never answered.
  "full": () => [
    { pool: { maxConcurrent: 1, maxQueued: 0 }, circuit },
    Proxy.route("/*", { group: Api, upstream, timeout: "1 hour" })
  ],
  "10 routes": () => [{ pool }, Proxy.routes(routes(10))],
  "10,000 routes": () => [{ pool }, Proxy.routes(routes(10_000))],
  "a table of 10": () => [{ pool }, Proxy.table("/*", routes(10))],
  "a table of 10,000": () => [{ pool }, Proxy.table("/*", routes(10_000))]
}

const routes = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    path: `/r${String(i).padStart(5, "0")}/*` as const,
    group: Api,
    // Of one method: the router registers others under each of all methods, and looks through all that it has for each.
    method: "GET" as const,
    upstream
  }))

const [group, Routes] = setups[how]!()

const Ready = Layer.effectDiscard(
  HttpServer.addressFormattedWith((address) =>
    Effect.sync(() => process.send!({ port: Number(new URL(address).port) }))
  )
)

NodeRuntime.runMain(
  Layer.launch(
    // Told when all routes are there: a server listens before.
    Ready.pipe(
      Layer.provideMerge(HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true })),
      Layer.provide([Api.layer(group), Undici.layer]),
      Layer.provide(
        NodeHttpServer.layer(() => createServer({ keepAliveTimeout: 600_000 }), {
          host: "127.0.0.1",
          port: 0,
          backlog: 4096
        })
      )
    ) as Layer.Layer<never>
  )
)
reportUsage()
