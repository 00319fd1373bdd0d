/** What Node's streams of HTTP/2 do not do by themselves. */
import * as Http2 from "node:http2"

/**
 * Calls back when the other end has ended a stream, before that is seen by whoever reads it. Node ends a stream that is reset, by
 * NO_ERROR, by CANCEL or with its connection, as if it had been.
 */
export const onEnded = (stream: Http2.ClientHttp2Stream, ended: () => void): void => {
  const { push } = stream
  stream.push = (chunk, encoding) => {
    if (chunk === null && !stream.closed && !stream.destroyed) ended()
    return push.call(stream, chunk, encoding)
  }
}

/** Resets a stream. Nothing more is sent, and nothing more is read. */
export const cancel = (stream: Http2.ClientHttp2Stream): void => {
  if (stream.destroyed) return
  // Node would end the request first, and half of it would look like all of it.
  if (!stream.writableEnded) Object.assign(stream, { _final: (done: () => void) => done() })
  stream.close(Http2.constants.NGHTTP2_CANCEL)
  // What has come and was not read would keep it.
  stream.destroy()
}
