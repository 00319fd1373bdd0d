/**
 * The service that carries a request to its upstream.
 *
 * A transport calls back instead of returning an effect, because that is what HTTP is like: a response has a head, then a body that
 * may take hours and can break off at any time; and because a callback needs no fiber. It knows no routes and no policies, and
 * neither retries nor follows redirects.
 *
 * `@blackgate/node` has the one that is meant for Node. Here are two that run wherever Effect runs.
 *
 * @since 0.1.0
 */
import type * as Command from "@blackgate/core/Command"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { HeaderList } from "./HeaderList.ts"
import { fromEffect } from "./internal/effectTransport.ts"
import { overHttpClient } from "./internal/httpClientTransport.ts"
import { streamOf } from "./internal/limited.ts"
import { inMemory } from "./internal/memoryTransport.ts"
import type { Upgrades } from "./Upgrade.ts"
import type { Upstream } from "./Upstream.ts"
import type { UpstreamError } from "./UpstreamError.ts"

/**
 * The body that came with the request, unread: it streams from `source`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Incoming {
  readonly _tag: "Incoming"
  /** In bytes, if the client said so. */
  readonly contentLength: number | undefined
  /** How long it may turn out to be, if that is bounded. */
  readonly limit?: BodyLimit | undefined
  /** The fields that came after the body, of those that may be passed on. Asked when the body has been read to its end. */
  readonly trailers?: (() => HeaderList) | undefined
}

/**
 * What whoever reads a body has to ask about each part of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface BodyLimit {
  /** Counts so many bytes. If that is too many, the exchange is to be given up, as if the client had broken it off. */
  readonly take: (bytes: number) => boolean
}

/**
 * What a request can carry: its own body, or one that a rewrite put in its place.
 *
 * @category models
 * @since 0.1.0
 */
export type Body = HttpBody.HttpBody | Incoming

/**
 * The body that came with a request, as a stream that keeps to its limit: for a transport that has no better way to read it.
 *
 * @category getters
 * @since 0.1.0
 */
export const incoming = (request: Request): Stream.Stream<Uint8Array, unknown> => streamOf(request)

/**
 * What goes to an upstream: every byte of it is decided.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly upstream: Upstream
  readonly method: string
  /** The target in origin form, base path and query included. */
  readonly target: string
  /** Without hop-by-hop fields and without `Host`, unless that is meant to differ from the upstream's authority. */
  readonly headers: HeaderList
  readonly body: Body
  /** The request that was received: where an `Incoming` body is read from. */
  readonly source: HttpServerRequest.HttpServerRequest
  /** How long nothing may move in the middle of a body, of the request or of the response. It does not bound the wait for a head. */
  readonly idle: Duration.Duration | undefined
  /** How long the response head may take, from the end of the request. */
  readonly headTimeout?: Duration.Duration | undefined
}

/**
 * What comes back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Response {
  readonly status: number
  readonly statusText: string | undefined
  /** As received, hop-by-hop fields included. */
  readonly headers: HeaderList
  /** The version of HTTP that it was received in, such as `"2.0"`: for `Via`. `"1.1"` by default. */
  readonly version?: string | undefined
  /** Whole, if it was there with the head; a `Stream`, or whatever the server at hand can pipe, otherwise. */
  readonly body: HttpBody.HttpBody
  /**
   * The fields after the body, of those that may be passed on: none before it has ended. There if they can be passed on to the client
   * at all; then they go there with the body, if that does.
   */
  readonly trailers?: (() => HeaderList) | undefined
  /**
   * Writes the response to the client that `source` is, with nothing between the two connections; calls back when there is nothing
   * more to do. `false` if it can't, and then it has done nothing. Called once at the most, in place of what the server at hand would
   * do with the very same body; head and body have to agree on its length.
   */
  readonly deliver?: ((head: Head, done: () => void) => boolean) | undefined
}

/**
 * The head of a response, as it goes out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Head {
  readonly status: number
  readonly statusText: string | undefined
  readonly headers: HeaderList
}

/**
 * Carries requests.
 *
 * @category services
 * @since 0.1.0
 */
export class Transport extends Context.Service<Transport, {
  /**
   * Starts an exchange, and returns what ends it early.
   *
   * **Details**
   *
   * A response that is complete at once is told by `end` alone, any other by `answer` at its head and by `end` when its body has
   * ended, broken off, or been given up by whoever reads it. A client that breaks off its request body is an interruption, not a
   * failure; one that is silent in the middle of a body is an `UpstreamError` with the side `client`. What ends it early does nothing
   * after the end.
   *
   * Interim responses are not answers. A transport passes them on to the client that `source` is, if the server at hand can send them,
   * but for a 100: whether the client may go on is the gateway's to say, and it is told so when its body is read.
   */
  readonly send: (request: Request, call: Command.Completion<Response, UpstreamError>) => () => void
  /** There if it can make tunnels: of WebSockets, say. Without it, a request for a WebSocket is answered with a 501. */
  readonly upgrades?: Upgrades | undefined
}>()("@blackgate/http/Transport") {}

/**
 * Over the `HttpClient` at hand: for Bun, Deno, workers, and wherever else Effect runs.
 *
 * **Gotchas**
 *
 * A client keeps one value for each name of a header, so fields that come more than once are joined (cookies of a response are
 * not). `fetch` decodes compressed bodies, and its server would have to encode them again: they are passed on decoded. Redirects
 * are not followed, unless the client was told to.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<Transport, never, HttpClient.HttpClient> = Layer.effect(
  Transport,
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    return fromEffect(yield* Effect.context<never>(), overHttpClient(client))
  })
)

/**
 * In memory, for tests: an effect instead of a network.
 *
 * **Details**
 *
 * The effect may take its time, fail (`UpstreamError`, phase `head`), or answer with a body that streams. It is interrupted when the
 * gateway gives the request up.
 *
 * **Example** (An upstream for a test)
 *
 * ```ts import.meta.vitest
 * import { Transport } from "@blackgate/http"
 * import { Effect } from "effect"
 * import { HttpServerResponse } from "effect/http"
 *
 * const Users = Transport.layerMemory((request) =>
 *   request.target === "/users/1"
 *     ? HttpServerResponse.json({ id: 1 })
 *     : Effect.succeed(HttpServerResponse.empty({ status: 404 }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = <E, R>(
  upstream: (request: Request) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Layer.Layer<Transport, never, Exclude<R, Scope.Scope>> =>
  Layer.effect(
    Transport,
    Effect.map(Effect.context<Exclude<R, Scope.Scope>>(), (context) => fromEffect(context, inMemory(upstream)))
  )
