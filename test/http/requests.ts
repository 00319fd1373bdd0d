import type { Transport } from "@blackgate/http"
import { Effect, type Layer, type Scope } from "effect"
import { type FindMyWay, HttpRouter, HttpServerRequest, type HttpServerResponse } from "effect/http"

type NoRequirements =
  | HttpRouter.HttpRouter
  | HttpRouter.Request<"Requires", never>
  | HttpRouter.Request<"Error", unknown>

/** What a router answers to a request, with no server around it. */
export type Ask = (
  request: HttpServerRequest.HttpServerRequest
) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Scope.Scope>

/** A router of these routes, asked directly. */
export const router = (
  routes: Layer.Layer<never, never, NoRequirements>,
  routerConfig: Partial<FindMyWay.RouterConfig> = {}
): Effect.Effect<Ask, never, Scope.Scope> =>
  Effect.map(
    Effect.provideService(HttpRouter.toHttpEffect(routes), HttpRouter.RouterConfig, routerConfig),
    (answer): Ask => (request) => Effect.provideService(answer, HttpServerRequest.HttpServerRequest, request)
  )

/** A request whose target is taken as it is, which `Request` would resolve and escape. */
export const target = (url: string, init: RequestInit & { readonly duplex?: "half" } = {}) =>
  HttpServerRequest.fromWeb(new Request("http://gateway.test/", init)).modify({ url })

/** Keeps what came to an upstream in memory. */
export class Seen {
  readonly requests: Array<Transport.Request> = []

  get last(): Transport.Request | undefined {
    return this.requests.at(-1)
  }

  see(request: Transport.Request): void {
    this.requests.push(request)
  }
}
