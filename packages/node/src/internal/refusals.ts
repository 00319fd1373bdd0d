import * as Http from "node:http"

/** Why something of a client's is not served. It is told its status, where there is one to tell, and the log the reason. */
export interface Refusal {
  readonly status: number
  readonly reason: string
}

export const refusal = (status: number, reason: string): Refusal => ({ status, reason })

/** HTTP/1: how many requests of a connection may wait for their answers. As many as HTTP/2 has streams, by default. */
export const maxPipelined = 100

export const tooMany = refusal(503, `it has more than ${maxPipelined} requests that wait for their answers`)
export const noTunnel = refusal(405, "it wants a tunnel")
export const unknownExpectation = refusal(417, "its request expects what nobody knows")

/** The same form that a route's failures have. */
export const bodyOf = (status: number): string =>
  JSON.stringify({ code: status, message: (Http.STATUS_CODES[status] ?? "").toLowerCase(), errors: [] })

/** A whole response of HTTP/1.1, after which the connection closes. */
export const responseOf = (status: number): string => {
  const body = bodyOf(status)
  return [
    `HTTP/1.1 ${status} ${Http.STATUS_CODES[status]}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "Connection: close",
    "",
    body
  ].join("\r\n")
}

/** What Node's parser has stumbled over; `undefined` where it is only that the client is gone. */
export const ofParser = (error: NodeJS.ErrnoException, maxHeaderBytes: number): Refusal | undefined => {
  const { code = "", reason } = error as { readonly code?: string; readonly reason?: string }
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refusal(408, "its request head took too long")
    case "HPE_HEADER_OVERFLOW":
      return inTarget(error)
        ? refusal(414, `its request target is longer than ${maxHeaderBytes} bytes`)
        : refusal(431, `its request head, or its trailers, are longer than ${maxHeaderBytes} bytes`)
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return refusal(413, "its chunk extensions are too long")
    case "HPE_INVALID_EOF_STATE":
      return refusal(400, "its request was cut off")
  }
  return code.startsWith("HPE_") ? refusal(400, `its request is malformed: ${reason ?? error.message}`) : undefined
}

// All that is known is the packet in which the head grew too long; as long as that is the first one, it shows where.
const inTarget = (error: NodeJS.ErrnoException): boolean =>
  /^[A-Z]+ [^ \r\n]*$/.test((error as { readonly rawPacket?: Buffer }).rawPacket?.toString("latin1") ?? "")
