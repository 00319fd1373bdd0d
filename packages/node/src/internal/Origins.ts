import type { Upstream } from "@blackgate/http/Upstream"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Net from "node:net"
import { type buildConnector, Pool } from "undici"
import { Dialer, type DialOptions, keyOf } from "./Dialer.ts"
import { Lane } from "./Lane.ts"
import { soon } from "./soon.ts"

/**
 * The connections to one origin: one for each exchange under way.
 *
 * undici uses a connection again in the next turn of the event loop, lest an answer be taken for one to the next request; and for a
 * request that comes before, such as one that has waited for this very permit, it opens another. Here such a request waits for that
 * turn.
 */
export class Origin {
  readonly pool: Pool
  private readonly open: (pipelining: 0 | 1) => Pool
  private single: Pool | undefined = undefined
  private connected = 0
  /** Exchanges under way. */
  private active = 0
  /** Connections whose exchange has ended in this turn. */
  private resting = 0

  constructor(open: (pipelining: 0 | 1) => Pool) {
    this.open = open
    const pool = this.pool = open(1)
    pool.on("connect", () => this.connected++)
    pool.on("disconnect", () => this.connected--)
  }

  /** Whether exchanges are under way, those included that undici has not heard of yet. */
  get isBusy(): boolean {
    return this.active > 0
  }

  /** Connections that were never used, and never will be again: where a pooled one was stale, the next can be too. */
  get fresh(): Pool {
    return this.single ??= this.open(0)
  }

  get pools(): ReadonlyArray<Pool> {
    return this.single === undefined ? [this.pool] : [this.pool, this.single]
  }

  /** Begins an exchange, now or in the next turn. */
  begin(dispatch: (dispatcher: Pool) => void): void {
    const waits = this.resting > 0 && this.connected <= this.active + this.resting
    this.active++
    if (!waits) return dispatch(this.pool)
    this.resting--
    afterThisTurn(() => dispatch(this.pool))
  }

  /** An exchange that had begun is over; its connection stays, if it ended as it should. */
  end(inOrder: boolean): void {
    this.active--
    if (inOrder && this.resting++ === 0) afterThisTurn(() => this.resting = 0)
  }
}

// undici's own callback is set when ours has returned.
const afterThisTurn = (callback: () => void): void => soon(() => setImmediate(callback))

export interface OriginsOptions extends DialOptions {
  /** How long an idle connection is kept, where the upstream gives no hint. In milliseconds. */
  readonly keepAlive: number
}

/** The connections to each origin. Those to an origin that nobody has asked for lately are forgotten with the last of them. */
export class Origins {
  private readonly origins = new Map<string, Origin>()
  private readonly options: OriginsOptions
  /** Connections that were made to find out what an upstream prefers. */
  private readonly adopted = new Map<string, Set<Net.Socket>>()

  constructor(options: OriginsOptions) {
    this.options = options
  }

  of(upstream: Upstream): Origin {
    const key = keyOf(upstream)
    let known = this.origins.get(key)
    if (known === undefined) this.origins.set(key, known = this.open(key, upstream))
    return known
  }

  /** Whether there are connections to an upstream. */
  has(upstream: Upstream): boolean {
    return this.origins.has(keyOf(upstream))
  }

  /** Takes a connection that is there already. It is used next. */
  adopt(upstream: Upstream, socket: Net.Socket): void {
    const key = keyOf(upstream)
    const sockets = this.adopted.get(key) ?? new Set()
    this.adopted.set(key, sockets.add(socket))
    // Whoever it was made for may be gone.
    const timer = setTimeout(() => sockets.delete(socket) && socket.destroy(), this.options.keepAlive)
    timer.unref()
    socket.once("close", () => {
      clearTimeout(timer)
      sockets.delete(socket)
    })
  }

  private takeAdopted(key: string): Net.Socket | undefined {
    const sockets = this.adopted.get(key)
    if (sockets === undefined) return undefined
    const [socket] = sockets
    if (socket !== undefined) sockets.delete(socket)
    if (sockets.size === 0) this.adopted.delete(key)
    return socket
  }

  private connectorFor(key: string, upstream: Upstream): buildConnector.connector {
    const { connect } = new Dialer(upstream, this.options, false)
    return (to, callback) => {
      const socket = this.takeAdopted(key)
      if (socket === undefined || socket.destroyed) connect(to, callback)
      else queueMicrotask(() => callback(null, socket))
    }
  }

  /** Lets what is under way end by itself, for a while. */
  close(drain: Duration.Input): Effect.Effect<void> {
    const origins = Array.from(this.origins.values())
    this.origins.clear()
    for (const sockets of this.adopted.values()) for (const socket of sockets) socket.destroy()
    return Effect.forEach(
      origins.flatMap(({ pools }) => pools),
      (pool) =>
        Effect.promise(() => pool.close()).pipe(
          Effect.timeoutOption(drain),
          Effect.andThen(Effect.promise(() => pool.destroy())),
          Effect.ignore
        ),
      { concurrency: "unbounded", discard: true }
    )
  }

  private open(key: string, upstream: Upstream): Origin {
    const { connections, origin } = upstream
    const connect = this.connectorFor(key, upstream)
    const forget = () => {
      if (opened.isBusy || opened.pools.some(isInUse) || this.origins.get(key) !== opened) return
      this.origins.delete(key)
      for (const pool of opened.pools) void pool.close()
    }
    const opened = new Origin((pipelining) => {
      const pool = new Pool(origin, {
        connect,
        keepAliveTimeout: this.options.keepAlive,
        connections: connections ?? null,
        pipelining,
        allowH2: false,
        factory: (origin, options) => new Lane(origin, options as ConstructorParameters<typeof Lane>[1])
      })
      pool.on("disconnect", forget)
      pool.on("connectionError", forget)
      return pool
    })
    return opened
  }
}

const isInUse = ({ stats: { connected, pending, queued, running } }: Pool): boolean =>
  connected + pending + queued + running > 0
