import { CommandMetrics, Group, Pool } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { Server, Undici } from "@blackgate/node"
import { Cause, Context, Effect, Exit, Latch, Layer, Logger, Metric, Scope } from "effect"
import { HttpRouter, HttpServer, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { eventually, eventuallyEqual } from "./eventually.ts"
import { connect, type Wire } from "./Wire.ts"

/** A `Server` on a port of this machine. */
export interface Served {
  readonly port: number
  readonly logs: ReadonlyArray<string>
  readonly server: Server.Server["Service"]
  readonly connect: Effect.Effect<Wire, never, Scope.Scope>
  /** Waits for a line of the log that holds this, and answers all lines. */
  readonly logged: (text: string) => Effect.Effect<ReadonlyArray<string>>
  /** Tells it to stop, and waits until it has. */
  readonly stop: Effect.Effect<void>
}

type Needed = HttpRouter.HttpRouter
type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>

const serve = (routes: Layer.Layer<never, never, Needed>, options: Server.Options) =>
  Effect.gen(function*() {
    const logs: Array<string> = []
    const scope = yield* Scope.fork(yield* Effect.scope)
    const context = yield* Layer.buildWithScope(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provideMerge(Server.layer({ host: "127.0.0.1", drainTimeout: 50, ...options })),
        Layer.provide(Logger.layer([
          Logger.make(({ cause, message }) => {
            logs.push([[message].flat().map(String).join(" "), Cause.pretty(cause)].join("\n").trim())
          })
        ]))
      ),
      scope
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    if (address._tag === "UnixPathAddress") return yield* Effect.die("it listens on a path")
    const served: Served = {
      port: address.port,
      logs,
      server: Context.get(context, Server.Server),
      connect: connect(address.port),
      logged: (text) =>
        Effect.as(eventually(`a line with ${text}`, () => logs.some((line) => line.includes(text)), () => logs), logs),
      stop: Scope.close(scope, Exit.void)
    }
    return served
  }).pipe(Effect.orDie)

/** One whose only handler answers everything. */
export const answering = (
  options: Server.Options = {},
  answer: Answer = Effect.succeed(ok)
) => serve(HttpRouter.add("*", "/*", answer), options)

export const ok = HttpServerResponse.text("ok")

/** A handler that answers when the test says so. */
export const gate = () => {
  const latch = Latch.makeUnsafe()
  let waiting = 0
  return {
    answer: Effect.andThen(Effect.sync(() => waiting++), Effect.as(latch.await, ok)),
    open: () => latch.openUnsafe(),
    waiting: () => waiting
  }
}

let gateways = 0

/** A gateway to one upstream, and what its pool says. */
export interface Gateway extends Served {
  readonly becomes: (busy: string) => Effect.Effect<void>
  readonly outcomes: Effect.Effect<Partial<Record<CommandMetrics.Outcome, number>>>
}

export const proxying = (
  options: Omit<Proxy.Options, "group">,
  serverOptions: Server.Options = {}
): Effect.Effect<Gateway, never, Scope.Scope> =>
  Effect.gen(function*() {
    const name = `served ${++gateways}`
    const group = yield* Group.make(name, { pool: { maxConcurrent: 100 } })
    const routes = Proxy.route("/*", { ...options, group }).pipe(Layer.provide(Undici.layerWith({ drain: 50 })))
    const served = yield* serve(routes, serverOptions)
    const kinds: ReadonlyArray<CommandMetrics.Outcome> = ["success", "failure", "timeout", "rejected", "interrupted"]
    return {
      ...served,
      becomes: (busy: string) =>
        eventuallyEqual(
          "the state of the pool",
          busy,
          Effect.map(Pool.statistics(group.pool), ({ active, queued }) => `${active} active, ${queued} queued`)
        ),
      outcomes: Effect.map(
        Effect.forEach(kinds, (outcome) =>
          Effect.map(
            Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: name, key: "/*", outcome })),
            ({ count }) => [outcome, count] as const
          )),
        (counts) => Object.fromEntries(counts.filter(([, count]) => count > 0))
      )
    }
  }).pipe(Effect.orDie)
