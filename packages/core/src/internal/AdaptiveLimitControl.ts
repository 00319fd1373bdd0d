import type { Algorithm } from "./AdaptiveLimitAlgorithm.ts"

/** How many of the latest calls of a window are kept. */
export const samplesKept = 1000

// What is shorter is as short: a ratio of two readings of a clock says nothing.
const shortest = 0.1
// A window is as long as a call took, so that it sees what the last change did, but no longer than so many times its own time.
const longestWindow = 10
// Windows at the floor after which the baseline is in doubt.
const windowsAtFloor = 5
// Baselines take a twentieth of the time at the most, however slow the calls.
const baselineShare = 20
// So many times the calls of a baseline, failures included, and it is given up.
const patience = 4

/** How a baseline is measured. Times are in milliseconds. */
interface BaselineSettings {
  readonly every: number
  readonly calls: number
  readonly jitter: number
}

/** Options with their defaults. Times are in milliseconds. */
export interface Settings {
  readonly algorithm: Algorithm
  readonly min: number
  readonly initial: number
  readonly window: number
  readonly minimumCalls: number
  readonly quantile: number
  /** Where the algorithm compares with one. */
  readonly baseline: BaselineSettings | undefined
}

/**
 * Measures calls in windows and moves the limit after each: between a floor and a ceiling, whatever the clock does.
 *
 * It has no timer: it moves when calls end. While a baseline is measured the floor is in force, so that no call waits for another
 * inside of the dependency; the limit is back afterwards as it was.
 */
export class AdaptiveLimitControl {
  readonly settings: Settings
  ceiling: number
  /** What the algorithm has come to. What is in force is a whole number. */
  estimate: number
  /** In milliseconds: what the last window had, and what it has to be. */
  latency: number | undefined = undefined
  baseline: number | undefined = undefined
  measuring: boolean

  private readonly random: () => number
  private readonly set: (limit: number) => void
  private readonly samples = new Samples()
  private peak = 0
  private atFloor = 0
  // Of the window, or of the baseline.
  private since: number
  // The first baseline has nothing before it, whose calls it would have to tell from its own.
  private startedAfter = -Infinity
  private failures = 0
  private nextAfter = 0
  private measuredAt = 0

  constructor(settings: Settings, ceiling: number, now: number, random: () => number, set: (limit: number) => void) {
    this.settings = settings
    this.ceiling = ceiling
    this.estimate = this.within(settings.initial)
    this.random = random
    this.set = set
    this.since = now
    this.measuring = settings.baseline !== undefined
    this.set(this.limit)
  }

  get floor(): number {
    return Math.min(this.settings.min, this.ceiling)
  }

  /** What is in force. */
  get limit(): number {
    return this.measuring ? this.floor : Math.floor(this.estimate)
  }

  /** An operator has moved the ceiling. */
  moveCeiling(ceiling: number): void {
    this.ceiling = ceiling
    this.estimate = this.within(this.estimate)
    this.set(this.limit)
  }

  /** A call begins: so many run now. */
  began(active: number): void {
    if (active > this.peak) this.peak = active
  }

  /** A call that ran since `from` took so long: Infinity if it was cut off. */
  took(millis: number, from: number, now: number): void {
    if (!(millis >= 0)) return // the clock went back under it
    const latency = Math.max(shortest, millis)
    if (this.measuring) {
      // Those from before it ran among more than the floor; those that are cut off have no latency.
      if (from <= this.startedAfter || latency === Infinity) return
      this.samples.add(latency)
      return this.turnBaseline(now)
    }
    this.samples.add(latency)
    this.turn(now)
  }

  /** A call failed: quickly, maybe, so that its latency says nothing. */
  failed(now: number): void {
    if (!this.measuring) return
    this.failures++
    this.turnBaseline(now)
  }

  private turn(now: number): void {
    const { algorithm, minimumCalls, quantile, window } = this.settings
    if (now < this.since) this.since = now // the clock went back
    const last = this.latency === undefined || this.latency === Infinity ? 0 : this.latency
    if (this.samples.count < minimumCalls) return
    if (now - this.since < Math.max(window, Math.min(last, longestWindow * window))) return
    const latency = this.latency = this.samples.quantile(quantile)
    const used = 2 * this.peak >= this.limit
    this.estimate = this.within(algorithm.next(this.estimate, latency, used, this.baseline))
    this.atFloor = this.limit <= this.floor ? this.atFloor + 1 : 0
    this.open(now)
    if (this.isDue(now)) {
      this.measuring = true
      this.startedAfter = now
    }
    this.set(this.limit)
  }

  private isDue(now: number): boolean {
    if (this.settings.baseline === undefined) return false
    if (now < this.measuredAt) this.measuredAt = now // the clock went back
    return now - this.measuredAt >= this.nextAfter || this.atFloor >= windowsAtFloor
  }

  private turnBaseline(now: number): void {
    const { algorithm, baseline, minimumCalls, quantile } = this.settings
    const { calls, every, jitter } = baseline!
    const { count } = this.samples
    if (count < calls && count + this.failures < patience * calls) return
    const known = this.baseline
    if (count >= Math.min(calls, minimumCalls)) this.baseline = this.samples.quantile(quantile)
    // A dependency that was cold, or in trouble, is measured again soon.
    const sure = known !== undefined && this.baseline! <= algorithm.slowerThan(known)
    const cost = Math.min(10 * every, Math.max(0, baselineShare * (now - this.since)))
    this.nextAfter = Math.max(sure ? every : every / 10, cost) * (1 + jitter * this.random())
    this.measuredAt = now
    this.measuring = false
    this.failures = this.atFloor = 0
    this.open(now)
    this.set(this.limit)
  }

  private open(now: number): void {
    this.since = now
    this.peak = 0
    this.samples.clear()
  }

  private within(limit: number): number {
    return Math.min(this.ceiling, Math.max(this.floor, limit))
  }
}

/** Latencies of a window: exact, of the last thousand calls. */
class Samples {
  count = 0
  private readonly kept = new Float64Array(samplesKept)

  add(millis: number): void {
    this.kept[this.count++ % samplesKept] = millis
  }

  quantile(share: number): number {
    const kept = this.kept.subarray(0, Math.min(this.count, samplesKept)).toSorted()
    return kept[Math.ceil(kept.length * share) - 1]!
  }

  clear(): void {
    this.count = 0
  }
}
