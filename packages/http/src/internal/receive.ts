import * as HttpBody from "effect/http/HttpBody"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HeaderList from "../HeaderList.ts"
import type { ProxyRequest } from "../Rewrite.ts"
import type { Body } from "../Transport.ts"
import type { Upstream } from "../Upstream.ts"
import { endToEnd } from "./endToEnd.ts"
import type { FieldsByName } from "./fieldsByName.ts"
import type { Forwarding } from "./Forwarding.ts"
import { originOf } from "./malformed.ts"
import * as Path from "./path.ts"
import { announced, passedTrailers } from "./trailers.ts"

// What Node's and the Web's request have that Effect's doesn't show.
interface Source {
  readonly rawHeaders?: ReadonlyArray<string>
  readonly httpVersion?: string
  readonly rawTrailers?: ReadonlyArray<string>
  readonly url?: string
  readonly body?: unknown
  readonly socket?: { readonly encrypted?: boolean } | null
  readonly stream?: { readonly endAfterHeaders?: boolean }
}

/** The request as it was received, ready to be rewritten; `undefined` if its target can't be one. */
export const receive = (
  source: HttpServerRequest.HttpServerRequest,
  byName: FieldsByName,
  upstream: Upstream,
  preserveHost: boolean,
  forwarding: Forwarding
): ProxyRequest | undefined => {
  const node = source.source as Source
  const url = targetOf(source)
  const target = url === undefined ? undefined : Path.split(url)
  if (target === undefined) return undefined
  const raw = node.rawHeaders ?? HeaderList.fromHeaders(source.headers)
  const fields = endToEnd(raw, "request")
  const headers = node.stream === undefined ? fields : withOneCookie(fields)
  const { host } = byName
  if (preserveHost && host !== undefined) headers.push("host", host)
  const clientAddress = forwarding.describe(headers, raw, source, byName, schemeOf(source, node))
  forwarding.addVia(headers, node.httpVersion ?? "1.1")
  const body = bodyOf(byName, node)
  if (body._tag === "Incoming" && body.trailers !== undefined && byName["trailer"] !== undefined) {
    const names = announced(raw)
    if (names !== undefined) headers.push("trailer", names)
  }
  const { path, query } = target
  return { method: source.method, path, query, headers, body, upstream, clientAddress, source }
}

// Effect puts the target of a proxy request (RFC 9112, section 3.2.2) through WHATWG's parser, which resolves what is to be judged.
export const targetOf = (source: HttpServerRequest.HttpServerRequest): string | undefined => {
  const { rawHeaders, url } = source.source as Source
  if (rawHeaders === undefined || url === undefined || url.startsWith("/")) return source.url
  const origin = originOf(url)
  if (origin === undefined) return undefined
  const path = url.slice(origin.length)
  return path.startsWith("/") ? path : `/${path}`
}

// HTTP/2 may split it into crumbs, which HTTP/1.1 may not (RFC 9113, section 8.2.3).
const withOneCookie = (fields: Array<string>): Array<string> => {
  const cookies = HeaderList.getAll(fields, "cookie")
  return cookies.length < 2 ? fields : [...HeaderList.remove(fields, "cookie"), "cookie", cookies.join("; ")]
}

// The Web's request has its own URL; where the target is what the client has said, it is not believed.
const schemeOf = (source: HttpServerRequest.HttpServerRequest, { rawHeaders, socket, url }: Source): "http" | "https" =>
  source.protocol ??
    (socket?.encrypted === true || (rawHeaders === undefined && url?.startsWith("https:") === true) ? "https" : "http")

// By framing, never by method: a DELETE may have a body.
const bodyOf = (byName: FieldsByName, node: Source): Body => {
  const length = byName["content-length"]
  if (length === "0") return HttpBody.empty
  const has = length !== undefined || byName["transfer-encoding"] !== undefined ||
    node.stream?.endAfterHeaders === false ||
    (node.rawHeaders === undefined && node.body !== undefined && node.body !== null)
  if (!has) return HttpBody.empty
  if (length !== undefined) return { _tag: "Incoming", contentLength: Number(length), trailers: undefined }
  return { _tag: "Incoming", contentLength: undefined, trailers: trailersOf(node) }
}

// A body with a length has nothing after it.
const trailersOf = (node: Source): (() => HeaderList.HeaderList) | undefined =>
  node.rawTrailers === undefined ? undefined : () => passedTrailers(node.rawTrailers ?? [], node.rawHeaders ?? [])
