import { type Clock, Effect } from "effect"
import type { Settings } from "../../packages/core/src/internal/Limiter.ts"

/** What a clock shows, set by hand. */
export class Hands implements Clock.Clock {
  wall = 1_700_000_000_000
  monotonic = 5_000
  readonly currentTimeMillisUnsafe = () => this.wall
  readonly currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  readonly currentTimeNanosUnsafe = () => BigInt(this.wall) * 1_000_000n
  readonly currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  readonly monotonicTimeNanosUnsafe = () => BigInt(Math.round(this.monotonic * 1_000_000))
  readonly monotonicTimeNanos = Effect.sync(this.monotonicTimeNanosUnsafe)
  readonly sleep = () => Effect.never
  pass(millis: number): void {
    this.wall += millis
    this.monotonic += millis
  }
}

/** The settings of a limit, as far as they do not matter. */
export const settings = (some: Partial<Settings>): Settings => ({
  limit: 10,
  window: 1000,
  algorithm: "token-bucket",
  maxKeys: 100_000,
  onStoreError: "allow",
  storeTimeout: 100,
  ...some
})
