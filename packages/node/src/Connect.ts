/**
 * CONNECT: a client names a host and a port, and gets a tunnel to there (RFC 9110, section 9.3.6).
 *
 * It is off unless this layer is there, because it lets clients choose where a gateway connects to. It does not ask who they are, and
 * does not read what goes through.
 *
 * @since 0.1.0
 */
import * as Command from "@blackgate/core/Command"
import * as Group from "@blackgate/core/Group"
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Proxy from "@blackgate/http/Proxy"
import type { UpstreamError } from "@blackgate/http/UpstreamError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Dns from "node:dns/promises"
import * as Http from "node:http"
import type * as Https from "node:https"
import type { Duplex } from "node:stream"
import { isIn, isPublic, ranges } from "./internal/addresses.ts"
import { type Authority, authority, pattern } from "./internal/authority.ts"
import { Dial, type Dialed } from "./internal/Dial.ts"
import { Early, lastWords } from "./internal/Early.ts"
import { isAnswering } from "./internal/Offer.ts"
import { Tunnels } from "./internal/Tunnels.ts"

/**
 * Whom clients may be connected to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Self = never> {
  /** Whose pool admits tunnels. */
  readonly group: Group.Ref<Self>
  /**
   * Where they may go: `host:port` each. The host is a name, an address, `*.example.com` for every name below it, or `*` for any; the
   * port may be `*`. Everything else is a 403.
   */
  readonly allow: ReadonlyArray<string>
  /**
   * Ranges of addresses that may be reached although they are not of the public internet: loopback, private and link-local ones,
   * those of clouds' metadata. In CIDR notation, `10.1.0.0/16`. None by default; an address that `allow` names outright may be
   * reached too.
   */
  readonly ranges?: ReadonlyArray<string> | undefined
  /** Names the tunnels in metrics and errors. `"connect"` by default. */
  readonly key?: string | undefined
  /** Bounds the time to the connection: the wait for a permit, resolving, connecting. 10 seconds by default. */
  readonly timeout?: Duration.Input | undefined
  /** How long no byte may move in either direction, before a tunnel is closed. 5 minutes by default. */
  readonly idle?: Duration.Input | undefined
  /** How long a tunnel may last. By default nothing bounds that. */
  readonly total?: Duration.Input | undefined
  /** How long tunnels have to end by themselves when the layer closes. 5 seconds by default. */
  readonly drain?: Duration.Input | undefined
  /** The addresses of a name. By default the system's resolver is asked. */
  readonly resolve?: ((host: string) => Effect.Effect<ReadonlyArray<string>, unknown>) | undefined
}

const isGroupRef = (u: unknown): u is Group.Ref<unknown> => Group.isGroup(u) || Context.isKey(u)

const schema = Schema.Struct({
  group: Schema.declare(isGroupRef, { expected: "a group" }),
  allow: Schema.NonEmptyArray(Schema.String.check(
    Schema.makeFilter((text: string) =>
      pattern(text) === undefined ? `expected host:port, such as "*.example.com:443", got ${text}` : undefined
    )
  )),
  ranges: Schema.optional(Schema.Array(Schema.String.check(
    Schema.makeFilter((text: string) =>
      ranges([text]) === undefined ? `expected a range, such as "10.1.0.0/16", got ${text}` : undefined
    )
  ))),
  key: Schema.optional(Schema.String),
  timeout: Schema.optional(InvalidOptions.duration),
  idle: Schema.optional(InvalidOptions.duration),
  total: Schema.optional(InvalidOptions.duration),
  drain: Schema.optional(InvalidOptions.duration),
  resolve: Schema.optional(Schema.declare(Predicate.isFunction, { expected: "a function" }))
})

const lookup = (host: string) =>
  Effect.map(Effect.tryPromise(() => Dns.lookup(host, { all: true })), (found) => found.map(({ address }) => address))

const answer = (code: number, message: string) =>
  HttpServerResponse.jsonUnsafe({ code, message, errors: [] }, { status: code })
const badRequest = answer(400, "bad request")
const forbidden = answer(403, "forbidden")

/**
 * Serves CONNECT on a server.
 *
 * **Details**
 *
 * A name is resolved once, under the permit, and the connection goes to the addresses that came of it and were judged. If one of them
 * must not be reached, none is. A target that is no `host:port`, or a number that resolvers take for an address, is a 400; one that
 * is not allowed a 403; otherwise failures have the status that they have on a route: 502, 503, 504. After an answer other than 200
 * the connection closes.
 *
 * **Gotchas**
 *
 * Whoever can send a request can use it: guard the server's port, or give it a server of its own. `ranges` and `allow` decide about
 * addresses, so that the gateway's own public address is as good as any.
 *
 * **Example** (A way out to one service)
 *
 * ```ts
 * import { Group } from "@blackgate/core"
 * import { Connect } from "@blackgate/node"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * class Egress extends Group.Service<Egress>()("egress") {}
 *
 * const server = createServer()
 *
 * export const Gateway = Layer.merge(
 *   HttpRouter.serve(Layer.empty),
 *   Connect.layer(server, { group: Egress, allow: ["*.example.com:443"] })
 * ).pipe(
 *   Layer.provide(Egress.layer({ pool: { maxConcurrent: 100 } })),
 *   Layer.provide(NodeHttpServer.layer(() => server, { host: "127.0.0.1", port: 3128 }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self = never>(
  server: Http.Server | Https.Server,
  options: Options<Self>
): Layer.Layer<never, never, Self> =>
  Layer.effectDiscard(Effect.gen(function*() {
    yield* Effect.orDie(InvalidOptions.check<unknown>("Connect.layer", schema, options))
    const { drain = "5 seconds", idle = "5 minutes", key = "connect", resolve = lookup, timeout = "10 seconds" } =
      options
    const allowed = options.allow.map((text) => pattern(text)!)
    const reachable = ranges(options.ranges ?? [])!
    const group = Context.isKey(options.group) ? yield* Effect.service(options.group) : options.group

    // From the last to the first: no more of them, those that there are end, and whoever is left is told to.
    const fibers = Scope.forkUnsafe(yield* Effect.scope)
    const tunnels = yield* Effect.acquireRelease(Effect.sync(() => new Tunnels()), (tunnels) => tunnels.close(drain))
    const routes = {
      resolve,
      mayReach: (authority: Authority, address: string) =>
        isPublic(address) || isIn(reachable, address) ||
        (address === authority.host && allowed.some(({ isExact, matches }) => isExact && matches(authority))),
      idle: Math.ceil(Duration.toMillis(idle)),
      tunnels
    }
    const connect = Command.callback(key, (call: Command.Completion<Dialed, UpstreamError>, to: Authority) => {
      const dial = new Dial(call, to, routes)
      dial.start()
      return () => dial.stop()
    }, { group, timeout, total: options.total })

    const joined = new WeakSet<Duplex>()
    const serve = (request: Http.IncomingMessage, stream: Duplex, head: Buffer) => {
      const { headers, socket } = request
      const early = new Early(stream, head)
      const refuse = (response: HttpServerResponse.HttpServerResponse) =>
        Effect.sync(() => {
          early.release()
          if (socket.destroyed) return
          socket.write(messageOf(response))
          lastWords(socket)
        })
      const to = authority(request.url ?? "")
      if (
        to === undefined || stream !== socket || headers["content-length"] !== undefined ||
        headers["transfer-encoding"] !== undefined
      ) return refuse(badRequest)
      if (!allowed.some(({ matches }) => matches(to))) return refuse(forbidden)
      early.watch()
      return connect(to).pipe(
        Effect.flatMap((dialed) =>
          dialed === "forbidden" ? refuse(forbidden) : Effect.onExit(
            Effect.callback<void>((resume) => {
              early.release()
              joined.add(stream)
              dialed.join({ stream, socket }, () => resume(Effect.void))
            }),
            () => Effect.sync(() => dialed.cut())
          )
        ),
        Effect.catch((failure) =>
          Effect.andThen(
            failure._tag === "UpstreamError" ? Effect.logWarning(failure.message) : Effect.void,
            refuse(Proxy.failureResponse(failure))
          )
        )
      )
    }

    const context = yield* Effect.context<never>()
    const listener = (request: Http.IncomingMessage, stream: Duplex, head: Buffer) => {
      stream.on("error", () => {})
      if (isAnswering(request.socket)) return stream.destroy()
      const fiber = Fiber.runIn(Effect.runForkWith(context)(serve(request, stream, head)), fibers)
      // Once there is a tunnel, that sees to it.
      stream.once("close", () => {
        if (!joined.has(stream)) fiber.interruptUnsafe()
      })
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => server.on("connect", listener)),
      () => Effect.sync(() => server.off("connect", listener))
    )
  }))

const messageOf = ({ body, headers, status }: HttpServerResponse.HttpServerResponse): string => {
  const text = body._tag === "Uint8Array" ? Buffer.from(body.body).toString("latin1") : ""
  const fields = Object.entries({ ...headers, "content-length": String(text.length), connection: "close" })
  const lines = fields.map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${Http.STATUS_CODES[status]}`, ...lines, "", text].join("\r\n")
}
