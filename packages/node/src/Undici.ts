/**
 * The transport for Node: undici's `dispatch` for HTTP/1.1, Node's own HTTP/2, with pooled connections.
 *
 * Its bodies are Node streams, which Effect's server for Node pipes to the client; header fields are read and written as raw lists.
 * Which version is spoken is an `Upstream`'s to say. It does not follow redirects.
 *
 * @since 0.1.0
 */
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Transport from "@blackgate/http/Transport"
import * as UpstreamTls from "@blackgate/http/UpstreamTls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { stateOf } from "./internal/Offer.ts"
import { Opening } from "./internal/Opening.ts"
import { contextOf } from "./internal/secure.ts"
import { keepTick } from "./internal/ticks.ts"
import { TunnelDialer } from "./internal/TunnelDialer.ts"
import { Tunnels } from "./internal/Tunnels.ts"
import { Upstreams } from "./internal/Upstreams.ts"

/**
 * How connections are made and kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long a connection may take to be made, TLS included. 10 seconds by default. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long an idle connection is kept, where the upstream gives no hint. 4 seconds by default. */
  readonly keepAlive?: Duration.Input | undefined
  /** How long requests and tunnels that are under way when the layer closes have to end by themselves. 5 seconds by default. */
  readonly drain?: Duration.Input | undefined
  /** TLS with every upstream; what an `Upstream` says itself goes before. */
  readonly tls?: UpstreamTls.Options | undefined
  /** Connections of HTTP/2. */
  readonly http2?: Http2Options | undefined
}

/**
 * How connections of HTTP/2 are kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Http2Options {
  /** How long one is kept on which nothing is under way. 1 minute by default. */
  readonly keepAlive?: Duration.Input | undefined
  /**
   * How long nothing may come on a connection with requests under way, before the upstream is asked by a ping whether it is there. If
   * it does not answer within `connectTimeout`, the connection is closed. By default it is asked only when a request was given up for which
   * nothing had come, because servers of gRPC take regular pings for an attack: allow them there first.
   */
  readonly ping?: Duration.Input | undefined
}

const schema = Schema.Struct({
  connectTimeout: Schema.optional(InvalidOptions.duration),
  keepAlive: Schema.optional(InvalidOptions.duration),
  drain: Schema.optional(InvalidOptions.duration),
  tls: Schema.optional(UpstreamTls.schema),
  http2: Schema.optional(
    Schema.Struct({
      keepAlive: Schema.optional(InvalidOptions.duration),
      ping: Schema.optional(InvalidOptions.duration)
    })
  )
})

// As it loads: before an app has built what it is made of.
keepTick()

// What only OpenSSL can tell.
const checkTls = (tls: UpstreamTls.Options) =>
  Effect.try({
    try: () => contextOf(tls),
    catch: (cause) => new InvalidOptions.InvalidOptions({ subject: "Undici.layer", problem: `tls: ${String(cause)}` })
  })

/**
 * Provides the transport, with options.
 *
 * **Details**
 *
 * Each origin has connections of its own, one for each request under way: it is a group's pool that bounds them, unless the
 * `Upstream` says otherwise. With HTTP/2, as many requests share one as the upstream takes at once. Options that make no sense end the building of the layer with `InvalidOptions`, as a defect.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Transport.Transport> =>
  Layer.effect(
    Transport.Transport,
    Effect.gen(function*() {
      yield* Effect.orDie(InvalidOptions.check("Undici.layer", schema, options))
      const { connectTimeout = "10 seconds", drain = "5 seconds", http2 = {}, keepAlive = "4 seconds", tls = {} } =
        options
      yield* Effect.orDie(checkTls(tls))
      const context = yield* Effect.context<never>()
      const upstreams = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Upstreams({
            connectTimeout: Duration.toMillis(connectTimeout),
            keepAlive: Duration.toMillis(keepAlive),
            tls,
            http2: {
              keepAlive: Duration.toMillis(http2.keepAlive ?? "1 minute"),
              ping: http2.ping === undefined ? 0 : Duration.toMillis(http2.ping)
            },
            warn: (message) => Effect.runForkWith(context)(Effect.logWarning(message))
          })
        ),
        (upstreams) => upstreams.close(drain)
      )
      const tunnels = yield* Effect.acquireRelease(Effect.sync(() => new Tunnels()), (tunnels) => tunnels.close(drain))
      const dialer = new TunnelDialer({ connectTimeout: Duration.toMillis(connectTimeout), tls, warn: upstreams.warn })
      return {
        send: (request, call) => upstreams.send(request, call),
        upgrades: {
          stateOf,
          open(request, call) {
            const opening = new Opening(request, call, tunnels)
            opening.start(dialer)
            return () => opening.stop()
          }
        }
      }
    })
  )

/**
 * Provides the transport.
 *
 * **Example** (A gateway on Node)
 *
 * ```ts
 * import { Group } from "@blackgate/core"
 * import { Proxy } from "@blackgate/http"
 * import { Undici } from "@blackgate/node"
 * import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 *
 * const Gateway = HttpRouter.serve(Proxy.route("/*", { group: Api, upstream: "http://intra.service.com" })).pipe(
 *   Layer.provide([Api.layer({ pool: { maxConcurrent: 10 } }), Undici.layer]),
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 8888 }))
 * )
 *
 * NodeRuntime.runMain(Layer.launch(Gateway))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Transport.Transport> = layerWith({})
