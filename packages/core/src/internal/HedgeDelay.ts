import { Latencies, quantileAbove } from "./Latencies.ts"

/** How many calls a generation has: what is known is of the last one or two. */
const generation = 500
/** How few calls say nothing yet. */
const minimum = 20
/** How many more are recorded before a quantile is worked out again. */
const staleAfter = 16

/** How long a first attempt has alone, where that is a quantile of how long the latest calls took. */
export class HedgeDelay {
  private current = new Latencies()
  private before = new Latencies()
  private unread = Infinity
  private latest = 0
  private readonly quantile: number

  /** For one quantile: 0.95, say. */
  constructor(quantile: number) {
    this.quantile = quantile
  }

  record(millis: number): void {
    if (this.current.count === generation) {
      const emptied = this.before
      this.before = this.current
      this.current = emptied
      emptied.clear()
    }
    this.current.record(millis)
    this.unread++
  }

  /** In milliseconds; `undefined` while too little is known. */
  millis(): number | undefined {
    const { before, current } = this
    if (current.count + before.count < minimum) return undefined
    if (this.unread >= staleAfter) {
      this.unread = 0
      this.latest = quantileAbove(this.quantile, current, before)
    }
    return this.latest
  }
}
