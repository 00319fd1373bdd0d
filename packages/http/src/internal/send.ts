import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as HeaderList from "../HeaderList.ts"
import type { ProxyRequest } from "../Rewrite.ts"
import type { Request } from "../Transport.ts"
import { token, wrongFields } from "./fields.ts"
import { valueOf } from "./named.ts"
import * as Path from "./path.ts"

const visible = /^[\u0021-\u007e\u0080-\u00ff]*$/
const beyondPath = /[?#]/

/**
 * The request as it goes out; or what is wrong with it, if a rewrite put something into it that must not be sent, such as a line
 * break (RFC 9110, section 5.5).
 */
export const toTransport = (
  request: ProxyRequest,
  received: ProxyRequest,
  idle: Duration.Duration | undefined,
  headTimeout: Duration.Duration | undefined
): Request | string => {
  if (!Predicate.isObject(request)) return "it did not return a request"
  const { body, method, query, source, upstream } = request
  // What is as it was received has been read by a server's parser, and by the route.
  const path = request.path === received.path ? received.path : Path.resolve(request.path)
  if (method !== received.method && !token.test(method)) return `the method ${JSON.stringify(method)} is no token`
  if (path !== received.path && !isPath(path)) return `the path ${JSON.stringify(request.path)} can't be sent`
  if (query !== received.query && query !== "" && !(query.startsWith("?") && visible.test(query))) {
    return `the query ${JSON.stringify(query)} can't be sent`
  }
  const headers = framed(request.headers, body)
  const wrong = headers === received.headers ? undefined : wrongFields(headers)
  return wrong ?? {
    upstream,
    method,
    target: `${upstream.basePath}${path}${query}`,
    headers,
    body,
    source,
    idle,
    headTimeout
  }
}

const isPath = (path: string | undefined): boolean =>
  path !== undefined && path.startsWith("/") && visible.test(path) && !beyondPath.test(path)

// The length is the body's, and so are the trailers: another body has another one, and no body has none.
const framed = (headers: HeaderList.HeaderList, body: ProxyRequest["body"]): HeaderList.HeaderList => {
  if (body._tag === "Incoming") return headers
  const rest = without(without(headers, "content-length"), "trailer")
  if (body._tag === "Empty") return rest
  const length = body.contentLength
  const typed = body.contentType === undefined || HeaderList.get(rest, "content-type") !== undefined
    ? rest
    : HeaderList.append(rest, "content-type", body.contentType)
  return length === undefined ? typed : HeaderList.append(typed, "content-length", String(length))
}

const without = (headers: HeaderList.HeaderList, name: string): HeaderList.HeaderList =>
  valueOf(headers, name) === undefined ? headers : HeaderList.remove(headers, name)
