import { CommandMetrics, Group, Pool } from "@blackgate/core"
import { Proxy, type Transport } from "@blackgate/http"
import { Tunnel, Undici } from "@blackgate/node"
import { NodeHttpServer } from "@effect/platform-node"
import { Cause, Context, Effect, Layer, Logger, Metric, type Scope } from "effect"
import { type HttpPlatform, HttpRouter, HttpServer, type HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import type * as Net from "node:net"
import { eventuallyEqual } from "./eventually.ts"
import { connect, type Wire } from "./Wire.ts"

type Outcomes = Partial<Record<CommandMetrics.Outcome, number>>

/** A gateway on a port of this machine: one group, and the routes that a test gives it. */
export interface Gateway {
  readonly port: number
  /** What it has logged, causes included. */
  readonly logs: ReadonlyArray<string>
  readonly pool: Pool.Pool
  /** How many calls hold a permit, and how many wait for one. */
  readonly busy: Effect.Effect<string>
  /** Waits until `busy` is this. */
  readonly becomes: (busy: string) => Effect.Effect<void>
  /** Waits until every permit is back. */
  readonly quiet: Effect.Effect<void>
  /** How the calls of a key have ended; `"/*"` is that of the only route of `start`. */
  readonly outcomes: (key?: string) => Effect.Effect<Outcomes>
  readonly connect: Effect.Effect<Wire, never, Scope.Scope>
  /** The connections of clients that it has. */
  readonly clients: ReadonlySet<Net.Socket>
}

/** What everything of a gateway is told: nothing is under way. */
export const idle = "0 active, 0 queued"

let gateways = 0

const kinds: ReadonlyArray<CommandMetrics.Outcome> = [
  "success",
  "failure",
  "defect",
  "timeout",
  "rejected",
  "interrupted"
]

type Needed = HttpRouter.HttpRouter | Transport.Transport | HttpPlatform.HttpPlatform

/** Routes, and whatever else a router can have. */
export type Routes = Layer.Layer<
  never,
  never,
  Needed | HttpRouter.Request<"GlobalRequires", HttpPlatform.HttpPlatform>
>

/** Starts a gateway with these routes, over undici. It is closed with the scope. */
export const withRoutes = (
  routes: (group: Group.Group) => Routes,
  {
    pool = { maxConcurrent: 100 },
    policies = {},
    server: create = () => Http.createServer(),
    transport,
    tunnels = true,
    undici = {}
  }: {
    readonly pool?: Pool.Options
    /** What else its group has. */
    readonly policies?: Omit<Group.Options, "pool">
    readonly server?: Parameters<typeof NodeHttpServer.layer>[0]
    /** In place of one of its own, which closes with it. */
    readonly transport?: Layer.Layer<Transport.Transport>
    /** Whether its server lets connections become tunnels. */
    readonly tunnels?: boolean
    readonly undici?: Undici.Options
  } = {}
): Effect.Effect<Gateway, never, Scope.Scope> =>
  Effect.gen(function*() {
    const logs: Array<string> = []
    const name = `gateway ${++gateways}`
    const group = yield* Group.make(name, { ...policies, pool })
    const clients = new Set<Net.Socket>()
    const server = NodeHttpServer.layer(() => {
      const listener = create().on("connection", (socket: Net.Socket) => {
        // One that was to become a tunnel, and did not, comes again.
        if (clients.has(socket)) return
        clients.add(socket)
        socket.once("close", () => clients.delete(socket))
      })
      return tunnels && listener instanceof Http.Server ? Tunnel.accept(listener) : listener
    }, {
      port: 0,
      host: "127.0.0.1",
      gracefulShutdownTimeout: 10,
      disablePreemptiveShutdown: true
    })
    const context = yield* Layer.build(
      HttpRouter.serve(routes(group), { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(transport ?? Undici.layerWith({ drain: 50, ...undici })),
        Layer.provideMerge(server),
        Layer.provide(
          Logger.layer([
            Logger.make(({ cause, message }) =>
              logs.push([[message].flat().map(textOf).join(" "), Cause.pretty(cause)].join("\n").trim())
            )
          ])
        )
      )
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    if (address._tag === "UnixPathAddress") return yield* Effect.die("it listens on a path")
    const { port } = address
    const busy = Effect.map(Pool.statistics(group.pool), ({ active, queued }) => `${active} active, ${queued} queued`)
    const becomes = (wanted: string) => eventuallyEqual("the state of the pool", wanted, busy)
    return {
      port,
      logs,
      pool: group.pool,
      busy,
      becomes,
      quiet: becomes(idle),
      outcomes: (key = "/*") =>
        Effect.map(
          Effect.forEach(kinds, (outcome) =>
            Effect.map(
              Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: name, key, outcome })),
              ({ count }) => [outcome, count] as const
            )),
          (counts) => Object.fromEntries(counts.filter(([, count]) => count > 0))
        ),
      connect: connect(port),
      clients
    }
  }).pipe(Effect.orDie)

const textOf = (part: unknown): string => Cause.isCause(part) ? Cause.pretty(part) : String(part)

type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse>

/** Starts a gateway with one route, which takes every request, and what a test says of it. */
export const start = (
  options: Omit<Proxy.Options<never, never, never, Answer>, "group">,
  settings?: Parameters<typeof withRoutes>[1]
): Effect.Effect<Gateway, never, Scope.Scope> =>
  withRoutes((group) => Proxy.route("/*", { ...options, group }), settings)
