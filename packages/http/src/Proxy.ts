/**
 * A route that passes requests on to an upstream, under the policies of a command.
 *
 * A route is a layer for Effect's `HttpRouter`: a rewrite, then an exchange that a group's pool admits, then a response as a value,
 * so that the router's middleware (cors, compression, logging) works on it as on any other. Bodies stream both ways, and the permit
 * is held until the response body has ended.
 *
 * It does not match requests (the router does), choose between upstreams, or cache.
 *
 * @since 0.1.0
 */
import type * as Circuit from "@blackgate/core/Circuit"
import type { CommandError } from "@blackgate/core/CommandError"
import * as Criticality from "@blackgate/core/Criticality"
import * as Group from "@blackgate/core/Group"
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import type * as Pool from "@blackgate/core/Pool"
import type * as RateLimit from "@blackgate/core/RateLimit"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as CallContext from "./CallContext.ts"
import type * as Forwarded from "./Forwarded.ts"
import { options as callContext } from "./internal/callContext.ts"
import { choose } from "./internal/choose.ts"
import * as Destinations from "./internal/destinations.ts"
import { failure as answerTo } from "./internal/failures.ts"
import { optionsSchema } from "./internal/Forwarding.ts"
import { PathTable } from "./internal/PathTable.ts"
import { serve } from "./internal/proxy.ts"
import { options as retry } from "./internal/retrying.ts"
import { always, type Settings } from "./internal/Route.ts"
import { RouteTable } from "./internal/RouteTable.ts"
import { settled } from "./internal/settled.ts"
import { options as upgrade } from "./internal/upgrade.ts"
import type * as Replay from "./Replay.ts"
import type { ProxyRequest, ProxyResponse } from "./Rewrite.ts"
import type { Transport } from "./Transport.ts"
import type * as Upgrade from "./Upgrade.ts"
import * as Upstream from "./Upstream.ts"
import type { UpstreamError } from "./UpstreamError.ts"

/**
 * What can go wrong with an exchange, and is handed to a route's fallback.
 *
 * @category models
 * @since 0.1.0
 */
export type Failure = UpstreamError | CommandError

/**
 * How a route treats a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends HttpServerResponse | Effect.Effect<HttpServerResponse, unknown, unknown> = HttpServerResponse,
  Tunnels = never
> {
  /** Whose pool admits its requests. */
  readonly group: Group.Ref<Self>
  /** Where they go: an `http` or `https` URL, or an `Upstream`. */
  readonly upstream: string | URL | Upstream.Upstream
  /** Names the route in metrics, spans and errors. By default its path; `"proxy"` for a handler. */
  readonly key?: string | undefined
  /**
   * Changes the request, before it needs a permit and outside of the timeout. If it fails or dies, this request is answered with a
   * 500, and the log says why; a failure that is an answer itself (`HttpServerRespondable`, or a response) is that answer.
   */
  readonly rewrite?:
    | ((request: ProxyRequest) => ProxyRequest | Effect.Effect<ProxyRequest, unknown, RewriteR>)
    | undefined
  /** Changes the response, at its head. If it fails or dies: as with `rewrite`, and the upstream is told to stop. */
  readonly rewriteResponse?:
    | ((
      response: ProxyResponse,
      request: ProxyRequest
    ) => ProxyResponse | Effect.Effect<ProxyResponse, unknown, RewriteResponseR>)
    | undefined
  /**
   * Answers instead of the upstream when there is no response head: the pool refused, the time was up, the upstream failed. The
   * permit is back before it runs. Where it has none, or has `undefined` for this failure, the answer is JSON, `{ code, message, errors }`, with the status 502 for the upstream,
   * 503 for the pool and the circuit, 429 for the rate limit (these with a `Retry-After`), 504 for the time, whoever measured it.
   */
  readonly fallback?: ((failure: Failure, request: ProxyRequest) => Fallback | undefined) | undefined
  /** Bounds the time to the response head: the wait for a permit, connecting, sending, waiting. By default nothing does. */
  readonly timeout?: Duration.Input | undefined
  /** Bounds each attempt, from its permit to the response head. By default nothing does. */
  readonly attemptTimeout?: Duration.Input | undefined
  /** Whether, and which, requests are sent again when the upstream has failed them before a response head. By default none is. */
  readonly retry?: Replay.Options | undefined
  /** Which circuit of the group a request passes, and what is a failure there. By default the route has one. */
  readonly circuit?: Circuit.CommandOptions<[request: ProxyRequest], UpstreamError> | undefined
  /** What of the group's rate limit a request takes: `key` is what is limited apart. By default it is one of the group's. */
  readonly rateLimit?: RateLimit.CommandOptions<[request: ProxyRequest]> | undefined
  /**
   * Bounds the wait for the response head, from the end of the request: a large upload may take as long as it likes. By default
   * nothing does.
   */
  readonly headTimeout?: Duration.Input | undefined
  /**
   * How long nothing may move in the middle of a body, of the request or of the response, before the exchange is broken off. It does
   * not bound the wait for a head. 5 minutes by default.
   */
  readonly idle?: Duration.Input | undefined
  /** Bounds the exchange to the end of the response body. By default nothing does, so that streams can stay open. */
  readonly total?: Duration.Input | undefined
  /** Who is served first of those who wait for a permit. `"normal"` by default. */
  readonly priority?: Pool.Priority | undefined
  /** Who is shed first when the line is full: the level of requests that bring none that is believed. `"critical"` by default. */
  readonly criticality?: Criticality.Criticality | undefined
  /** Whether criticality and deadline are read from the request's headers, and said in the upstream's. Off by default. */
  readonly callContext?: CallContext.Options | undefined
  /**
   * What becomes of requests for a WebSocket, or another protocol. By default they pass, and what the upstream agrees to is a tunnel;
   * with `false` they go on as plain requests, without their `Upgrade`. `timeout` bounds the time to the 101. See `docs/tunnels.md`.
   */
  readonly upgrade?: boolean | Upgrade.Options<Tunnels> | undefined
  /**
   * Of a request body, in bytes, as it is received. By default only the server bounds it. A longer one is a 413: at once, if it says
   * how long it is; otherwise as soon as it is too long, and then the upstream never sees an end of it. It is an interruption.
   */
  readonly maxBodySize?: number | undefined
  /** Whether the upstream gets the client's `Host` instead of its own. Off by default. */
  readonly preserveHost?: boolean | undefined
  /** Whom to believe, and what to tell, of where requests come from. What is not said here is as `Forwarded.layer` says. */
  readonly forwarded?: Forwarded.Options | undefined
}

const isGroupRef = (u: unknown): u is Group.Ref<unknown> => Group.isGroup(u) || Context.isKey(u)
const groupRef = Schema.declare(isGroupRef, { expected: "a group" })
const fn = Schema.declare(Predicate.isFunction, { expected: "a function" })

const keyed = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({ key: Schema.optional(fn), ...fields })

const schema = Schema.Struct({
  group: groupRef,
  upstream: Schema.Unknown,
  key: Schema.optional(Schema.String),
  rewrite: Schema.optional(fn),
  rewriteResponse: Schema.optional(fn),
  fallback: Schema.optional(fn),
  timeout: Schema.optional(InvalidOptions.duration),
  attemptTimeout: Schema.optional(InvalidOptions.duration),
  retry: Schema.optional(retry),
  circuit: Schema.optional(keyed({ isFailure: Schema.optional(fn) })),
  rateLimit: Schema.optional(keyed({ tokens: Schema.optional(InvalidOptions.whole(1)) })),
  headTimeout: Schema.optional(InvalidOptions.duration),
  idle: Schema.optional(InvalidOptions.duration),
  total: Schema.optional(InvalidOptions.duration),
  priority: Schema.optional(Schema.Literals(["high", "normal", "low"])),
  criticality: Schema.optional(Schema.Literals(Criticality.levels)),
  callContext: Schema.optional(callContext),
  upgrade: Schema.optional(upgrade(groupRef)),
  maxBodySize: Schema.optional(InvalidOptions.whole(0)),
  preserveHost: Schema.optional(Schema.Boolean),
  forwarded: Schema.optional(optionsSchema)
})
const routeSchema = Schema.Struct({ ...schema.fields, method: Schema.optional(Schema.String) })

/**
 * What a fallback may fail with.
 *
 * @category models
 * @since 0.1.0
 */
export type FallbackError<Fallback> = Fallback extends Effect.Effect<infer _, infer E, infer __> ? E : never

/**
 * What a fallback needs.
 *
 * @category models
 * @since 0.1.0
 */
export type FallbackServices<Fallback> = Fallback extends Effect.Effect<infer _, infer __, infer R> ? R : never

/**
 * What a handler needs.
 *
 * @category models
 * @since 0.1.0
 */
export type Services<Self, RewriteR, RewriteResponseR, Fallback, Tunnels = never> =
  | Self
  | Tunnels
  | Transport
  | HttpServerRequest
  | Scope.Scope
  | RewriteR
  | RewriteResponseR
  | FallbackServices<Fallback>

type Answers = HttpServerResponse | Effect.Effect<HttpServerResponse, unknown, unknown>

const fiveMinutes = Duration.minutes(5)

// Of many routes most have the same one.
const durationOf = (input: Duration.Input): Duration.Duration =>
  input === fiveMinutes ? fiveMinutes : Duration.fromInputUnsafe(input)

type Made = Effect.Effect<Upstream.Upstream, InvalidOptions.InvalidOptions>

const upstreamOf = (path: string, url: string | URL): Made =>
  Effect.mapError(
    Upstream.make(url),
    ({ problem, subject }) => new InvalidOptions.InvalidOptions({ subject: path, problem: `${subject}: ${problem}` })
  )

// One for all routes to it: of many, memory is slow.
const sharedUpstreams = (): typeof upstreamOf => {
  const known = new Map<string, Upstream.Upstream>()
  return (path, url) => {
    const text = String(url)
    const upstream = known.get(text)
    return upstream === undefined
      ? Effect.tap(upstreamOf(path, url), (made) => Effect.sync(() => known.set(text, made)))
      : Effect.succeed(upstream)
  }
}

// What the checks leave of the options; an option that makes no sense is refused by its name.
const settings = (
  path: string,
  accepted: typeof schema | typeof routeSchema,
  options: Options<unknown, unknown, unknown, Answers, unknown>,
  isOwn: Settings["isOwn"],
  makeUpstream = upstreamOf
): Effect.Effect<Settings, InvalidOptions.InvalidOptions> =>
  Effect.gen(function*() {
    yield* InvalidOptions.check<unknown>(path, accepted, options)
    const { headTimeout, idle = fiveMinutes, key = path, upgrade, upstream } = options
    const tunnels = typeof upgrade === "object" ? upgrade : {}
    return {
      key,
      group: options.group,
      transport: undefined,
      options,
      upstream: Upstream.isUpstream(upstream) ? upstream : yield* makeUpstream(path, upstream),
      idle: durationOf(idle),
      headTimeout: headTimeout === undefined ? undefined : Duration.fromInputUnsafe(headTimeout),
      forwarding: undefined,
      report: undefined,
      tunnels: {
        group: tunnels.group ?? options.group,
        idle: durationOf(tunnels.idle ?? idle),
        total: tunnels.total ?? options.total
      },
      isOwn
    }
  })

/**
 * The effect that answers one request: what a route is made of, for wherever else a request is answered.
 *
 * **Details**
 *
 * Options that make no sense throw `InvalidOptions`.
 *
 * **Gotchas**
 *
 * A route knows its neighbours, and refuses a path that an upstream could take for one of theirs; a handler does not.
 *
 * **Example** (One upstream for everything)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy, Transport } from "@blackgate/http"
 * import { Effect, Layer } from "effect"
 * import { HttpEffect, HttpServerResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 *
 * const Live = Layer.merge(
 *   Api.layer({ pool: { maxConcurrent: 10 } }),
 *   Transport.layerMemory((request) => Effect.succeed(HttpServerResponse.text(`saw ${request.target}`)))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const context = yield* Effect.context<Api | Transport.Transport>()
 *   const api = Proxy.handler({ group: Api, upstream: "http://intra.service.com" })
 *   const handle = HttpEffect.toWebHandler(Effect.provide(api, context))
 *   const response = yield* Effect.promise(() => handle(new Request("http://gateway/users/1?full")))
 *   return yield* Effect.promise(() => response.text())
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Live)) // => "saw /users/1?full"
 * ```
 *
 * @category handlers
 * @since 0.1.0
 */
export const handler = <
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends Answers = HttpServerResponse,
  Tunnels = never
>(
  options: Options<Self, RewriteR, RewriteResponseR, Fallback, Tunnels>
): Effect.Effect<
  HttpServerResponse,
  FallbackError<Fallback>,
  Services<Self, RewriteR, RewriteResponseR, Fallback, Tunnels>
> => {
  const checked = Effect.runSync(settings("proxy", schema, options, always))
  return Destinations.noted(serve(checked), checked)
}

/**
 * A handler that has found its group, its transport and the gateway's `Forwarded` options once, where it is made, and not with each
 * request: a gateway's own dispatch costs less with it.
 *
 * **Details**
 *
 * What the effects of the options need is needed by each request, as with `handler`. Who is told of an upstream's failures
 * (`UpstreamError.Report`) is found once, too.
 *
 * **Example** (By the first letter of the path)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy, Transport } from "@blackgate/http"
 * import { Effect } from "effect"
 * import { HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("api.v1", { pool: { maxConcurrent: 10 } })
 *   const a = yield* Proxy.make({ group, upstream: "http://a.service.com" })
 *   const b = yield* Proxy.make({ group, upstream: "http://b.service.com" })
 *   const either = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => url.startsWith("/a") ? a : b)
 *   const handle = HttpEffect.toWebHandler(either)
 *   const response = yield* Effect.promise(() => handle(new Request("http://gateway/b/1")))
 *   return yield* Effect.promise(() => response.text())
 * })
 *
 * const upstreams = Transport.layerMemory(({ upstream }) => Effect.succeed(HttpServerResponse.text(upstream.origin)))
 *
 * await Effect.runPromise(Effect.scoped(Effect.provide(program, upstreams))) // => "http://b.service.com"
 * ```
 *
 * @category handlers
 * @since 0.1.0
 */
export const make = <
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends Answers = HttpServerResponse,
  Tunnels = never
>(
  options: Options<Self, RewriteR, RewriteResponseR, Fallback, Tunnels>
): Effect.Effect<
  Handler<RewriteR, RewriteResponseR, Fallback>,
  InvalidOptions.InvalidOptions,
  Self | Tunnels | Transport
> => Effect.flatMap(settings("proxy", schema, options, always), (checked) => settled<Self | Tunnels>(checked))

/**
 * What has found all that it needs but for the request, and for what its effects need.
 *
 * @category models
 * @since 0.1.0
 */
export type Handler<RewriteR, RewriteResponseR, Fallback> = Effect.Effect<
  HttpServerResponse,
  FallbackError<Fallback>,
  HttpServerRequest | Scope.Scope | RewriteR | RewriteResponseR | FallbackServices<Fallback>
>

/**
 * What a route has, beside its path.
 *
 * @category models
 * @since 0.1.0
 */
export interface RouteOptions<
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends Answers = HttpServerResponse,
  Tunnels = never
> extends Options<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> {
  /** Which requests take the route. Those of every method, by default. */
  readonly method?: Parameters<HttpRouter.HttpRouter["add"]>[0] | undefined
}

/**
 * A layer that adds routes to a router.
 *
 * @category models
 * @since 0.1.0
 */
export type RouteLayer<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> = Layer.Layer<
  never,
  never,
  | HttpRouter.HttpRouter
  | Self
  | Tunnels
  | Transport
  | HttpRouter.Request.From<
    "Requires",
    Exclude<RewriteR | RewriteResponseR | FallbackServices<Fallback>, HttpRouter.Provided>
  >
  | HttpRouter.Request.From<"Error", FallbackError<Fallback>>
>

/**
 * A route of Effect's `HttpRouter` whose requests go to an upstream.
 *
 * **Details**
 *
 * The layer needs the group and the transport; what the effects of the options need is needed by each request, as with any other
 * handler of the router, so that middleware can provide it.
 *
 * The path is the router's: `/api/*` takes in everything below `/api`, and `/api`. Requests of every method take the route, unless it
 * names one; `HEAD` takes the routes of `GET`. Options that make no sense, an upstream that is no URL among them, end the building of
 * the layer with `InvalidOptions`, as a defect.
 *
 * A request whose path could mean another route to the upstream is answered with a 400: see `docs/paths.md`.
 *
 * **Example** (A gateway, tested without a network)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy, Rewrite, Transport } from "@blackgate/http"
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 *
 * const ApiV1 = Proxy.route("/api/v1/*", {
 *   group: Api,
 *   upstream: "http://intra.service.com",
 *   rewrite: Rewrite.stripPrefix("/api"),
 *   timeout: "5 seconds"
 * })
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(
 *   ApiV1.pipe(
 *     Layer.provide(Api.layer({ pool: { maxConcurrent: 10 } })),
 *     Layer.provide(Transport.layerMemory((request) => Effect.succeed(HttpServerResponse.text(request.target))))
 *   ),
 *   { disableLogger: true }
 * )
 *
 * const response = await handler(new Request("http://gateway/api/v1/users/1"))
 * await response.text() // => "/v1/users/1"
 * await dispose()
 * ```
 *
 * @category routes
 * @since 0.1.0
 */
export const route = <
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends Answers = HttpServerResponse,
  Tunnels = never
>(
  path: HttpRouter.PathInput,
  options: RouteOptions<Self, RewriteR, RewriteResponseR, Fallback, Tunnels>
): RouteLayer<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> =>
  HttpRouter.use((router) => addTo(router, path, options))

/**
 * Many routes in one layer, made from a list: of a file, say, or a database.
 *
 * **Details**
 *
 * Each is what `route` would make of it. Groups of routes whose effects need different services are a layer each.
 *
 * **When to use**
 *
 * With more than some dozens. A layer for each costs memory, and makes V8 take what requests allocate for long-lived: with ten
 * thousand, each request costs a fifth more (`docs/server.md`).
 *
 * **Example** (A path for each service)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy, Transport } from "@blackgate/http"
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api") {}
 *
 * const services = ["users", "orders"]
 * const Routes = Proxy.routes(services.map((name) => ({
 *   path: `/${name}/*` as const,
 *   group: Api,
 *   upstream: `http://${name}.internal`
 * })))
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(
 *   Routes.pipe(
 *     Layer.provide(Api.layer({ pool: { maxConcurrent: 10 } })),
 *     Layer.provide(Transport.layerMemory(({ upstream }) => Effect.succeed(HttpServerResponse.text(upstream.origin))))
 *   ),
 *   { disableLogger: true }
 * )
 *
 * const response = await handler(new Request("http://gateway/orders/1"))
 * await response.text() // => "http://orders.internal"
 * await dispose()
 * ```
 *
 * @category routes
 * @since 0.1.0
 */
export const routes = <
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends Answers = HttpServerResponse,
  Tunnels = never
>(
  all: ReadonlyArray<
    RouteOptions<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> & { readonly path: HttpRouter.PathInput }
  >
): RouteLayer<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> =>
  HttpRouter.use((router) => {
    const makeUpstream = sharedUpstreams()
    return Effect.forEach(all, ({ path, ...options }) => addTo(router, path, options, makeUpstream), { discard: true })
  })

/**
 * Many routes with literal paths behind one path of the router.
 *
 * **Details**
 *
 * What Effect's router finds under `path` is looked up here in a table: the path itself, then the longest of those that take in what is
 * below them (`/users/*`). One that is in no route of the table is a 404. Otherwise each is what `route` would make of it: a path that is spelled
 * differently from its route's, or that an upstream could take for another route's, is a 400.
 *
 * The paths are whole, and literal: those behind `/api/*` begin with `/api`. One with a parameter, or two routes of one path and method, end
 * the building of the layer with `InvalidOptions`, as a defect.
 *
 * **When to use**
 *
 * With thousands of routes: a request to any of ten thousand costs about a tenth more than one to ten, and in the router, which has to be
 * ready for parameters and expressions, about a fifth; and they are there at once. In Effect's router the table is one route; others
 * of it that are more specific than its `path` come first.
 *
 * **Example** (A path for each customer)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy, Transport } from "@blackgate/http"
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api") {}
 *
 * const customers = Array.from({ length: 5000 }, (_, i) => `c${i}`)
 * const Routes = Proxy.table("/*", customers.map((name) => ({
 *   path: `/${name}/*` as const,
 *   group: Api,
 *   upstream: `http://${name}.internal`
 * })))
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(
 *   Routes.pipe(
 *     Layer.provide(Api.layer({ pool: { maxConcurrent: 10 } })),
 *     Layer.provide(Transport.layerMemory(({ upstream }) => Effect.succeed(HttpServerResponse.text(upstream.origin))))
 *   ),
 *   { disableLogger: true }
 * )
 *
 * const response = await handler(new Request("http://gateway/c4711/orders"))
 * await response.text() // => "http://c4711.internal"
 * await dispose()
 * ```
 *
 * @category routes
 * @since 0.1.0
 */
export const table = <
  Self = never,
  RewriteR = never,
  RewriteResponseR = never,
  Fallback extends Answers = HttpServerResponse,
  Tunnels = never
>(
  path: HttpRouter.PathInput,
  all: ReadonlyArray<
    RouteOptions<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> & { readonly path: HttpRouter.PathInput }
  >
): RouteLayer<Self, RewriteR, RewriteResponseR, Fallback, Tunnels> =>
  HttpRouter.use((router) =>
    Effect.gen(function*() {
      const routes = RouteTable.of(router)
      const self = {}
      const isOwn: Settings["isOwn"] = (...read) => routes.agrees(...read, self)
      const makeUpstream = sharedUpstreams()
      const table = new PathTable<Handler<RewriteR, RewriteResponseR, Fallback>>(path)
      for (const { path, ...options } of all) {
        const checked = yield* Effect.orDie(settings(path, routeSchema, options, isOwn, makeUpstream))
        table.add(options.method ?? "*", path, yield* settled<Self | Tunnels>(checked))
      }
      routes.add("*", path, self)
      const answer: Handler<RewriteR, RewriteResponseR, Fallback> = choose(table)
      yield* router.add("*", path, answer)
    })
  )

const addTo = <Self, RewriteR, RewriteResponseR, Fallback extends Answers, Tunnels>(
  router: HttpRouter.HttpRouter,
  path: HttpRouter.PathInput,
  options: RouteOptions<Self, RewriteR, RewriteResponseR, Fallback, Tunnels>,
  makeUpstream = upstreamOf
) =>
  Effect.gen(function*() {
    const { method = "*" } = options
    const table = RouteTable.of(router)
    const self = {}
    const checked = yield* Effect.orDie(
      settings(path, routeSchema, options, (...read) => table.agrees(...read, self), makeUpstream)
    )
    const answer: Handler<RewriteR, RewriteResponseR, Fallback> = yield* settled<Self | Tunnels>(checked)
    table.add(method, path, self)
    yield* router.add(method, path, answer)
  })

/**
 * How a route answers a failure by itself, for a fallback that has something better for some failures only.
 *
 * **Details**
 *
 * JSON, `{ code, message, errors }`: 502 for the upstream; 503 for the pool or an open circuit; 429 for the rate limit; 504 for the
 * time, a connection that takes too long included. A full pool, an open circuit and a rate limit say `Retry-After`. Nothing of the inside is in it.
 *
 * **Example** (A page for a timeout, the default for the rest)
 *
 * ```ts import.meta.vitest
 * import { CommandError } from "@blackgate/core"
 * import { Proxy } from "@blackgate/http"
 *
 * const failure = new CommandError.PoolReentered("api.v1", "inner", "outer")
 *
 * Proxy.failureResponse(failure).status // => 503
 * ```
 *
 * @category responses
 * @since 0.1.0
 */
export const failureResponse = (failure: Failure): HttpServerResponse => answerTo(failure)

/**
 * Where the requests of a handler go.
 *
 * @category models
 * @since 0.1.0
 */
export interface Destination {
  /** What the handler is called in metrics. */
  readonly key: string
  /** Whose pool admits its requests. */
  readonly group: Group.Ref<unknown>
  /** Before a rewrite. */
  readonly upstream: Upstream.Upstream
}

/**
 * Where the requests of a handler go, if it is one of `handler` or what `route` has added to a router: for whoever lists the routes of
 * one. `undefined` for any other, and for what has been changed since.
 *
 * **Example** (What a handler is in front of)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy } from "@blackgate/http"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 *
 * Proxy.destinationOf(Proxy.handler({ group: Api, upstream: "http://intra.service.com" }))?.upstream.origin // => "http://intra.service.com"
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const destinationOf = (handler: Effect.Effect<unknown, unknown, unknown>): Destination | undefined =>
  Destinations.destinationOf(handler)
