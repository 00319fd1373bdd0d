import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as AdaptiveLimit from "../AdaptiveLimit.ts"
import { duration, fraction, whole } from "../InvalidOptions.ts"
import type { Admission, Call, Ending, Gate } from "./Call.ts"
import type { Policy } from "./Policy.ts"
import type { PoolState } from "./PoolState.ts"
import type { Timers } from "./Timers.ts"

const options = Schema.Struct({
  algorithm: Schema.optional(Schema.Literals(["gradient", "aimd"])),
  tolerance: Schema.optional(Schema.Number.check(Schema.isGreaterThanOrEqualTo(1), Schema.isFinite())),
  measureEvery: Schema.optional(duration),
  target: Schema.optional(duration),
  backoff: Schema.optional(fraction),
  min: Schema.optional(whole(1)),
  max: Schema.optional(whole(1)),
  initial: Schema.optional(whole(1)),
  window: Schema.optional(duration),
  samples: Schema.optional(whole(1))
})

/** What was seen in a window. */
interface Seen {
  readonly limit: number
  /** Calls that ended. */
  readonly calls: number
  /** What those took on average, in milliseconds. */
  readonly average: number
  /** What the quickest took. */
  readonly quickest: number
  /** Whether one of them timed out. */
  readonly timedOut: boolean
  /** How many ran at once at the most. */
  readonly mostActive: number
}

/** Decides on the next limit. */
interface Algorithm {
  next(seen: Seen, now: number): number
}

/** Inside of the pool, so that what it measures has a permit. */
export class AdaptiveGate implements Gate, Admission {
  limit: number
  private readonly pool: PoolState
  private readonly timers: Timers
  private readonly algorithm: Algorithm
  private readonly min: number
  private readonly max: number
  private readonly window: number
  private readonly samples: number

  private opened = 0
  private calls = 0
  private sum = 0
  private quickest = Infinity
  private timedOut = false
  private mostActive = 0

  constructor(pool: PoolState, timers: Timers, given: AdaptiveLimit.Options) {
    this.pool = pool
    this.timers = timers
    this.min = given.min ?? 1
    this.max = Math.max(this.min, given.max ?? pool.maxConcurrent)
    this.window = Duration.toMillis(given.window ?? "100 millis")
    this.samples = given.samples ?? 10
    this.limit = Math.min(this.max, Math.max(this.min, given.initial ?? 20))
    this.algorithm = given.algorithm === "aimd"
      ? new Aimd(Duration.toMillis(given.target), given.backoff ?? 0.9)
      : new Gradient(given.tolerance ?? 1.5, Duration.toMillis(given.measureEvery ?? "30 seconds"), this.min)
    this.pool.resize({ maxConcurrent: Math.floor(this.limit) })
  }

  enter(): Admission {
    if (this.pool.active > this.mostActive) this.mostActive = this.pool.active
    return this
  }

  leave(call: Call, exit: Ending): void {
    const timedOut = call.rejection !== undefined && call.rejection._tag === "CommandTimeout"
    // What its caller gave up, or failed, says nothing of how long the dependency takes.
    if (!call.ran || (exit._tag === "Failure" && !timedOut)) return
    const now = this.timers.now()
    const took = now - call.workedFrom
    this.calls++
    this.sum += took
    if (took < this.quickest) this.quickest = took
    this.timedOut ||= timedOut
    if (this.calls >= this.samples && now - this.opened >= this.window) this.close(now)
  }

  private close(now: number): void {
    const next = this.algorithm.next({
      limit: this.limit,
      calls: this.calls,
      average: this.sum / this.calls,
      quickest: this.quickest,
      timedOut: this.timedOut,
      mostActive: this.mostActive
    }, now)
    this.opened = now
    this.calls = this.sum = this.mostActive = 0
    this.quickest = Infinity
    this.timedOut = false
    this.limit = Math.min(this.max, Math.max(this.min, next))
    const limit = Math.floor(this.limit)
    if (limit !== this.pool.maxConcurrent) this.pool.resize({ maxConcurrent: limit })
  }
}

class Aimd implements Algorithm {
  private readonly target: number
  private readonly backoff: number
  constructor(target: number, backoff: number) {
    this.target = target
    this.backoff = backoff
  }
  next({ average, limit, mostActive, timedOut }: Seen): number {
    if (timedOut || average > this.target) return limit * this.backoff
    // A limit that is not used says nothing of whether more would do.
    return mostActive >= limit / 2 ? limit + 1 : limit
  }
}

class Gradient implements Algorithm {
  private readonly tolerance: number
  private readonly measureEvery: number
  private readonly floor: number
  /** What a call takes on an idle dependency; 0 until it is known. */
  private idle = 0
  private measureAt = 0
  /** The limit to come back to from a measurement: which takes one window to drain what ran before, and one to look. */
  private resume: number | undefined = undefined
  private drained = false

  constructor(tolerance: number, measureEvery: number, floor: number) {
    this.tolerance = tolerance
    this.measureEvery = measureEvery
    this.floor = floor
  }

  next(seen: Seen, now: number): number {
    const { average, limit, mostActive, quickest, timedOut } = seen
    if (this.resume !== undefined) {
      if (!this.drained) {
        this.drained = true
        return this.floor
      }
      this.idle = quickest
      const resume = this.resume
      this.resume = undefined
      this.measureAt = now + this.measureEvery
      return resume
    }
    if (this.idle === 0) this.measureAt = now + this.measureEvery
    if (this.idle === 0 || quickest < this.idle) this.idle = quickest
    if (now >= this.measureAt) {
      this.resume = limit
      this.drained = false
      return this.floor
    }
    if (timedOut) return limit * 0.5
    const ratio = Math.max(0.5, Math.min(1, (this.tolerance * this.idle) / average))
    const next = limit * ratio + Math.sqrt(limit)
    // A limit that is not used says nothing of whether more would do.
    return next > limit && mostActive < limit / 2 ? limit : next
  }
}

/** One for all commands of the group: it is the pool's limit that it finds. */
export const adaptive: Policy<AdaptiveGate> = {
  name: "adaptive",
  group: { adaptive: Schema.optional(options) },
  measuresWork: true,
  isOn: ({ adaptive }) => adaptive !== undefined,
  share: (group, { adaptive }) => Effect.sync(() => new AdaptiveGate(group.pool, group.timers, adaptive!)),
  settings: (_, group) => {
    const gate = group.shared(adaptive)
    return gate === undefined ? undefined : { limit: Math.floor(gate.limit) }
  },
  gate: (_, group) => group.shared(adaptive)!
}
