/**
 * Requests that ask for another protocol on their connection: a WebSocket, or any other `Upgrade` (RFC 9110, section 7.8).
 *
 * Where the upstream agrees, the two connections become a tunnel, byte for byte; where it does not, its answer is relayed as any
 * other. Here is what a route says of them, and what a transport has to be able to do. It does not read what is in a tunnel.
 *
 * @since 0.1.0
 */
import type * as Command from "@blackgate/core/Command"
import type * as Group from "@blackgate/core/Group"
import type * as Duration from "effect/Duration"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HeaderList } from "./HeaderList.ts"
import type * as Transport from "./Transport.ts"
import type { UpstreamError } from "./UpstreamError.ts"

/**
 * What a route does with such requests.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Self = never> {
  /**
   * Whose pool admits them, so that tunnels, which stay, don't use up the permits of requests, which go. By default the route's
   * group.
   */
  readonly group?: Group.Ref<Self> | undefined
  /**
   * Which web pages may ask: those of any origin, those of the host that was asked, or those of the origins listed
   * (`https://app.example.com`). Others get a 403; who says no `Origin` is no web page, and may. `"any"` by default, because the
   * upstream gets the `Origin`, and knows its pages.
   */
  readonly origins?: "any" | "same" | ReadonlyArray<string> | undefined
  /** How long no byte may move in either direction, before a tunnel is closed. By default the route's `idle`. */
  readonly idle?: Duration.Input | undefined
  /** How long a tunnel may last, from its request on. By default the route's `total`. */
  readonly total?: Duration.Input | undefined
}

/**
 * A request that asks for another protocol.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request extends Transport.Request {
  /** What the `Upgrade` field offers. The transport writes it, and `Connection`. */
  readonly protocol: string
}

/**
 * The upstream's agreement, a 101: what `open` answers instead of a response.
 *
 * @category models
 * @since 0.1.0
 */
export interface Switched extends Transport.Response {
  readonly status: 101
  /**
   * Sends the head to the client, and makes a tunnel of the two connections. `closed` is called once nothing of either is left.
   * `Upgrade` and `Connection` are the transport's.
   */
  readonly join: (
    head: { readonly statusText: string | undefined; readonly headers: HeaderList },
    closed: () => void
  ) => void
}

/**
 * What a transport does that can make tunnels.
 *
 * @category models
 * @since 0.1.0
 */
export interface Upgrades {
  /**
   * Whether the connection that a request came on can become a tunnel. `"declined"` means that the server has chosen to go on as if
   * nothing had been asked, which it always may; `"unknown"`, that the server at hand does not give its connections away.
   */
  readonly stateOf: (source: HttpServerRequest.HttpServerRequest) => "ready" | "declined" | "unknown"
  /**
   * Starts an exchange, as `send` does. A tunnel is told by `answer`, with a `Switched`, and by `end` once both connections are
   * closed: an upstream that breaks off is a failure, a client that does is an interruption.
   */
  readonly open: (request: Request, call: Command.Completion<Transport.Response, UpstreamError>) => () => void
}

/**
 * Whether what a transport answers is an agreement.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSwitched = (response: Transport.Response): response is Switched =>
  response.status === 101 && "join" in response

// What would make the rest of the connection HTTP that no route has seen: h2c smuggling, and the like.
const never = /^(?:h2c?|https?(?:\/.*)?|tls\/.*)$/i

/**
 * The protocols of an `Upgrade` field that may go to an upstream; `undefined` if there is none.
 *
 * **Details**
 *
 * `h2c`, `HTTP/*` and `TLS/*` never go: they would make a tunnel of requests that no route has seen. A server may ignore an
 * `Upgrade` (RFC 9110, section 7.8), so that such a request goes on as a plain one.
 *
 * **Example** (What is left of a list)
 *
 * ```ts import.meta.vitest
 * import { Upgrade } from "@blackgate/http"
 *
 * const fields = ["websocket", "h2c", "foo/2, h2c, bar"]
 *
 * fields.map(Upgrade.protocols) // => ["websocket", undefined, "foo/2, bar"]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const protocols = (field: string | undefined): string | undefined => {
  if (field === undefined) return undefined
  const offered = field.split(",").map((one) => one.trim()).filter((one) => protocol.test(one) && !never.test(one))
  return offered.length === 0 ? undefined : offered.join(", ")
}

// A token, and after a slash another one (RFC 9110, section 7.8).
const protocol = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/
