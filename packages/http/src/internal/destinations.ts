import type * as Group from "@blackgate/core/Group"
import type { Upstream } from "../Upstream.ts"

/** Where the requests of a handler go. */
interface Destination {
  readonly key: string
  readonly group: Group.Ref<unknown>
  readonly upstream: Upstream
}

const destinations = new WeakMap<object, Destination>()

/** Notes it for whoever has the handler. */
export const noted = <Handler extends object>(handler: Handler, destination: Destination): Handler => {
  destinations.set(handler, destination)
  return handler
}

export const destinationOf = (handler: object): Destination | undefined => destinations.get(handler)
