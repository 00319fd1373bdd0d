/**
 * Where a route goes: an origin and the path that everything there stands under.
 *
 * It says where, not how: a `Transport` carries the request. It does not balance, nor check health.
 *
 * @since 0.1.0
 */
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as UpstreamTls from "./UpstreamTls.ts"

const TypeId = "~@blackgate/http/Upstream"

/**
 * A place that requests go to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Upstream {
  readonly [TypeId]: typeof TypeId
  /** Scheme, host and port: `http://intra.service.com:8080`. */
  readonly origin: string
  /** Host and port, as in a `Host` header. */
  readonly authority: string
  /** What stands before every path, without a slash at its end; often empty. */
  readonly basePath: string
  /** How many connections a transport may open to it; `undefined` for as many as there are requests at once. */
  readonly connections: number | undefined
  /** Which version of HTTP is spoken with it. */
  readonly http: Version
  /** What is special about TLS with it; `undefined` if nothing is. */
  readonly tls: UpstreamTls.Options | undefined
}

/**
 * A version of HTTP: `"1.1"`, `"2"`, or `"auto"` for whichever the upstream prefers (ALPN, RFC 7301).
 *
 * @category models
 * @since 0.1.0
 */
export type Version = "1.1" | "2" | "auto"

/**
 * How to go there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How many connections a transport that pools them may open. By default one for each request under way, so that the group's pool
   * is what bounds them, and resizing that resizes this. With HTTP/2, one for as many requests as the upstream takes on it.
   * Requests beyond a limit given here wait inside the transport.
   */
  readonly connections?: number | undefined
  /**
   * Which version of HTTP is spoken. `"1.1"` by default, which costs less, and is right unless the upstream speaks gRPC, or sends
   * trailers or many long streams. `"2"` is spoken with `https` if the upstream agrees (ALPN), and with `http` without being asked
   * (prior knowledge, RFC 9113, section 3.3). `"auto"` is HTTP/2 if an `https` upstream prefers it, and HTTP/1.1 otherwise.
   */
  readonly http?: Version | undefined
  /** For an `https` URL. What it doesn't say is as the transport says. */
  readonly tls?: UpstreamTls.Options | undefined
}

/**
 * Where requests go, from a URL: `http` or `https`, with a path or without.
 *
 * **Details**
 *
 * Fails with `InvalidOptions` for what is no such URL, and for one with a user, a password, a query or a fragment: credentials
 * belong into a header that a rewrite sets.
 *
 * **Example** (An upstream under a path)
 *
 * ```ts import.meta.vitest
 * import { Upstream } from "@blackgate/http"
 * import { Effect } from "effect"
 *
 * const users = Effect.runSync(Upstream.make("http://intra.service.com:8080/users/"))
 * const parts = [users.origin, users.authority, users.basePath]
 *
 * parts // => ["http://intra.service.com:8080", "intra.service.com:8080", "/users"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  url: string | URL,
  options?: Options | undefined
): Effect.Effect<Upstream, InvalidOptions.InvalidOptions> =>
  Effect.suspend(() => {
    const refuse = (problem: string) => Effect.fail(new InvalidOptions.InvalidOptions({ subject: "upstream", problem }))
    const text = String(url)
    const parsed = URL.parse(text)
    if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
      return refuse(`expected an http or https URL, got ${JSON.stringify(withoutUser(text))}`)
    }
    const { hash, host, password, pathname, protocol, search, username } = parsed
    const shown = `${protocol}//${host}${pathname}`
    if (username !== "" || password !== "") return refuse(`${shown} must not hold a user or a password: set a header`)
    if (options?.tls !== undefined && protocol === "http:") {
      return refuse(`${shown} is not https, and has options for tls`)
    }
    if (search !== "" || hash !== "") return refuse(`${shown} must not have a query or a fragment`)
    return Effect.as(
      InvalidOptions.check("upstream", schema, options ?? {}),
      {
        [TypeId]: TypeId,
        origin: `${protocol}//${host}`,
        authority: host,
        basePath: pathname.replace(/\/+$/, ""),
        connections: options?.connections,
        http: options?.http ?? "1.1",
        tls: options?.tls
      } satisfies Upstream
    )
  })

const schema = Schema.Struct({
  http: Schema.optional(Schema.Literals(["1.1", "2", "auto"])),
  tls: Schema.optional(UpstreamTls.schema),
  connections: Schema.optional(
    Schema.Number.check(
      Schema.makeFilter((n: number) =>
        Number.isInteger(n) && n >= 1 ? undefined : `expected a whole number of at least 1, got ${n}`
      )
    )
  )
})

// What is no such URL may hold a password all the same, wherever that ends.
const withoutUser = (text: string): string => text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1***@")

/**
 * Whether something is an upstream.
 *
 * @category guards
 * @since 0.1.0
 */
export const isUpstream = (u: unknown): u is Upstream => Predicate.hasProperty(u, TypeId)
