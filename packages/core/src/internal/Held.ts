import * as Context from "effect/Context"
import type { Call, Held } from "./Call.ts"

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

/** The context of what is inside of these. */
export const inside = (context: Context.Context<never>, held: Held): Context.Context<never> =>
  Context.add(context, CurrentHeld, held)

/** The context of a call's work. */
export const contextOf = (call: Call): Context.Context<never> =>
  call.held === undefined ? call.context : inside(call.context, call.held)

/** What is held of this pool, if anything is. A child that outlived the call that held it is inside no longer. */
export const holder = (held: Held | undefined, pool: object): Held["call"] | undefined => {
  for (; held !== undefined; held = held.outer) {
    if (held.pool === pool && !held.call.ended) return held.call
  }
  return undefined
}

/** Those that are left of a chain. */
export const only = (held: Held | undefined, those: (held: Held) => boolean): Held | undefined => {
  if (held === undefined) return undefined
  const outer = only(held.outer, those)
  return those(held) ? { pool: held.pool, call: held.call, outer } : outer
}
