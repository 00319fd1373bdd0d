import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HeaderList from "../HeaderList.ts"
import type { Request, Response } from "../Transport.ts"
import { UpstreamError } from "../UpstreamError.ts"

/** An effect as an upstream. */
export const inMemory =
  <E, R>(upstream: (request: Request) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  (request: Request): Effect.Effect<Response, UpstreamError, R> =>
    Effect.mapBoth(upstream(request), {
      onFailure: (cause) => new UpstreamError({ phase: "head", origin: request.upstream.origin, cause }),
      onSuccess: ({ body, cookies, headers, status, statusText }) => ({
        status,
        statusText,
        headers: [
          ...HeaderList.fromHeaders(headers),
          ...Cookies.toSetCookieHeaders(cookies).flatMap((cookie) => ["set-cookie", cookie])
        ],
        body
      })
    })
