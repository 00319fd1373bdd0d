import * as Context from "effect/Context"
import type { Call, Held } from "./Call.ts"
import { enclosedBy, enclosedByNone } from "./Enclosing.ts"

class CurrentHeld extends Context.Service<CurrentHeld, Held>()("@blackgate/core/Held") {}

/**
 * The permits that a fiber is inside of. They travel in its context, so that forked children are inside of them too. Calls that have
 * ended are left behind, or a call that starts the next one in the background would grow a chain of all before it.
 */
export const heldIn = (context: Context.Context<never>): Held | undefined => {
  let held = Context.getOrUndefined(context, CurrentHeld)
  while (held?.call.ended === true) held = held.outer
  return held
}

/** The context of what no caller's permits are around, such as a run that several share. */
export const heldByNone = (context: Context.Context<never>): Context.Context<never> =>
  Context.getOrUndefined(context, CurrentHeld) === undefined ? context : Context.omit(CurrentHeld)(context)

/** The context of what is inside of a call's permits. */
export const heldBy = (call: Call): Context.Context<never> =>
  call.held === undefined ? call.context : Context.add(call.context, CurrentHeld, call.held)

/** The context of a call's work. */
export const contextOf = (call: Call): Context.Context<never> => {
  const context = heldBy(call)
  if (call.plan.encloses) return enclosedBy(context, call)
  return call.plan.enclosed === true ? enclosedByNone(context) : context
}

/** The call whose permit of `pool` the fiber is inside of. A child that outlived the call is inside no longer. */
export const holder = (held: Held | undefined, pool: object): Call | undefined => {
  for (; held !== undefined; held = held.outer) {
    if (held.pool === pool && !held.call.ended) return held.call
  }
  return undefined
}
