import type * as Net from "node:net"
import type { Dialer } from "./Dialer.ts"
import { Http2Session, type Keeper, type SessionOptions } from "./Http2Session.ts"

/** A request that wants to go out. */
export interface Waiter {
  /** It has its place on a connection. */
  ready(session: Http2Session): void
  /** There is no connection. */
  unreachable(error: Error): void
  /** The upstream prefers HTTP/1.1. */
  speaks1(): void
}

export interface OriginOptions extends SessionOptions {
  /** How many connections there may be. */
  readonly connections: number
  /** Takes a connection on which HTTP/1.1 was agreed, where that is fine. */
  readonly adopt: ((socket: Net.Socket) => void) | undefined
  /** Nothing is left of it. */
  readonly empty: () => void
}

/**
 * The connections of HTTP/2 to one origin. A request goes to the first that has room for it; if there is none it waits, and as many
 * are opened as it takes for those that wait.
 */
export class Http2Origin implements Keeper {
  private readonly origin: string
  private readonly dialer: Dialer
  private readonly options: OriginOptions
  private readonly sessions = new Set<Http2Session>()
  /** In their order; served before those that come later. */
  private readonly waiting = new Set<Waiter>()
  private connecting = 0
  /** How many requests a connection is expected to take. */
  private size = Infinity
  private serving = false
  private closing = false
  private retiring = new Set<Http2Session>()

  constructor(origin: string, dialer: Dialer, options: OriginOptions) {
    this.origin = origin
    this.dialer = dialer
    this.options = options
  }

  get isEmpty(): boolean {
    return this.sessions.size + this.retiring.size + this.connecting + this.waiting.size === 0
  }

  begin(waiter: Waiter): void {
    if (this.waiting.size === 0) {
      const session = this.free()
      if (session !== undefined) return waiter.ready(session)
    }
    this.waiting.add(waiter)
    this.serve()
  }

  leave(waiter: Waiter): void {
    this.waiting.delete(waiter)
  }

  hasRoom(): void {
    this.serve()
  }

  retired(session: Http2Session): void {
    if (!this.sessions.delete(session)) return
    this.retiring.add(session)
    this.serve()
  }

  gone(session: Http2Session): void {
    this.retiring.delete(session)
    this.serve()
  }

  /** What waits is served still, and what is under way ends by itself. */
  close(): void {
    this.closing = true
    this.serve()
  }

  destroy(): void {
    this.closing = true
    this.fail(new Error("the transport is closed"))
    for (const session of [...this.sessions, ...this.retiring]) session.destroy()
  }

  private free(): Http2Session | undefined {
    for (const session of this.sessions) if (session.isFree) return session
    return undefined
  }

  private serve(): void {
    // A request that fails at once makes room again.
    if (this.serving) return
    this.serving = true
    for (const waiter of this.waiting) {
      const session = this.free()
      if (session === undefined) break
      this.waiting.delete(waiter)
      waiter.ready(session)
    }
    this.serving = false
    while (this.needsAnother) this.open()
    if (this.closing && this.waiting.size === 0) { for (const session of this.sessions) session.close() }
    if (this.isEmpty) this.options.empty()
  }

  private get needsAnother(): boolean {
    const { connecting, sessions, size, waiting } = this
    if (waiting.size === 0 || sessions.size + connecting >= this.options.connections) return false
    return connecting === 0 || waiting.size > connecting * size
  }

  private open(): void {
    this.connecting++
    this.dialer.dial((error, socket, is2) => {
      if (socket === null) return this.failed(error!)
      if (is2 || this.origin.startsWith("http:")) {
        return Http2Session.begin(this.origin, socket, this, this.options, (session, error) => {
          if (session === undefined) return this.failed(error)
          this.connecting--
          this.size = session.size
          this.sessions.add(session)
          this.serve()
        })
      }
      const { adopt } = this.options
      if (adopt === undefined) {
        socket.destroy()
        return this.failed(new Error("it did not agree to HTTP/2"))
      }
      this.connecting--
      adopt(socket)
      for (const waiter of this.takeAll()) waiter.speaks1()
      this.serve()
    })
  }

  // Those who wait may still be served by the others, if there are any.
  private failed(error: Error): void {
    this.connecting--
    if (this.connecting + this.sessions.size === 0) this.fail(error)
    if (this.isEmpty) this.options.empty()
  }

  private fail(error: Error): void {
    for (const waiter of this.takeAll()) waiter.unreachable(error)
  }

  private takeAll(): ReadonlyArray<Waiter> {
    const all = Array.from(this.waiting)
    this.waiting.clear()
    return all
  }
}
