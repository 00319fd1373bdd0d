import { ServerResponse } from "node:http"
import type { Http2ServerResponse } from "node:http2"
import { Readable } from "node:stream"

// `flushHeaders` writes a head as UTF-8, and so its Latin-1 as something else. What goes before a buffer goes as it is.
const nothing = Buffer.alloc(0)

/** Where a response body comes from. */
interface Source {
  resume(): void
  giveUp(): void
}

/** A response body under way. It is paused at its source while nobody reads. */
export class ResponseBody extends Readable {
  private readonly source: Source
  private readonly response: ServerResponse | Http2ServerResponse | undefined
  private shown = false

  constructor(source: Source, response: ServerResponse | Http2ServerResponse | undefined) {
    super({ highWaterMark: 64 * 1024 })
    this.source = source
    this.response = response
    // It may break off before anyone reads it.
    this.on("error", () => {})
  }

  override _read(): void {
    this.showHead()
    this.source.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.source.giveUp()
    // The end of the connection is all that a client of HTTP/1.0 sees of the end of a body. It must not look like one.
    if (error !== null && this.shown && this.response?.req.httpVersion === "1.0") {
      this.response.socket?.resetAndDestroy()
    }
    callback(error)
  }

  // Node keeps a head of HTTP/1 until there is a body to send with it. A client of an event stream waits for it.
  private showHead(): void {
    const { response, shown } = this
    if (shown) return
    this.shown = true
    if (this.readableLength === 0 && response instanceof ServerResponse && response.headersSent) response.write(nothing)
  }
}
