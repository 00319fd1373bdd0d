import * as Context from "effect/Context"
import type { Rejection } from "./Rejection.ts"

/**
 * What a call is part of, where a policy stands between two sets of gates: the call outside of a hedge, the flight that callers
 * share. When it is told to stop, its own gates find out from here why.
 */
export interface Enclosing {
  /** Why what is outside has ended, or is about to; `undefined` for an interruption from outside of the command. */
  readonly rejection: Rejection | undefined
  /** When it has to be answered, in milliseconds of the group's clock, if it has a deadline. */
  readonly deadlineAt?: number
  /** Work inside of it has started. */
  began?(): void
  /** A call inside of it has succeeded, and is about to give back what it holds. */
  succeeds?(): void
  /** A call inside of it has waited for a permit. */
  waited?(millis: number): void
}

class CurrentEnclosing extends Context.Service<CurrentEnclosing, Enclosing>()("@blackgate/core/Enclosing") {}

export const enclosingOf = (context: Context.Context<never>): Enclosing | undefined =>
  Context.getOrUndefined(context, CurrentEnclosing)

export const enclosedBy = (context: Context.Context<never>, enclosing: Enclosing): Context.Context<never> =>
  Context.add(context, CurrentEnclosing, enclosing)
