import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as RequestPath from "../RequestPath.ts"
import * as Failures from "./failures.ts"
import type { PathTable } from "./PathTable.ts"

// `any` is for what the user's own effects need, and fail with.
type Answering = Effect.Effect<HttpServerResponse, any, any>

/** The one of many handlers that a request's path leads to. Where there is none, it fails as Effect's router does, whose types do not tell. */
export const choose = (table: PathTable<Answering>): Answering =>
  Effect.withFiber((fiber) => {
    const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
    const read = RequestPath.of(request)
    if (read === undefined) return badRequest
    const found = table.find(request.method, read)
    if (found === undefined) return Effect.fail(notFound(request))
    return found === "ambiguous" ? badRequest : found
  })

const badRequest = Effect.succeed(Failures.badRequest)

const notFound = (request: HttpServerRequest.HttpServerRequest): HttpServerError.HttpServerError =>
  new HttpServerError.HttpServerError({ reason: new HttpServerError.RouteNotFound({ request }) })
