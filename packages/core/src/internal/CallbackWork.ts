import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { leftOf } from "./Boundary.ts"
import type { Call } from "./Call.ts"
import type { Ending, Work } from "./Gate.ts"

type Register = (completion: Attempt, ...args: ReadonlyArray<never>) => (() => void) | void

/** Work that is a callback: no fiber is forked, and its answer may come before its end. */
export class CallbackWork implements Work {
  private static readonly known = new WeakMap<Register, CallbackWork>()
  private readonly register: Register

  private constructor(register: Register) {
    this.register = register
  }

  /** One for each callback: commands that share that, as the routes of a gateway do, have one thing less each to be fetched for a call. */
  static of(register: Register): CallbackWork {
    let work = CallbackWork.known.get(register)
    if (work === undefined) CallbackWork.known.set(register, work = new CallbackWork(register))
    return work
  }

  start(call: Call): void {
    const attempt = new Attempt(call)
    call.running = attempt
    try {
      const abort = this.register(attempt, ...call.args as ReadonlyArray<never>)
      if (abort !== undefined) attempt.abortWith(abort)
    } catch (defect) {
      attempt.end(Exit.die(defect))
    }
  }

  stop(call: Call): void {
    const attempt = call.running as Attempt | undefined
    attempt?.stop()
  }
}

/** One run of the callback. What it says after its end is old news, and is not heard. */
export class Attempt {
  private call: Call | undefined
  private abort: (() => void) | undefined = undefined
  private stopped = false

  constructor(call: Call) {
    this.call = call
  }

  readonly answer = (value: unknown): void => this.call?.answer(Exit.succeed(value))

  readonly end = (exit: Ending): void => {
    const call = this.call
    this.call = undefined
    this.abort = undefined
    call?.end(exit)
  }

  readonly remaining = (): Duration.Duration => Duration.millis(Math.max(0, leftOf(this.call?.held)))

  // No closure: most of them never ask.
  mayRetry(failure: unknown): boolean {
    return this.call?.mayRetry(failure) ?? false
  }

  abortWith(abort: () => void): void {
    if (this.stopped) abort() // it was ended from inside the callback, which had nothing to abort with yet
    else if (this.call !== undefined) this.abort = abort
  }

  stop(): void {
    const { abort, call } = this
    this.stopped = true
    // Before it is aborted: whatever it says from inside `abort` is old news too.
    this.call = this.abort = undefined
    let exit: Ending = interrupted
    try {
      abort?.()
    } catch (defect) {
      exit = Exit.die(defect)
    }
    call?.end(exit)
  }
}

const interrupted = Exit.failCause(Cause.interrupt())
