import type * as Http from "node:http"
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from "node:http2"
import { constants } from "node:http2"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import { answer, resetWhenAnswered } from "./answer.ts"
import { Arrivals, type ArrivalsOptions } from "./Arrivals.ts"
import { Connection } from "./Connection.ts"
import { type HeadLimits, wrongHead, wrongHead2 } from "./heads.ts"
import { http1Server, limitHttp1 } from "./http1Server.ts"
import { IncomingBody } from "./IncomingBody.ts"
import { acceptFor } from "./Offer.ts"
import { noTunnel, ofParser, type Refusal, refusal, tooMany, unknownExpectation } from "./refusals.ts"
import { Roster } from "./Roster.ts"
import { http2Server, retire, type SessionOptions, watchSession, Window } from "./Sessions.ts"

// What a server of Node's has, and `acceptFor` sets.
interface Decides extends Net.Server {
  shouldUpgradeCallback?: (request: Http.IncomingMessage) => boolean
}

/** Sizes in bytes, times in milliseconds. */
export interface ListenerOptions extends ArrivalsOptions, HeadLimits, SessionOptions {
  readonly maxBodySize: number
  readonly maxRequestsPerConnection: number
  readonly headTimeout: number
  readonly bodyTimeout: number
  readonly stallTimeout: number
}

/**
 * What listens. Each connection goes to a server of HTTP/1 or of HTTP/2 that doesn't listen itself; requests that nothing is wrong
 * with are emitted by `front`, just as a server of Node's emits them.
 */
export class Listener {
  readonly arrivals: Arrivals
  readonly front: Net.Server
  private options: ListenerOptions
  private readonly http1: Http.Server
  private http2: ReturnType<typeof http2Server>
  private readonly sessions = new WeakMap<ServerHttp2Session, Connection>()
  private readonly bodies = new Roster<IncomingBody>()
  private readonly windows = new Roster<Window>()
  private ticks: NodeJS.Timeout
  private draining = false
  private second = 0

  constructor(options: ListenerOptions, log: (line: string) => void) {
    this.options = options
    const tick = tickOf(options)
    this.arrivals = new Arrivals(options, log, this.begin1, this.begin2)
    this.front = this.arrivals.front
    acceptFor(this.front as Http.Server)
    this.http1 = this.serverOfHttp1(tick)
    this.http2 = this.serverOfHttp2()
    this.ticks = setInterval(() => this.look(), tick).unref()
  }

  /** Other limits: of heads and of HTTP/2 for the connections to come, all others at once. */
  change(options: ListenerOptions): void {
    this.options = options
    this.arrivals.change(options)
    const tick = tickOf(options)
    clearInterval(this.ticks)
    this.ticks = setInterval(() => this.look(), tick).unref()
    limitHttp1(this.http1, options, tick)
    this.http2 = this.serverOfHttp2()
  }

  // It holds nothing that would have to be closed: its sessions do.
  private serverOfHttp2(): ReturnType<typeof http2Server> {
    const server = http2Server(this.options)
    server.on("session", this.onSession)
    server.on("request", (request, response) => this.onRequest2("request", request, response))
    server.on("checkContinue", (request, response) => this.onRequest2("checkContinue", request, response))
    // Node would answer these by itself, and keep their streams for as long as the client does.
    server.on("checkExpectation", (request, response) => this.enter2(request, response, unknownExpectation))
    server.on("connect", (request, response) => this.enter2(request, response, noTunnel))
    server.on("sessionError", () => {})
    return server
  }

  private serverOfHttp1(tick: number): Http.Server {
    const server = http1Server(
      this.options,
      tick,
      (request) => this.front.listenerCount("upgrade") > 1 && (this.front as Decides).shouldUpgradeCallback!(request)
    )
    server.on("request", (request, response) => this.onRequest("request", request, response))
    server.on("checkContinue", (request, response) => this.onRequest("checkContinue", request, response))
    // Node would answer it by itself, and take its body, whatever that is.
    server.on("checkExpectation", ({ socket }: Http.IncomingMessage) => {
      const connection = Connection.of(socket)
      if (connection !== undefined) this.refuse(connection, unknownExpectation)
    })
    server.on("upgrade", (request, socket, head) => this.onTunnel("upgrade", request, socket, head))
    server.on("connect", (request, socket, head) => this.onTunnel("connect", request, socket, head))
    server.on("clientError", this.onClientError)
    return server
  }

  private readonly begin1 = ({ socket }: Connection): void => {
    this.http1.emit("connection", socket)
    socket.resume()
  }

  private readonly begin2 = ({ socket }: Connection): void => {
    socket.allowHalfOpen = false
    this.http2.emit("connection", socket)
  }

  private onRequest(
    event: "request" | "checkContinue",
    request: Http.IncomingMessage,
    response: Http.ServerResponse
  ): void {
    const connection = Connection.of(request.socket)
    if (connection === undefined || connection.refused) return
    const wrong = wrongHead(request, this.options) ?? this.tooLong(request)
    if (wrong !== undefined) return this.refuse(connection, wrong)
    if (!connection.takes(response)) return this.refuse(connection, tooMany)
    const isLast = ++connection.requests >= this.options.maxRequestsPerConnection
    if (isLast) connection.refused = true
    if (isLast || this.draining) response.shouldKeepAlive = false
    if (hasBody(request)) this.receive(connection, request, response)
    // Before the routes are there, and after they are gone.
    if (!this.front.emit(event, request, response)) answer(response, 503)
  }

  private onRequest2(
    event: "request" | "checkContinue",
    request: Http2ServerRequest,
    response: Http2ServerResponse
  ): void {
    const { stream } = request
    const connection = this.enter2(request, response, wrongHead2(request, this.options) ?? this.tooLong(request))
    if (connection === undefined) return
    if (!stream.endAfterHeaders) {
      this.receive(connection, request, response)
      resetWhenAnswered(stream)
    }
    // Before the routes are there, and after they are gone.
    if (!this.front.emit(event, request, response)) answer(response, 503)
  }

  /** Counts a stream, and answers one that is refused; the others' connection is returned. */
  private enter2(
    { stream }: Http2ServerRequest,
    response: Http2ServerResponse,
    wrong: Refusal | undefined
  ): Connection | undefined {
    const session = stream.session as ServerHttp2Session | undefined
    const connection = session && this.sessions.get(session)
    if (session === undefined || connection === undefined) {
      stream.close(constants.NGHTTP2_CANCEL)
      return undefined
    }
    const window = new Window(connection, stream)
    connection.streams++
    this.windows.add(window)
    stream.once("close", () => {
      connection.streams--
      this.windows.delete(window)
    })
    if (wrong !== undefined) {
      connection.tell(wrong.reason, wrong.status)
      answer(response, wrong.status)
      return undefined
    }
    // A client that comes while the server drains has come for one request at least.
    if (++connection.requests >= this.options.maxRequestsPerConnection || this.draining) retire(session)
    return connection
  }

  private tooLong({ headers, readableLength }: Http.IncomingMessage | Http2ServerRequest): Refusal | undefined {
    const { maxBodySize } = this.options
    return Math.max(Number(headers["content-length"] ?? 0), readableLength) > maxBodySize
      ? refusal(413, `its request body is longer than ${maxBodySize} bytes`)
      : undefined
  }

  private onTunnel(event: "upgrade" | "connect", request: Http.IncomingMessage, socket: Duplex, head: Buffer): void {
    const connection = Connection.of(request.socket)
    if (connection === undefined || connection.refused) return
    const wrong = wrongHead(request, this.options) ?? this.tooLong(request) ??
      (this.front.listenerCount(event) === 0 ? noTunnel : undefined)
    connection.givenAway()
    if (wrong !== undefined) {
      socket.on("error", () => {})
      return this.refuse(connection, wrong)
    }
    if (event === "upgrade" && hasBody(request)) this.receive(connection, request, undefined)
    this.front.emit(event, request, socket, head)
  }

  private refuse(connection: Connection, { reason, status }: Refusal): void {
    if (connection.refused) return
    connection.tell(reason, status)
    connection.refuse(status)
  }

  private receive(
    connection: Connection,
    request: Http.IncomingMessage | Http2ServerRequest,
    response: Http.ServerResponse | Http2ServerResponse | undefined
  ): void {
    const body = new IncomingBody(connection, request, response, this.options.maxBodySize, this.refuseBody)
    this.bodies.add(body)
    connection.receiving = body
    const done = () => this.bodies.delete(body)
    request.once("end", done).once("close", done)
  }

  /** Ends a request whose body can't go on. If its answer has begun, that breaks off with it. */
  private readonly refuseBody = (body: IncomingBody, { reason, status }: Refusal): void => {
    const { connection, request, response } = body
    connection.tell(reason, status)
    this.bodies.delete(body)
    connection.refused ||= !isHttp2(request)
    body.swallow()
    if (response === undefined) request.socket.destroy()
    else if (!response.headersSent) answer(response, status)
    else if (isHttp2(request)) request.stream.close(constants.NGHTTP2_CANCEL)
    else request.socket.destroy()
    // Now that there is an answer, whoever reads the body can't give another.
    body.break()
  }

  private readonly onClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
    const connection = Connection.of(socket as Net.Socket)
    if (connection === undefined) return void socket.destroy()
    const why = ofParser(error, this.options.maxHeaderBytes)
    if (why === undefined) return void socket.destroy()
    const { receiving } = connection
    if (receiving !== undefined && this.bodies.has(receiving) && !receiving.request.complete) {
      if (receiving.response?.writableEnded !== true) return this.refuseBody(receiving, why)
      // It has its answer, and was let say the rest.
      connection.refused = true
      socket.end()
      return connection.linger()
    }
    // What follows on a connection that is refused is of no interest.
    this.refuse(connection, why)
  }

  private readonly onSession = (session: ServerHttp2Session): void => {
    const connection = Connection.of(session.socket)
    if (connection === undefined) return session.destroy()
    this.sessions.set(session, connection)
    watchSession(connection, session)
  }

  /** Looks for those that take too long. */
  private look(): void {
    const { bodyTimeout, headTimeout, keepAlive, stallTimeout } = this.options
    const now = performance.now()
    const isNewSecond = now - this.second >= 1000
    if (isNewSecond) this.second = now
    for (const body of this.bodies) {
      if (body.isSlow(now, bodyTimeout)) this.refuseBody(body, refusal(408, "its request body took too long"))
    }
    for (const connection of this.arrivals.connections) {
      if (isNewSecond) connection.chatter = 0
      if (connection.phase === "silent" && now - connection.since >= headTimeout) {
        connection.phase = "heard"
        this.refuse(connection, refusal(408, "its request head took too long"))
      }
      if (connection.isIdle(now, keepAlive)) connection.dismiss()
      if (connection.isStuck(now, stallTimeout)) {
        connection.tell("it does not read what it has asked for")
        connection.socket.destroy()
      }
    }
    for (const window of this.windows) {
      if (!window.isStuck(now, stallTimeout)) continue
      window.connection.tell("it does not read what it has asked for")
      window.stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  /** Clients are told, with their next answer, that their connection closes. */
  retire(): void {
    this.draining = true
    for (const { response, session } of this.arrivals.connections) {
      if (response?.headersSent === false) response.shouldKeepAlive = false
      if (session !== undefined) retire(session)
    }
  }

  /** No more connections; those that nothing is under way on are closed, the others when that has ended. Calls back when none is left. */
  close(done: () => void): void {
    Net.Server.prototype.close.call(this.front, () => {
      clearInterval(this.ticks)
      this.http1.close()
      done()
    })
    for (const { phase, response, session, socket } of this.arrivals.connections) {
      if (phase !== "heard") socket.destroy()
      if (session !== undefined) retire(session)
      if (response !== undefined && !response.writableFinished) {
        response.once("finish", () => setImmediate(() => this.http1.closeIdleConnections()))
      }
    }
    this.http1.closeIdleConnections()
  }

  /** Whatever is left is gone. Answers how many connections that were. */
  destroy(): number {
    const { connections } = this.arrivals
    for (const { session, socket } of connections) {
      session?.destroy()
      socket.destroy()
    }
    return connections.size
  }
}

// How often is looked for those that take too long.
const tickOf = ({ bodyTimeout, headTimeout, keepAlive, stallTimeout }: ListenerOptions): number =>
  Math.min(1000, Math.max(10, Math.ceil(Math.min(headTimeout, bodyTimeout, stallTimeout, keepAlive) / 4)))

const isHttp2 = (request: Http.IncomingMessage | Http2ServerRequest): request is Http2ServerRequest =>
  request.httpVersionMajor === 2

const hasBody = ({ headers }: Http.IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0"
