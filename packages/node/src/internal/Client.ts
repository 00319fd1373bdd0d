import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type * as Net from "node:net"
import { unwatch, watch, type Watcher, watchStream } from "./Connections.ts"
import { Offer } from "./Offer.ts"

/**
 * Ends an answer that is queued behind another one, on a connection that is gone. Node forgets those when a CONNECT has come behind
 * them, and Effect would wait for the end of each.
 */
export const forget = (response: Http.ServerResponse): void => {
  if (response.socket === null) response.destroy()
}

// Behind an upgrade Node reads no more of a connection, so that nobody would see its end either.
const untilItsEnd = (socket: Net.Socket): void => {
  socket.once("end", () => socket.destroy()).resume()
}

/** Who has sent a request, as far as Node's servers show it. */
export class Client {
  readonly request: Http.IncomingMessage | Http2.Http2ServerRequest | undefined
  private readonly asked: HttpServerRequest
  private readonly socket: Net.Socket | undefined
  private readonly watcher: Watcher
  private readonly unwatchStream: (() => void) | undefined

  constructor(asked: HttpServerRequest, watcher: Watcher) {
    const { source } = asked
    this.asked = asked
    this.request = source instanceof Http.IncomingMessage || source instanceof Http2.Http2ServerRequest
      ? source
      : undefined
    this.socket = source instanceof Http.IncomingMessage ? source.socket : undefined
    this.watcher = watcher
    if (this.socket !== undefined) watch(this.socket, watcher)
    this.unwatchStream = source instanceof Http2.Http2ServerRequest ? watchStream(source.stream, watcher) : undefined
    const { upgrade: isUpgrade } = source as { readonly upgrade?: boolean }
    if (this.socket !== undefined && isUpgrade === true && Offer.of(asked) === undefined) untilItsEnd(this.socket)
  }

  /** Hears no more of it. */
  unwatch(): void {
    if (this.socket !== undefined) unwatch(this.socket, this.watcher)
    else this.unwatchStream?.()
  }

  /** Whether there is nobody left to answer. */
  get isGone(): boolean {
    const { request, socket } = this
    if (socket !== undefined) return socket.destroyed
    return request instanceof Http2.Http2ServerRequest && request.stream.destroyed
  }

  /** Lets go of an answer that nobody is left for. */
  abandon(): void {
    if (this.socket?.destroyed === true) {
      forget(NodeHttpServerRequest.toServerResponse(this.asked) as Http.ServerResponse)
    }
  }
}
