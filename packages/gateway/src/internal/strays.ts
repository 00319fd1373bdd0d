import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Whether a rejected promise is somebody's own. */
type Claim = (reason: unknown) => boolean

// Whoever claims what is its own comes first.
const claims = new Set<Claim>()
let tell: ((reason: unknown) => void) | undefined

const hear = (reason: unknown): void => {
  for (const claim of claims) if (claim(reason)) return
  // As if nobody heard: Node ends the process.
  if (tell === undefined) throw reason
  tell(reason)
}

const listen = (): void => {
  process.off("unhandledRejection", hear)
  if (claims.size > 0 || tell !== undefined) process.on("unhandledRejection", hear)
}

/** Hears of promises that are rejected and that nobody awaits, until it is called off by what it returns. */
export const claim = (claim: Claim): () => void => {
  claims.add(claim)
  listen()
  return () => {
    claims.delete(claim)
    listen()
  }
}

/** A promise that is rejected and that nobody awaits is a defect in the log; whoever made it, no other request is to suffer. */
export const logStrays: Effect.Effect<void, never, Scope.Scope> = Effect.gen(function*() {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      tell = (reason) => void run(Effect.logError("a promise was rejected that nobody awaits", Cause.die(reason)))
      listen()
    }),
    () =>
      Effect.sync(() => {
        tell = undefined
        listen()
      })
  )
})
