import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Http from "node:http"
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import { listen } from "./Connections.ts"
import { Early, lastWords } from "./Early.ts"
import type { End } from "./Joint.ts"

const offers = new WeakMap<Http.IncomingMessage, Offer>()
const declined = new WeakSet<Http.IncomingMessage>()

// Node 26 parses the body of such a request; before, it is in the way.
const parsesBodies = Number(process.versions.node.split(".")[0]) >= 26

/**
 * A connection that a server has given away, with the request that asked for another protocol.
 *
 * It becomes a tunnel; or the request gets an ordinary answer, and the connection goes back to the server. Effect would close it.
 */
export class Offer {
  private readonly server: Http.Server
  private readonly request: Http.IncomingMessage
  private readonly stream: Duplex
  private readonly listeners: ReadonlyMap<string | symbol, ReadonlyArray<unknown>>
  private readonly early: Early
  private response: Http.ServerResponse | undefined = undefined

  constructor(server: Http.Server, request: Http.IncomingMessage, stream: Duplex, head: Buffer) {
    this.server = server
    this.request = request
    this.stream = stream
    this.early = new Early(stream, head)
    listen(request.socket) // while the listeners are counted that are to stay
    stream.once("finish", this.onEnded)
    this.listeners = new Map(["error", "close"].map((event) => [event, stream.listeners(event)]))
  }

  static of(source: HttpServerRequest): Offer | undefined {
    return source.source instanceof Http.IncomingMessage ? offers.get(source.source) : undefined
  }

  /** A client that leaves is noticed from now on, and an ordinary answer does not end its connection. */
  keep(source: HttpServerRequest): void {
    const { request, stream } = this
    // A body is still to be read from this connection, by whoever wants it.
    if (this.response !== undefined || stream !== request.socket || stream.destroyed) return
    const response = this.response = NodeHttpServerRequest.toServerResponse(source) as Http.ServerResponse
    if (response.writableEnded) return
    if (/(?:^|,)\s*close\s*(?:,|$)/i.test(request.headers.connection ?? "")) response.shouldKeepAlive = false
    // Effect's own, which ends the connection.
    response.removeAllListeners("finish").once("finish", this.onAnswered)
    this.early.watch()
  }

  /** The connection, for a tunnel. What was said before comes first. */
  take(): End {
    const { request, stream } = this
    this.release()
    return { stream, socket: request.socket }
  }

  /** The tunnel is over: nothing is to be answered any more. */
  close(): void {
    this.response?.destroy()
  }

  // Effect has ended it with an ordinary answer: no protocol is there whose other half could still come.
  private readonly onEnded = (): void => {
    if (isAnswering(this.request.socket)) lastWords(this.request.socket)
  }

  private release(): void {
    const { early, response, stream } = this
    stream.off("finish", this.onEnded)
    if (response?.socket) response.detachSocket(response.socket)
    early.release()
  }

  private readonly onAnswered = (): void => {
    const { response, server } = this
    const socket = this.request.socket
    this.release()
    if (socket.destroyed) return
    const { _last: isLast } = response as unknown as { readonly _last: boolean }
    if (isLast || !server.listening) return lastWords(socket)
    for (const [event, before] of this.listeners) {
      for (const listener of socket.listeners(event)) {
        if (!before.includes(listener)) socket.off(event, listener as () => void)
      }
    }
    server.emit("encrypted" in socket ? "secureConnection" : "connection", socket)
  }
}

/** What becomes of a request that asks for another protocol: see `Upgrade.Upgrades`. */
export const stateOf = (source: HttpServerRequest): "ready" | "declined" | "unknown" => {
  const request = source.source
  if (!(request instanceof Http.IncomingMessage)) return "unknown"
  const offer = offers.get(request)
  offer?.keep(source)
  return offer !== undefined ? "ready" : declined.has(request) ? "declined" : "unknown"
}

const accepting = new WeakSet<Http.Server>()

interface Decides {
  shouldUpgradeCallback?: (this: Http.Server, request: Http.IncomingMessage) => boolean
}

/** Makes a server's upgrades offers, if they may be. It has to come before whoever else listens for them. */
export const acceptFor = (server: Http.Server): void => {
  if (accepting.has(server)) return
  accepting.add(server)
  server.prependListener("upgrade", (request: Http.IncomingMessage, stream: Duplex, head: Buffer) => {
    if (server.listenerCount("upgrade") === 1) return stream.destroy() // nobody else is there any more
    offers.set(request, new Offer(server, request, stream, head))
  })
  const decides = server as Decides
  const before = decides.shouldUpgradeCallback
  decides.shouldUpgradeCallback = (request) => {
    if (before !== undefined && !before.call(server, request)) return false
    if (mayUpgrade(request)) return true
    declined.add(request)
    // Node forgets what was read with it and stands behind it. Whoever waits for an answer to that is to know, and asks again.
    server.prependOnceListener("request", (next: Http.IncomingMessage, response: Http.ServerResponse) => {
      if (next === request) response.shouldKeepAlive = false
    })
    return false
  }
}

const mayUpgrade = (request: Http.IncomingMessage): boolean => {
  const { headers, httpVersion, socket } = request
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0
  return httpVersion === "1.1" && !isAnswering(socket) && (parsesBodies || !hasBody)
}

/** Whether an answer to an earlier request is under way: what is written to the connection would come in the middle of that. */
export const isAnswering = (socket: Net.Socket): boolean => {
  const { _httpMessage: answer } = socket as { readonly _httpMessage?: unknown }
  return answer !== undefined && answer !== null
}
