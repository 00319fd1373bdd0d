import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type * as Net from "node:net"
import { watch, type Watcher, watchStream } from "./Connections.ts"

/** Who has sent a request, as far as Node's servers show it. */
export class Client {
  readonly request: Http.IncomingMessage | Http2.Http2ServerRequest | undefined
  /** Hears no more of it. */
  readonly unwatch: () => void
  private readonly socket: Net.Socket | undefined

  constructor({ source }: HttpServerRequest, watcher: Watcher) {
    this.request = source instanceof Http.IncomingMessage || source instanceof Http2.Http2ServerRequest
      ? source
      : undefined
    this.socket = source instanceof Http.IncomingMessage ? source.socket : undefined
    this.unwatch = this.socket !== undefined
      ? watch(this.socket, watcher)
      : source instanceof Http2.Http2ServerRequest
      ? watchStream(source.stream, watcher)
      : () => {}
  }

  /** Whether there is nobody left to answer. */
  get isGone(): boolean {
    const { request, socket } = this
    if (socket !== undefined) return socket.destroyed
    return request instanceof Http2.Http2ServerRequest && request.stream.destroyed
  }
}
