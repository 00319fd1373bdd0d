import type { ServerResponse } from "node:http"
import type { ServerHttp2Session } from "node:http2"
import type * as Net from "node:net"
import { forget } from "./Client.ts"
import type { IncomingBody } from "./IncomingBody.ts"
import { maxPipelined, responseOf } from "./refusals.ts"

/** How long a client has to read a last response, before the connection is gone and its unread bytes reset it. */
const grace = 500

const tag = Symbol("blackgate.connection")

interface Tagged {
  [tag]?: Connection
}

/** One connection of a client, whatever it speaks. */
export class Connection {
  readonly peer: string
  /** What the protocol is spoken on: the TCP connection, or TLS over it. */
  socket: Net.Socket
  /** Nothing of it serves anyone any more. */
  refused = false
  /** HTTP/1: the latest response, answered or not; those before it are answered earlier. */
  response: ServerResponse | undefined = undefined
  /** The latest body that has been announced. */
  receiving: IncomingBody | undefined = undefined
  /** Whether it has said yet what it speaks. */
  phase: "handshake" | "silent" | "heard" = "handshake"
  readonly since: number

  session: ServerHttp2Session | undefined = undefined
  requests = 0
  /** How many are open. */
  streams = 0
  /** Frames that ask for nothing but an answer. */
  chatter = 0

  // How far it was when someone last looked.
  private readonly unanswered: Array<ServerResponse> = []
  private unsent = 0
  private stuckSince = 0
  private idleSince: number | undefined = undefined
  private dismissed = false

  private readonly log: (line: string) => void
  private told = false

  constructor(socket: Net.Socket, now: number, log: (line: string) => void) {
    this.log = log
    this.peer = `${socket.remoteAddress ?? "a client"}:${socket.remotePort ?? ""}`
    this.socket = socket
    this.since = now
    this.speaksOn(socket)
  }

  static of(socket: Net.Socket): Connection | undefined {
    return (socket as Tagged)[tag]
  }

  /** Tells the log why it is refused something, the first time. */
  tell(reason: string, status?: number): void {
    if (this.told) return
    this.told = true
    this.log(`${this.peer} is refused${status === undefined ? "" : ` with a ${status}`}: ${reason}`)
  }

  speaksOn(socket: Net.Socket): void {
    this.socket = socket
    ;(socket as Tagged)[tag] = this
    // Whoever else listens for errors may have stopped to, and one that nobody listens for ends the process.
    socket.on("error", () => {})
  }

  /** HTTP/1: takes the response of a request, unless too many before it have no answer yet. Node starts all that are pipelined. */
  takes(response: ServerResponse): boolean {
    const { response: before, unanswered } = this
    while (unanswered[0]?.writableEnded === true) unanswered.shift()
    if (before?.writableEnded === false) {
      if (unanswered.length >= maxPipelined - 1) return false
      unanswered.push(before)
    }
    this.response = response
    return true
  }

  /** HTTP/1: Node is done with it, but for what it has asked for before. */
  givenAway(): void {
    this.socket.once("close", () => {
      this.unanswered.forEach(forget)
      if (this.response !== undefined) forget(this.response)
    })
  }

  /** Refuses what has come last, and whatever would follow. What was asked before that is answered first. */
  refuse(status: number): void {
    this.refused = true
    const { response, socket } = this
    const last = () => {
      if (!socket.writable) return socket.destroy()
      socket.end(Buffer.from(responseOf(status), "latin1"))
      this.linger()
    }
    if (response === undefined || response.writableFinished) last()
    else response.once("finish", last)
  }

  /** Destroys it in a while, unless the client closes first. Bytes that nobody reads would make it a reset at once. */
  linger(): void {
    const { socket } = this
    const timer = setTimeout(() => socket.destroy(), grace)
    socket.once("close", () => clearTimeout(timer))
    socket.resume()
  }

  /** HTTP/2: whether nothing was served on it for so long. Frames that ask for nothing, and half a head, don't count. */
  isIdle(now: number, timeout: number): boolean {
    if (this.session === undefined || this.streams > 0) this.idleSince = undefined
    else this.idleSince ??= now
    return this.idleSince !== undefined && now - this.idleSince >= timeout
  }

  /** HTTP/2: tells the client that it is over, and destroys it in a while: Node would wait for streams that we have never seen. */
  dismiss(): void {
    const { session, socket } = this
    if (session === undefined || this.dismissed) return
    this.dismissed = true
    if (!session.destroyed) session.close()
    const timer = setTimeout(() => {
      session.destroy()
      socket.destroy()
    }, grace)
    socket.once("close", () => clearTimeout(timer))
  }

  /** Whether the client has taken nothing of what there is for it, for so long. */
  isStuck(now: number, timeout: number): boolean {
    const unsent = this.session === undefined ? queued(this.socket) : 0
    if (unsent === 0 || unsent !== this.unsent) {
      this.unsent = unsent
      this.stuckSince = now
    }
    return now - this.stuckSince >= timeout
  }
}

// What the kernel hasn't taken of a write that is under way, too: that shows progress within a large chunk.
const queued = (socket: Net.Socket): number => {
  if (socket.writableLength === 0) return 0
  const { _handle: handle } = socket as { readonly _handle?: { readonly writeQueueSize?: number } | null }
  return socket.writableLength + (handle?.writeQueueSize ?? 0)
}
