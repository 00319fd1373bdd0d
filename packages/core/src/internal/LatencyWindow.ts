import { Latencies } from "./Latencies.ts"

/** How long a generation is, in milliseconds: the latest calls are those of this one and the one before. */
const generation = 30_000

/** How long calls took, of late and since the start. */
export class LatencyWindow {
  private current = new Latencies()
  private before: Latencies | undefined
  private older: Latencies | undefined
  private endsAt: number

  constructor(now: number) {
    this.endsAt = endOf(now)
  }

  record(millis: number, now: number): void {
    if (now >= this.endsAt) this.moveTo(now)
    this.current.record(millis)
  }

  /** Of the last 30 to 60 seconds. */
  latest(now: number): ReadonlyArray<Latencies> {
    if (now >= this.endsAt) this.moveTo(now)
    return this.before === undefined ? [this.current] : [this.current, this.before]
  }

  all(): ReadonlyArray<Latencies> {
    return [this.current, this.before, this.older].filter((part) => part !== undefined)
  }

  private moveTo(now: number): void {
    this.moveOn()
    if (now >= this.endsAt + generation) this.moveOn() // what was this generation is not even the one before
    this.endsAt = endOf(now)
  }

  private moveOn(): void {
    const { before } = this
    if (before !== undefined && before.count > 0) {
      this.older ??= Latencies.sum([]) // with room for any number
      this.older.add(before)
      before.clear()
    }
    this.before = this.current
    this.current = before ?? new Latencies()
  }
}

// By the clock, so that those of all keys begin together.
const endOf = (now: number): number => (Math.floor(now / generation) + 1) * generation
