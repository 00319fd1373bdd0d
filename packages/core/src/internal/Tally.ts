/** How many seconds count as lately. */
export const lately = 10

const second = 1000

/** Numbers that only grow, and what they were as each of the last seconds began. */
export class Tally {
  readonly totals: Float64Array
  private readonly marks: Float64Array
  private current: number
  private endsAt: number

  constructor(width: number, now: number) {
    this.totals = new Float64Array(width)
    this.marks = new Float64Array(width * lately)
    this.current = Math.floor(now / second)
    this.endsAt = (this.current + 1) * second
  }

  /** Before something is counted, or read. */
  moveTo(now: number): void {
    if (now >= this.endsAt) this.mark(Math.floor(now / second))
  }

  /** What has come to a total in this second and the nine before. */
  lately(index: number): number {
    return this.totals[index]! - this.marks[(this.current + 1) % lately * this.totals.length + index]!
  }

  private mark(now: number): void {
    for (let passed = Math.max(this.current + 1, now - lately + 1); passed <= now; passed++) {
      this.marks.set(this.totals, passed % lately * this.totals.length)
    }
    this.current = now
    this.endsAt = (now + 1) * second
  }
}

/** Since when in milliseconds, of a clock that says it is `now`, is lately. */
export const latelySince = (now: number): number => (Math.floor(now / second) - lately + 1) * second
