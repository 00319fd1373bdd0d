import type { Proxy } from "@blackgate/http"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** What became of a request of a route. */
export interface Ending {
  /** How the exchange with the route's own upstream ended, in the words of the metrics. */
  readonly outcome: "success" | "failure" | "timeout" | "rejected"
  /** Which kind of fallback has answered, if one has. */
  readonly fallback: "stale" | "upstream" | "status" | undefined
  /** Who has answered, or failed to; `undefined` for what the gateway has answered with. */
  readonly upstream: string | undefined
}

// By what it came as, which stays the same when a filter changes the request.
const endings = new WeakMap<object, Ending>()

/** Notes it for the access log. */
export const note = ({ source }: HttpServerRequest, ending: Ending): void => void endings.set(source, ending)

export const endingOf = ({ source }: HttpServerRequest): Ending | undefined => endings.get(source)

export const outcomeOf = (failure: Proxy.Failure): Ending["outcome"] => {
  if (failure._tag === "CommandTimeout") return "timeout"
  if (failure._tag !== "UpstreamError") return "rejected"
  return failure.timedOut ? "timeout" : "failure"
}
