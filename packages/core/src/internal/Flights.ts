import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Ending } from "./Call.ts"
import { enclosedBy, type Enclosing, enclosingOf } from "./Enclosing.ts"
import { heldByNone } from "./Held.ts"
import type { Rejection } from "./Rejection.ts"

type Run = Effect.Effect<unknown, unknown, unknown>

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

  // All of it inside of the register function, as in `pass`: nothing comes between joining and the cleanup that leaves.
  join(key: string, run: Run): Run {
    return Effect.callback<unknown, unknown, unknown>((resume) => {
      const { context } = Fiber.getCurrent()!
      let flight = this.boarding.get(key)
      if (flight === undefined) {
        this.boarding.set(key, flight = new Flight(this, key, context))
        const caller = flight.board(context, resume)
        flight.start(run)
        return flight.cleanup(caller)
      }
      // A run that came back to itself would wait for itself.
      if (flight.contains(context)) return resume(run)
      return flight.cleanup(flight.board(context, resume))
    })
  }

  /** From now on callers of this key start anew. */
  close(key: string, flight: Flight): void {
    if (this.boarding.get(key) === flight) this.boarding.delete(key)
  }
}

/** One who waits for the end of a run. */
interface Caller {
  readonly enclosing: Enclosing | undefined
  readonly resume: (exit: Ending) => void
  readonly since: number
}

/** One run, and those who wait for it. It stands between the calls of those and the gates that it passes itself. */
class Flight implements Enclosing {
  rejection: Rejection | undefined = undefined
  private readonly flights: Flights
  private readonly key: string
  private readonly context: Context.Context<never>
  private outer: Flight | undefined
  private readonly callers = new Set<Caller>()
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private begun = false
  private ended = false
  private startedAt = 0
  // How long the most patient of its callers had when they came, those without a deadline aside.
  private patience = 0

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

  board(context: Context.Context<never>, resume: (exit: Ending) => void): Caller {
    const enclosing = enclosingOf(context)
    const since = enclosing === undefined ? 0 : this.flights.now()
    const caller = { enclosing, resume, since }
    this.callers.add(caller)
    const allowance = (enclosing?.deadlineAt ?? Infinity) - since
    if (allowance !== Infinity && allowance > this.patience) this.patience = allowance
    if (this.begun) enclosing?.began?.()
    return caller
  }

  start(run: Run): void {
    this.startedAt = this.flights.now()
    const fiber = this.fiber = Effect.runForkWith(this.context)(run as Effect.Effect<unknown, unknown>)
    fiber.addObserver((exit) => {
      this.ended = true
      this.outer = undefined // or flights that start each other in the background would grow a chain
      this.flights.close(this.key, this)
      for (const { resume } of this.callers) resume(exit)
      this.callers.clear()
    })
  }

  cleanup(caller: Caller): Effect.Effect<void> | undefined {
    return this.ended ? undefined : Effect.suspend(() => this.leave(caller))
  }

  began(): void {
    this.begun = true
    for (const { enclosing } of this.callers) enclosing?.began?.()
  }

  waited(millis: number): void {
    const now = this.flights.now()
    for (const { enclosing, since } of this.callers) enclosing?.waited?.(Math.min(millis, now - since))
  }

  private leave(caller: Caller): Effect.Effect<void> {
    if (!this.callers.delete(caller)) return Effect.void
    const why = caller.enclosing?.rejection
    // A run that has outlasted its callers may hang: if it took in newcomers, it could hang for as long as there are any. One who had
    // less time than others says nothing of it, or callers in a hurry would start a run each.
    if (this.callers.size === 0 || (why !== undefined && this.flights.now() - this.startedAt >= this.patience)) {
      this.flights.close(this.key, this)
    }
    if (this.callers.size > 0) return Effect.void
    this.rejection = why
    this.fiber!.interruptUnsafe()
    return Effect.flatMap(Fiber.await(this.fiber!), defectsOf)
  }
}

// The last to leave waits for the finalizers, and hears of their defects.
const defectsOf = (exit: Ending): Effect.Effect<void> => {
  const defects = Exit.isSuccess(exit) ? [] : exit.cause.reasons.filter(Cause.isDieReason)
  return defects.length === 0 ? Effect.void : Effect.failCause(Cause.fromReasons(defects))
}
