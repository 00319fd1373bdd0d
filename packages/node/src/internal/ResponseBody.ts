import type { HeaderList } from "@blackgate/http/HeaderList"
import type { ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { trail } from "./Downstream.ts"

/** Where a response body comes from. */
interface Source {
  resume(): void
  giveUp(): void
}

const nothing = Buffer.alloc(0)

/** A response body under way. It is paused at its source while nobody reads. */
export class ResponseBody extends Readable {
  private readonly source: Source
  private readonly response: ServerResponse | undefined
  private shown = false

  constructor(source: Source, response: ServerResponse | undefined) {
    super({ highWaterMark: 64 * 1024 })
    this.source = source
    this.response = response
    // It may break off before anyone reads it.
    this.on("error", () => {})
  }

  /** The body is complete, and these fields come after it. */
  finish(trailers: HeaderList): void {
    const { response } = this
    // Before the response ends, which is what its end does to whoever reads it; and not if nobody does.
    if (trailers.length > 0 && response !== undefined) this.prependOnceListener("end", () => trail(response, trailers))
    this.push(null)
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

  // Node keeps a head until there is a body to send with it. A client of an event stream waits for it.
  private showHead(): void {
    const { response, shown } = this
    if (shown) return
    this.shown = true
    if (this.readableLength > 0 || response?.headersSent !== true) return
    // For HTTP/1, `flushHeaders` writes what is above ASCII as UTF-8.
    if (response.req.httpVersionMajor === 1) response.write(nothing)
    else response.flushHeaders()
  }
}
