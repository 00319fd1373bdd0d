import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HeaderList from "../HeaderList.ts"
import type { ProxyResponse } from "../Rewrite.ts"
import type { Response } from "../Transport.ts"
import { deliverAsIs } from "./deliverAsIs.ts"

type Mutable = {
  -readonly [Field in keyof HttpServerResponse.HttpServerResponse]: HttpServerResponse.HttpServerResponse[Field]
}

/**
 * The response as a value that middleware can work on.
 *
 * The constructors of `HttpServerResponse` derive headers from the body; here the upstream has said what they are. So the fields are
 * set on a fresh response, which nothing else refers to.
 */
export const toResponse = (
  response: ProxyResponse,
  original: ProxyResponse,
  deliver: Response["deliver"],
  context: Context.Context<never>
): HttpServerResponse.HttpServerResponse => {
  const { body, status, statusText } = response
  const list = body === original.body ? trailed(response) : framed(response)
  const headers = HeaderList.toHeaders(list)
  if (headers["set-cookie"] !== undefined) HttpEffect.appendPreResponseHandlerUnsafe(context, keepCookies)
  const made: Mutable = HttpServerResponse.empty({ status, statusText })
  made.headers = headers
  made.body = typed(body, headers)
  if (deliver !== undefined && isFramedAs(response, original)) {
    deliverAsIs(made, { status, statusText, headers: list }, deliver, context)
  }
  return made
}

const isFramedAs = (response: ProxyResponse, original: ProxyResponse): boolean =>
  response === original || (response.body === original.body && lengthOf(response) === lengthOf(original))

const lengthOf = ({ headers }: ProxyResponse): string | undefined => HeaderList.get(headers, "content-length")

// The length is the body's: a rewrite that gave the response another one need not think of it.
const framed = ({ body, headers }: ProxyResponse): HeaderList.HeaderList => {
  const rest = HeaderList.remove(HeaderList.remove(headers, "content-length"), "trailer")
  if (body._tag === "Empty" || body.contentLength === undefined) return rest
  return HeaderList.append(rest, "content-length", String(body.contentLength))
}

// Node throws for trailers that are announced of a body with a length.
const trailed = ({ headers, trailers }: ProxyResponse): HeaderList.HeaderList =>
  trailers === undefined || HeaderList.get(headers, "content-length") === undefined
    ? headers
    : HeaderList.remove(headers, "trailer")

// Whatever changes a response writes the type that its body claims over that of its headers. So the body claims the upstream's.
const typed = (body: HttpBody.HttpBody, { "content-type": type = "" }: Headers.Headers): HttpBody.HttpBody => {
  if (body._tag === "Uint8Array") return new HttpBody.Uint8Array(body.body, type, body.contentLength, body.text)
  return body._tag === "Stream" ? new HttpBody.Stream(body.stream, type, body.contentLength) : body
}

type Cookie = string | ReadonlyArray<string>

/**
 * Effect's servers write cookies that middleware adds in place of, or into, the array of those that came from the upstream. Here
 * all of them become one array, the upstream's first; for a Web server they are put on its own `Response`, which has lists.
 */
const keepCookies: HttpEffect.PreResponseHandler = (request, response) => {
  const fromUpstream = response.headers["set-cookie"] as Cookie | undefined
  if (fromUpstream === undefined) return Effect.succeed(response)
  const all = [fromUpstream, Cookies.toSetCookieHeaders(response.cookies)].flat()
  if (isWebRequest(request.source)) return onWebResponse(request.source, response, all)
  if (all.length === 1) return Effect.succeed(response)
  const headers = Headers.fromRecordUnsafe({ ...response.headers, "set-cookie": all as unknown as string })
  return Effect.succeed(Object.assign(HttpServerResponse.replaceCookies(response, Cookies.empty), { headers }))
}

const isWebRequest = (source: object): source is Request => typeof Request !== "undefined" && source instanceof Request

const onWebResponse = (
  source: Request,
  response: HttpServerResponse.HttpServerResponse,
  cookies: ReadonlyArray<string>
) =>
  Effect.withFiber((fiber) => {
    const bare = Object.assign(HttpServerResponse.replaceCookies(response, Cookies.empty), {
      headers: Headers.remove(response.headers, "set-cookie")
    })
    // What is done at the end of the request has to wait for the end of the body, as it does for Effect's own streams.
    const web = HttpServerResponse.toWeb(HttpEffect.scopeTransferToStream(bare), {
      context: fiber.context,
      signal: source.signal
    })
    for (const cookie of cookies) web.headers.append("set-cookie", cookie)
    return Effect.succeed(HttpServerResponse.raw(web, { status: response.status }))
  })
