import type { Request } from "@blackgate/http/Transport"
import type { Lane } from "./Lane.ts"

const closed = new Set<unknown>(["UND_ERR_SOCKET", "ECONNRESET", "ECONNABORTED", "EPIPE"])

/**
 * Whether an exchange has failed because its connection, which was there before, had been closed by the other end at about the time
 * that it began (RFC 9112, section 9.3.1): nothing has come. What fails on a new connection has failed.
 */
export const isStale = (lane: Lane | undefined, error: Error): boolean =>
  lane !== undefined && lane.isUsed && !lane.hasHeard && "code" in error && closed.has(error.code)

// RFC 9110, section 9.2.2; QUERY by its draft (draft-ietf-httpbis-safe-method-w-body).
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"])

/** Whether to send a request twice is the same as once. */
export const isIdempotent = ({ method }: Request): boolean => idempotent.has(method)

/** Whether the body of a request that was sent is still there. */
export const hasBodyStill = ({ body }: Request): boolean =>
  body._tag === "Empty" || body._tag === "Uint8Array" || (body._tag === "Raw" && body.body instanceof Uint8Array)

/** Whether a request can be sent again: that is the same as once, and its body is still there. */
export const isReplayable = (request: Request): boolean => isIdempotent(request) && hasBodyStill(request)
