import type * as Net from "node:net"
import type { Duplex } from "node:stream"

/** Why a tunnel has ended: in order, by the end of one side that broke, for want of bytes, or because it was cut. */
export type Ending = "in order" | "client" | "upstream" | "idle" | "cut"

/** One end of a tunnel. */
export interface End {
  /** What is read and written. */
  readonly stream: Duplex
  /** The connection under it. */
  readonly socket: Net.Socket
}

/**
 * Two connections that are one tunnel: what one says the other hears, its end and its reset included. Each waits for the other, so
 * that no more than a buffer of it is in memory.
 */
export class Joint {
  private readonly client: End
  private readonly upstream: End
  private readonly idle: number
  private readonly ended: (ending: Ending) => void
  private ending: Ending | undefined = undefined
  private over = false

  /** `idle` in milliseconds; 0 for no bound. */
  constructor(client: End, upstream: End, idle: number, ended: (ending: Ending) => void) {
    this.client = client
    this.upstream = upstream
    this.idle = Math.min(idle, 2 ** 31 - 1)
    this.ended = ended
  }

  start(): void {
    const { client, idle, upstream } = this
    // A server for TLS does not have it so.
    client.stream.allowHalfOpen = true
    client.socket.setNoDelay(true).setTimeout(0)
    // What moves in either direction moves here, while it is open.
    upstream.socket.setNoDelay(true).setTimeout(idle, this.onIdle)
    this.follow(client, upstream, "client")
    this.follow(upstream, client, "upstream")
    if (client.stream.destroyed) this.closed(client, upstream, "client")
    if (upstream.stream.destroyed) this.closed(upstream, client, "upstream")
    client.stream.pipe(upstream.stream)
    upstream.stream.pipe(client.stream)
  }

  /** Ends both, whatever is under way. */
  cut(ending: "cut" | "idle" = "cut"): void {
    this.ending ??= ending
    part(this.client)
    part(this.upstream)
  }

  private readonly onIdle = (): void => this.cut("idle")

  private follow(from: End, to: End, who: "client" | "upstream"): void {
    from.stream.on("error", () => {}) // it closes, too
    from.stream.once("close", () => this.closed(from, to, who))
  }

  private closed(from: End, to: End, who: "client" | "upstream"): void {
    if (this.over) return
    if (this.ending === undefined && (!from.stream.readableEnded || from.stream.errored !== null)) {
      this.ending = who
      reset(to)
    }
    if (from.stream.destroyed && to.stream.destroyed) {
      this.over = true
      this.ended(this.ending ?? "in order")
    } else if (who === "upstream") to.socket.setTimeout(this.idle, this.onIdle) // a client that does not take the rest
  }
}

/** The other side is to see that it broke: a RST. */
export const reset = ({ socket, stream }: End): void => {
  if (stream.destroyed) return
  // Under TLS there is no such thing.
  if ("encrypted" in socket) stream.destroy()
  else {
    socket.resetAndDestroy()
    stream.destroy()
  }
}

// What was said goes out, as far as the kernel takes it; nobody is waited for.
const part = ({ socket, stream }: End): void => {
  if (stream.destroyed) return
  if (stream !== socket || socket.writableLength > 0) stream.destroy()
  else socket.destroySoon()
}
