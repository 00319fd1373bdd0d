import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { HttpMethod } from "effect/http/HttpMethod"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as HeaderList from "../HeaderList.ts"
import type { Request, Response } from "../Transport.ts"
import { UpstreamError } from "../UpstreamError.ts"
import { streamOf } from "./limited.ts"

/** One exchange over an Effect client. The scope aborts it when it closes. */
export const overHttpClient = (client: HttpClient.HttpClient) => {
  const scoped = HttpClient.withScope(client)
  return (request: Request): Effect.Effect<Response, UpstreamError, Scope.Scope> =>
    isAbove(request) ?? scoped.execute(toClientRequest(request)).pipe(
      // A proxy passes redirects on.
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
      // The client would make a span of its own, and write that over what the upstream is told of the trace.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.mapBoth({
        onFailure: (cause) => new UpstreamError({ phase: phaseOf(cause), origin: request.upstream.origin, cause }),
        onSuccess: (response) => fromClientResponse(request, response)
      })
    )
}

// What a client can't be told must not be left away: that may be whom to trust.
const isAbove = ({ upstream: { http, origin, tls } }: Request): Effect.Effect<never, UpstreamError> | undefined =>
  tls === undefined && http !== "2"
    ? undefined
    : Effect.fail(
      new UpstreamError({
        phase: "connect",
        origin,
        cause: new Error("an HttpClient takes no options for TLS or HTTP/2")
      })
    )

const toClientRequest = (request: Request): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make(request.method as HttpMethod)(`${request.upstream.origin}${request.target}`, {
    // It loses trailers, both ways.
    headers: HeaderList.toHeaders(HeaderList.remove(HeaderList.remove(request.headers, "te"), "trailer")),
    body: toClientBody(request)
  })

const toClientBody = (request: Request): HttpBody.HttpBody =>
  request.body._tag === "Incoming"
    ? HttpBody.stream(streamOf(request), HeaderList.get(request.headers, "content-type"), request.body.contentLength)
    : request.body

const phaseOf = (error: HttpClientError.HttpClientError): "connect" | "head" =>
  error.reason._tag === "InvalidUrlError" || error.reason._tag === "EncodeError" ? "connect" : "head"

const fromClientResponse = (request: Request, response: HttpClientResponse.HttpClientResponse): Response => {
  const web = Option.getOrUndefined(HttpClientResponse.toWeb(response))
  let headers = HeaderList.remove(HeaderList.fromHeaders(response.headers), "set-cookie")
  // `fetch` has decoded the body, but says what it was like before.
  if (web !== undefined && !hasNoBody(request, web.status) && isDecoded(web.headers.get("content-encoding"))) {
    headers = HeaderList.remove(HeaderList.remove(headers, "content-encoding"), "content-length")
  }
  const cookies = web?.headers.getSetCookie() ?? Cookies.toSetCookieHeaders(response.cookies)
  return {
    status: response.status,
    statusText: web?.statusText,
    headers: [...headers, ...cookies.flatMap((cookie) => ["set-cookie", cookie])],
    body: hasNoBody(request, response.status) ? HttpBody.empty : HttpBody.stream(response.stream)
  }
}

// One coding that it does not know, and it leaves the body as it is.
const isDecoded = (codings: string | null): boolean =>
  codings !== null && codings.split(",").every((coding) => /^\s*(?:(?:x-)?gzip|deflate|br|zstd)\s*$/i.test(coding))

const hasNoBody = ({ method }: Request, status: number): boolean =>
  method === "HEAD" || status === 204 || status === 205 || status === 304
