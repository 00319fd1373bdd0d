import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { monotonicMillis } from "./monotonic.ts"

/** What is due at `at`. The heap keeps the other two. An interface: to be made of a base class costs each deadline 20 ns. */
export interface Timed {
  /** In milliseconds of the timers' clock. */
  readonly at: number
  elapse(): void
  /** The timers have ended before it was due: nothing will elapse any more. */
  cease?(): void
  /** Its place in the heap; -1, as from the start, when it is in none. */
  index: number
  /** Breaks ties: of two due at one instant the one that was added first elapses first. */
  order: number
}

/**
 * One timer for all deadlines of a group: a binary heap, and one fiber that sleeps on the Clock until the first is due.
 *
 * A deadline that is met costs an insertion and a removal, both near the end of the heap, and no timer of its own.
 */
export class Timers {
  private readonly heap: Array<Timed> = []
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private fiber: Fiber.Fiber<void> | undefined
  private wakesAt = Infinity
  private added = 0
  /** Whether nothing elapses any more. */
  closed = false

  constructor(clock: Clock.Clock, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.clock = clock
    this.fork = fork
  }

  /** Timers on the current Clock, for as long as the scope is open. */
  static readonly make: Effect.Effect<Timers, never, Scope.Scope> = Effect.gen(function*() {
    const clock = yield* Effect.clockWith(Effect.succeed)
    const context = yield* Effect.context<never>()
    const timers = new Timers(clock, Effect.runForkWith(context))
    yield* Effect.addFinalizer(() => timers.close)
    return timers
  })

  /** Monotonic milliseconds: a call takes a reading when it starts and one when it ends. */
  now(): number {
    return monotonicMillis(this.clock)
  }

  /** Milliseconds since 1970, for what keeps to the calendar. */
  wall(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  get size(): number {
    return this.heap.length
  }

  add(entry: Timed): void {
    entry.index = this.heap.length
    entry.order = this.added++
    this.heap.push(entry)
    this.up(entry)
    if (entry.at < this.wakesAt) this.sleepUntil(entry.at)
  }

  remove(entry: Timed): void {
    const index = entry.index
    if (index < 0) return
    entry.index = -1
    const last = this.heap.pop()!
    if (last === entry) return
    this.heap[index] = last
    last.index = index
    this.up(last)
    this.down(last)
  }

  private up(entry: Timed): void {
    let i = entry.index
    while (i > 0) {
      const above = (i - 1) >>> 1
      const parent = this.heap[above]!
      if (!isBefore(entry, parent)) break
      this.heap[i] = parent
      parent.index = i
      i = above
    }
    this.heap[i] = entry
    entry.index = i
  }

  private down(entry: Timed): void {
    const size = this.heap.length
    let i = entry.index
    for (let below = 2 * i + 1; below < size; below = 2 * i + 1) {
      if (below + 1 < size && isBefore(this.heap[below + 1]!, this.heap[below]!)) below++
      const child = this.heap[below]!
      if (!isBefore(child, entry)) break
      this.heap[i] = child
      child.index = i
      i = below
    }
    this.heap[i] = entry
    entry.index = i
  }

  private sleepUntil(at: number): void {
    if (this.closed) return
    this.wakesAt = at
    this.fiber?.interruptUnsafe()
    // Rounded up, and never 0, so that waking finds the entry due.
    const sleep = this.clock.sleep(Duration.millis(Math.max(1, Math.ceil(at - this.now()))))
    this.fiber = this.fork(Effect.andThen(sleep, this.elapse))
  }

  private readonly elapse = Effect.sync(() => {
    this.fiber = undefined
    this.wakesAt = -Infinity // what is added meanwhile does not move the timer
    const now = this.now()
    try {
      while (this.heap.length > 0 && this.heap[0]!.at <= now) {
        const entry = this.heap[0]!
        this.remove(entry)
        entry.elapse()
      }
    } finally {
      // Also after a bug in one of them: no other waits for ever because of it.
      this.wakesAt = Infinity
      if (this.heap.length > 0) this.sleepUntil(this.heap[0]!.at)
    }
  })

  /** Ends the fiber. Calls that are still under way end by themselves, without a deadline; those that only wait for it end now. */
  readonly close: Effect.Effect<void> = Effect.sync(() => {
    this.closed = true
    this.fiber?.interruptUnsafe()
    this.fiber = undefined
    for (const entry of this.heap.slice()) {
      if (entry.cease === undefined || entry.index < 0) continue
      this.remove(entry)
      entry.cease()
    }
  })
}

const isBefore = (a: Timed, b: Timed): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
