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
}

/**
 * How to go there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How many connections a transport that pools them may open. By default one for each request under way, so that the group's pool
   * is what bounds them, and resizing that resizes this. Requests beyond a limit given here wait inside the transport.
   */
  readonly connections?: number | undefined
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
    if (search !== "" || hash !== "") return refuse(`${shown} must not have a query or a fragment`)
    return Effect.as(
      InvalidOptions.check("upstream", schema, options ?? {}),
      {
        [TypeId]: TypeId,
        origin: `${protocol}//${host}`,
        authority: host,
        basePath: pathname.replace(/\/+$/, ""),
        connections: options?.connections
      } satisfies Upstream
    )
  })

const schema = Schema.Struct({
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
