/** One who stands in a line. The line keeps the links. */
export interface Waiter<W> {
  next: W | undefined
  previous: W | undefined
  /** 0 is served first. */
  readonly priority: number
  /** When it joined. */
  readonly since: number
}

/**
 * The line of a pool: first come, first served within a priority, and the higher priority first.
 *
 * Each priority is a doubly linked list of its own, so that joining, leaving from the middle and taking the first are a constant
 * number of steps, whatever the length.
 */
export class Line<W extends Waiter<W>> {
  length = 0
  /** Links written since the start: what the O(1) test counts. */
  steps = 0
  private readonly heads: Array<W | undefined>
  private readonly tails: Array<W | undefined>

  constructor(priorities: number) {
    this.heads = Array.from({ length: priorities }, () => undefined)
    this.tails = Array.from({ length: priorities }, () => undefined)
  }

  /** Joins at the end of its priority. */
  join(waiter: W): void {
    const { priority } = waiter
    const last = this.tails[priority]
    waiter.previous = last
    if (last === undefined) this.heads[priority] = waiter
    else last.next = waiter
    this.tails[priority] = waiter
    this.length++
    this.steps++
  }

  /** Leaves, from wherever it stands. */
  leave(waiter: W): void {
    const { next, previous, priority } = waiter
    if (previous === undefined) this.heads[priority] = next
    else previous.next = next
    if (next === undefined) this.tails[priority] = previous
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

  /** Who has waited longest, of any priority. */
  oldest(): W | undefined {
    let oldest: W | undefined
    for (const head of this.heads) {
      if (head !== undefined && (oldest === undefined || head.since < oldest.since)) oldest = head
    }
    return oldest
  }
}
