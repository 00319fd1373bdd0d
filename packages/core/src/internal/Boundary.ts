import type * as Clock from "effect/Clock"
import type { Call } from "./Call.ts"
import type { Held } from "./Held.ts"
import { monotonicMillis } from "./monotonic.ts"
import { Rejection } from "./Rejection.ts"

/** A deadline of a part of a program, which ends that part itself. Everything in there is inside of it. */
export class Boundary implements Held {
  readonly pool = undefined
  readonly call = undefined
  readonly outer: Held | undefined
  /** Whether the part has ended. What it has left in the background is bounded no more. */
  over = false
  /** Whether it has told the part to stop. What still runs then are finalizers, which have the time that they need. */
  fired = false
  private readonly clock: Clock.Clock
  private readonly at: number

  constructor(clock: Clock.Clock, millis: number, outer: Held | undefined) {
    this.clock = clock
    this.outer = outer
    this.at = monotonicMillis(clock) + millis
  }

  /** Whether its time is up, by a clock that may be ahead of its timer. */
  get isPast(): boolean {
    return this.fired || monotonicMillis(this.clock) >= this.at
  }

  left(): number {
    return this.fired || this.over ? Infinity : this.at - monotonicMillis(this.clock)
  }
}

/** How long until the first deadline of those, in milliseconds. */
export const leftOf = (held: Held | undefined): number => {
  let least = Infinity
  for (; held !== undefined; held = held.outer) least = Math.min(least, held.left())
  return least
}

// Of a boundary alone: a call whose deadline has passed ends by a timer that is due by now, and fails with what is its own.
const isPast = (held: Held | undefined): boolean => {
  for (; held !== undefined; held = held.outer) {
    if (held instanceof Boundary && !held.fired && !held.over && held.isPast) return true
  }
  return false
}

const hasFired = (held: Held | undefined): boolean => {
  for (; held !== undefined; held = held.outer) {
    if (held instanceof Boundary && held.fired && !held.over) return true
  }
  return false
}

/** Why a call was interrupted, if that was by a deadline that it is inside of. */
export const whyInterrupted = (call: Call): Rejection | undefined => hasFired(call.held) ? deadlinePassed : undefined

/** Ends a call whose time is up, although nothing has told it to stop yet. */
export const expire = (call: Call): boolean => {
  if (call.held === undefined || !isPast(call.held)) return false
  call.interrupt(deadlinePassed)
  return true
}

/** A call has as much time as what it is inside of. If that is none it ends here. */
export const inherit = (call: Call, now: number): void => {
  if (call.held === undefined || expire(call)) return
  call.deadlineAt = Math.min(call.deadlineAt, now + leftOf(call.held))
}

// Tells the outcome. Nobody else sees it: whoever set the deadline fails with what is its own.
class DeadlinePassed extends Rejection {
  declare readonly _tag: "DeadlinePassed"
  get message(): string {
    return "a deadline around the call has passed"
  }
}
DeadlinePassed.define("DeadlinePassed", "timeout")

const deadlinePassed = new DeadlinePassed("", "")
