import type { InvalidOptions } from "@blackgate/core/InvalidOptions"
import { Forwarded, Proxy, type Rewrite, Transport, UpstreamError } from "@blackgate/http"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import { endingOf, note, outcomeOf } from "./Ending.ts"
import { groupOf, type Kept, transportOf } from "./Kept.ts"
import type { Plan } from "./Plan.ts"
import type { FallbackPlan, Target } from "./RoutePlan.ts"

type Response = HttpServerResponse.HttpServerResponse
type Answer = Effect.Effect<Response, never, HttpServerRequest | Scope.Scope>
type Options = Pick<Proxy.Options<never, never, never, Answer>, "fallback" | "rewriteResponse">
type Receive = NonNullable<Options["rewriteResponse"]>

/** What a route does with an answer, and with a failure. What becomes of its requests is noted, if there is a log of it. */
export const fallbackOptions = (
  goes: string,
  { fallback, options: { rewriteResponse } }: Extract<Target, { _tag: "proxy" }>,
  kept: Kept,
  plan: Plan
): Effect.Effect<Options, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    const isLogged = plan.loaded.config.log?.access !== undefined
    const noted = (receive: Receive | undefined): Receive | undefined =>
      !isLogged ? receive : (response, request) => {
        note(request.source, { outcome: "success", fallback: undefined, upstream: goes })
        return receive?.(response, request) ?? response
      }
    if (fallback === undefined) {
      return {
        rewriteResponse: noted(rewriteResponse),
        fallback: !isLogged ? undefined : (failure, request) => {
          note(request.source, { outcome: outcomeOf(failure), fallback: undefined, upstream: goes })
          return undefined
        }
      }
    }
    const { answer, stale } = fallback
    const answers = stale && (yield* RcMap.get(kept.answers, JSON.stringify(stale)))
    const other = fallback.other && (yield* otherOf(fallback.other, answer, kept, plan))
    return {
      rewriteResponse: noted(
        answers === undefined ? rewriteResponse : (response, request) => {
          const rewritten = rewriteResponse?.(response, request) ?? response
          return Effect.isEffect(rewritten) ? rewritten : answers.keep(rewritten, request)
        }
      ),
      fallback: (failure, request) => {
        const outcome = outcomeOf(failure)
        const last = answers?.find(request)
        if (last !== undefined) {
          note(request.source, { outcome, fallback: "stale", upstream: undefined })
          return Effect.succeed(last)
        }
        if (other !== undefined && canBeSent(failure, request)) {
          note(request.source, { outcome, fallback: "upstream", upstream: fallback.other!.goes })
          return other
        }
        note(
          request.source,
          answer === undefined
            ? { outcome, fallback: undefined, upstream: goes }
            : { outcome, fallback: "status", upstream: undefined }
        )
        return answer && Effect.succeed(answer)
      }
    }
  })

const otherOf = (
  { group, options, transport }: NonNullable<FallbackPlan["other"]>,
  answer: Response | undefined,
  kept: Kept,
  plan: Plan
): Effect.Effect<Answer, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    const built = yield* groupOf(kept, group)
    const services = Context.make(Transport.Transport, yield* transportOf(kept, transport)).pipe(
      Context.add(Forwarded.Defaults, plan.forwarded),
      Context.add(UpstreamError.Report, kept.reachability.report)
    )
    return yield* Effect.provideContext(
      Proxy.make({
        ...options,
        group: built.group,
        fallback: answer === undefined ? undefined : (_, { source }) => {
          const { outcome = "failure" } = endingOf(source) ?? {}
          note(source, { outcome, fallback: "status", upstream: undefined })
          return answer
        }
      }),
      services
    )
  })

// A body that streams is gone as soon as anybody has asked for it: nobody has who was refused, or had no connection.
const canBeSent = (failure: Proxy.Failure, { body }: Rewrite.ProxyRequest): boolean => {
  if (body._tag === "Empty" || body._tag === "Uint8Array") return true
  if (body._tag !== "Incoming") return false
  return failure._tag === "UpstreamError" ? failure.phase === "connect" : failure._tag !== "CommandTimeout"
}
