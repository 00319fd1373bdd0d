import type { InvalidOptions } from "@blackgate/core/InvalidOptions"
import { Forwarded, Proxy, type Rewrite, Transport } from "@blackgate/http"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import { groupOf, type Kept, transportOf } from "./Kept.ts"
import { refusable } from "./refusable.ts"
import type { FallbackPlan, Target } from "./RoutePlan.ts"

type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest | Scope.Scope>

/** The options of a route that has a fallback. */
export const fallbackOptions = (
  { fallback, options: { rewriteResponse } }: Extract<Target, { _tag: "proxy" }>,
  kept: Kept,
  forwarded: Forwarded.Options
): Effect.Effect<
  Pick<Proxy.Options<never, never, never, Answer>, "fallback" | "rewriteResponse">,
  InvalidOptions,
  Scope.Scope
> =>
  Effect.gen(function*() {
    if (fallback === undefined) return { rewriteResponse }
    const { answer, stale } = fallback
    const answers = stale && (yield* RcMap.get(kept.answers, JSON.stringify(stale)))
    const other = fallback.other && (yield* otherOf(fallback.other, answer, kept, forwarded))
    return {
      rewriteResponse: answers === undefined ? rewriteResponse : (response, request) => {
        const rewritten = rewriteResponse?.(response, request) ?? response
        return Effect.isEffect(rewritten) ? rewritten : answers.keep(rewritten, request)
      },
      fallback: (failure, request) => {
        const last = answers?.find(request)
        if (last !== undefined) return Effect.succeed(last)
        if (other !== undefined && canBeSent(failure, request)) return other
        return Effect.succeed(answer ?? Proxy.failureResponse(failure))
      }
    }
  })

const otherOf = (
  { group, options, transport }: NonNullable<FallbackPlan["other"]>,
  answer: HttpServerResponse.HttpServerResponse | undefined,
  kept: Kept,
  forwarded: Forwarded.Options
): Effect.Effect<Answer, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    const built = yield* groupOf(kept, group)
    const services = Context.make(Transport.Transport, yield* transportOf(kept, transport)).pipe(
      Context.add(Forwarded.Defaults, forwarded)
    )
    const handler = yield* refusable(() =>
      Proxy.handler({
        ...options,
        group: built.group,
        fallback: answer === undefined ? undefined : () => answer
      })
    )
    return Effect.provideContext(handler, services)
  })

// A body that streams is gone as soon as anybody has asked for it: nobody has who was refused, or had no connection.
const canBeSent = (failure: Proxy.Failure, { body }: Rewrite.ProxyRequest): boolean => {
  if (body._tag === "Empty" || body._tag === "Uint8Array") return true
  if (body._tag !== "Incoming") return false
  return failure._tag === "UpstreamError" ? failure.phase === "connect" : failure._tag !== "CommandTimeout"
}
