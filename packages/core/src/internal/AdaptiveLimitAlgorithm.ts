import * as Duration from "effect/Duration"

/** How a limit follows the latency that is measured under it. */
export interface Algorithm {
  readonly name: "gradient" | "aimd"
  /** Its own, to be shown. */
  settings(): { readonly [setting: string]: unknown }
  /** From when on a call is slow, in milliseconds. */
  slowerThan(baseline: number | undefined): number
  /**
   * The limit after a window. `latency`, in milliseconds, is Infinity where too many calls were cut off; `used` is whether the window
   * came near the limit at all: one that nobody reaches says nothing for a higher one.
   */
  next(limit: number, latency: number, used: boolean, baseline: number | undefined): number
}

const clamp = (n: number, least: number, most: number): number => Math.min(most, Math.max(least, n))

/**
 * Envoy's gradient controller, with the smoothing and the tolerance of Netflix' Gradient2: what the latency is more than it has to be is
 * a queue in the dependency, and the limit is what there would be without it, and a little more.
 */
export class Gradient implements Algorithm {
  readonly name = "gradient"
  readonly tolerance: number
  readonly smoothing: number

  constructor(tolerance: number, smoothing: number) {
    this.tolerance = tolerance
    this.smoothing = smoothing
  }

  settings() {
    return { tolerance: this.tolerance, smoothing: this.smoothing }
  }

  slowerThan(baseline: number | undefined): number {
    return baseline === undefined ? Infinity : this.tolerance * baseline
  }

  next(limit: number, latency: number, used: boolean, baseline: number | undefined): number {
    if (baseline === undefined && latency !== Infinity) return limit
    // Never above 1: that calls are faster than they have to be is no reason for more of them.
    const gradient = clamp(this.slowerThan(baseline) / latency || 0, 0.5, 1)
    const room = limit * gradient
    const next = limit + this.smoothing * (room + Math.sqrt(room) - limit)
    return used ? next : Math.min(limit, next)
  }
}

/** Additive increase, multiplicative decrease, as TCP has it, on a latency that is asked for. */
export class Aimd implements Algorithm {
  readonly name = "aimd"
  readonly target: number
  readonly increase: number
  readonly backoff: number

  constructor(target: number, increase: number, backoff: number) {
    this.target = target
    this.increase = increase
    this.backoff = backoff
  }

  settings() {
    return { target: Duration.millis(this.target), increase: this.increase, backoff: this.backoff }
  }

  slowerThan(): number {
    return this.target
  }

  next(limit: number, latency: number, used: boolean): number {
    if (latency > this.target) return limit * this.backoff
    return used ? limit + this.increase : limit
  }
}
