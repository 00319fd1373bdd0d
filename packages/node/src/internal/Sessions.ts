/**
 * HTTP/2, bounded.
 *
 * What nghttp2 and Node bound is told its bounds here: streams that are reset faster than they could be served (rapid reset,
 * CVE-2023-44487), frames that are none, streams refused, answers that nobody takes, memory. CONTINUATION frames without end
 * (CVE-2024-27316) end a session after eight of them. What they count of pings and settings is only what they could not answer, so
 * those are counted here.
 */
import * as Http2 from "node:http2"
import type { Connection } from "./Connection.ts"
import type { Listed } from "./Roster.ts"

export interface SessionOptions {
  readonly maxHeaderBytes: number
  readonly maxConcurrentStreams: number
  readonly keepAlive: number
}

/** How many pings and settings a client may send in a second. */
const maxChatter = 100

const optionsOf = ({ maxConcurrentStreams, maxHeaderBytes }: SessionOptions) => ({
  settings: {
    maxConcurrentStreams,
    // What is a little longer than the limit is told so, with a status; a stream with a much longer head is reset.
    maxHeaderListSize: 4 * maxHeaderBytes,
    enablePush: false
  },
  // Of pairs there may be as many as fit: they are counted with the head.
  maxHeaderListPairs: maxHeaderBytes,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxSettings: 32,
  maxOutstandingPings: 10,
  streamResetBurst: 200,
  streamResetRate: 50,
  // What may come only once is the upstream's to judge. Of trailers, Node would throw where nobody can catch it.
  strictSingleValueFields: false
})

export const http2Server = (options: SessionOptions): Http2.Http2Server => Http2.createServer(optionsOf(options))

/** Hands a connection to a server of HTTP/2, and keeps watch over it. */
export const watchSession = (
  connection: Connection,
  session: Http2.ServerHttp2Session
): void => {
  connection.session = session
  const chat = () => {
    if (++connection.chatter <= maxChatter || session.destroyed) return
    connection.tell(`it sends more than ${maxChatter} pings and settings a second`)
    session.destroy(new Error("calm down"), Http2.constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }
  // The session is over, and Node waits for the client to end the connection, too. One that doesn't would hold up a drain.
  connection.socket.once("finish", () => connection.linger())
  session.on("ping", chat)
  session.on("remoteSettings", chat)
  session.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "ECONNRESET" && error.code !== "EPIPE") {
      connection.tell(`its HTTP/2 session failed: ${error.message}`)
    }
  })
}

/**
 * Tells a client that no new streams are served, and ends the session with the last that is. Which one that is, it is told: those
 * behind, it may send again elsewhere (RFC 9113, section 6.8). (Node has no notice in advance: whatever it says of going away, it
 * takes no new streams from then on.)
 */
export const retire = (session: Http2.ServerHttp2Session): void => {
  if (!session.destroyed) session.close()
}

/** Whether a stream's client has left its window shut, with something to send, for so long. */
export class Window implements Listed {
  place = 0
  readonly connection: Connection
  readonly stream: Http2.Http2Stream
  private unsent = 0
  private since = 0

  constructor(connection: Connection, stream: Http2.Http2Stream) {
    this.connection = connection
    this.stream = stream
  }

  isStuck(now: number, timeout: number): boolean {
    const unsent = this.stream.bufferSize
    if (unsent === 0 || unsent !== this.unsent) {
      this.unsent = unsent
      this.since = now
    }
    return now - this.since >= timeout
  }
}

/** The bytes with which HTTP/2 begins (RFC 9113, section 3.4). No request of HTTP/1 does. */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
