/** What a proxy route does with a request, untyped: `Proxy.ts` says what the types are. */
import * as Criticality from "@blackgate/core/Criticality"
import type * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { receiveWith } from "./callContext.ts"
import { Route, type Settings } from "./Route.ts"

type Answer = HttpServerResponse.HttpServerResponse

/** The effect that answers a request. */
export const serve = (settings: Settings): Effect.Effect<Answer, any, any> => {
  const route = new Route(settings)
  const { receiving } = route
  const { criticality } = settings.options
  const served = receiving === undefined ? route : receiveWith(receiving, route)
  return criticality === undefined ? served : Criticality.provide(served, criticality)
}
