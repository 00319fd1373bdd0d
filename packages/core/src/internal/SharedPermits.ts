import type { SharedRegion } from "./SharedRegion.ts"

/** A pool, as its permits see it. */
export interface Served {
  readonly maxConcurrent: number
  /** Whether somebody in its line could go on if there were a permit. */
  readonly wants: boolean
  /** Whether it has neither calls that run nor calls that wait. */
  readonly idle: boolean
  /** Lets in as many of its line as there are permits for. */
  serveLine(): void
  /** It was closed and its calls are over: what comes all the same is nobody else's business. */
  leaveShared(): void
}

/**
 * The permits of a name in one member: those of all its pools of that name, which are one, or two while one takes the other's place.
 *
 * A permit is in the hand of a member between two calls. As long as calls wait for permits of all, the member's flag is up, and it
 * listens to its bell.
 */
export class SharedPermits {
  readonly region: SharedRegion
  private readonly forget: () => void
  private pools: ReadonlyArray<Served> = []
  private readonly closed = new Set<Served>()
  private inHand = 0
  private serving = false
  private again = false
  private listening = false
  /** How often the flag was put up, less how often it was taken down and what came of it: a permit for each is still to come, or may. */
  private coming = 0
  /** The bell, as it was before it was last looked what had been handed over. */
  private heard: number

  constructor(region: SharedRegion, forget: () => void) {
    this.region = region
    this.forget = forget
    this.heard = region.rung()
  }

  add(pool: Served): void {
    this.pools = [...this.pools, pool]
  }

  /** Its calls go on, as those that wait: it is over when the last one has ended. */
  close(pool: Served): void {
    this.closed.add(pool)
    this.serve()
  }

  /** For all members. */
  resize(maxConcurrent: number): void {
    this.region.resize(maxConcurrent)
    this.serve()
  }

  /** A permit, if there is one. */
  take(): boolean {
    if (this.inHand === 0) return this.region.take()
    this.inHand--
    return true
  }

  /** The same for a call that would be the first in line: the flag is up before the second look, so that whoever gives one sees it. */
  takeOrWait(): boolean {
    for (;;) {
      this.raise()
      if (this.take()) {
        this.left()
        return true
      }
      if (this.listen()) return false
      this.pickUp()
    }
  }

  /** A call has ended: its permit goes to whoever's turn it is. */
  give(): void {
    const wants = this.wants()
    if (this.region.give(wants)) this.inHand++
    if (wants || this.coming > 0 || this.closed.size > 0) this.serve()
  }

  /** Somebody has left the line. */
  left(): void {
    if (this.serving) return
    if (this.inHand > 0 || this.closed.size > 0 || (this.coming > 0 && !this.wants())) this.serve()
  }

  // A call that is let in works here until it suspends, and may come back through `give`: only the outermost loop serves.
  serve(): void {
    if (this.serving) {
      this.again = true
      return
    }
    this.serving = true
    try {
      do {
        this.again = false
        this.pickUp()
        for (const pool of this.pools) pool.serveLine()
      } while (!this.settle() || this.again)
    } finally {
      this.serving = false
    }
    if (this.closed.size > 0) this.prune()
  }

  /** Whether all is done: nothing is in hand, and it will hear of what is handed over. */
  private settle(): boolean {
    if (!this.wants()) {
      if (this.coming > 0 && this.region.lower()) this.coming--
      for (; this.inHand > 0; this.inHand--) this.region.give(false)
      return this.coming === 0 || this.listen()
    }
    if (this.raise() && this.take()) {
      this.inHand++
      return false
    }
    return this.listen()
  }

  private wants(): boolean {
    for (const pool of this.pools) if (pool.wants) return true
    return false
  }

  private raise(): boolean {
    if (!this.region.raise()) return false
    this.coming++
    return true
  }

  private pickUp(): void {
    this.heard = this.region.rung()
    const granted = this.region.pickUp()
    this.inHand += granted
    this.coming -= granted
  }

  /** Whether it will hear of the next bell, and has missed none. */
  private listen(): boolean {
    if (this.listening) return true
    const rings = this.region.listen(this.heard)
    if (rings === undefined) return false
    this.listening = true
    void rings.then(() => {
      this.listening = false
      if (this.pools.length > 0) this.serve()
    })
    return true
  }

  private prune(): void {
    for (const pool of this.closed) {
      if (!pool.idle) continue
      this.closed.delete(pool)
      this.pools = this.pools.filter((other) => other !== pool)
      pool.leaveShared()
    }
    if (this.pools.length > 0) return
    this.forget()
    this.region.lower()
    while (!this.region.leave()) {
      this.pickUp()
      for (; this.inHand > 0; this.inHand--) this.region.give(false)
    }
  }
}
