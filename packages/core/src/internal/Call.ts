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
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { whyInterrupted } from "./Boundary.ts"
import { type Enclosing, enclosingOf } from "./Enclosing.ts"
import type { Admission, Due, Ending, Place, Plan, Running, Work } from "./Gate.ts"
import type { Held } from "./Held.ts"
import type { Rejection } from "./Rejection.ts"

// Of two that are due at one instant the outer one is to come first.
const setInOrder = (due: Due): void => {
  if (due.before !== undefined) setInOrder(due.before)
  due.set()
}

/** More than any depth. */
const none = 2 ** 20

const interrupted = Exit.failCause(Cause.interrupt())

/** One execution: passes the gates, works, tells the gates how it ended, and then its caller. */
export class Call implements Running, Enclosing {
  readonly plan: Plan
  /** What is done in the end, by this call or by one inside of it. */
  readonly own: Work
  /** What the command was called with: what keys are made of. */
  readonly args: ReadonlyArray<unknown>
  readonly context: Context.Context<never>
  readonly span: Fiber.Fiber.Cache["span"]
  /** What it is part of, if its plan is inside of another. */
  private readonly inside: Enclosing | undefined
  private readonly work: Work
  private resume: (said: Effect.Effect<unknown, unknown>) => void
  private cancelled = false

  /** What its work keeps of it. */
  running: unknown = undefined
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
  // `none` for the verdict of no gate: a number like any depth, which engines hold in place.
  private verdictOf = none
  /** What is to be set when it waits for something: the latest. */
  due: Due | undefined = undefined
  // The time of this step, if it was read.
  private time = -1

  constructor(
    plan: Plan,
    own: Work,
    args: ReadonlyArray<unknown>,
    context: Context.Context<never>,
    span: Fiber.Fiber.Cache["span"],
    resume: (said: Effect.Effect<unknown, unknown>) => void,
    inside: Enclosing | undefined,
    held: Held | undefined
  ) {
    this.plan = plan
    this.own = own
    this.work = plan.work ?? own
    this.args = args
    this.context = context
    this.span = span
    this.resume = resume
    this.inside = inside
    this.held = held
    this.admissions = new Array(plan.gates.length)
  }

  /** Starts a call of a plan that is inside of this one's. */
  enclose(
    plan: Plan,
    inside: Enclosing,
    held: Held | undefined,
    deadlineAt: number,
    ended: (exit: Ending) => void
  ): Call {
    const { args, context, own, span } = this
    const call = new Call(plan, own, args, context, span, ended as Call["resume"], inside, held)
    call.deadlineAt = deadlineAt
    call.time = this.time
    call.advance()
    return call
  }

  /** Whether it was told to stop. */
  get stopping(): boolean {
    return this.verdict !== undefined
  }

  /** What it is part of: a plan of the command's, or what stands around the command. */
  get enclosing(): Enclosing | undefined {
    return this.inside ?? enclosingOf(this.context)
  }

  /** Milliseconds of a clock, read once for all that happens in one step of the call. */
  now(clock: { now(): number }): number {
    return this.time === -1 ? this.time = clock.now() : this.time
  }

  /** Goes as far as it can now: through the gates that are left, then into the work. */
  advance(): void {
    const { admissions, plan: { clock, gates, work } } = this
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
    if (work === undefined) this.began()
    else this.setDue() // before anything of the plan inside is
    this.worked = true
    if (clock !== undefined) this.workedFrom = this.now(clock)
    this.working = true
    this.work.start(this)
    this.time = -1
    if (this.working) this.setDue()
    // An abort that came from inside `start` found nothing to stop yet.
    if (this.working && this.verdict !== undefined) this.stop()
  }

  /** Work has started: its own, or, inside of it, that of a call that it encloses. */
  began(): void {
    this.attempts++
    this.inside?.began?.()
  }

  /** It has waited for a permit, or a call that it encloses has. */
  waited(millis: number): void {
    this.queuedFor += millis
    this.inside?.waited?.(millis)
  }

  /** Lets a held call in. */
  admit(admission: Admission): void {
    this.time = -1
    this.admissions[this.depth++] = admission
    this.advance()
  }

  hold(place: Place): undefined {
    this.place = place
    this.time = -1
    this.setDue()
  }

  private setDue(): void {
    if (this.due === undefined) return
    setInOrder(this.due)
    this.due = undefined
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
    this.cancelled = true
    this.resume = resume as Call["resume"] // nothing but an ending comes to a caller that has cancelled
    // A deadline that had passed by then stays the reason: work that hangs is not excused by a caller that lost its patience.
    if (this.verdict === undefined) this.rejection = this.enclosing?.rejection ?? whyInterrupted(this)
    this.conclude(-1, interrupted)
  }

  /** The caller goes on with `exit`; the work, and what the call holds for it, stay until `end`. */
  answer(exit: Ending): void {
    if (this.answered || this.ended) return
    this.answered = true
    this.time = -1
    for (let i = 0; i < this.depth; i++) this.admissions[i]!.answered?.(this)
    this.tell(exit)
  }

  /** The work is over. */
  end(exit: Ending): void {
    if (this.ended) return
    const { admissions, plan: { keeps } } = this
    this.working = false
    this.place = undefined
    if (this.worked) this.time = -1 // it may have taken its time, before it came back at once
    if (this.inside !== undefined && exit._tag === "Success" && this.verdict === undefined) this.inside.succeeds?.()
    while (this.depth > 0) {
      if (this.verdict !== undefined) exit = withDefects(this.verdict, exit)
      if (this.verdictOf === this.depth - 1) {
        this.verdict = undefined
        this.verdictOf = none
      }
      const admission = admissions[this.depth - 1]!
      if (keeps && admission.again !== undefined && this.verdict === undefined && !this.answered) {
        const ending = this.askAgain(admission, exit)
        if (ending !== undefined) exit = ending
        else if (this.verdict === undefined) return
        else continue // ended for good from inside of what was asked
      }
      this.depth--
      try {
        admission.leave(this, exit)
      } catch (defect) {
        exit = Exit.die(defect) // a store of the user's, say: those outside of it are told all the same
      }
    }
    this.ended = true
    if (!this.answered) {
      this.answered = true
      this.tell(exit)
    }
  }

  private tell(exit: Ending): void {
    const { settle } = this.plan
    if (settle === undefined || this.cancelled) return this.resume(exit)
    let said: Effect.Effect<unknown, unknown>
    try {
      said = settle(exit, this)
    } catch (defect) {
      said = Exit.die(defect) // a fallback that throws instead of failing, say
    }
    this.resume(said)
  }

  private askAgain(admission: Admission, exit: Ending): Ending | undefined {
    try {
      const ending = admission.again!(this, exit)
      if (ending !== undefined) {
        if (ending !== exit) this.rejection = undefined // it ends as an earlier attempt did, not as this one was refused
        return ending
      }
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

  /** Whether, if its work failed so now, it would be done again. */
  mayRetry(failure: unknown): boolean {
    if (this.answered || this.ended || this.verdict !== undefined) return false
    try {
      return this.plan.keeps && this.admissions.some((admission) => admission.wouldAgain?.(failure) === true)
    } catch {
      return true // a predicate of the user's, say: it throws again when it is asked for good
    }
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
