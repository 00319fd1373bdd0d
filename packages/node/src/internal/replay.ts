import { idempotentMethods } from "@blackgate/http/Replay"
import type { Request } from "@blackgate/http/Transport"
import type { ClientHttp2Stream } from "node:http2"
import type { Http2Session } from "./Http2Session.ts"
import type { Lane } from "./Lane.ts"

const closed = new Set<unknown>(["UND_ERR_SOCKET", "ECONNRESET", "ECONNABORTED", "EPIPE"])

/**
 * Whether an exchange has failed because its connection, which was there before, had been closed by the other end at about the time
 * that it began (RFC 9112, section 9.3.1): nothing has come. What fails on a new connection has failed.
 */
export const isStale = (lane: Lane | undefined, error: Error): boolean =>
  lane !== undefined && lane.isUsed && !lane.hasHeard && "code" in error && closed.has(error.code)

const idempotent = new Set(idempotentMethods)

/** Whether to send a request twice is the same as once. */
const isIdempotent = ({ method }: Request): boolean => idempotent.has(method)

/** Whether the body of a request that was sent is still there. */
const hasBodyStill = ({ body }: Request): boolean =>
  body._tag === "Empty" || body._tag === "Uint8Array" || (body._tag === "Raw" && body.body instanceof Uint8Array)

/** Whether a request can be sent again: that is the same as once, and its body is still there. */
export const isReplayable = (request: Request): boolean => isIdempotent(request) && hasBodyStill(request)

/**
 * Whether a request on HTTP/2 can be sent again: the upstream says that it has not looked at it (RFC 9113, section 8.7), or it has met
 * a connection that was there before, as above.
 */
export const isRepeatable = (
  request: Request,
  { heard, session, stream }: {
    readonly session: Http2Session
    readonly stream: ClientHttp2Stream
    /** What had come on the connection when it began. */
    readonly heard: number
  }
): boolean =>
  hasBodyStill(request) &&
  (session.hasRefused(stream) ||
    (session.isGone && session.wasUsed && session.heard === heard && isIdempotent(request)))
