import type { CommandError } from "@blackgate/core/CommandError"
import * as Duration from "effect/Duration"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { UpstreamError } from "../UpstreamError.ts"

// What the gateway answers by itself. Nothing of the inside is in it: no address, no cause, no limit.
const answer = (code: number, message: string, headers?: { readonly [name: string]: string }) =>
  HttpServerResponse.jsonUnsafe({ code, message, errors: [] }, { status: code, headers })

export const badRequest = answer(400, "bad request")
export const loopDetected = answer(508, "loop detected")
/** To what could be read in two ways: so could whatever follows it on its connection. */
export const malformed = answer(400, "bad request", { connection: "close" })
export const tooLarge = answer(413, "payload too large")
export const forbidden = answer(403, "forbidden")
export const notImplemented = answer(501, "not implemented")
export const internalError = answer(500, "internal server error")
const badGateway = answer(502, "bad gateway")
const unavailable = answer(503, "service unavailable")
const overloaded = answer(503, "service unavailable", { "retry-after": "1" })
export const timedOut = answer(504, "gateway timeout")

/** Of a connection that was a tunnel, and is closed: there is nobody to get it. */
export const wasTunnel = HttpServerResponse.empty({ status: 101 })

// The rest of its request, if it still comes, is nobody's.
export const requestTimeout = answer(408, "request timeout", { connection: "close" })

/** What a failure looks like to a client, where no fallback says otherwise. */
export const failure = (error: CommandError | UpstreamError): HttpServerResponse.HttpServerResponse => {
  switch (error._tag) {
    case "UpstreamError":
      return error.status === undefined ? error.timedOut ? timedOut : badGateway : thrownAway(error.status, error)
    case "PoolFull":
    case "QueueTimeout":
      return overloaded
    case "PoolReentered":
      return unavailable
    case "CircuitOpen":
      return answer(503, "service unavailable", retryAfterIn(error))
    case "RateLimited":
      return answer(429, "too many requests", retryAfterIn(error))
    case "CommandTimeout":
      return timedOut
  }
}

// An answer that nobody has any more is told by its status.
const thrownAway = (status: number, { retryAfter }: UpstreamError) => {
  const message = messages.get(status)
  if (message === undefined) return badGateway
  return answer(status, message, retryAfter === undefined ? undefined : retryAfterIn({ retryAfter }))
}
const messages = new Map([[429, "too many requests"], [503, "service unavailable"], [504, "gateway timeout"]])

// In whole seconds (RFC 9110, section 10.2.3), and never so soon as at once.
const retryAfterIn = (error: { readonly retryAfter: Duration.Duration }) => ({
  "retry-after": String(Math.max(1, Math.ceil(Duration.toSeconds(error.retryAfter))))
})
