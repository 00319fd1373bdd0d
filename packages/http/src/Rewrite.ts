/**
 * What becomes of a request before it goes to its upstream, and of a response before it goes to the client.
 *
 * A rewrite is a function of the request, or an effect that may need services and may fail. Those here are small and compose by
 * `all`. It does not choose a route: that was the router.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HeaderList from "./HeaderList.ts"
import type * as Transport from "./Transport.ts"
import type { Upstream } from "./Upstream.ts"

/**
 * A request on its way to its upstream.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProxyRequest {
  readonly method: string
  /** What follows the upstream's base path: the bytes received, dot segments resolved. Starts with a slash. */
  readonly path: string
  /** With its question mark, or empty: the bytes received. */
  readonly query: string
  /** The end-to-end fields, in their order. `Host` is not among them: that is the upstream's. */
  readonly headers: HeaderList.HeaderList
  readonly body: Transport.Body
  /** Where it goes. */
  readonly upstream: Upstream
  /**
   * Who asks: the address of the peer or, where that is a trusted proxy, of whom the trusted proxies name (see `Forwarded`).
   * `undefined` if nobody knows. To change it changes nothing: it is told to the upstream by `headers`.
   */
  readonly clientAddress: string | undefined
  /** The request that was received. */
  readonly source: HttpServerRequest.HttpServerRequest
}

/**
 * A response on its way to the client: with its end-to-end fields alone.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProxyResponse extends Transport.Response {}

/**
 * Changes a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rewrite<out E = never, out R = never> {
  (request: ProxyRequest): ProxyRequest | Effect.Effect<ProxyRequest, E, R>
}

/**
 * A rewrite that has its result at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sync {
  (request: ProxyRequest): ProxyRequest
}

/**
 * Takes a prefix off the path. A path without it stays as it is; so does one that only begins with the same letters.
 *
 * **Example** (The `/api` of the gateway is not the upstream's)
 *
 * ```ts import.meta.vitest
 * import { Rewrite } from "@blackgate/http"
 *
 * const paths = ["/api/v1/users", "/api", "/apiary"]
 * const rewrite = Rewrite.stripPrefix("/api")
 *
 * paths.map((path) => rewrite({ path } as Rewrite.ProxyRequest).path) // => ["/v1/users", "/", "/apiary"]
 * ```
 *
 * @category rewrites
 * @since 0.1.0
 */
export const stripPrefix = (prefix: string): Sync => {
  const start = trimmed(prefix)
  return (request) => {
    const { path } = request
    if (!path.startsWith(start)) return request
    if (path.length === start.length) return { ...request, path: "/" }
    return path.charCodeAt(start.length) === 47 ? { ...request, path: path.slice(start.length) } : request
  }
}

/**
 * Puts a prefix before the path.
 *
 * @category rewrites
 * @since 0.1.0
 */
export const addPrefix = (prefix: string): Sync => {
  const start = trimmed(prefix)
  return (request) => ({ ...request, path: start + request.path })
}

const trimmed = (prefix: string): string => prefix.replace(/\/+$/, "")

/**
 * Changes the path.
 *
 * **Example** (By a regular expression)
 *
 * ```ts import.meta.vitest
 * import { Rewrite } from "@blackgate/http"
 *
 * const rewrite = Rewrite.mapPath((path) => path.replace(/^\/github\/(.*)/, "/$1"))
 *
 * rewrite({ path: "/github/users/1" } as Rewrite.ProxyRequest).path // => "/users/1"
 * ```
 *
 * @category rewrites
 * @since 0.1.0
 */
export const mapPath = (f: (path: string) => string): Sync => (request) => ({ ...request, path: f(request.path) })

/**
 * Sets a header, in place of whatever the client sent under that name.
 *
 * @category rewrites
 * @since 0.1.0
 */
export const setHeader = (name: string, value: string): Sync => (request) => ({
  ...request,
  headers: HeaderList.set(request.headers, name, value)
})

/**
 * Takes a header away.
 *
 * @category rewrites
 * @since 0.1.0
 */
export const removeHeader = (name: string): Sync => (request) => ({
  ...request,
  headers: HeaderList.remove(request.headers, name)
})

/**
 * Sends the request elsewhere.
 *
 * @category rewrites
 * @since 0.1.0
 */
export const to = (upstream: Upstream): Sync => (request) => ({ ...request, upstream })

/**
 * Several rewrites as one: each gets what the one before made.
 *
 * **Example** (Two steps)
 *
 * ```ts import.meta.vitest
 * import { Rewrite } from "@blackgate/http"
 * import { Effect } from "effect"
 *
 * const rewrite = Rewrite.all(Rewrite.stripPrefix("/api"), Rewrite.addPrefix("/internal"))
 *
 * Effect.runSync(rewrite({ path: "/api/users" } as Rewrite.ProxyRequest)).path // => "/internal/users"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const all = <const Rewrites extends ReadonlyArray<Rewrite<unknown, unknown>>>(
  ...rewrites: Rewrites
): (request: ProxyRequest) => Effect.Effect<ProxyRequest, ErrorOf<Rewrites[number]>, ServicesOf<Rewrites[number]>> =>
(request) => {
  let effect: Effect.Effect<ProxyRequest, unknown, unknown> = Effect.succeed(request)
  for (const rewrite of rewrites) effect = Effect.flatMap(effect, (request) => toEffect(rewrite(request)))
  return effect as Effect.Effect<ProxyRequest, ErrorOf<Rewrites[number]>, ServicesOf<Rewrites[number]>>
}

/**
 * What a rewrite can fail with.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorOf<T> = T extends (...args: never) => infer A ?
  A extends Effect.Effect<infer _, infer E, infer __> ? E : never
  : never

/**
 * What a rewrite needs.
 *
 * @category models
 * @since 0.1.0
 */
export type ServicesOf<T> = T extends (...args: never) => infer A
  ? A extends Effect.Effect<infer _, infer __, infer R> ? R : never
  : never

const toEffect = <A, E, R>(value: A | Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.isEffect(value) ? value as Effect.Effect<A, E, R> : Effect.succeed(value)
