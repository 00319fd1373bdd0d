import type { HeaderList } from "@blackgate/http/HeaderList"
import type { Head } from "@blackgate/http/Transport"
import type { ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { writeHead } from "./delivery.ts"
import { trail } from "./Downstream.ts"
import { ReadBlock } from "./ReadBlock.ts"

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
  private direct: ServerResponse | undefined = undefined
  private done: (() => void) | undefined = undefined
  private complete: HeaderList | undefined = undefined
  /** What the chunk that was written last is a part of. */
  private block: ReadBlock | undefined = undefined

  constructor(source: Source, response: ServerResponse | undefined) {
    super({ highWaterMark: 64 * 1024 })
    this.source = source
    this.response = response
    // It may break off before anyone reads it.
    this.on("error", () => {})
  }

  /** What comes of it; `false` if no more is wanted for now. */
  receive(chunk: Buffer): boolean {
    return this.direct === undefined ? this.push(chunk) : this.write(this.direct, chunk)
  }

  // What the connection has read into is free again when all that came of it is written.
  private write(response: ServerResponse, chunk: Buffer): boolean {
    const block = ReadBlock.of(chunk)
    if (block !== this.block) {
      this.block?.leave()
      this.block = block
    }
    if (block === undefined) return response.write(chunk)
    block.begin()
    return response.write(chunk, (error) => block.end(error instanceof Error))
  }

  /** Writes itself to a client from now on, head first, with nothing between. `false` if Node does not take the head. */
  into(response: ServerResponse, head: Head, done: () => void): boolean {
    if (this.shown || this.errored !== null || !writeHead(response, head)) return false
    this.shown = true
    this.direct = response
    this.done = done
    // A head goes out with what there is of a body; a client of an event stream waits for it alone.
    const begun: Buffer | null = this.read()
    let ready = this.write(response, begun ?? nothing)
    for (let chunk = begun; chunk !== null && (chunk = this.read()) !== null;) ready = this.write(response, chunk)
    response.on("drain", () => this.source.resume())
    if (this.complete !== undefined) this.finish(this.complete)
    else if (ready) this.source.resume()
    return true
  }

  /** The body is complete, and these fields come after it. */
  finish(trailers: HeaderList): void {
    const { direct, response } = this
    if (direct !== undefined) {
      if (trailers.length > 0) trail(direct, trailers)
      direct.end()
      this.block?.leave()
      this.block = undefined
      this.done?.()
      return
    }
    this.complete = trailers
    // Before the response ends, which is what its end does to whoever reads it; and not if nobody does.
    if (trailers.length > 0 && response !== undefined) this.prependOnceListener("end", () => trail(response, trailers))
    this.push(null)
  }

  override _read(): void {
    if (this.direct !== undefined) return
    this.showHead()
    this.source.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const { direct, response, shown } = this
    this.source.giveUp()
    // The end of the connection is all that a client of HTTP/1.0 sees of the end of a body. It must not look like one.
    if (error !== null && shown && response?.req.httpVersion === "1.0") response.socket?.resetAndDestroy()
    if (direct !== undefined && !direct.writableEnded) direct.destroy()
    this.done?.()
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
