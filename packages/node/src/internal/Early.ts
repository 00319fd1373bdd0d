import type * as Net from "node:net"
import type { Duplex } from "node:stream"

/** How much a client may say before it has an answer, and still be heard to leave. */
const most = 64 * 1024

/** How long a client has to read the last answer on its connection. */
const grace = 500

/** What a client says behind its request, before anyone is there to read it. */
export class Early {
  private readonly stream: Duplex
  private readonly chunks: Array<Buffer> = []
  private bytes = 0

  constructor(stream: Duplex, head: Buffer) {
    this.stream = stream
    if (head.length > 0) this.onData(head)
  }

  /** From now on a client that ends its side is noticed: as with any request that waits for its answer, it is taken to have left. */
  watch(): void {
    this.stream.on("data", this.onData).on("end", this.onEnd)
  }

  /** Gives the stream to whoever reads it next, as Node hands it over: with what was said early, and not flowing yet. */
  release(): void {
    const { chunks, stream } = this
    stream.off("data", this.onData).off("end", this.onEnd)
    stream.pause()
    Object.assign(stream, { readableFlowing: null })
    if (chunks.length > 0 && !stream.destroyed) stream.unshift(Buffer.concat(chunks.splice(0)))
  }

  private readonly onData = (chunk: Buffer): void => {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    if (this.bytes > most) this.stream.pause()
  }

  private readonly onEnd = (): void => {
    this.stream.destroy()
  }
}

/** Ends a connection whose client has still to read what was sent. */
export const lastWords = (socket: Net.Socket): void => {
  socket.end()
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), grace)
  socket.once("close", () => clearTimeout(timer))
}
