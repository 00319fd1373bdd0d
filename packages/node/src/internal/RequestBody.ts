import type { BodyLimit } from "@blackgate/http/Transport"
import { IncomingMessage } from "node:http"
import { Http2ServerRequest } from "node:http2"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import { ClientBroke } from "./ClientBroke.ts"
import { Written } from "./Written.ts"

/**
 * A request body under way. undici destroys what it reads from when an exchange breaks off. The client's own request has to outlive
 * that: there is an answer to send, and then the rest of it to read, or the connection to close in order.
 */
export class RequestBody extends Readable {
  private readonly client: IncomingMessage | Http2ServerRequest
  private readonly limit: BodyLimit | undefined
  /** Called before the first byte is asked for: there is a permit, and a connection. */
  private readonly onRead: () => void
  private reading = false
  private written: Written | undefined = undefined

  constructor(client: IncomingMessage | Http2ServerRequest, limit: BodyLimit | undefined, onRead: () => void) {
    super({ highWaterMark: 64 * 1024 })
    this.client = client
    this.limit = limit
    this.onRead = onRead
  }

  /** Whether there is nothing to send because the client has sent nothing. */
  get isStarved(): boolean {
    return this.readableLength === 0 && !this.client.readableEnded
  }

  /** It goes to this connection: whoever reads a part writes it there at once. */
  goesTo(socket: Net.Socket): void {
    this.written = new Written(socket, () => this.readableLength)
  }

  override _read(): void {
    const { client } = this
    if (!this.reading) {
      this.reading = true
      this.onRead()
      client.on("data", this.onData).on("end", this.onEnd).on("error", this.onError).on("close", this.onClose)
    }
    client.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const { client } = this
    client.off("data", this.onData).off("end", this.onEnd).off("error", this.onError).off("close", this.onClose)
    if (!client.readableEnded) client.pause()
    this.written?.leave()
    callback(error)
  }

  private readonly onData = (chunk: Buffer): void => {
    if (this.limit?.take(chunk.length) === false) return this.onError()
    if (this.written !== undefined && isOurs(this.client)) this.written.add(chunk)
    if (!this.push(chunk)) this.client.pause()
  }

  private readonly onEnd = (): void => {
    if (isWhole(this.client)) this.push(null)
    else this.onError()
  }

  private readonly onError = (): void => {
    this.destroy(new ClientBroke("the client broke off its request"))
  }

  private readonly onClose = (): void => {
    if (!this.client.readableEnded) this.onError()
  }
}

// Whether nobody else sees what comes of it. Of HTTP/2, parts are of what was read at once.
const isOurs = (client: IncomingMessage | Http2ServerRequest): boolean =>
  client instanceof IncomingMessage && client.listenerCount("data") === 1 && client.listenerCount("readable") === 0

// A stream that the client resets ends like one that it has ended: Node ends the request, and then tells that it is closed. One that
// is still open, or that we have closed by our answer, was ended.
const isWhole = (client: IncomingMessage | Http2ServerRequest): boolean => {
  if (!(client instanceof Http2ServerRequest)) return true
  const { stream } = client
  return stream !== undefined && !stream.aborted && stream.rstCode === 0 && (!stream.closed || stream.writableEnded)
}
