import type * as Metric from "effect/Metric"

/** Counts in buckets, kept as plain numbers until somebody reads them. */
export class Histogram {
  private readonly boundaries: ReadonlyArray<number>
  private readonly counts: Float64Array
  /** The value that most have, which takes no more than to count it. */
  private readonly usual: number
  private usually = 0
  private others = 0
  private sumOfOthers = 0
  private minOfOthers = Infinity
  private maxOfOthers = -Infinity

  constructor(boundaries: ReadonlyArray<number>, usual: number = NaN) {
    this.boundaries = boundaries
    this.counts = new Float64Array(boundaries.length + 1)
    this.usual = usual
  }

  record(value: number): void {
    if (value === this.usual) {
      this.usually++
      return
    }
    this.counts[this.bucketOf(value)]!++
    this.others++
    this.sumOfOthers += value
    if (value < this.minOfOthers) this.minOfOthers = value
    if (value > this.maxOfOthers) this.maxOfOthers = value
  }

  get count(): number {
    return this.others + this.usually
  }

  get sum(): number {
    return this.usually === 0 ? this.sumOfOthers : this.sumOfOthers + this.usually * this.usual
  }

  /** `-Infinity` before the first value. */
  get max(): number {
    return this.usually === 0 ? this.maxOfOthers : Math.max(this.maxOfOthers, this.usual)
  }

  state(): Metric.HistogramState {
    const { count, max, sum } = this
    const min = this.usually === 0 ? this.minOfOthers : Math.min(this.minOfOthers, this.usual)
    const counts = Float64Array.from(this.counts)
    if (this.usually > 0) counts[this.bucketOf(this.usual)]! += this.usually
    let below = 0
    return {
      buckets: this.boundaries.map((boundary, i) => [boundary, below += counts[i]!]),
      count,
      min: count === 0 ? 0 : min,
      max: count === 0 ? 0 : max,
      sum
    }
  }

  private bucketOf(value: number): number {
    const { boundaries } = this
    let bucket = 0
    while (bucket < boundaries.length && value > boundaries[bucket]!) bucket++
    return bucket
  }
}
