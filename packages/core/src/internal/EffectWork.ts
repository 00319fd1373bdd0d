import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Call } from "./Call.ts"
import type { Work } from "./Gate.ts"
import { contextOf } from "./Held.ts"

type Run = (...args: ReadonlyArray<never>) => Effect.Effect<unknown, unknown, unknown>

/** Work that is an effect: it runs on a fiber of its own, so that ending it early means interrupting that fiber. */
export class EffectWork implements Work {
  private readonly run: Run

  constructor(run: Run) {
    this.run = run
  }

  start(call: Call): void {
    const child = Effect.runForkWith(contextOf(call))(this.effect(call))
    const exit = child.pollUnsafe()
    if (exit !== undefined) return call.end(exit)
    call.running = child
    child.addObserver((exit) => {
      call.running = undefined
      call.end(exit)
    })
  }

  stop(call: Call): void {
    const child = call.running as Fiber.Fiber<unknown, unknown> | undefined
    child?.interruptUnsafe()
  }

  private effect(call: Call): Effect.Effect<unknown, unknown> {
    try {
      // What it needs is in the caller's context.
      return this.run(...call.args as ReadonlyArray<never>) as Effect.Effect<unknown, unknown>
    } catch (defect) {
      return Exit.die(defect)
    }
  }
}
