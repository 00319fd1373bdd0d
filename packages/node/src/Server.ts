/**
 * The server for Node: Effect's `HttpServer`, with limits, TLS, HTTP/2 and a drain, for gateways that face clients nobody knows.
 *
 * One port speaks HTTP/1.1 and HTTP/2: by ALPN over TLS, by the first bytes without. What is malformed, too large, too slow or too
 * much is answered with a status of its own where the protocol has a place for one, and the connection closes; a line in the log
 * says why, once for each connection. Requests that nothing is wrong with go to whatever the `HttpServer` serves.
 *
 * It knows no routes. It does not decide who may send how many requests (a group's rate limit does), or how long an answer may take
 * (a route's `timeout` does).
 *
 * @since 0.1.0
 */
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type { NodeServices } from "@effect/platform-node/NodeServices"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import { HttpServer } from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import type * as Http from "node:http"
import { clientCertificateOf } from "./internal/clientCertificateOf.ts"
import { Listener } from "./internal/Listener.ts"
import { changeSchema, limitsOf, schema, tlsOf, tlsSchema } from "./internal/serverOptions.ts"

/**
 * A certificate and its key, in PEM.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  /** The certificate, and those between it and the root, in that order. The names it is for are read from it. */
  readonly cert: string
  readonly key: string
  /** Of the key, if it is encrypted. */
  readonly passphrase?: string | undefined
}

/**
 * How connections are encrypted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tls {
  /** One for each name, or for several; wildcards stand for one label. The first one is for clients that name none of them. */
  readonly certificates: readonly [Certificate, ...ReadonlyArray<Certificate>]
  /** The least version that is spoken. `"TLSv1.2"` by default. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  /** OpenSSL's list of ciphers. Node's own by default. */
  readonly ciphers?: string | undefined
  /** Whether clients are asked for a certificate. By default they are not. */
  readonly client?: {
    /** Who vouches for clients: certificates in PEM. Nobody else does. */
    readonly ca: string | ReadonlyArray<string>
    /** `"required"`, the default: no connection without one. `"optional"`: none is fine, one that is not trusted is not. */
    readonly mode?: "required" | "optional" | undefined
  } | undefined
}

/**
 * Where the server listens, and how much it takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** 0, the default, is any that is free. */
  readonly port?: number | undefined
  /** The address to listen on. All of them by default. */
  readonly host?: string | undefined
  /**
   * Whether others, threads or processes of the same user, may listen on the same address, if they say so too: the system deals
   * connections out between them (`SO_REUSEPORT`: Linux, FreeBSD and others; elsewhere it is a `ServeError`). Off by default.
   * Closing one of them resets the connections that it has not accepted yet.
   */
  readonly reusePort?: boolean | undefined
  /** Without it, connections are not encrypted. */
  readonly tls?: Tls | undefined
  /** Whether HTTP/2 is spoken, too: by ALPN, and without TLS with prior knowledge. On by default. */
  readonly http2?: boolean | undefined

  /** Of a request head, target and fields together, in bytes. 16 KiB by default; a longer one is a 431. */
  readonly maxHeaderBytes?: number | undefined
  /** Of a request, a number. 100 by default; more are a 431. */
  readonly maxHeaders?: number | undefined
  /** Of a request target, in bytes. 8 KiB by default; a longer one is a 414. */
  readonly maxUri?: number | undefined
  /** Of a request body, in bytes, as it is received. `Infinity` by default; a longer one is a 413. */
  readonly maxBodySize?: number | undefined
  /** At once. `Infinity` by default; one more is closed without a word. */
  readonly maxConnections?: number | undefined
  /** After so many, a connection is told to close. 10,000 by default. */
  readonly maxRequestsPerConnection?: number | undefined
  /** HTTP/2: how many a client may have under way at once on one connection. 100 by default; one more is refused. */
  readonly maxConcurrentStreams?: number | undefined

  /** From the first byte to the last of a head, or from the connection to the first head; a TLS handshake, too. 10 seconds by default, then 408. */
  readonly headTimeout?: Duration.Input | undefined
  /** How long nothing may come in the middle of a request body. 30 seconds by default, then 408. */
  readonly bodyTimeout?: Duration.Input | undefined
  /** How long a client may take nothing of what was sent to it. 60 seconds by default, then the connection, or the stream, is gone. */
  readonly stallTimeout?: Duration.Input | undefined
  /** How long a connection is kept on which no request is under way. 60 seconds by default. */
  readonly keepAlive?: Duration.Input | undefined

  /** How long the server still takes connections after it has been told to stop, so that whoever balances the load can notice. None by default. */
  readonly drainDelay?: Duration.Input | undefined
  /** How long requests that are under way then have to end by themselves. 30 seconds by default. */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * What of a server can change while it runs.
 *
 * @category models
 * @since 0.1.0
 */
export type Changes = Omit<Options, "host" | "port" | "reusePort">

/**
 * The server that is running.
 *
 * @category services
 * @since 0.1.0
 */
export class Server extends Context.Service<Server, {
  /** New certificates, and whatever else TLS has, for connections to come; those there are go on with what they have. */
  readonly reload: (tls: Tls) => Effect.Effect<void, InvalidOptions.InvalidOptions>
  /**
   * Other limits, another drain, other or no TLS, without closing anything: what is left out is as it is by default. TLS, `http2` and the
   * limits of heads hold for connections to come, all else at once. If it is refused, nothing changes.
   */
  readonly change: (options: Changes) => Effect.Effect<void, InvalidOptions.InvalidOptions>
  /** The first half of `change`: finds out whether they can be used. The effect that it answers uses them. */
  readonly prepare: (options: Changes) => Effect.Effect<Effect.Effect<void>, InvalidOptions.InvalidOptions>
  /** Whether it takes requests, and has not been told to stop: what a readiness probe asks. */
  readonly isReady: Effect.Effect<boolean>
  /** Ends when the server is told to stop, before it refuses anything. */
  readonly stopping: Effect.Effect<void>
  /** How many connections there are. */
  readonly connections: Effect.Effect<number>
  /** What emits its requests: for `Connect.layer`, and other listeners that Node's servers have. It must not be told to listen or close. */
  readonly node: Http.Server
}>()("@blackgate/node/Server") {}

type Provided = Server | HttpServer | NodeServices | HttpPlatform.HttpPlatform | Etag.Generator

/**
 * Provides the server, and with it what Effect's `NodeHttpServer.layer` provides.
 *
 * **Details**
 *
 * Options that make no sense, certificates that can't be used among them, end the building of the layer with `InvalidOptions`, as a
 * defect. A port that is in use is a `ServeError`.
 *
 * When the layer is closed, the server drains: `isReady` turns false and clients are told, with their next answer, that their
 * connection closes; after `drainDelay` nobody is let in any more, and idle connections are closed; what is under way ends, or is
 * ended after `drainTimeout`, with a line in the log.
 *
 * **Gotchas**
 *
 * A route's answer may take as long as it likes; only a client that takes nothing of it is cut off.
 *
 * **Example** (A gateway that faces the world)
 *
 * ```ts
 * import { Group } from "@blackgate/core"
 * import { Proxy } from "@blackgate/http"
 * import { Server, Undici } from "@blackgate/node"
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { readFileSync } from "node:fs"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 *
 * const tls = { certificates: [{ cert: readFileSync("cert.pem", "utf8"), key: readFileSync("key.pem", "utf8") }] } as const
 *
 * const Gateway = HttpRouter.serve(Proxy.route("/*", { group: Api, upstream: "http://intra.service.com" })).pipe(
 *   Layer.provide([Api.layer({ pool: { maxConcurrent: 10 } }), Undici.layer]),
 *   Layer.provide(Server.layer({ port: 8443, tls, drainDelay: "5 seconds" }))
 * )
 *
 * NodeRuntime.runMain(Layer.launch(Gateway))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Provided, ServeError> =>
  Layer.merge(
    Layer.effectContext(Effect.gen(function*() {
      yield* Effect.orDie(InvalidOptions.check("Server.layer", schema, options))
      const context = yield* Effect.context<never>()
      const listener = new Listener(
        limitsOf(options),
        (line) => void Effect.runForkWith(context)(Effect.logWarning(line))
      )
      let current = options
      const prepare = (next: Options, before: Options | undefined) =>
        Effect.map(tlsOf(next, listener, before), (tls) =>
          Effect.sync(() => {
            listener.change(limitsOf(next))
            listener.arrivals.use(tls)
            current = next
          }))
      const prepareNext = (options: Changes) =>
        Effect.andThen(
          InvalidOptions.check("Server.change", changeSchema, options),
          Effect.suspend(() => prepare(options, current))
        )
      listener.arrivals.use(yield* Effect.orDie(tlsOf(options, listener, undefined)))
      const stopping = Deferred.makeUnsafe<void>()
      const server = yield* listen(listener, options, () => current, stopping, context)
      return Context.make(HttpServer, server).pipe(Context.add(Server, {
        reload: (tls) =>
          current.tls === undefined
            ? Effect.fail(new InvalidOptions.InvalidOptions({ subject: "Server.reload", problem: "it has no tls" }))
            : Effect.andThen(
              InvalidOptions.check("Server.reload", tlsSchema, tls),
              // Even where it is the same as before: old sessions are not resumed.
              Effect.suspend(() => Effect.flatten(prepare({ ...current, tls }, undefined)))
            ),
        change: (options) => Effect.flatten(prepareNext(options)),
        prepare: prepareNext,
        isReady: Effect.sync(() => listener.front.listenerCount("request") > 0 && !Deferred.isDoneUnsafe(stopping)),
        stopping: Deferred.await(stopping),
        connections: Effect.sync(() => listener.arrivals.connections.size),
        node: listener.front as Http.Server
      }))
    })),
    NodeHttpServer.layerHttpServices
  )

/** Effect's server on our listener, whose closing drains it. */
const listen = (
  listener: Listener,
  options: Options,
  current: () => Options,
  stopping: Deferred.Deferred<void>,
  context: Context.Context<never>
) => {
  const drain = Effect.gen(function*() {
    const { drainDelay = 0, drainTimeout = "30 seconds" } = current()
    yield* Deferred.succeed(stopping, undefined)
    listener.retire()
    yield* Effect.sleep(drainDelay)
    const closed = Effect.callback<void>((resume) => listener.close(() => resume(Effect.void)))
    const cut = Effect.suspend(() => {
      const left = listener.destroy()
      const connections = left === 1 ? "1 connection is" : `${left} connections are`
      return left === 0
        ? Effect.void
        : Effect.logWarning(`${connections} cut off, with what was under way: the time to drain is over`)
    })
    yield* Effect.raceFirst(closed, Effect.andThen(Effect.sleep(drainTimeout), Effect.andThen(cut, Effect.never)))
  })
  // The part of Node's servers that Effect uses.
  const front = Object.assign(listener.front, {
    close(done: (error?: Error) => void) {
      Effect.runForkWith(context)(drain).addObserver(() => done())
      return listener.front
    }
  }) as unknown as Http.Server
  return NodeHttpServer.make(() => front, {
    port: options.port ?? 0,
    host: options.host,
    reusePort: options.reusePort === true,
    // The drain ends by itself.
    gracefulShutdownTimeout: Duration.infinity
  })
}

/**
 * The certificate that a request's client has shown, for a rewrite that passes on who it is; `undefined` if it has shown none. It
 * is one that was verified.
 *
 * **Example** (Whoever is behind learns the subject)
 *
 * ```ts
 * import { HeaderList, type Rewrite } from "@blackgate/http"
 * import { Server } from "@blackgate/node"
 *
 * const withSubject = (request: Rewrite.ProxyRequest): Rewrite.ProxyRequest => ({
 *   ...request,
 *   headers: HeaderList.append(
 *     HeaderList.remove(request.headers, "x-client-subject"),
 *     "x-client-subject",
 *     Server.clientCertificate(request.source)?.subject ?? ""
 *   )
 * })
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const clientCertificate = (request: HttpServerRequest): ClientCertificate | undefined =>
  clientCertificateOf(request)

/**
 * What a client's certificate says.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientCertificate {
  /** One attribute after the other, as in `CN=mobile, O=Example` (RFC 4514, though not in its order). */
  readonly subject: string
  readonly issuer: string
  /** The alternative names, as OpenSSL writes them: `DNS:mobile.example, URI:spiffe://example/mobile`. */
  readonly subjectAltName: string | undefined
  readonly serialNumber: string
  /** SHA-256, in hexadecimal, with colons. */
  readonly fingerprint: string
  readonly validTo: Date
}
