import type { Upstream } from "@blackgate/http/Upstream"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { buildConnector, Pool } from "undici"
import { Resets } from "./Resets.ts"

/**
 * The connections to one origin: one for each exchange under way.
 *
 * undici uses a connection again in the next turn of the event loop, lest an answer be taken for one to the next request; and for a
 * request that comes before, such as one that has waited for this very permit, it opens another. Here such a request waits for that
 * turn.
 */
export class Origin {
  readonly pool: Pool
  readonly resets: Resets
  private connected = 0
  /** Exchanges under way. */
  private active = 0
  /** Connections whose exchange has ended in this turn. */
  private resting = 0

  constructor(pool: Pool, resets: Resets) {
    this.pool = pool
    this.resets = resets
    pool.on("connect", () => this.connected++)
    pool.on("disconnect", () => this.connected--)
  }

  /** Whether exchanges are under way, those included that undici has not heard of yet. */
  get isBusy(): boolean {
    return this.active > 0
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
const afterThisTurn = (callback: () => void): void => queueMicrotask(() => setImmediate(callback))

/** The connections to each origin. Those to an origin that nobody has asked for lately are forgotten with the last of them. */
export class Origins {
  private readonly origins = new Map<string, Origin>()
  private readonly options: Pool.Options

  constructor(options: Pool.Options) {
    this.options = options
  }

  of({ connections, origin }: Upstream): Origin {
    const key = connections === undefined ? origin : `${origin} ${connections}`
    let known = this.origins.get(key)
    if (known === undefined) this.origins.set(key, known = this.open(key, origin, connections))
    return known
  }

  /** Lets what is under way end by itself, for a while. */
  close(drain: Duration.Input): Effect.Effect<void> {
    const origins = Array.from(this.origins.values())
    this.origins.clear()
    return Effect.forEach(
      origins,
      ({ pool }) =>
        Effect.promise(() => pool.close()).pipe(
          Effect.timeoutOption(drain),
          Effect.andThen(Effect.promise(() => pool.destroy())),
          Effect.ignore
        ),
      { concurrency: "unbounded", discard: true }
    )
  }

  private open(key: string, origin: string, connections: number | undefined): Origin {
    const { connectTimeout, ...options } = this.options
    const resets = new Resets()
    const connect = resets.watching(
      buildConnector({ allowH2: false, ...(connectTimeout !== undefined && { timeout: connectTimeout }) })
    )
    const pool = new Pool(origin, {
      ...options,
      connect,
      connections: connections ?? null,
      pipelining: 1,
      allowH2: false
    })
    const opened = new Origin(pool, resets)
    const forget = () => {
      const { connected, pending, queued, running } = pool.stats
      if (connected + pending + queued + running > 0 || opened.isBusy || this.origins.get(key) !== opened) return
      this.origins.delete(key)
      void pool.close()
    }
    pool.on("disconnect", forget)
    pool.on("connectionError", forget)
    return opened
  }
}
