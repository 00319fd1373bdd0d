import type { IncomingMessage, ServerResponse } from "node:http"
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2"
import { ClientBroke } from "./ClientBroke.ts"
import type { Connection } from "./Connection.ts"
import { type Refusal, refusal } from "./refusals.ts"
import type { Listed } from "./Roster.ts"

/**
 * The body of a request that is being received: counted as it comes, whoever reads it and whether or not anyone does.
 *
 * Node pushes what its parser finds to the request. Of a body that is refused nothing more is pushed, its end least of all.
 */
export class IncomingBody implements Listed {
  place = 0
  readonly connection: Connection
  readonly request: IncomingMessage | Http2ServerRequest
  /** Of a request for another protocol there is none that we know. */
  readonly response: ServerResponse | Http2ServerResponse | undefined
  private bytes: number
  private refused = false
  private seen = -1
  private since = 0

  constructor(
    connection: Connection,
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse | undefined,
    maxBodySize: number,
    refuse: (body: IncomingBody, why: Refusal) => void
  ) {
    this.connection = connection
    this.request = request
    this.response = response
    // Of a request for another protocol, what came with the head is there before we are.
    this.bytes = request.readableLength
    const push = request.push
    request.push = (chunk: Buffer | null, encoding) => {
      if (this.refused) return true
      if (chunk !== null && (this.bytes += chunk.length) > maxBodySize) {
        refuse(this, refusal(413, `its request body is longer than ${maxBodySize} bytes`))
        return true
      }
      return push.call(request, chunk, encoding)
    }
  }

  /** Nothing more of it is for anyone. */
  swallow(): void {
    this.refused = true
  }

  /** Whoever reads it hears that it broke: now, or when nobody can be answered any more. */
  break(): void {
    const { request } = this
    const broke = new ClientBroke("the request was refused")
    if (request.listenerCount("error") > 0) request.emit("error", broke)
    request.on("error", () => {})
    const under = "stream" in request ? request.stream : request.socket
    under.once("close", () => request.destroy(broke))
  }

  /** Whether nothing has come for so long, although somebody would have taken it. */
  isSlow(now: number, timeout: number): boolean {
    const { request, response } = this
    // It is not the client that is slow while it waits for a 100, or while nobody reads what it has sent.
    const ours = request.readableLength > 0 || request.readableFlowing === false ||
      (request.headers.expect !== undefined && this.bytes === 0 && response !== undefined && !continued(response))
    if (ours || this.bytes !== this.seen) {
      this.seen = this.bytes
      this.since = now
    }
    return now - this.since >= timeout
  }
}

// Node's own note of it, which its HTTP/2 doesn't keep.
const continued = (response: object): boolean => {
  const { _sent100: sent } = response as { readonly _sent100?: boolean }
  return sent === true
}
