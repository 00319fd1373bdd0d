import * as Http2 from "node:http2"
import type * as Net from "node:net"

const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = Http2.constants

/** How connections of HTTP/2 are kept. Times in milliseconds. */
export interface SessionOptions {
  /** How long to wait for the other end's settings, and for its answer to a ping. */
  readonly connectTimeout: number
  /** How long one on which nothing is under way is kept. */
  readonly keepAlive: number
  /** How long nothing may come, while something is under way, before the other end is asked whether it is there; 0 for never. */
  readonly ping: number
}

/** How much of a body may come that nobody has read: of one stream, and of them all. */
const streamWindow = 256 * 1024
const sessionWindow = 4 * 1024 * 1024
/** How soon a ping may follow another. Servers take more for an attack. */
const pingDistance = 10_000
/** Identifiers of streams end at 2^31. */
const lastId = 2 ** 30

const nodeOptions = {
  settings: { enablePush: false, initialWindowSize: streamWindow },
  // As many as fit, as with HTTP/1.
  maxHeaderListPairs: 2000,
  maxSessionMemory: 100,
  // What may come only once is the upstream's to judge. Types don't know of it yet.
  strictSingleValueFields: false
}

/** What has to hear of a session. */
export interface Keeper {
  /** There may be room on it that was not there before. */
  hasRoom(): void
  /** No more requests go to it. */
  retired(session: Http2Session): void
  /** Nothing is left of it. */
  gone(session: Http2Session): void
}

/** One connection of HTTP/2 to an upstream, with as many requests at once as that takes. */
export class Http2Session {
  /** Whether anybody has had a response on it. */
  wasUsed = false
  /** How many requests it has under way. */
  active = 0
  private max = 0
  private lastServed = Infinity
  private suspect = false
  private retired = false
  private asked = -Infinity
  private readonly session: Http2.ClientHttp2Session
  private readonly socket: Net.Socket
  private readonly keeper: Keeper
  private readonly pingTimeout: number
  private readonly idle: NodeJS.Timeout
  private pings: NodeJS.Timeout | undefined = undefined

  private constructor(session: Http2.ClientHttp2Session, socket: Net.Socket, keeper: Keeper, options: SessionOptions) {
    this.session = session
    this.socket = socket
    this.keeper = keeper
    this.pingTimeout = options.connectTimeout
    this.idle = setTimeout(() => {
      if (this.active === 0) this.close()
    }, options.keepAlive).unref()
    if (options.ping > 0) this.keepAsking(options.ping)
    session.setLocalWindowSize(sessionWindow)
    session.on("remoteSettings", this.onSettings)
    session.on("goaway", (_, lastStreamId) => {
      this.lastServed = lastStreamId
      this.retire()
    })
    socket.once("close", () => this.destroy())
    session.once("close", () => {
      clearTimeout(this.idle)
      clearInterval(this.pings)
      this.retire()
      keeper.gone(this)
    })
    this.onSettings()
  }

  /** Begins to speak HTTP/2 on a connection. It is there when the other end does, too. */
  static begin(
    origin: string,
    socket: Net.Socket,
    keeper: Keeper,
    options: SessionOptions,
    callback: (session: Http2Session | undefined, error: Error) => void
  ): void {
    const session = Http2.connect(origin, { ...nodeOptions, createConnection: () => socket })
    let settled = false
    const settle = (begun: Http2Session | undefined, error: Error) => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      session.off("close", onClose)
      socket.off("error", onError).off("close", onClose)
      callback(begun, error)
      if (begun === undefined) session.destroy()
    }
    const onClose = () => settle(undefined, new Error("it closed the connection instead of speaking HTTP/2"))
    const onError = (error: Error) => settle(undefined, error)
    const timer = setTimeout(() => settle(undefined, new SettingsTimeout()), options.connectTimeout)
    // Whoever has a stream on it hears of it there.
    session.on(
      "error",
      (cause) => settle(undefined, new Error(`it does not speak HTTP/2: ${cause.message}`, { cause }))
    )
    session.once("close", onClose)
    // Of TLS that fails after the handshake, as it does without a certificate, the session never hears.
    socket.once("error", onError).once("close", onClose)
    session.once("remoteSettings", ({ maxConcurrentStreams = Infinity }) => {
      if (maxConcurrentStreams === 0) return settle(undefined, new Error("it takes no requests"))
      if (!settled) settle(new Http2Session(session, socket, keeper, options), unused)
    })
  }

  /** How many requests it takes at once. */
  get size(): number {
    return this.max
  }

  /** Whether one more request can go to it. */
  get isFree(): boolean {
    const { active, max, retired, session, suspect } = this
    // It tells that it is closed in a while.
    return active < max && !suspect && !retired && !session.destroyed && !session.closed
  }

  /** How much has come, in bytes: as long as that is the same, nothing has. */
  get heard(): number {
    return this.socket.bytesRead
  }

  /** Whether nothing more comes of it. */
  get isGone(): boolean {
    return this.session.destroyed
  }

  /** Whether the other end has said that it has not looked at a request, and won't (RFC 9113, section 8.7). */
  hasRefused({ id, rstCode }: Http2.ClientHttp2Stream): boolean {
    return rstCode === NGHTTP2_REFUSED_STREAM || id === undefined || id > this.lastServed
  }

  /** Begins a request. Throws if its head can't be sent. */
  open(head: Array<string>, options: Http2.ClientSessionRequestOptions): Http2.ClientHttp2Stream {
    const stream = this.session.request(head, options)
    this.active++
    stream.once("close", () => {
      if (--this.active === 0) this.idle.refresh()
      this.keeper.hasRoom()
    })
    if (stream.id !== undefined && stream.id > lastId) this.close()
    return stream
  }

  /**
   * Nothing has come for a request that was given up, nor for any other since this much was heard. Until it has answered a ping, no
   * others follow. A connection that is dead, and whose other end could not say so, would take them all.
   */
  doubt(heard: number): void {
    const now = performance.now()
    if (this.suspect || this.retired || heard !== this.heard || now - this.asked < pingDistance) return
    this.asked = now
    this.suspect = true
    const timer = setTimeout(() => this.destroy(new Error("it did not answer a ping")), this.pingTimeout).unref()
    const answered = () => {
      clearTimeout(timer)
      this.suspect = false
      this.keeper.hasRoom()
    }
    try {
      if (!this.session.ping((error) => error === null && answered())) answered()
    } catch {
      // It is being closed.
      clearTimeout(timer)
    }
  }

  /** No more requests go to it, and it closes after the last of those that are under way. */
  close(): void {
    this.retire()
    if (!this.session.destroyed && !this.session.closed) this.session.close()
  }

  destroy(error?: Error): void {
    this.session.destroy(error, NGHTTP2_CANCEL)
  }

  private readonly onSettings = (): void => {
    const { maxConcurrentStreams = Infinity } = this.session.remoteSettings
    this.max = maxConcurrentStreams
    this.keeper.hasRoom()
  }

  private retire(): void {
    if (this.retired) return
    this.retired = true
    this.keeper.retired(this)
  }

  private keepAsking(every: number): void {
    let { heard } = this
    this.pings = setInterval(() => {
      if (this.active > 0) this.doubt(heard)
      heard = this.heard
    }, every).unref()
  }
}

/** The connection is there, and the other end says nothing. */
export class SettingsTimeout extends Error {
  constructor() {
    super("it did not speak HTTP/2 in time")
  }
}

const unused = new Error("unused")
