// An HDR histogram (https://hdrhistogram.org): buckets that are even within each power of two, so that finding one takes no logarithm.
// A unit is 1/256 of a millisecond; a power of two of them has 16 buckets; 2^29 of them, 35 minutes, are the most that is told apart.
const unitsPerMilli = 256
const most = 2 ** 29 - 1
const bitsOfBucket = 4
const perPower = 1 << bitsOfBucket
const buckets = (29 - bitsOfBucket) * perPower + perPower

const bucketOf = (millis: number): number => {
  const units = millis * unitsPerMilli < most ? (millis * unitsPerMilli) | 0 : most
  const power = 31 - Math.clz32(units)
  return power < bitsOfBucket ? units : (power - bitsOfBucket) * perPower + (units >>> (power - bitsOfBucket))
}

// Where a bucket begins, which is where the one before ends, in milliseconds.
const beginOf = (bucket: number): number => {
  if (bucket < 2 * perPower) return bucket / unitsPerMilli
  const power = (bucket >> bitsOfBucket) - 1
  return ((bucket & (perPower - 1)) + perPower) * 2 ** power / unitsPerMilli
}

/** How long calls took, in buckets whose width is a sixteenth of where they begin, or a unit: 1.7 KB, and 3 ns a call. */
export class Latencies {
  readonly counts: Uint32Array | Float64Array
  count = 0
  sum = 0
  max = 0

  /** Those that are only added to have room for more than 2^32 calls. */
  constructor(counts: Uint32Array | Float64Array = new Uint32Array(buckets)) {
    this.counts = counts
  }

  static sum(all: ReadonlyArray<Latencies>): Latencies {
    const parts = all.filter(({ count }) => count > 0)
    if (parts.length === 1) return parts[0]!
    const sum = new Latencies(new Float64Array(buckets))
    for (const part of parts) sum.add(part)
    return sum
  }

  record(millis: number): void {
    this.counts[bucketOf(millis)]!++
    this.count++
    this.sum += millis
    if (millis > this.max) this.max = millis
  }

  add(other: Latencies): void {
    if (other.count === 0) return
    const { counts } = this
    const last = bucketOf(other.max)
    for (let bucket = 0; bucket <= last; bucket++) counts[bucket]! += other.counts[bucket]!
    this.count += other.count
    this.sum += other.sum
    if (other.max > this.max) this.max = other.max
  }

  clear(): void {
    this.counts.fill(0)
    this.count = this.sum = this.max = 0
  }

  /** In milliseconds, within 1/32 from 1/16 of a millisecond on, and to 1/512 below. There has to be a call. */
  quantile(quantile: number): number {
    const bucket = bucketAt(quantile, this, undefined)
    return Math.min(this.max, (beginOf(bucket) + beginOf(bucket + 1)) / 2)
  }
}

// The last bucket that is needed for this share of the calls. Most are asked for the slowest, so it comes from there.
const bucketAt = (quantile: number, one: Latencies, other: Latencies | undefined): number => {
  const calls = one.count + (other === undefined ? 0 : other.count)
  // How many may be slower. A tenth of ten is one, whatever floating point says.
  let left = calls - Math.max(1, Math.ceil(calls * quantile - 1e-9))
  let bucket = bucketOf(other === undefined ? one.max : Math.max(one.max, other.max))
  for (; bucket > 0; bucket--) {
    left -= one.counts[bucket]! + (other === undefined ? 0 : other.counts[bucket]!)
    if (left < 0) break
  }
  return bucket
}

/** The same of the calls of both, but rounded up to the end of its bucket: 1/16 above it at the most. */
export const quantileAbove = (quantile: number, one: Latencies, other: Latencies): number =>
  beginOf(bucketAt(quantile, one, other) + 1)
