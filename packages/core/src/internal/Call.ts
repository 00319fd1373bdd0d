/**
 * The runtime of commands.
 *
 * A command knows its policies when it is made, so a call does not wrap them around each other: it *passes gates*. A gate admits
 * the call, refuses it, or holds it in a place until it may go on. What an admitted call holds is an admission: it is told once
 * how the call ended, the last gate first, before the caller is. Adding a policy is adding a gate; no gate knows another.
 *
 * A call has two ends. It is *answered* when its caller goes on, and *ended* when nothing of it is left. For an effect the two are
 * one; a response whose body still streams is answered at the head and ended with the body. A permit stays until the end, a
 * deadline leaves with the answer.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { whyInterrupted } from "./Boundary.ts"
import { enclosingOf } from "./Enclosing.ts"
import { heldIn } from "./Held.ts"
import type { Rejection } from "./Rejection.ts"

export type Ending = Exit.Exit<unknown, unknown>

/** Stands between a call and its work: one object for all calls of a group, or of a command. */
export interface Gate {
  /** Admits the call; or answers `undefined`, after `call.refuse(why)` or `call.hold(place)`. */
  enter(call: Call): Admission | undefined
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
  /** Once, when the caller goes on while the work does too. */
  answered?(call: Call): void
  /** Once, when the work was told to stop and did not stop at once. */
  linger?(call: Call): void
}

/** Where a held call waits, until its gate calls `call.admit` or `call.advance`. */
export interface Place {
  quit(): void
}

/** What a call does once every gate has let it in. */
export interface Work {
  /** Begins. It ends with `call.end`, now or later. */
  start(call: Call): void
  /** Ends early. It must still come to `call.end`; when it can, at once. */
  stop(call: Call): void
}

/** What all calls of a command have in common. */
export interface Plan {
  readonly key: string
  readonly gates: ReadonlyArray<Gate>
  /** The caller does not wait for work that was told to stop. */
  readonly detach: boolean
  /** The work is a command's policies again, as with a hedge, and asks its outer call why it has to stop. */
  readonly encloses: boolean
  /** It is inside of such a call. */
  readonly enclosed?: boolean
  /** Where the start of the work is read from, if a gate measures it. A reading costs 80 ns. */
  readonly clock: { now(): number } | undefined
}

/** What a fiber is inside of, the innermost first: permits of pools, with the calls that hold them, and deadlines. */
export interface Held {
  readonly pool: object | undefined
  readonly call: Call | undefined
  readonly outer: Held | undefined
  /** Whether it has ended before what is inside of it. */
  readonly over: boolean
  /** How long until its own deadline, in milliseconds. */
  left(): number
}

const interrupted = Exit.failCause(Cause.interrupt())

/** One execution: passes the gates, works, tells the gates how it ended, and then its caller. */
export class Call {
  readonly plan: Plan
  readonly work: Work
  /** What the command was called with: what keys are made of. */
  readonly args: ReadonlyArray<unknown>
  readonly context: Context.Context<never>
  readonly span: Fiber.Fiber.Cache["span"]
  private resume: (exit: Ending) => void

  /** When it began, in milliseconds of the group's clock. */
  startedAt = 0
  /** How long it waited for permits, in milliseconds. */
  queuedFor = 0
  /** When it has to be answered, in milliseconds of the group's clock. */
  deadlineAt = Infinity
  /** When its latest attempt has to be, if that has a bound. An object, because each number would be one more to allocate. */
  attemptDeadline: { readonly at: number } | undefined = undefined
  /** How many times its work has started; the innermost work, where its own is a command's policies again. */
  attempts = 0
  /** Whether its work has started since it last passed the gates. */
  worked = false
  /** When that was, if its plan has a clock. */
  workedFrom = 0
  /** Whether its caller has gone on, or will as soon as it can. */
  answered = false
  /** Whether its work has ever started. */
  get ran(): boolean {
    return this.attempts > 0
  }
  /** Whether nothing of it is left. */
  ended = false
  /** Whether its work was told to stop and has not stopped yet. */
  lingers = false
  /** How many gates it has passed. */
  depth = 0
  /** What its work runs inside of: what its caller does, and from the pool on its own permit. */
  held: Held | undefined
  /** Why the machinery ended it, if it did: what tells its own timeout from one that its work failed with. */
  rejection: Rejection | undefined = undefined

  private readonly admissions: Array<Admission>
  private place: Place | undefined = undefined
  private working = false
  // What the call ends with, whatever the work does from now on, as far out as the gate that said so; -1 is the caller.
  private verdict: Exit.Exit<never, unknown> | undefined = undefined
  private verdictOf = Infinity

  constructor(
    plan: Plan,
    work: Work,
    args: ReadonlyArray<unknown>,
    context: Context.Context<never>,
    span: Fiber.Fiber.Cache["span"],
    resume: (exit: Ending) => void
  ) {
    this.plan = plan
    this.work = work
    this.args = args
    this.context = context
    this.span = span
    this.resume = resume
    this.held = heldIn(context)
    this.admissions = new Array(plan.gates.length)
  }

  /** Whether it was told to stop. */
  get stopping(): boolean {
    return this.verdict !== undefined
  }

  /** Goes as far as it can now: through the gates that are left, then into the work. */
  advance(): void {
    const { admissions, plan: { gates } } = this
    this.place = undefined
    try {
      while (this.depth < gates.length) {
        const admission = gates[this.depth]!.enter(this)
        if (admission === undefined) return
        admissions[this.depth++] = admission
        if (this.verdict !== undefined) return this.end(this.verdict)
      }
    } catch (defect) {
      return this.end(Exit.die(defect)) // a key that is made of the arguments, say, by a function that throws
    }
    if (!this.plan.encloses) this.began()
    this.worked = true
    if (this.plan.clock !== undefined) this.workedFrom = this.plan.clock.now()
    this.working = true
    this.work.start(this)
    // An abort that came from inside `start` found nothing to stop yet.
    if (this.working && this.verdict !== undefined) this.stop()
  }

  /** Work has started: its own, or, inside of it, that of a call that it encloses. */
  began(): void {
    this.attempts++
    if (this.plan.enclosed === true) enclosingOf(this.context)?.began?.()
  }

  /** It has waited for a permit, or a call that it encloses has. */
  waited(millis: number): void {
    this.queuedFor += millis
    if (this.plan.enclosed === true) enclosingOf(this.context)?.waited?.(millis)
  }

  /** Lets a held call in. */
  admit(admission: Admission): void {
    this.admissions[this.depth++] = admission
    this.advance()
  }

  hold(place: Place): undefined {
    this.place = place
  }

  /** Whether it still waits where it was put. */
  waitsAt(place: Place): boolean {
    return this.place === place
  }

  refuse(why: Rejection): undefined {
    this.place = undefined
    this.rejection = why
    this.end(Exit.fail(why))
  }

  /** Ends what is inside the gate at `depth`: at once if it waits, after its finalizers if it works. */
  abort(depth: number, why: Rejection): void {
    if (this.ended || depth >= this.verdictOf) return
    this.rejection = why
    this.conclude(depth, Exit.fail(why))
  }

  /** Ends at once, as if its caller were interrupted: what is around it is about to. */
  interrupt(why: Rejection): void {
    this.rejection = why
    this.conclude(-1, interrupted)
  }

  /** Its caller was interrupted, and waits for `resume` instead. Also called when the work interrupted itself, which is no news. */
  cancel(resume: (exit: Ending) => void): void {
    if (this.answered) return resume(interrupted)
    this.resume = resume
    // A deadline that had passed by then stays the reason: work that hangs is not excused by a caller that lost its patience.
    if (this.verdict === undefined) {
      this.rejection = enclosingOf(this.context)?.rejection ?? whyInterrupted(this)
    }
    this.conclude(-1, interrupted)
  }

  /** The caller goes on with `exit`; the work, and what the call holds for it, stay until `end`. */
  answer(exit: Ending): void {
    if (this.answered || this.ended) return
    this.answered = true
    for (let i = 0; i < this.depth; i++) this.admissions[i]!.answered?.(this)
    this.resume(exit)
  }

  /** The work is over. */
  end(exit: Ending): void {
    if (this.ended) return
    const admissions = this.admissions
    this.working = false
    this.place = undefined
    if (this.plan.enclosed === true && exit._tag === "Success" && this.verdict === undefined) {
      enclosingOf(this.context)?.succeeds?.()
    }
    while (this.depth > 0) {
      if (this.verdict !== undefined) exit = withDefects(this.verdict, exit)
      if (this.verdictOf === this.depth - 1) {
        this.verdict = undefined
        this.verdictOf = Infinity
      }
      const admission = admissions[this.depth - 1]!
      if (admission.again !== undefined && this.verdict === undefined && !this.answered) {
        const ending = this.askAgain(admission, exit)
        if (ending !== undefined) exit = ending
        else if (this.verdict === undefined) return
        else continue // ended for good from inside of what was asked
      }
      this.depth--
      admission.leave(this, exit)
    }
    this.ended = true
    if (!this.answered) {
      this.answered = true
      this.resume(exit)
    }
  }

  private askAgain(admission: Admission, exit: Ending): Ending | undefined {
    try {
      const ending = admission.again!(this, exit)
      if (ending !== undefined) return ending
    } catch (defect) {
      return Exit.die(defect) // a predicate of the user's, say
    }
    // What was said of the attempt that is over says nothing of the next.
    this.worked = false
    this.lingers = false
    this.rejection = undefined
    if (this.verdict !== undefined) this.place?.quit()
    return undefined
  }

  private conclude(depth: number, verdict: Exit.Exit<never, unknown>): void {
    this.verdictOf = depth
    this.verdict = verdict
    if (this.place !== undefined) {
      this.place.quit()
      this.end(verdict)
    } else if (this.working) this.stop()
  }

  private stop(): void {
    this.work.stop(this)
    if (!this.working) return
    if (!this.lingers) {
      this.lingers = true
      for (let i = 0; i < this.depth; i++) this.admissions[i]!.linger?.(this)
    }
    if (this.plan.detach && this.verdict !== undefined && !this.mayAgain()) this.answer(this.verdict)
  }

  // Whether a gate outside of what has ended early may keep the call.
  private mayAgain(): boolean {
    for (let i = this.verdictOf - 1; i >= 0; i--) {
      if (this.admissions[i]!.mayAgain?.() === true) return true
    }
    return false
  }
}

/** Defects of the finalizers are kept beside the verdict. */
const withDefects = (verdict: Exit.Exit<never, unknown>, exit: Ending): Ending => {
  if (exit._tag === "Success" || verdict._tag === "Success" || exit === verdict) return verdict
  const defects = exit.cause.reasons.filter((reason) =>
    Cause.isDieReason(reason) && !verdict.cause.reasons.includes(reason)
  )
  return defects.length === 0 ? verdict : Exit.failCause(Cause.fromReasons([...verdict.cause.reasons, ...defects]))
}
