import type * as Http from "node:http"
import { constants, type Http2ServerResponse, type Http2Stream } from "node:http2"
import { bodyOf } from "./refusals.ts"

/** A client that has its answer need not send the rest of its body (RFC 9113, section 8.1). */
export const resetWhenAnswered = (stream: Http2Stream): void => {
  stream.once("finish", () => {
    // The end of the answer is sent in this turn, and a reset would overtake it.
    setImmediate(() => {
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR)
    })
  })
}

/** Answers in the place of a handler. */
export const answer = (response: Http.ServerResponse | Http2ServerResponse, status: number): void => {
  const node = response as Http.ServerResponse
  const text = bodyOf(status)
  const headers = { "content-type": "application/json", "content-length": text.length }
  if (response.req.httpVersionMajor !== 1) {
    resetWhenAnswered((response as Http2ServerResponse).stream)
    node.writeHead(status, headers)
  } else node.writeHead(status, { ...headers, connection: "close" })
  node.end(text)
}
