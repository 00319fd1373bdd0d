import type * as Clock from "effect/Clock"
import { halfSipHash, hashed } from "./halfSipHash.ts"
import type { Limiter } from "./Limiter.ts"
import { monotonicMillis } from "./monotonic.ts"
import { Key, Region, type SharedMemory, ways } from "./SharedMemory.ts"
import type { SharedRegion } from "./SharedRegion.ts"
import { type Limit, TokenRule, type Tokens } from "./TokenRule.ts"

/** A thread that was held up since it looked at the clock is no clock that went back. In milliseconds. */
const apart = 60_000

/**
 * In the memory that all threads share, behind a lock that is held for some ten nanoseconds: the tokens of a name in its region, those of
 * a key in the table of all keys.
 *
 * The clock has to be the same in all threads. In Node, Bun and Deno Effect's monotonic one is `process.hrtime`, which is the machine's.
 *
 * The table is set-associative, as a cache of a processor. A key is 64 bits of a keyed hash; each has `ways` places where it may be. One
 * that has run out is free; if none has, the one that runs out first gives way.
 */
export class SharedLimiter implements Limiter {
  private readonly rule: TokenRule
  private readonly clock: Clock.Clock
  private readonly memory: SharedMemory
  private readonly region: number
  private readonly member: number
  private readonly startedAt: number
  private readonly key0: number
  private readonly key1: number
  /** What is under way: numbers that are copied in, and out again. */
  private readonly bucket: Tokens = { taken: 0, until: 0 }

  constructor({ at, member, memory }: SharedRegion, limit: Limit, clock: Clock.Clock) {
    this.rule = new TokenRule(limit, apart)
    this.clock = clock
    this.memory = memory
    this.region = at
    this.member = member
    this.startedAt = memory.since(monotonicMillis(clock), member)
    // What is made of the name with a secret is a secret for its keys.
    this.key0 = memory.words[at + Region.id]!
    this.key1 = memory.words[at + Region.id + 1]!
  }

  get left(): number {
    const { memory, region } = this
    const lock = region + Region.lock
    memory.lock(lock, this.member)
    this.read(region + Region.until, region + Region.taken)
    memory.unlock(lock)
    return this.rule.left(this.bucket, this.now() - this.startedAt)
  }

  now(): number {
    return monotonicMillis(this.clock)
  }

  take(key: string | undefined, tokens: number, instant: number = this.now()): number {
    const { memory, region } = this
    const now = instant - this.startedAt
    if (key === undefined) {
      const lock = region + Region.lock
      memory.lock(lock, this.member)
      try {
        // After the group was closed the region may be another's.
        if (memory.words[region + Region.id] !== this.key0 || memory.words[region + Region.id + 1] !== this.key1) {
          return 0
        }
        return this.takeFrom(region + Region.until, region + Region.taken, tokens, now)
      } finally {
        memory.unlock(lock)
      }
    }
    halfSipHash(key, this.key0, this.key1)
    const hash0 = hashed[0]!
    const hash1 = hashed[1]!
    const set = (hash0 >>> 0) % memory.sets
    const lock = memory.lockOf(set)
    memory.lock(lock, this.member)
    try {
      const at = this.find(set, hash0, hash1)
      return this.takeFrom(at + Key.until, at + Key.taken, tokens, now)
    } finally {
      memory.unlock(lock)
    }
  }

  /** Where a key is, from now on. */
  private find(set: number, hash0: number, hash1: number): number {
    const { keys, numbers, words } = this.memory
    const first = keys + set * ways * Key.size
    let oldest = first
    let until = Infinity
    for (let at = first; at < first + ways * Key.size; at += Key.size) {
      if (words[at] === hash0 && words[at + 1] === hash1) return at
      const other = numbers[(at + Key.until) / 2]!
      if (other < until) {
        oldest = at
        until = other
      }
    }
    // In this order, so that one who dies over it leaves a key of which nothing is known.
    numbers[(oldest + Key.until) / 2] = 0
    numbers[(oldest + Key.taken) / 2] = 0
    words[oldest] = hash0
    words[oldest + 1] = hash1
    return oldest
  }

  private takeFrom(until: number, taken: number, tokens: number, now: number): number {
    const { bucket, memory: { numbers } } = this
    this.read(until, taken)
    const said = this.rule.take(bucket, tokens, now)
    numbers[taken / 2] = bucket.taken
    numbers[until / 2] = bucket.until
    return said
  }

  private read(until: number, taken: number): void {
    const { bucket, memory: { numbers } } = this
    bucket.until = numbers[until / 2]!
    bucket.taken = numbers[taken / 2]!
  }
}
