import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { enclosedBy, type Enclosing, enclosingOf } from "./Enclosing.ts"
import type { Ending, Running } from "./Gate.ts"
import { type Held, heldIn, holder, inside, only } from "./Held.ts"
import { defectsOf } from "./pass.ts"
import type { Rejection } from "./Rejection.ts"

/** Starts a run; `ended` hears of its end, which may be before this answers. */
type Run = (flight: Flight, ended: (exit: Ending) => void) => Running

interface Clock {
  now(): number
}

/** Runs that callers share, by key: only those under way are known. */
export class Flights {
  private readonly boarding = new Map<string, Flight>()

  /** How many keys have a run that a caller could join. */
  get size(): number {
    return this.boarding.size
  }

  /**
   * A seat in the flight of this key, which starts with its first caller; `undefined` for a run that has come back to itself. Who
   * gives a seat up hears at once, the last one once the run has ended.
   */
  board(
    key: string,
    clock: Clock,
    now: number,
    held: Held | undefined,
    enclosing: Enclosing | undefined,
    resume: (exit: Ending) => void,
    run: Run
  ): Running | undefined {
    const known = this.boarding.get(key)
    if (known !== undefined) return holder(held, known) === undefined ? known.board(now, enclosing, resume) : undefined
    const flight = new Flight(this, key, clock, now, held)
    this.boarding.set(key, flight)
    const seat = flight.board(now, enclosing, resume)
    flight.start(run)
    return seat
  }

  // All of it inside of the register function, as in `pass`: nothing comes between joining and the cleanup that leaves.
  join(
    key: string,
    run: Effect.Effect<unknown, unknown, unknown>,
    clock: Clock = timeless
  ): Effect.Effect<unknown, unknown, unknown> {
    return Effect.callback<unknown, unknown, unknown>((resume) => {
      const { context } = Fiber.getCurrent()!
      let over = false
      const ended = (exit: Ending) => {
        over = true
        resume(exit)
      }
      const fork: Run = (flight, ended) => {
        const within = enclosedBy(inside(context, flight) as typeof context, flight)
        const fiber = Effect.runForkWith(within)(run as Effect.Effect<unknown, unknown>) // what it needs is in the context
        fiber.addObserver(ended)
        return {
          cancel(ended) {
            fiber.addObserver(ended)
            fiber.interruptUnsafe()
          }
        }
      }
      const seat = this.board(key, clock, clock.now(), heldIn(context), enclosingOf(context), ended, fork)
      // It would wait for itself.
      if (seat === undefined) return resume(run)
      if (over) return
      return Effect.callback<void>((resume) => seat.cancel((exit) => resume(defectsOf(exit))))
    })
  }

  /** From now on callers of this key start anew. */
  close(key: string, flight: Flight): void {
    if (this.boarding.get(key) === flight) this.boarding.delete(key)
  }
}

const timeless: Clock = { now: () => 0 }

/** One run, and those who wait for it. It stands between the calls of those and the gates that it passes itself. */
class Flight implements Enclosing, Held {
  rejection: Rejection | undefined = undefined
  /** The run is inside of no permit and no deadline of its callers, only of their flights: one that joined itself would wait for ever. */
  readonly outer: Held | undefined
  readonly plan: { readonly key: string }
  over = false
  private readonly flights: Flights
  private readonly clock: Clock
  private first: Seat | undefined = undefined
  private last: Seat | undefined = undefined
  private running: Running | undefined = undefined
  private begun = false
  private readonly startedAt: number
  // How long the most patient of its callers had when they came, those without a deadline aside.
  private patience = 0

  constructor(flights: Flights, key: string, clock: Clock, now: number, held: Held | undefined) {
    this.flights = flights
    this.plan = { key }
    this.clock = clock
    this.startedAt = now
    this.outer = only(held, ({ over, pool }) => pool instanceof Flight && !over)
  }

  get pool(): this {
    return this
  }
  get call(): this {
    return this
  }
  left(): number {
    return Infinity
  }

  /** The latest one of its callers: it has time for as long as any of them has. */
  get deadlineAt(): number {
    let latest = -Infinity
    for (let seat = this.first; seat !== undefined; seat = seat.next) {
      latest = Math.max(latest, seat.enclosing?.deadlineAt ?? Infinity)
    }
    return latest
  }

  board(now: number, enclosing: Enclosing | undefined, resume: (exit: Ending) => void): Seat {
    const { last } = this
    const seat = new Seat(this, enclosing, resume, now, last)
    if (last === undefined) this.first = seat
    else last.next = seat
    this.last = seat
    const allowance = (enclosing?.deadlineAt ?? Infinity) - now
    if (allowance !== Infinity && allowance > this.patience) this.patience = allowance
    if (this.begun) enclosing?.began?.()
    return seat
  }

  start(run: Run): void {
    const running = run(this, (exit) => this.end(exit))
    if (!this.over) this.running = running
  }

  began(): void {
    this.begun = true
    for (let seat = this.first; seat !== undefined; seat = seat.next) seat.enclosing?.began?.()
  }

  waited(millis: number): void {
    const now = this.clock.now()
    for (let seat = this.first; seat !== undefined; seat = seat.next) {
      seat.enclosing?.waited?.(Math.min(millis, now - seat.since))
    }
  }

  leave(seat: Seat, left: (exit: Ending) => void): void {
    if (this.over) return left(interrupted)
    const { next, previous } = seat
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    const isLast = this.first === undefined
    const why = seat.enclosing?.rejection
    // A run that has outlasted its callers may hang: if it took in newcomers, it could hang for as long as there are any. One who had
    // less time than others says nothing of it, or callers in a hurry would start a run each.
    if (isLast || (why !== undefined && this.clock.now() - this.startedAt >= this.patience)) {
      this.flights.close(this.plan.key, this)
    }
    if (!isLast) return left(interrupted)
    this.rejection = why
    // The last to leave waits for the finalizers, and hears of their defects.
    this.running!.cancel((exit) => {
      this.end(exit)
      left(exit)
    })
  }

  private end(exit: Ending): void {
    this.over = true
    this.running = undefined
    this.flights.close(this.plan.key, this)
    let seat = this.first
    this.first = this.last = undefined
    for (; seat !== undefined; seat = seat.next) seat.end(exit)
  }
}

/** What a caller has of a flight. */
class Seat implements Running {
  next: Seat | undefined = undefined
  previous: Seat | undefined
  readonly enclosing: Enclosing | undefined
  readonly since: number
  private readonly flight: Flight
  private readonly resume: (exit: Ending) => void
  private left = false

  constructor(
    flight: Flight,
    enclosing: Enclosing | undefined,
    resume: (exit: Ending) => void,
    since: number,
    previous: Seat | undefined
  ) {
    this.flight = flight
    this.enclosing = enclosing
    this.resume = resume
    this.since = since
    this.previous = previous
  }

  cancel(left: (exit: Ending) => void): void {
    if (this.left) return left(interrupted)
    this.left = true
    this.flight.leave(this, left)
  }

  end(exit: Ending): void {
    if (this.left) return
    this.left = true
    this.resume(exit)
  }
}

const interrupted = Exit.failCause(Cause.interrupt())
