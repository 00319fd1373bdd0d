import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Call } from "./Call.ts"
import type { Ending, Work } from "./Gate.ts"

type Run = (attempt: Attempt, ...args: ReadonlyArray<never>) => PromiseLike<unknown>

/**
 * Work that is a promise: no fiber is forked. It can be told to stop, and can't be made to: what the call holds for it stays until it
 * is settled.
 */
export class PromiseWork implements Work {
  private readonly run: Run
  private readonly failure: ((error: unknown) => unknown) | undefined

  constructor(run: Run, failure: ((error: unknown) => unknown) | undefined) {
    this.run = run
    this.failure = failure
  }

  start(call: Call): void {
    const attempt = new Attempt()
    call.running = attempt
    let promise: PromiseLike<unknown>
    try {
      promise = this.run(attempt, ...call.args as ReadonlyArray<never>)
    } catch (error) {
      return call.end(this.failed(error))
    }
    // A promise of another make may settle twice, or before it is asked.
    Promise.resolve(promise).then(
      (value) => call.end(Exit.succeed(value)),
      (error) => call.end(this.failed(error))
    )
  }

  stop(call: Call): void {
    const attempt = call.running as Attempt | undefined
    attempt?.abort()
  }

  private failed(error: unknown): Ending {
    if (this.failure === undefined) return Exit.fail(new Cause.UnknownError(error, "The promise was rejected"))
    try {
      return Exit.fail(this.failure(error))
    } catch (defect) {
      return Exit.die(defect)
    }
  }
}

/** One run of the function. A signal costs more than the rest of a call: it is made for who asks for it. */
class Attempt {
  private controller: AbortController | undefined = undefined
  private aborted = false

  get signal(): AbortSignal {
    const controller = this.controller ??= new AbortController()
    if (this.aborted) controller.abort()
    return controller.signal
  }

  abort(): void {
    this.aborted = true
    this.controller?.abort()
  }
}
