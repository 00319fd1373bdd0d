import { halfSipHash, hashed } from "./halfSipHash.ts"

/** How many members there can be: as many as a region has bits for those who wait. */
export const mostMembers = 256

/** What stands at the beginning of such memory. */
const mark = 0x42674c31

// Words of the head.
const Head = {
  mark: 0,
  members: 1,
  groups: 2,
  sets: 3,
  directory: 4,
  seed: 5,
  since: 10,
  isSince: 12,
  seats: 13,
  size: 32
} as const

/** The lock of the directory, and how often a seat was taken. */
export const { directory, seats } = Head

/** Words of a region: those that all calls write, and those of its rate limit, on a cache line each. */
export const Region = {
  id: 0,
  limit: 4,
  total: 5,
  turn: 6,
  astray: 7,
  waiting: 8,
  lock: 16,
  until: 18,
  taken: 20,
  size: 32
} as const

/** Words that a region has for each member, on a cache line of their own. */
export const Member = { seat: 0, held: 1, bell: 2, step: 3, size: 16 } as const

/**
 * A seat is 0, or a number that no member before had in that place, and behind it how many permits were handed over to this one: one word, so
 * that none is handed to another one than was meant.
 */
export const handed = 0x1ff

/** After so many they begin again. */
const mostSeats = 2 ** 21

/** Locks of keys: so many that two threads seldom meet. */
const keyLocks = 256

/** How many keys can stand in for each other. */
export const ways = 8

/** Words of a key: its hash, and two numbers of 64 bits. */
export const Key = { hash: 0, until: 2, taken: 4, size: 6 } as const

/** `Infinity`, for words: never reached. */
const unlimited = 0x7fff_ffff

export const wordOf = (limit: number): number => Math.min(limit, unlimited)

/** Looks that a thread takes at a lock before it sleeps: longer than one who holds it works. */
const spins = 200

/**
 * The words of a `SharedArrayBuffer`, by name: a directory of groups, a region for each, and a table of keys.
 *
 * A lock is a word that has its owner, so that it can be freed after the owner's death: 0, or twice the owner's number, which begins
 * with 1, and one more if somebody sleeps on it (Drepper, "Futexes are tricky").
 */
export class SharedMemory {
  readonly words: Int32Array<SharedArrayBuffer>
  readonly numbers: Float64Array<SharedArrayBuffer>
  readonly members: number
  readonly maxGroups: number
  readonly sets: number
  /** Where the keys begin. */
  readonly keys: number
  private readonly regionSize: number

  private constructor(buffer: SharedArrayBuffer) {
    const words = this.words = new Int32Array(buffer)
    this.numbers = new Float64Array(buffer)
    this.members = words[Head.members]!
    this.maxGroups = words[Head.groups]!
    this.sets = words[Head.sets]!
    this.regionSize = Region.size + Member.size * this.members
    this.keys = this.region(this.maxGroups)
  }

  static make(members: number, maxGroups: number, maxKeys: number): SharedArrayBuffer {
    const sets = Math.ceil(maxKeys / ways)
    const regions = maxGroups * (Region.size + Member.size * members)
    const size = Head.size + keyLocks + regions + sets * ways * Key.size
    const buffer = new SharedArrayBuffer(4 * size)
    const words = new Int32Array(buffer)
    words.set([mark, members, maxGroups, sets])
    words.set(crypto.getRandomValues(new Int32Array(4)), Head.seed)
    return buffer
  }

  /** `undefined` if it is other memory. */
  static of(buffer: SharedArrayBuffer): SharedMemory | undefined {
    let memory = known.get(buffer)
    if (memory !== undefined) return memory
    if (buffer.byteLength < 4 * Head.size || new Int32Array(buffer, 0, 1)[0] !== mark) return undefined
    known.set(buffer, memory = new SharedMemory(buffer))
    return memory
  }

  /** Where a region begins. */
  region(index: number): number {
    return Head.size + keyLocks + index * this.regionSize
  }

  /** Where a region has what it knows of a member. */
  of(region: number, member: number): number {
    return region + Region.size + Member.size * member
  }

  /** When its time begins, in milliseconds of the clock of whoever asked first: numbers that are small are precise. */
  since(now: number, owner: number): number {
    if (Atomics.load(this.words, Head.isSince) === 1) return this.numbers[Head.since / 2]!
    return this.locked(Head.directory, owner, () => {
      if (this.words[Head.isSince] === 0) {
        this.numbers[Head.since / 2] = now
        Atomics.store(this.words, Head.isSince, 1)
      }
      return this.numbers[Head.since / 2]!
    })
  }

  /**
   * The region of a name, which the member has from now on; `undefined` if none is free. Who is first there says what the limit is: who is built
   * later may not be used after all, and others are held to what it says.
   */
  join(name: string, member: number, limit: number): number | undefined {
    const { words } = this
    halfSipHash(name, words[Head.seed]!, words[Head.seed + 1]!)
    const id = [hashed[0]!, hashed[1]!]
    halfSipHash(name, words[Head.seed + 2]!, words[Head.seed + 3]!)
    id.push(hashed[0]!, hashed[1]!)
    return this.locked(Head.directory, member, () => {
      let own: number | undefined
      let free: number | undefined
      for (let i = 0; i < this.maxGroups && own === undefined; i++) {
        const region = this.region(i)
        if (id.every((word, j) => words[region + j] === word)) own = region
        else if (free === undefined && this.isFree(region)) free = region
      }
      const region = own ?? free
      if (region === undefined) return undefined
      if (own === undefined) {
        words.fill(0, region, region + this.regionSize)
        words.set(id, region)
        words[region + Region.limit] = wordOf(limit)
      } else if (this.isFree(own)) {
        // Nobody holds anything of it; how much of its rate limit is spent is still known.
        words.fill(0, region + Region.limit, region + Region.lock)
        words.fill(0, region + Region.size, region + this.regionSize)
        words[region + Region.limit] = wordOf(limit)
      }
      const seat = this.of(region, member) + Member.seat
      // The count goes on below zero when the word is full; a seat does not.
      if (words[seat] === 0) Atomics.store(words, seat, (handed + 1) * ((++words[Head.seats]! >>> 0) % mostSeats + 1))
      return region
    })
  }

  /**
   * After a member's death: frees its locks, and has `each` look at each region, while none can become another's. Answers whether it could: it does
   * not wait for whoever looks at them, who may have died too, and is to be buried by the same thread then.
   */
  bury(member: number, each: (region: number) => void): boolean {
    this.free(Head.directory, member)
    for (let i = 0; i < keyLocks; i++) this.free(Head.size + i, member)
    for (let i = 0; i < this.maxGroups; i++) this.free(this.region(i) + Region.lock, member)
    if (Atomics.compareExchange(this.words, Head.directory, 0, 2 * (this.members + 1)) !== 0) return false
    try {
      for (let i = 0; i < this.maxGroups; i++) each(this.region(i))
    } finally {
      this.unlock(Head.directory)
    }
    return true
  }

  /** The lock of a set of keys. */
  lockOf(set: number): number {
    return Head.size + set % keyLocks
  }

  lock(lock: number, owner: number): void {
    const mine = 2 * (owner + 1)
    if (Atomics.compareExchange(this.words, lock, 0, mine) !== 0) this.lockSlowly(lock, mine)
  }

  unlock(lock: number): void {
    if (Atomics.exchange(this.words, lock, 0) % 2 === 1) Atomics.notify(this.words, lock, 1)
  }

  private locked<A>(lock: number, owner: number, work: () => A): A {
    this.lock(lock, owner)
    try {
      return work()
    } finally {
      this.unlock(lock)
    }
  }

  private lockSlowly(lock: number, mine: number): void {
    const { words } = this
    for (let i = 0; i < spins; i++) {
      if (Atomics.load(words, lock) === 0 && Atomics.compareExchange(words, lock, 0, mine) === 0) return
    }
    for (;;) {
      const seen = Atomics.load(words, lock)
      if (seen === 0) {
        // Others may sleep: only whoever unlocks in vain knows that they do not.
        if (Atomics.compareExchange(words, lock, 0, mine + 1) === 0) return
      } else if (seen % 2 === 1 || Atomics.compareExchange(words, lock, seen, seen + 1) === seen) {
        sleep(words, lock, seen % 2 === 1 ? seen : seen + 1)
      }
    }
  }

  private free(lock: number, member: number): void {
    if (Atomics.load(this.words, lock) >> 1 !== member + 1) return
    Atomics.store(this.words, lock, 0)
    Atomics.notify(this.words, lock)
  }

  private isFree(region: number): boolean {
    for (let member = 0; member < this.members; member++) {
      if (Atomics.load(this.words, this.of(region, member) + Member.seat) !== 0) return false
    }
    return true
  }
}

const known = new WeakMap<SharedArrayBuffer, SharedMemory>()

// A second is a bound: should the one who holds it die, it is freed by whoever buries that one.
const sleep = (words: Int32Array<SharedArrayBuffer>, word: number, seen: number): void => {
  if (!maySleep) return
  try {
    Atomics.wait(words, word, seen, 1000)
  } catch {
    maySleep = false // the main thread of a browser may not, and looks again at once
  }
}
let maySleep = true
