/** Where something stands in the roster that it is in: the roster's to change. */
export interface Listed {
  place: number
}

/**
 * Who comes and goes all the time, in no order.
 *
 * A `Set` takes a new table every few changes, and the one before points to it. Once one of these has grown old, the young
 * generation's collections keep all that follow, with what was in them.
 */
export class Roster<A extends Listed> {
  private readonly all: Array<A> = []

  get size(): number {
    return this.all.length
  }

  has(it: A): boolean {
    return this.all[it.place] === it
  }

  add(it: A): void {
    it.place = this.all.length
    this.all.push(it)
  }

  delete(it: A): void {
    if (!this.has(it)) return
    const { all } = this
    const last = all.pop()!
    if (last === it) return
    all[it.place] = last
    last.place = it.place
  }

  /** As they are now: whoever goes through them may let some go. */
  [Symbol.iterator](): Iterator<A> {
    return this.all.slice()[Symbol.iterator]()
  }
}
