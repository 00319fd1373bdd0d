/**
 * The transport for Node: undici's `dispatch`, with pooled connections.
 *
 * Its bodies are Node streams, which Effect's server for Node pipes to the client; header fields are read and written as raw lists.
 * It speaks HTTP/1.1, and neither retries nor follows redirects.
 *
 * @since 0.1.0
 */
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Transport from "@blackgate/http/Transport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Exchange } from "./internal/Exchange.ts"
import { stateOf } from "./internal/Offer.ts"
import { Opening } from "./internal/Opening.ts"
import { Origins } from "./internal/Origins.ts"
import { Tunnels } from "./internal/Tunnels.ts"

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
}

const schema = Schema.Struct({
  connectTimeout: Schema.optional(InvalidOptions.duration),
  keepAlive: Schema.optional(InvalidOptions.duration),
  drain: Schema.optional(InvalidOptions.duration)
})

/**
 * Provides the transport, with options.
 *
 * **Details**
 *
 * Each origin has connections of its own, one for each request under way: it is a group's pool that bounds them, unless the
 * `Upstream` says otherwise. Options that make no sense end the building of the layer with `InvalidOptions`, as a defect.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Transport.Transport> =>
  Layer.effect(
    Transport.Transport,
    Effect.gen(function*() {
      yield* Effect.orDie(InvalidOptions.check("Undici.layer", schema, options))
      const { connectTimeout = "10 seconds", drain = "5 seconds", keepAlive = "4 seconds" } = options
      const origins = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Origins({
            connectTimeout: Duration.toMillis(connectTimeout),
            keepAliveTimeout: Duration.toMillis(keepAlive)
          })
        ),
        (origins) => origins.close(drain)
      )
      const tunnels = yield* Effect.acquireRelease(Effect.sync(() => new Tunnels()), (tunnels) => tunnels.close(drain))
      return {
        send(request, call) {
          const exchange = new Exchange(request, call, origins.of(request.upstream))
          exchange.start()
          return () => exchange.stop()
        },
        upgrades: {
          stateOf,
          open(request, call) {
            const opening = new Opening(request, call, tunnels)
            opening.start(Duration.toMillis(connectTimeout))
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
