import type { ServerResponse } from "node:http"
import { Readable } from "node:stream"

/** Where a response body comes from. */
interface Source {
  resume(): void
  giveUp(): void
}

/** A response body under way. It is paused at its source while nobody reads. */
export class ResponseBody extends Readable {
  private readonly source: Source
  private response: ServerResponse | undefined

  constructor(source: Source, response: ServerResponse | undefined) {
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
    callback(error)
  }

  // Node keeps a head until there is a body to send with it. A client of an event stream waits for it.
  private showHead(): void {
    const { response } = this
    if (response === undefined) return
    this.response = undefined
    if (this.readableLength === 0 && response.headersSent) response.flushHeaders()
  }
}
