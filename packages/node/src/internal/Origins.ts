import type { Upstream } from "@blackgate/http/Upstream"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Pool } from "undici"

/** The connections to each origin. Those to an origin that nobody has asked for lately are forgotten with the last of them. */
export class Origins {
  private readonly pools = new Map<string, Pool>()
  private readonly options: Pool.Options

  constructor(options: Pool.Options) {
    this.options = options
  }

  dispatcher({ connections, origin }: Upstream): Pool {
    const key = connections === undefined ? origin : `${origin} ${connections}`
    let pool = this.pools.get(key)
    if (pool === undefined) this.pools.set(key, pool = this.open(key, origin, connections))
    return pool
  }

  /** Lets what is under way end by itself, for a while. */
  close(drain: Duration.Input): Effect.Effect<void> {
    const pools = Array.from(this.pools.values())
    this.pools.clear()
    return Effect.forEach(
      pools,
      (pool) =>
        Effect.promise(() => pool.close()).pipe(
          Effect.timeoutOption(drain),
          Effect.andThen(Effect.promise(() => pool.destroy())),
          Effect.ignore
        ),
      { concurrency: "unbounded", discard: true }
    )
  }

  private open(key: string, origin: string, connections: number | undefined): Pool {
    const pool = new Pool(origin, { ...this.options, connections: connections ?? null, pipelining: 1, allowH2: false })
    const forget = () => {
      const { connected, pending, queued, running } = pool.stats
      if (connected + pending + queued + running > 0 || this.pools.get(key) !== pool) return
      this.pools.delete(key)
      void pool.close()
    }
    pool.on("disconnect", forget)
    pool.on("connectionError", forget)
    return pool
  }
}
