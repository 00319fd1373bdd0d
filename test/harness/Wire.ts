import { Effect } from "effect"
import * as Net from "node:net"
import { eventually } from "./eventually.ts"
import { type Head, type HttpMessage, parse, parseHead } from "./HttpMessage.ts"

/** One end of a TCP connection, of which every byte is seen and sent as it is. Strings are Latin-1. */
export class Wire {
  readonly socket: Net.Socket
  /** Whether the other end has said that it has no more to say. */
  ended = false
  /** Whether nothing of the connection is left. */
  closed = false
  /** How it broke, if it did: `ECONNRESET`, say. */
  broke: string | undefined = undefined
  /** How many bytes came that nobody is to look at. */
  discarded = 0
  /** How many bytes of a flood this end has got rid of, into the kernel at least. */
  poured = 0
  private chunks: Array<Buffer> = []
  private discards = false

  constructor(socket: Net.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on("data", (chunk: Buffer) => {
      if (this.discards) this.discarded += chunk.length
      else this.chunks.push(chunk)
    })
    socket.on("end", () => this.ended = true)
    socket.on("close", () => this.closed = true)
    socket.on("error", (error: NodeJS.ErrnoException) => this.broke = error.code ?? error.message)
  }

  /** What has come and was not taken yet. */
  get received(): Buffer {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0] ?? Buffer.alloc(0)
  }

  get text(): string {
    return this.received.toString("latin1")
  }

  /** Whether the connection ended in order: with a FIN, and no reset. */
  get endedInOrder(): boolean {
    return this.ended && this.broke === undefined
  }

  /** Whether nothing more will come, in order or not. */
  get gone(): boolean {
    return this.ended || this.closed || this.broke !== undefined
  }

  send(data: string | Uint8Array): void {
    this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data)
  }

  /** No more comes from this end. */
  end(): void {
    this.socket.end()
  }

  /** The connection is gone, and what was under way with it: a RST. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  close(): void {
    this.socket.destroy()
  }

  /** Nothing is read any more, so that the kernel's buffers fill, and the sender has to wait. */
  stopReading(): void {
    this.socket.pause()
  }

  readOn(): void {
    this.socket.resume()
  }

  /** From now on what comes is counted, and forgotten. */
  discard(): void {
    this.discards = true
    this.discarded += this.received.length
    this.chunks = []
  }

  /** Sends so many bytes, as fast as the other end takes them. */
  pour(bytes: number, chunked = false): void {
    const size = 64 * 1024
    const piece = Buffer.alloc(size, "x")
    const framed = chunked
      ? Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), piece, Buffer.from("\r\n")])
      : piece
    let sent = 0
    const next = () => {
      if (sent >= bytes) {
        if (chunked) this.socket.write("0\r\n\r\n")
        return
      }
      sent += size
      this.socket.write(framed, () => {
        this.poured += size
        next()
      })
    }
    next()
  }

  /** Waits for something to be seen on the connection. */
  until<A>(what: string, read: (wire: this) => A | undefined | false): Effect.Effect<A> {
    return eventually(
      what,
      () => read(this),
      () =>
        `${
          JSON.stringify(this.text.slice(0, 300))
        } (${this.received.length} bytes), ended: ${this.ended}, closed: ${this.closed}, broke: ${this.broke}`
    )
  }

  /** The next head, taken off; what follows it stays. */
  readonly head: Effect.Effect<Head> = Effect.suspend(() =>
    this.until("a head", () => {
      const head = parseHead(this.received)
      if (head !== undefined) this.take(head.length)
      return head
    })
  )

  /** The next message, taken off. `bodiless` is for an answer to HEAD. */
  message(options: { readonly bodiless?: boolean } = {}): Effect.Effect<HttpMessage> {
    return this.until("a message", () => {
      const message = parse(this.received, { ended: this.endedInOrder, ...options })
      if (message !== undefined) this.take(message.length)
      return message
    })
  }

  take(length: number): void {
    this.chunks = [this.received.subarray(length)]
  }
}

/** Opens a connection to a port of this machine; it is closed with the scope. */
export const connect = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Wire>((resume) => {
      const wire = new Wire(Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }))
      wire.socket.once("connect", () => resume(Effect.succeed(wire)))
      wire.socket.once("error", (error) => resume(Effect.die(error)))
    }),
    (wire) => Effect.sync(() => wire.close())
  )
