import type { Upstream } from "@blackgate/http/Upstream"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Pool } from "undici"
import { Lane } from "./Lane.ts"

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

  private open(key: string, origin: string, connections: number | undefined): Origin {
    const forget = () => {
      if (opened.isBusy || opened.pools.some(isInUse) || this.origins.get(key) !== opened) return
      this.origins.delete(key)
      for (const pool of opened.pools) void pool.close()
    }
    const opened = new Origin((pipelining) => {
      const pool = new Pool(origin, {
        ...this.options,
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
