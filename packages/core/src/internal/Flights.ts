import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Ending } from "./Call.ts"
import { enclosedBy, type Enclosing, enclosingOf } from "./Enclosing.ts"
import { heldByNone } from "./Held.ts"
import { defectsOf } from "./pass.ts"
import type { Rejection } from "./Rejection.ts"

/** Starts a run in a context; `ended` hears of its end, which may be before this answers. */
type Run = (context: Context.Context<never>, ended: (exit: Ending) => void) => Running

interface Running {
  /** Ends it early. `ended` hears of its end instead of whoever did before. */
  cancel(ended: (exit: Ending) => void): void
}

/** What a caller has of a flight. */
export interface Seat {
  /** Gives it up. The last one to leave hears how the run ended, once it has; the others at once. */
  leave(left: (exit: Ending) => void): void
}

/** The flight that a fiber is part of, if it is part of one. */
class CurrentFlight extends Context.Service<CurrentFlight, Flight>()("@blackgate/core/Flight") {}

/** Runs that callers share, by key: only those under way are known. */
export class Flights {
  /** In milliseconds. */
  readonly now: () => number
  private readonly boarding = new Map<string, Flight>()

  constructor(now: () => number) {
    this.now = now
  }

  /** How many keys have a run that a caller could join. */
  get size(): number {
    return this.boarding.size
  }

  /** A seat in the flight of this key, which starts with its first caller; `undefined` for a run that has come back to itself. */
  board(
    key: string,
    context: Context.Context<never>,
    enclosing: Enclosing | undefined,
    resume: (exit: Ending) => void,
    run: Run
  ): Seat | undefined {
    const known = this.boarding.get(key)
    if (known !== undefined) return known.contains(context) ? undefined : known.board(enclosing, resume)
    const flight = new Flight(this, key, context)
    this.boarding.set(key, flight)
    const seat = flight.board(enclosing, resume)
    flight.start(run)
    return seat
  }

  // All of it inside of the register function, as in `pass`: nothing comes between joining and the cleanup that leaves.
  join(key: string, run: Effect.Effect<unknown, unknown, unknown>): Effect.Effect<unknown, unknown, unknown> {
    return Effect.callback<unknown, unknown, unknown>((resume) => {
      const { context } = Fiber.getCurrent()!
      let over = false
      const ended = (exit: Ending) => {
        over = true
        resume(exit)
      }
      const seat = this.board(key, context, enclosingOf(context), ended, forked(run))
      // It would wait for itself.
      if (seat === undefined) return resume(run)
      if (over) return
      return Effect.callback<void>((resume) => seat.leave((exit) => resume(defectsOf(exit))))
    })
  }

  /** From now on callers of this key start anew. */
  close(key: string, flight: Flight): void {
    if (this.boarding.get(key) === flight) this.boarding.delete(key)
  }
}

const forked = (run: Effect.Effect<unknown, unknown, unknown>): Run => (context, ended) => {
  const fiber = Effect.runForkWith(context)(run as Effect.Effect<unknown, unknown>) // what it needs is in the context
  fiber.addObserver(ended)
  return {
    cancel(ended) {
      fiber.addObserver(ended)
      fiber.interruptUnsafe()
    }
  }
}

/** One run, and those who wait for it. It stands between the calls of those and the gates that it passes itself. */
class Flight implements Enclosing {
  rejection: Rejection | undefined = undefined
  readonly callers = new Set<Caller>()
  private readonly flights: Flights
  private readonly key: string
  private readonly context: Context.Context<never>
  private outer: Flight | undefined
  private running: Running | undefined = undefined
  private begun = false

  /** It has what its first caller has around itself, but for what is that one's alone: its bounds and the permits it is inside of. */
  constructor(flights: Flights, key: string, context: Context.Context<never>) {
    this.flights = flights
    this.key = key
    this.outer = Context.getOrUndefined(context, CurrentFlight)
    this.context = Context.add(enclosedBy(heldByNone(context), this), CurrentFlight, this)
  }

  /** The latest one of its callers: it has time for as long as any of them has. */
  get deadlineAt(): number {
    let latest = -Infinity
    for (const { enclosing } of this.callers) latest = Math.max(latest, enclosing?.deadlineAt ?? Infinity)
    return latest
  }

  /** Whether it waits for what runs in this context. */
  contains(context: Context.Context<never>): boolean {
    for (let flight = Context.getOrUndefined(context, CurrentFlight); flight !== undefined; flight = flight.outer) {
      if (flight === this) return true
    }
    return false
  }

  board(enclosing: Enclosing | undefined, resume: (exit: Ending) => void): Seat {
    const caller = new Caller(this, enclosing, resume, enclosing === undefined ? 0 : this.flights.now())
    this.callers.add(caller)
    if (this.begun) enclosing?.began?.()
    return caller
  }

  start(run: Run): void {
    this.running = run(this.context, (exit) => this.ended(exit))
  }

  began(): void {
    this.begun = true
    for (const { enclosing } of this.callers) enclosing?.began?.()
  }

  waited(millis: number): void {
    const now = this.flights.now()
    for (const { enclosing, since } of this.callers) enclosing?.waited?.(Math.min(millis, now - since))
  }

  leave(caller: Caller, left: (exit: Ending) => void): void {
    if (!this.callers.delete(caller)) return left(interrupted)
    const why = caller.enclosing?.rejection
    // A run that has outlasted a deadline may hang: if it took in newcomers, it could hang for as long as there are any.
    if (this.callers.size === 0 || why !== undefined) this.flights.close(this.key, this)
    if (this.callers.size > 0) return left(interrupted)
    this.rejection = why
    // The last to leave waits for the finalizers, and hears of their defects.
    this.running!.cancel((exit) => {
      this.ended(exit)
      left(exit)
    })
  }

  private ended(exit: Ending): void {
    this.outer = undefined // or flights that start each other in the background would grow a chain
    this.flights.close(this.key, this)
    for (const { resume } of this.callers) resume(exit)
    this.callers.clear()
  }
}

/** One who waits for the end of a run. */
class Caller implements Seat {
  readonly enclosing: Enclosing | undefined
  readonly resume: (exit: Ending) => void
  readonly since: number
  private readonly flight: Flight

  constructor(
    flight: Flight,
    enclosing: Enclosing | undefined,
    resume: (exit: Ending) => void,
    since: number
  ) {
    this.flight = flight
    this.enclosing = enclosing
    this.resume = resume
    this.since = since
  }

  leave(left: (exit: Ending) => void): void {
    this.flight.leave(this, left)
  }
}

const interrupted = Exit.failCause(Cause.interrupt())
