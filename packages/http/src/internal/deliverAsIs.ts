import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Head, Response } from "../Transport.ts"

// What Effect's server keeps of a request, and does not export. Where it is not there, Effect writes the response.
class RequestState extends Context.Service<RequestState, {
  readonly preResponseHandler: HttpEffect.PreResponseHandler | undefined
}>()("effect/http/HttpEffect/CurrentRequestState") {}

/**
 * Lets the transport write a response that comes to the server as the value that the route has made, whatever middleware saw it on the
 * way. That is decided last of all, where the server is about to write it: by the last of the handlers that are called before.
 */
export const deliverAsIs = (
  made: HttpServerResponse,
  head: Head,
  deliver: NonNullable<Response["deliver"]>,
  context: Context.Context<never>
): void => {
  const state = Context.getOrUndefined(context as Context.Context<RequestState>, RequestState)
  if (state === undefined) return
  HttpEffect.appendPreResponseHandlerUnsafe(context, (_, response) => {
    // Others may have been appended since, and will want their say.
    if (response !== made || state.preResponseHandler !== last) return Effect.succeed(response)
    let over = false
    let wake: (() => void) | undefined
    const done = () => {
      over = true
      wake?.()
    }
    const delivered = Effect.succeed(response)
    if (!deliver(head, done) || over) return delivered
    return Effect.interruptible(Effect.callback((resume) => {
      wake = () => resume(delivered)
      if (over) wake()
    }))
  })
  const last = state.preResponseHandler
}
