/** What the latest calls were like. */
export interface Window {
  /** How many calls it counts. */
  readonly calls: number
  readonly failures: number
  readonly slow: number
  record(failed: boolean, slow: boolean, now: number): void
}

// Two bits a call. A small integer of 30 bits is held in place by every engine, where a typed array costs hundreds of bytes of its own.
const perWord = 15

/** The last so many calls. */
export class LastCalls implements Window {
  calls = 0
  failures = 0
  slow = 0
  private readonly size: number
  private readonly ring: Array<number>
  private next = 0

  constructor(size: number) {
    this.size = size
    this.ring = new Array<number>(Math.ceil(size / perWord)).fill(0)
  }

  record(failed: boolean, slow: boolean): void {
    const { next, ring } = this
    const word = Math.floor(next / perWord)
    const shift = (next % perWord) * 2
    if (this.calls === this.size) {
      const oldest = ring[word]! >> shift
      this.failures -= oldest & 1
      this.slow -= (oldest >> 1) & 1
    } else this.calls++
    ring[word] = ring[word]! & ~(3 << shift) | ((failed ? 1 : 0) | (slow ? 2 : 0)) << shift
    if (failed) this.failures++
    if (slow) this.slow++
    this.next = next + 1 === this.size ? 0 : next + 1
  }
}

/** In how many steps a window of time moves on: it is short of its length by a tenth at the most. */
export const slices = 10

/** The calls of the last so many milliseconds, a tenth of them at a time. */
export class LastMillis implements Window {
  calls = 0
  failures = 0
  slow = 0
  private readonly width: number
  // Of each slice: calls, failures, slow ones.
  private readonly counts = new Array<number>(slices * 3).fill(0)
  private current = 0

  constructor(millis: number) {
    this.width = millis / slices
  }

  record(failed: boolean, slow: boolean, now: number): void {
    const slice = Math.floor(now / this.width)
    // Of a clock that was set back: what is kept would stay until that has caught up.
    if (slice <= this.current - slices) {
      this.counts.fill(0)
      this.calls = this.failures = this.slow = 0
      this.current = slice
    }
    // After a pause longer than the window there is nothing of it left to look at.
    const first = Math.max(this.current + 1, slice - slices + 1)
    for (let passed = first; passed <= slice; passed++) this.forget((passed % slices) * 3)
    if (slice > this.current) this.current = slice
    const at = (this.current % slices) * 3
    this.add(at, 1, failed ? 1 : 0, slow ? 1 : 0)
  }

  private forget(at: number): void {
    const { counts } = this
    this.add(at, -counts[at]!, -counts[at + 1]!, -counts[at + 2]!)
  }

  private add(at: number, calls: number, failures: number, slow: number): void {
    const { counts } = this
    counts[at]! += calls
    counts[at + 1]! += failures
    counts[at + 2]! += slow
    this.calls += calls
    this.failures += failures
    this.slow += slow
  }
}
