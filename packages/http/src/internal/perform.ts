import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Failures from "./failures.ts"
import { wrongAnswer } from "./sendable.ts"

type Answer = HttpServerResponse.HttpServerResponse

/**
 * What a function of the user's makes: at once, unless that is an effect. If it fails or dies, that is the answer to this request,
 * and a line in the log.
 */
export const perform = <A, Args extends ReadonlyArray<unknown>>(
  what: string,
  f: (value: A, ...args: Args) => A | Effect.Effect<A, any, any>,
  value: A,
  ...args: Args
): A | Effect.Effect<A | Answer, never, any> => {
  try {
    const made = f(value, ...args)
    return Effect.isEffect(made)
      ? Effect.catchCause(made as Effect.Effect<A, any, any>, (cause) => refuse(what, cause))
      : made
  } catch (defect) {
    return refuse(what, Cause.die(defect))
  }
}

/** The answer to a request on which a function of the user's failed. */
export const refuse = (what: string, cause: Cause.Cause<unknown>): Effect.Effect<Answer> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  // A failure that is an answer is one: a 401 from a rewrite that checks who is asking, say.
  if (HttpServerResponse.isHttpServerResponse(failure)) return sendable(what, failure)
  if (HttpServerRespondable.isRespondable(failure)) {
    return Effect.flatMap(HttpServerRespondable.toResponse(failure), (answer) => sendable(what, answer))
  }
  return Effect.as(Effect.logError(`${what} failed`, cause), Failures.internalError)
}

/** An answer of the user's own, unless there is something in it that must not be sent. */
export const sendable = (what: string, answer: Answer): Effect.Effect<Answer> => {
  // A tunnel that a fallback's own route has made.
  const wrong = answer === Failures.wasTunnel ? undefined : wrongAnswer(answer)
  return wrong === undefined ? Effect.succeed(answer) : refuse(what, Cause.die(new Error(wrong)))
}

export const toEffect = <A>(value: A | Effect.Effect<A, any, any>): Effect.Effect<A, any, any> =>
  Effect.isEffect(value) ? value as Effect.Effect<A, any, any> : Effect.succeed(value)
