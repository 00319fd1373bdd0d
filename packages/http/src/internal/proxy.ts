/** What a proxy route does with a request, untyped: `Proxy.ts` says what the types are. */
import * as Criticality from "@blackgate/core/Criticality"
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { receiveWith } from "./callContext.ts"
import { Route, type Settings } from "./Route.ts"
import { Serving } from "./Serving.ts"

type Answer = HttpServerResponse.HttpServerResponse

/**
 * The effect that answers a request.
 *
 * Where the functions of the user are synchronous it waits for nothing but the exchange, and is a few calls of functions up to there
 * and from there on: a generator would take a step of the fiber for each.
 */
export const serve = (settings: Settings): Effect.Effect<Answer, any, any> => {
  const route = new Route(settings)
  const { receiving } = route
  const { criticality } = settings.options
  const answered = Effect.withFiber((fiber) => new Serving(route, fiber).answer())
  const served = receiving === undefined ? answered : receiveWith(receiving, answered)
  return criticality === undefined ? served : Criticality.provide(served, criticality)
}
