import * as Context from "effect/Context"
import type { Call } from "./Call.ts"

/** What a fiber is inside of, the innermost first: permits of pools, with the calls that hold them, shared runs, and deadlines. */
export interface Held {
  readonly pool: object | undefined
  readonly call: { readonly plan: { readonly key: string } } | undefined
  readonly outer: Held | undefined
  /** Whether it has ended before what is inside of it. */
  readonly over: boolean
  /** How long until its own deadline, in milliseconds. */
  left(): number
}

class CurrentHeld extends Context.Service<CurrentHeld, Held>()("@blackgate/core/Held") {}

/** A permit that a call holds, and with it the call's own deadlines. */
export class Permit implements Held {
  readonly pool: { readonly timers: { now(): number } }
  readonly call: Call
  readonly outer: Held | undefined

  constructor(pool: Permit["pool"], call: Call) {
    this.pool = pool
    this.call = call
    this.outer = living(call.held)
  }

  get over(): boolean {
    return this.call.ended
  }

  left(): number {
    const { answered, attemptDeadline, deadlineAt, stopping } = this.call
    const at = Math.min(deadlineAt, attemptDeadline?.at ?? Infinity)
    // The finalizers of what was told to stop have the time that they need.
    return at === Infinity || answered || stopping ? Infinity : at - this.pool.timers.now()
  }
}

// Those that have ended are left behind, or a call that starts the next one in the background would grow a chain of all before it.
const living = (held: Held | undefined): Held | undefined => {
  while (held?.over === true) held = held.outer
  return held
}

/** What a fiber is inside of. It travels in its context, so that forked children are inside of it too. */
export const heldIn = (context: Context.Context<never>): Held | undefined =>
  living(Context.getOrUndefined(context, CurrentHeld))

/** The context of what is inside of one more. */
export const inside = <R>(context: Context.Context<R>, held: Held): Context.Context<R | CurrentHeld> =>
  Context.add(context, CurrentHeld, held)

/** The context of a call's work. */
export const contextOf = (call: Call): Context.Context<never> =>
  call.held === undefined ? call.context : inside(call.context, call.held) as Context.Context<never>

/** The call whose permit of `pool` the fiber is inside of. A child that outlived the call is inside no longer. */
export const holder = (held: Held | undefined, pool: object): Held["call"] | undefined => {
  for (; held !== undefined; held = held.outer) {
    if (held.pool === pool && !held.over) return held.call
  }
  return undefined
}

/** Those of a chain that are meant, as a chain of their own. */
export const only = (held: Held | undefined, those: (held: Held) => boolean): Held | undefined => {
  if (held === undefined) return undefined
  const outer = only(held.outer, those)
  return those(held) ? new Link(held, outer) : outer
}

/** The same as another, in a chain of its own. */
class Link implements Held {
  readonly outer: Held | undefined
  private readonly of: Held

  constructor(of: Held, outer: Held | undefined) {
    this.of = of
    this.outer = outer
  }

  get pool(): Held["pool"] {
    return this.of.pool
  }
  get call(): Held["call"] {
    return this.of.call
  }
  get over(): boolean {
    return this.of.over
  }
  left(): number {
    return this.of.left()
  }
}
