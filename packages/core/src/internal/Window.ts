/** What the latest calls were like. */
export interface Window {
  /** How many calls it counts. */
  readonly calls: number
  readonly failures: number
  readonly slow: number
  record(failed: boolean, slow: boolean, now: number): void
}

/** The last so many calls, each in two bits of a byte. */
export class LastCalls implements Window {
  calls = 0
  failures = 0
  slow = 0
  private readonly ring: Uint8Array
  private next = 0

  constructor(size: number) {
    this.ring = new Uint8Array(size)
  }

  record(failed: boolean, slow: boolean): void {
    const { next, ring } = this
    if (this.calls === ring.length) {
      const oldest = ring[next]!
      this.failures -= oldest & 1
      this.slow -= oldest >> 1
    } else this.calls++
    ring[next] = (failed ? 1 : 0) | (slow ? 2 : 0)
    if (failed) this.failures++
    if (slow) this.slow++
    this.next = next + 1 === ring.length ? 0 : next + 1
  }
}

const slices = 10

/** The calls of the last so many milliseconds, a tenth of them at a time. */
export class LastMillis implements Window {
  private readonly width: number
  // Of each slice: its number since the start of time, calls, failures, slow ones.
  private readonly numbers = new Float64Array(slices).fill(-1)
  private readonly counts = new Uint32Array(slices * 3)
  private current = -1

  constructor(millis: number) {
    this.width = millis / slices
  }

  record(failed: boolean, slow: boolean, now: number): void {
    const slice = Math.floor(now / this.width)
    const at = slice % slices
    if (this.numbers[at] !== slice) {
      this.numbers[at] = slice
      this.counts.fill(0, at * 3, at * 3 + 3)
    }
    this.current = slice
    this.counts[at * 3]!++
    if (failed) this.counts[at * 3 + 1]!++
    if (slow) this.counts[at * 3 + 2]!++
  }

  get calls(): number {
    return this.sum(0)
  }
  get failures(): number {
    return this.sum(1)
  }
  get slow(): number {
    return this.sum(2)
  }

  private sum(of: number): number {
    let total = 0
    for (let at = 0; at < slices; at++) {
      const age = this.current - this.numbers[at]!
      if (this.numbers[at]! >= 0 && age < slices) total += this.counts[at * 3 + of]!
    }
    return total
  }
}
