import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Policy } from "./Policy.ts"

/** On the cause of a fallback's failure: what it was a fallback for. */
export class Primary extends Context.Service<Primary, Cause.Cause<unknown>>()("@blackgate/core/Command/Primary") {}

/**
 * Answers a typed failure with another effect. A defect stays one, and so does an interruption. When the fallback fails too, its
 * failure is the failure: the type says so. The first is not put beside it in the cause, where it could surface under the second's
 * type, but on it, as an annotation.
 */
export const rescue = (
  self: Effect.Effect<unknown, unknown, unknown>,
  fallback: (failure: unknown) => Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<unknown, unknown, unknown> =>
  Effect.catchCause(
    self,
    (first) =>
      Effect.catch(Effect.failCause(first), (failure) =>
        Effect.catchCause(
          Effect.suspend(() => fallback(failure)),
          (cause) =>
            Effect.andThen(
              Effect.annotateCurrentSpan("blackgate.fallback_of", nameOf(failure)),
              Effect.failCause(behind(cause, first))
            )
        ))
  )

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
  wrap: (spec, group) => {
    const answer = spec.fallback!
    const record = group.record(spec.key)
    return (inside, args) =>
      rescue(inside, (failure) => Effect.tap(answer(failure, ...args), () => Effect.sync(() => record.degraded())))
  }
}
