import * as Context from "effect/Context"
import type { Call, Held } from "./Call.ts"
import { enclosedBy, enclosedByNone } from "./Enclosing.ts"

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

/** The permits and deadlines that a fiber is inside of. They travel in its context, so that forked children are inside of them too. */
export const heldIn = (context: Context.Context<never>): Held | undefined =>
  living(Context.getOrUndefined(context, CurrentHeld))

/** The context of what is inside of one more. */
export const heldWith = <R>(context: Context.Context<R>, held: Held): Context.Context<R | CurrentHeld> =>
  Context.add(context, CurrentHeld, held)

/** The context of what no caller's permits and deadlines are around, such as a run that several share. */
export const heldByNone = (context: Context.Context<never>): Context.Context<never> =>
  Context.getOrUndefined(context, CurrentHeld) === undefined ? context : Context.omit(CurrentHeld)(context)

/** The context of what is inside of a call's permits. */
export const heldBy = (call: Call): Context.Context<never> =>
  call.held?.call === call ? heldWith(call.context, call.held) : call.context

/** The context of a call's work. */
export const contextOf = (call: Call): Context.Context<never> => {
  const context = heldBy(call)
  if (call.plan.encloses) return enclosedBy(context, call)
  return call.plan.enclosed === true ? enclosedByNone(context) : context
}

/** The call whose permit of `pool` the fiber is inside of. A child that outlived the call is inside no longer. */
export const holder = (held: Held | undefined, pool: object): Call | undefined => {
  for (; held !== undefined; held = held.outer) {
    if (held.pool === pool && !held.over) return held.call
  }
  return undefined
}
