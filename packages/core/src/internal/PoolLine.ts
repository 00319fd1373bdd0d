import { Line, type Waiter } from "./Line.ts"

/** How many levels of criticality there are, and which one is that of calls of which nothing is said. */
const levels = 4
const usual = 1

/** One who waits for a permit. */
export interface Waiting<W> extends Waiter<W> {
  /** When it joined, as a number: what tells who of two lanes was first. */
  turn: number
}

/**
 * The line of a pool. A lane for each priority and level: whom it serves goes by priority, whom it sheds by level.
 *
 * While all have the usual level, as where nobody sets one, it has a lane for each priority to look at. Otherwise it looks at all
 * twelve at the most.
 */
export class PoolLine<W extends Waiting<W>> extends Line<W> {
  private readonly priorities: number
  private turns = 0
  private unusual = 0

  constructor(priorities: number) {
    super(priorities * levels)
    this.priorities = priorities
  }

  static lane(priority: number, level: number): number {
    return priority * levels + level
  }

  override join(waiter: W): void {
    waiter.turn = this.turns++
    if (waiter.lane % levels !== usual) this.unusual++
    super.join(waiter)
  }

  override leave(waiter: W): void {
    if (waiter.lane % levels !== usual) this.unusual--
    super.leave(waiter)
  }

  /** Who is served next: of the highest priority the one who joined first, whatever its level. */
  override first(): W | undefined {
    if (this.length === 0) return undefined
    for (let priority = 0; priority < this.priorities; priority++) {
      const from = PoolLine.lane(priority, 0)
      const first = this.unusual === 0 ? this.look(from + usual) : this.earliest(from)
      if (first !== undefined) return first
    }
    return undefined
  }

  /** Who gives way to a newcomer of a level: of the lowest level below that, the one who joined last, whatever its priority. */
  lastBelow(level: number): W | undefined {
    if (this.unusual === 0 && level >= usual) return undefined
    for (let below = levels - 1; below > level; below--) {
      let last: W | undefined
      for (let priority = 0; priority < this.priorities; priority++) {
        this.steps++
        const tail = this.tails[PoolLine.lane(priority, below)]
        if (tail !== undefined && (last === undefined || tail.turn > last.turn)) last = tail
      }
      if (last !== undefined) return last
    }
    return undefined
  }

  private earliest(from: number): W | undefined {
    let earliest: W | undefined
    for (let lane = from; lane < from + levels; lane++) {
      const head = this.look(lane)
      if (head !== undefined && (earliest === undefined || head.turn < earliest.turn)) earliest = head
    }
    return earliest
  }

  private look(lane: number): W | undefined {
    this.steps++
    return this.heads[lane]
  }
}
