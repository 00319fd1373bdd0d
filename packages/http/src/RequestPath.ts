/**
 * The path of a request, in the strictest and in the most lenient reading: for whoever chooses between routes by other means than
 * Effect's router.
 *
 * A choice is safe if both readings lead to the same route. `docs/paths.md` says why, and what the readings are.
 *
 * @since 0.1.0
 */
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Path from "./internal/path.ts"
import { targetOf } from "./internal/receive.ts"

/**
 * A path that can be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestPath {
  /** As it is forwarded: the bytes received, dot segments resolved. */
  readonly path: string
  /** With its question mark, or empty. */
  readonly query: string
  /**
   * As the most lenient upstream would read it: escapes are decoded, `\` is a slash, slashes are merged, a segment ends at a `;`. Each
   * character stands for a byte. `undefined` where that is the path itself.
   */
  readonly lenient: string | undefined
}

/**
 * Reads the path of a request; `undefined` for what can't be read, which is to be a 400.
 *
 * **Example** (One path, two readings)
 *
 * ```ts import.meta.vitest
 * import { RequestPath } from "@blackgate/http"
 * import { HttpServerRequest } from "effect/http"
 *
 * const request = HttpServerRequest.fromWeb(new Request("http://gateway/a%2Fb/./c?d"))
 *
 * RequestPath.of(request) // => { path: "/a%2Fb/c", query: "?d", lenient: "/a/b/c" }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (request: HttpServerRequest.HttpServerRequest): RequestPath | undefined => {
  const url = targetOf(request)
  return url === undefined ? undefined : parse(url)
}

/**
 * Reads a request target in origin form: a path, and a query or none.
 *
 * **Example** (Dots that leave the root)
 *
 * ```ts import.meta.vitest
 * import { RequestPath } from "@blackgate/http"
 *
 * RequestPath.parse("/a/../../b") // => undefined
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (target: string): RequestPath | undefined => {
  const split = Path.split(target)
  const path = split && Path.resolve(split.path)
  return path === undefined ? undefined : { path, query: split!.query, lenient: lenient(path) }
}

/**
 * The most lenient reading of a path that is written down, such as a route's own.
 *
 * @category getters
 * @since 0.1.0
 */
export const lenientOf = (path: string): string => lenient(path) ?? path

const lenient = (path: string): string | undefined => {
  const read = Path.lenient(path)
  return read === undefined ? undefined : decodeURIComponent(read)
}
