import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Call, Work } from "./Call.ts"
import { contextOf } from "./Held.ts"

/** Work that is an effect: it runs on a fiber of its own, so that ending it early means interrupting that fiber. */
export class EffectWork implements Work {
  private readonly effect: Effect.Effect<unknown, unknown>
  private child: Fiber.Fiber<unknown, unknown> | undefined = undefined

  constructor(effect: Effect.Effect<unknown, unknown, unknown>) {
    this.effect = effect as Effect.Effect<unknown, unknown> // what it needs is in the caller's context
  }

  start(call: Call): void {
    const child = Effect.runForkWith(contextOf(call))(this.effect)
    const exit = child.pollUnsafe()
    if (exit !== undefined) return call.end(exit)
    this.child = child
    child.addObserver((exit) => {
      this.child = undefined
      call.end(exit)
    })
  }

  stop(): void {
    this.child?.interruptUnsafe()
  }
}
