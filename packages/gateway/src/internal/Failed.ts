import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"

/** A command that has failed, and has said why. */
export class Failed extends Data.TaggedError("Failed")<{ readonly code: number }> {
  override readonly [Runtime.errorExitCode] = this.code
  override readonly [Runtime.errorReported] = false
}

/** Says why on stderr, and ends with this code. */
export const failWith = (code: number, message: string): Effect.Effect<never, Failed> =>
  Console.error(message).pipe(Effect.andThen(taken), Effect.andThen(Effect.fail(new Failed({ code }))))

// A pipe takes 64 KiB at once: what is left would be lost when the process ends.
const taken: Effect.Effect<void> = Effect.callback<void>((resume) => {
  const { stderr } = process
  const done = () => resume(Effect.void)
  if (stderr.writableLength === 0) return done()
  stderr.once("error", done).once("close", done).write("", done)
})

interface Told {
  readonly _tag: string
  readonly message: string
  readonly code?: number
}

/** The code that the program ends with: 2 for a bad config, 1 for anything else, unless the error knows better. */
export const codeOf = ({ _tag, code }: Told): number => code ?? (_tag === "ConfigError" ? 2 : 1)

/** Says what has failed, unless that has been said. */
export const reported = <A, E extends Told, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, Failed, R> =>
  Effect.catch(
    self,
    (error) => error instanceof Failed ? Effect.fail(error) : failWith(codeOf(error), error.message)
  )
