/** One who stands in a line. The line keeps the links. */
export interface Waiter<W> {
  next: W | undefined
  previous: W | undefined
  /** Which list it stands in: 0 is served first. */
  readonly lane: number
  /** When it joined. */
  readonly since: number
}

/**
 * A line: first come, first served within a lane, and the lower lane first.
 *
 * Each lane is a doubly linked list of its own, so that joining, leaving from the middle and taking the first are a constant
 * number of steps, whatever the length.
 */
export class Line<W extends Waiter<W>> {
  length = 0
  /** Links written since the start: what the O(1) test counts. */
  steps = 0
  protected readonly heads: Array<W | undefined>
  protected readonly tails: Array<W | undefined>

  constructor(lanes: number) {
    this.heads = Array.from({ length: lanes }, () => undefined)
    this.tails = Array.from({ length: lanes }, () => undefined)
  }

  /** Joins at the end of its lane. */
  join(waiter: W): void {
    const { lane } = waiter
    const last = this.tails[lane]
    waiter.previous = last
    if (last === undefined) this.heads[lane] = waiter
    else last.next = waiter
    this.tails[lane] = waiter
    this.length++
    this.steps++
  }

  /** Leaves, from wherever it stands. */
  leave(waiter: W): void {
    const { next, previous, lane } = waiter
    if (previous === undefined) this.heads[lane] = next
    else previous.next = next
    if (next === undefined) this.tails[lane] = previous
    else next.previous = previous
    waiter.next = waiter.previous = undefined
    this.length--
    this.steps++
  }

  /** Who is served next. */
  first(): W | undefined {
    if (this.length === 0) return undefined
    for (const head of this.heads) {
      this.steps++
      if (head !== undefined) return head
    }
    return undefined
  }

  /** The other way round: from the one who would be served last. */
  *fromLast(): Generator<W> {
    for (const tail of this.tails.toReversed()) {
      for (let waiter = tail; waiter !== undefined; waiter = waiter.previous) yield waiter
    }
  }

  /** Who has waited longest, in any lane. */
  oldest(): W | undefined {
    let oldest: W | undefined
    for (const head of this.heads) {
      if (head !== undefined && (oldest === undefined || head.since < oldest.since)) oldest = head
    }
    return oldest
  }
}
