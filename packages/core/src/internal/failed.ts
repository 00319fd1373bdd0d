import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Ending } from "./Gate.ts"

/** The typed failure that an ending can be rescued from. A defect beside it is a bug, and takes precedence, as in all of Effect. */
export const failedWith = (exit: Ending): Cause.Fail<unknown> | undefined => {
  if (exit._tag === "Success") return undefined
  const { reasons } = exit.cause
  const [only] = reasons
  if (only?._tag === "Fail" && reasons.length === 1) return only
  return Cause.hasDies(exit.cause) ? undefined : reasons.find(Cause.isFailReason)
}

/** An ending that is not rescued, as whoever would rescue it leaves it: beside a defect a failure becomes one. */
export const asLeft = (exit: Ending): Effect.Effect<unknown, unknown> =>
  exit._tag === "Failure" && Cause.hasDies(exit.cause) ? Effect.catch(exit, Effect.fail) : exit
