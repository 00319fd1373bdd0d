import type * as Metric from "effect/Metric"

/** Counts in buckets, kept as plain numbers until somebody reads them. */
export class Histogram {
  private readonly boundaries: ReadonlyArray<number>
  private readonly counts: Float64Array
  private count = 0
  sum = 0
  private min = Infinity
  max = -Infinity

  constructor(boundaries: ReadonlyArray<number>) {
    this.boundaries = boundaries
    this.counts = new Float64Array(boundaries.length + 1)
  }

  record(value: number): void {
    const { boundaries } = this
    let bucket = 0
    while (bucket < boundaries.length && value > boundaries[bucket]!) bucket++
    this.counts[bucket]!++
    this.count++
    this.sum += value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
  }

  state(): Metric.HistogramState {
    let below = 0
    return {
      buckets: this.boundaries.map((boundary, i) => [boundary, below += this.counts[i]!]),
      count: this.count,
      min: this.count === 0 ? 0 : this.min,
      max: this.count === 0 ? 0 : this.max,
      sum: this.sum
    }
  }
}
