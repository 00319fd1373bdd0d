import * as HttpBody from "effect/http/HttpBody"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import * as HeaderList from "../HeaderList.ts"
import type { ProxyRequest } from "../Rewrite.ts"
import type { Body } from "../Transport.ts"
import type { Upstream } from "../Upstream.ts"
import { endToEnd } from "./endToEnd.ts"
import * as Path from "./path.ts"
import { announced, passedTrailers } from "./trailers.ts"

// What Node's and the Web's request have that Effect's doesn't show.
interface Source {
  readonly rawHeaders?: ReadonlyArray<string>
  readonly rawTrailers?: ReadonlyArray<string>
  readonly url?: string
  readonly body?: unknown
  readonly socket?: { readonly encrypted?: boolean } | null
  readonly stream?: { readonly endAfterHeaders?: boolean }
}

/** The request as it was received, ready to be rewritten; `undefined` if its target can't be one. */
export const receive = (
  source: HttpServerRequest.HttpServerRequest,
  upstream: Upstream,
  preserveHost: boolean
): ProxyRequest | undefined => {
  const node = source.source as Source
  const target = Path.split(targetOf(source, node))
  if (target === undefined) return undefined
  const raw = node.rawHeaders ?? HeaderList.fromHeaders(source.headers)
  const headers = endToEnd(raw, "request")
  const host = source.headers["host"]
  if (preserveHost && host !== undefined) headers.push("host", host)
  const peer = Option.getOrUndefined(source.remoteAddress)
  if (peer !== undefined) headers.push("x-forwarded-for", peer)
  if (host !== undefined) headers.push("x-forwarded-host", host)
  headers.push("x-forwarded-proto", schemeOf(source, node))
  const body = bodyOf(source, node)
  if (body._tag === "Incoming" && body.trailers !== undefined && source.headers["trailer"] !== undefined) {
    const names = announced(raw)
    if (names !== undefined) headers.push("trailer", names)
  }
  return { method: source.method, ...target, headers, body, upstream, source }
}

// Effect puts the target of a proxy request (RFC 9112, section 3.2.2) through WHATWG's parser, which resolves what is to be judged.
const targetOf = (source: HttpServerRequest.HttpServerRequest, { rawHeaders, url }: Source): string => {
  if (rawHeaders === undefined || url === undefined || url.startsWith("/")) return source.url
  const path = url.replace(/^https?:\/\/[^/?#]*/i, "")
  return path.startsWith("/") ? path : `/${path}`
}

const schemeOf = (source: HttpServerRequest.HttpServerRequest, { socket, url }: Source): "http" | "https" =>
  source.protocol ?? (socket?.encrypted === true || url?.startsWith("https:") === true ? "https" : "http")

// By framing, never by method: a DELETE may have a body.
const bodyOf = (source: HttpServerRequest.HttpServerRequest, node: Source): Body => {
  const length = source.headers["content-length"]
  if (length === "0") return HttpBody.empty
  const has = length !== undefined || source.headers["transfer-encoding"] !== undefined ||
    node.stream?.endAfterHeaders === false ||
    (node.rawHeaders === undefined && node.body !== undefined && node.body !== null)
  if (!has) return HttpBody.empty
  if (length !== undefined) return { _tag: "Incoming", contentLength: Number(length), trailers: undefined }
  return { _tag: "Incoming", contentLength: undefined, trailers: trailersOf(node) }
}

// A body with a length has nothing after it.
const trailersOf = (node: Source): (() => HeaderList.HeaderList) | undefined =>
  node.rawTrailers === undefined ? undefined : () => passedTrailers(node.rawTrailers ?? [], node.rawHeaders ?? [])
