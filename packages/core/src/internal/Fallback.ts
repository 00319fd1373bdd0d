import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { asLeft, failedWith } from "./failed.ts"
import type { Asked, Ending } from "./Gate.ts"
import type { Policy } from "./Policy.ts"

/** On the cause of a fallback's failure: what it was a fallback for. */
export class Primary extends Context.Service<Primary, Cause.Cause<unknown>>()("@blackgate/core/Command/Primary") {}

type Answer = Effect.Effect<unknown, unknown, unknown>

/**
 * Answers a typed failure with another effect. A defect stays one, and so does an interruption. When the fallback fails too, its
 * failure is the failure: the type says so. The first is not put beside it in the cause, where it could surface under the second's
 * type, but on it, as an annotation.
 */
export const rescue = (self: Answer, fallback: (failure: unknown) => Answer): Answer =>
  Effect.catchCause(
    self,
    (cause) => Effect.suspend(() => settle(Exit.failCause(cause), asked(Fiber.getCurrent()!), fallback))
  )

const asked = (fiber: Fiber.Fiber<unknown, unknown>): Asked => ({
  args: [],
  span: fiber.cache.span,
  now: (clock) => clock.now()
})

const settle = (exit: Ending, call: Asked, fallback: (failure: unknown) => Answer): Answer => {
  const failed = failedWith(exit)
  if (failed === undefined) return asLeft(exit)
  const answer = begin(fallback, failed.error)
  return isAtHand(answer) ? answer : behindFailure(answer, exit, failed.error, call)
}

const begin = (fallback: (failure: unknown) => Answer, failure: unknown): Answer => {
  try {
    return fallback(failure)
  } catch (defect) {
    return Exit.die(defect)
  }
}

/** Whether there is nothing left to do for an answer. */
const isAtHand = (answer: Answer): answer is Exit.Success<unknown> =>
  (answer as Partial<Ending>)._tag === "Success" && Exit.isExit(answer)

const behindFailure = (answer: Answer, exit: Ending, failure: unknown, { span }: Asked): Answer =>
  Effect.catchCause(answer, (cause) => {
    if (span?._tag === "Span") span.attribute("blackgate.fallback_of", nameOf(failure))
    return Effect.failCause(exit._tag === "Failure" ? behind(cause, exit.cause) : cause)
  })

// A fallback that has fallbacks of its own comes with what those were for: `first` goes to the end of that chain.
const behind = (cause: Cause.Cause<unknown>, first: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const own = Context.getOrUndefined(Cause.annotations(cause), Primary)
  return Cause.annotate(cause, Context.make(Primary, own === undefined ? first : behind(own, first)), {
    overwrite: true
  })
}

const nameOf = (failure: unknown): string =>
  Predicate.hasProperty(failure, "_tag")
    ? String(failure._tag)
    : failure instanceof Error
    ? failure.name
    : typeof failure

/** Outside of everything: the call has ended, and its permit is back, before it runs. */
export const fallback: Policy = {
  name: "fallback",
  command: { fallback: Schema.optional(Schema.Unknown) },
  settings: (spec) => spec.fallback === undefined ? undefined : {},
  settle: (spec, group) => {
    const answer = spec.fallback!
    const record = group.record(spec.key)
    const degraded = Effect.sync(() => record.degraded())
    return (exit, call) => {
      if (exit._tag === "Success") return exit
      const said = settle(exit, call, (failure) => answer(failure, ...call.args))
      if (said === exit) return exit
      // Most fallbacks are at hand: no more is done about those than to count them.
      if (isAtHand(said)) {
        record.degraded()
        return said
      }
      return Effect.tap(said, degraded) as Effect.Effect<unknown, unknown> // what it needs is in the caller's context
    }
  }
}
