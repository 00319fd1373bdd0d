/** What a call meets on its way: gates, the work behind them, and what all calls of a command have in common. */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Call } from "./Call.ts"

export type Ending = Exit.Exit<unknown, unknown>

/** Stands between a call and its work: one object for all calls of a group, or of a command. */
export interface Gate {
  /** Admits the call; or answers `undefined`, after `call.refuse(why)` or `call.hold(place)`. */
  enter(call: Call): Admission | undefined
  /** Whether its admissions have an `again`: to look for it at each of them costs more than to ask most of them. */
  readonly keeps?: boolean
}

/** What an admitted call holds until it ends. Often the gate itself. */
export interface Admission {
  /** Once, however the call ends. */
  leave(call: Call, exit: Ending): void
  /**
   * Asked before, unless the end is final. `undefined` keeps the call, which was put on hold, until `call.advance()` takes it through
   * the gates behind again; otherwise it ends with what is answered here.
   */
  again?(call: Call, exit: Ending): Ending | undefined
  /** Whether it may still keep the call: then a caller who could be let go stays for what comes after. */
  mayAgain?(): boolean
  /** Whether it would keep the call if that failed so now. The `again` that follows says the same. */
  wouldAgain?(failure: unknown): boolean
  /** Once, when the caller goes on while the work does too. */
  answered?(call: Call): void
  /** Once, when the work was told to stop and did not stop at once. */
  linger?(call: Call): void
}

/** Where a held call waits, until its gate calls `call.admit` or `call.advance`. */
export interface Place {
  quit(): void
}

/** What a call does once every gate has let it in: one object for all calls of a command, which keep theirs in `running`. */
export interface Work {
  /** Begins. It ends with `call.end`, now or later. */
  start(call: Call): void
  /** Ends early. It must still come to `call.end`; when it can, at once. */
  stop(call: Call): void
}

/** Something under way that can be ended early. */
export interface Running {
  /** `ended` hears of its end, instead of whoever would have. */
  cancel(ended: (exit: Ending) => void): void
}

/**
 * What the caller hears of an ending: the same, or another answer. It is handed what the call has of its caller, and is asked when
 * the call has ended or been answered, unless the caller was interrupted.
 */
export type Settle = (exit: Ending, call: Asked) => Effect.Effect<unknown, unknown>

export type Asked = Pick<Call, "args" | "span" | "now">

/** Something that is due at a time: it is not set before the call waits for something, which a refused one never does. */
export interface Due {
  /** The one that the call met before. */
  readonly before: Due | undefined
  set(): void
}

/** What all calls of a command have in common. */
export interface Plan {
  readonly key: string
  readonly gates: ReadonlyArray<Gate>
  /** Whether one of them `keeps` calls. */
  readonly keeps: boolean
  /** The caller does not wait for work that was told to stop. */
  readonly detach: boolean
  /** Where the start of the work is read from, if a gate measures it. */
  readonly clock: { now(): number } | undefined
  /** Work that is calls of a plan inside, which do the command's own. */
  readonly work?: Work | undefined
  readonly settle?: Settle | undefined
}
