import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** Fields of a request, by their names in lower case. */
export type FieldsByName = Readonly<Record<string, string | undefined>>

// What the request of Effect's server for Node has, and does not show: the fields that were put in the place of those received, or
// Effect's copy of these, once somebody has asked for it.
const own = "headersOverride"

interface Source {
  readonly httpVersionMajor?: number
  readonly headers?: FieldsByName
}

/**
 * For whoever reads a few of them. Effect's `headers` is a copy of Node's, made as it is asked for, which costs more than all that is
 * read here; where nobody has, Node's record says the same. That of HTTP/2 does not.
 */
export const fieldsByName = (request: HttpServerRequest): FieldsByName => {
  const { headers, httpVersionMajor } = request.source as Source
  if (httpVersionMajor !== 1 || headers === undefined || !Object.hasOwn(request, own)) return request.headers
  return (request as { readonly [own]?: FieldsByName })[own] ?? headers
}
