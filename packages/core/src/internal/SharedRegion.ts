import { handed, Member, Region, type SharedMemory, wordOf } from "./SharedMemory.ts"

/** How often a count is begun anew because somebody was in the middle of something. */
const counts = 1000

/**
 * What the members know of the permits of one name: how many there are, how many are taken in all and by whom, and who waits.
 *
 * All of it is steps on one word each, without a lock. A member may die between any two of them, so that one permit belongs to nobody:
 * the order is such that it is never one too many that is given. A member's `step` is odd while that could happen. When it has died like
 * that, it is counted, at an instant at which nobody is in the middle of anything, how many are astray.
 *
 * No wake-up is lost, as in Dekker's algorithm: who wants to wait raises a flag and then looks once more whether a permit is free; who
 * frees one looks at the flags after that. Atomics are sequentially consistent, so one of the two sees the other.
 */
export class SharedRegion {
  /** Where it is in the memory. */
  readonly at: number
  readonly memory: SharedMemory
  private readonly words: Int32Array<SharedArrayBuffer>
  readonly member: number
  private readonly total: number
  private readonly limit: number
  private readonly held: number
  private readonly seat: number
  private readonly bell: number
  private readonly step: number
  private steps: number
  private readonly flags: number
  private readonly flagsOf: number
  private readonly flag: number
  /** Of the one whose flag was seen last. */
  private seen = 0

  constructor(memory: SharedMemory, at: number, member: number) {
    const mine = memory.of(at, member)
    this.at = at
    this.memory = memory
    this.words = memory.words
    this.member = member
    this.total = at + Region.total
    this.limit = at + Region.limit
    this.held = mine + Member.held
    this.seat = mine + Member.seat
    this.bell = mine + Member.bell
    this.step = mine + Member.step
    this.steps = Atomics.load(this.words, this.step)
    this.flags = at + Region.waiting
    this.flagsOf = this.flags + (member >> 5)
    this.flag = 1 << (member & 31)
  }

  /** Gives back what a member had that has died. Answers what is to be done yet: some of it may be hard to see while others are busy. */
  static bury(memory: SharedMemory, member: number): "all" | "astray" | undefined {
    let left: "astray" | undefined
    const could = memory.bury(member, (at) => {
      const region = new SharedRegion(memory, at, member)
      region.bury()
      if (!region.recover()) left = "astray"
    })
    return could ? left : "all"
  }

  resize(maxConcurrent: number): void {
    Atomics.store(this.words, this.limit, wordOf(maxConcurrent))
    this.ring()
  }

  take(): boolean {
    const { held, limit, step, total, words } = this
    let taken = Atomics.load(words, total)
    if (taken >= Atomics.load(words, limit)) return false
    Atomics.store(words, step, ++this.steps)
    do {
      const was = Atomics.compareExchange(words, total, taken, taken + 1)
      if (was === taken) {
        Atomics.add(words, held, 1)
        Atomics.store(words, step, ++this.steps)
        return true
      }
      taken = was
    } while (taken < Atomics.load(words, limit))
    Atomics.store(words, step, ++this.steps)
    return false
  }

  /** Gives a permit to the next who waits, or to all. Answers whether the next is this member, if it `wants`: then it still holds it. */
  give(wants: boolean): boolean {
    const { held, member, step, total, words } = this
    for (let next = this.next(wants); next !== undefined; next = this.next(wants)) {
      if (next === member) return true
      if (this.hand(next, held)) return false
    }
    Atomics.store(words, step, ++this.steps)
    Atomics.sub(words, held, 1)
    const before = Atomics.sub(words, total, 1)
    Atomics.store(words, step, ++this.steps)
    if (before <= Atomics.load(words, this.limit)) this.ring()
    return false
  }

  /** Puts the flag up. Answers whether it was down, which calls for a second look. */
  raise(): boolean {
    return (Atomics.load(this.words, this.flagsOf) & this.flag) === 0
      && (Atomics.or(this.words, this.flagsOf, this.flag) & this.flag) === 0
  }

  /** Puts it down. Answers whether it was up: if not, somebody has seen it, and a permit is on its way. */
  lower(): boolean {
    return (Atomics.load(this.words, this.flagsOf) & this.flag) !== 0
      && (Atomics.and(this.words, this.flagsOf, ~this.flag) & this.flag) !== 0
  }

  /** How often it was rung for this member. */
  rung(): number {
    return Atomics.load(this.words, this.bell)
  }

  /** What was handed over to this member. It holds that now. */
  pickUp(): number {
    const { held, seat, step, words } = this
    if ((Atomics.load(words, seat) & handed) === 0) return 0
    Atomics.store(words, step, ++this.steps)
    const granted = Atomics.and(words, seat, ~handed) & handed
    Atomics.add(words, held, granted)
    Atomics.store(words, step, ++this.steps)
    return granted
  }

  /** The next bell after those that were heard; `undefined` if that has rung. */
  listen(heard: number): Promise<unknown> | undefined {
    const rings = Atomics.waitAsync(this.words, this.bell, heard)
    return rings.async ? rings.value : undefined
  }

  /** The member has no pool of this name any more: not before what was handed over meanwhile is picked up. */
  leave(): boolean {
    const { bell, seat, words } = this
    const was = Atomics.load(words, seat)
    if ((was & handed) !== 0 || Atomics.compareExchange(words, seat, was, 0) !== was) return false
    Atomics.notify(words, bell) // what still listens ends
    return true
  }

  /** All are told, since it may have been on its way to one whose flag it had seen. */
  private bury(): void {
    const { at, held, member, memory, seat, step, total, words } = this
    if (Atomics.load(words, seat) === 0) return
    this.lower()
    let left = Atomics.exchange(words, seat, 0) & handed
    left += Atomics.exchange(words, held, 0)
    if ((Atomics.load(words, step) & 1) === 1) {
      Atomics.store(words, at + Region.astray, 1)
      Atomics.add(words, step, 1)
    }
    for (; left > 0; left--) {
      let next = this.next(false)
      while (next !== undefined && !this.hand(next, undefined)) next = this.next(false)
      if (next === undefined) Atomics.sub(words, total, 1)
    }
    for (let other = 0; other < memory.members; other++) {
      if (other !== member) this.ringFor(other)
    }
  }

  /** Brings back what is astray, if there is anything. Answers whether that is done: it is not while others are busy all the time. */
  private recover(): boolean {
    const { at, total, words } = this
    if (Atomics.load(words, at + Region.astray) === 0) return true
    for (let i = 0; i < counts; i++) {
      const astray = this.count()
      if (astray === undefined) continue
      Atomics.sub(words, total, astray)
      Atomics.store(words, at + Region.astray, 0)
      this.ring()
      return true
    }
    return false
  }

  /** How many of those that are taken nobody has; `undefined` if somebody was in the middle of something. */
  private count(): number | undefined {
    const { at, memory: { members }, memory, total, words } = this
    let steps = 0
    for (let i = 0; i < members; i++) {
      const step = Atomics.load(words, memory.of(at, i) + Member.step)
      if ((step & 1) === 1) return undefined
      steps = (steps + step) | 0
    }
    let astray = Atomics.load(words, total)
    for (let i = 0; i < members; i++) {
      const other = memory.of(at, i)
      astray -= Atomics.load(words, other + Member.held) + (Atomics.load(words, other + Member.seat) & handed)
    }
    // Steps only grow.
    for (let i = 0; i < members; i++) steps = (steps - Atomics.load(words, memory.of(at, i) + Member.step)) | 0
    return steps === 0 ? astray : undefined
  }

  /** Whose turn it is, of those who wait: each is asked once before one is asked twice. Its flag is down then. */
  private next(wants: boolean): number | undefined {
    const { at, flags, limit, member, memory: { members }, total, words } = this
    // Those that are too many since the limit was lowered are nobody's.
    if (Atomics.load(words, total) > Atomics.load(words, limit)) return undefined
    let waiting = 0
    for (let i = 0; i < members; i += 32) waiting |= Atomics.load(words, flags + (i >> 5))
    if (waiting === 0) return wants ? member : undefined
    const last = Atomics.load(words, at + Region.turn)
    for (let i = 1; i <= members; i++) {
      const next = (last + i) % members
      if (next === member ? !wants : !this.claim(next)) continue
      Atomics.store(words, at + Region.turn, next)
      return next
    }
    return undefined
  }

  private claim(member: number): boolean {
    const word = this.flags + (member >> 5)
    const flag = 1 << (member & 31)
    if ((Atomics.load(this.words, word) & flag) === 0) return false
    this.seen = Atomics.load(this.words, this.memory.of(this.at, member) + Member.seat)
    return (Atomics.and(this.words, word, ~flag) & flag) !== 0
  }

  /** Hands a permit over to the one whose flag was seen, if it still sits there. Another one that came after its death has to look again. */
  private hand(to: number, held: number | undefined): boolean {
    const { at, memory, seen, step, words } = this
    const seat = memory.of(at, to) + Member.seat
    let was = Atomics.load(words, seat)
    let done = false
    if (held !== undefined) Atomics.store(words, step, ++this.steps)
    // oxlint-disable-next-line no-unmodified-loop-condition -- others modify it
    while (!done && seen !== 0 && (was & ~handed) === (seen & ~handed)) {
      if (held !== undefined) Atomics.sub(words, held, 1)
      const before = Atomics.compareExchange(words, seat, was, was + 1)
      if (before === was) done = true
      else if (held !== undefined) Atomics.add(words, held, 1)
      was = before
    }
    if (held !== undefined) Atomics.store(words, step, ++this.steps)
    this.ringFor(to)
    return done
  }

  private ring(): void {
    const { member, memory: { members } } = this
    for (let other = 0; other < members; other++) {
      if (other === member) continue
      if ((Atomics.load(this.words, this.flags + (other >> 5)) & (1 << (other & 31))) !== 0) this.ringFor(other)
    }
  }

  private ringFor(member: number): void {
    const bell = this.memory.of(this.at, member) + Member.bell
    Atomics.add(this.words, bell, 1)
    Atomics.notify(this.words, bell)
  }
}
