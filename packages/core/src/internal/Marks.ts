/** How many seconds count as lately. */
export const lately = 10

const second = 1000

/** What totals that only grow were as each of the last seconds began. */
export class Marks {
  /** When the second that is marked last is over: from then on `moveTo` has to be called before anything is counted. */
  endsAt: number
  private readonly width: number
  private readonly marks: Float64Array
  private current: number

  constructor(width: number, now: number) {
    this.width = width
    this.marks = new Float64Array(width * lately)
    this.current = Math.floor(now / second)
    this.endsAt = (this.current + 1) * second
  }

  moveTo(now: number, totals: ArrayLike<number>): void {
    const entered = Math.floor(now / second)
    for (let passed = Math.max(this.current + 1, entered - lately + 1); passed <= entered; passed++) {
      this.marks.set(totals, passed % lately * this.width)
    }
    this.current = entered
    this.endsAt = (entered + 1) * second
  }

  /** What a total was when the last ten seconds began. */
  before(index: number): number {
    return this.marks[(this.current + 1) % lately * this.width + index]!
  }
}

/** Since when in milliseconds, of a clock that says it is `now`, is lately. */
export const latelySince = (now: number): number => (Math.floor(now / second) - lately + 1) * second
