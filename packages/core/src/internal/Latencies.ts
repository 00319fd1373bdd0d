/** How many calls a generation has: what is known is of the last one or two. */
const generation = 500
/** How few calls say nothing yet. */
const minimum = 20
/** How many more are recorded before a quantile is worked out again. */
const staleAfter = 16

// Buckets grow by a tenth, from a tenth of a millisecond to about seven minutes.
const growth = Math.log(1.1)
const least = 0.1
const buckets = 160

/** How long the latest calls took, as far as quantiles go: within a tenth, in constant space. */
export class Latencies {
  private current = new Uint16Array(buckets)
  private before = new Uint16Array(buckets)
  private calls = 0
  private callsBefore = 0
  private unread = Infinity
  private readonly wanted: number
  private latest: number | undefined = undefined

  /** For one quantile: 0.95, say. */
  constructor(quantile: number) {
    this.wanted = quantile
  }

  record(millis: number): void {
    if (this.calls === generation) {
      const emptied = this.before
      this.before = this.current
      this.callsBefore = this.calls
      this.current = emptied.fill(0)
      this.calls = 0
    }
    const bucket = millis <= least ? 0 : Math.min(buckets - 1, Math.ceil(Math.log(millis / least) / growth))
    this.current[bucket]!++
    this.calls++
    this.unread++
  }

  /** In milliseconds, rounded up to the end of its bucket; `undefined` while too little is known. */
  quantile(): number | undefined {
    const calls = this.calls + this.callsBefore
    if (calls < minimum) return undefined
    if (this.unread >= staleAfter) {
      this.unread = 0
      let left = Math.ceil(calls * this.wanted)
      let bucket = -1
      while (left > 0) {
        bucket++
        left -= this.current[bucket]! + this.before[bucket]!
      }
      this.latest = least * Math.exp(bucket * growth)
    }
    return this.latest
  }
}
