import * as Effect from "effect/Effect"
import * as Fs from "node:fs"

/**
 * A program that ends the process as if all were well has not done what it was asked for: whoever waits for it, a `check` before a
 * roll-out, say, is told so.
 */
export const noQuitting = <A, E, R>(
  file: string,
  during: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const told = (code: number) => {
      if (code !== 0) return
      process.exitCode = 2
      // Nothing that is written later would be.
      Fs.writeSync(2, `${file}: process.exit was called ${during}\n`)
    }
    process.once("exit", told)
    return Effect.ensuring(effect, Effect.sync(() => process.off("exit", told)))
  })
