/**
 * Which requests are sent again when the upstream has failed them, as long as the client has seen nothing of an answer.
 *
 * A route's `retry` is a command's, with what HTTP knows besides: which methods are safe to repeat, whether the body of the request is
 * still there, and which answers are worth less than another attempt. What it retries has passed `timeout` on the outside, and
 * passes rate limit, circuit and pool anew. A transport that meets a stale connection sends again by itself, within an attempt.
 *
 * It does not choose another upstream, and does not retry what asks for a tunnel.
 *
 * @since 0.1.0
 */
import type * as Retry from "@blackgate/core/Retry"
import type { UpstreamError } from "./UpstreamError.ts"

/**
 * The methods of requests that are sent twice to the same end as once (RFC 9110, section 9.2.2; QUERY by its draft,
 * draft-ietf-httpbis-safe-method-w-body).
 *
 * @category models
 * @since 0.1.0
 */
export const idempotentMethods: ReadonlyArray<string> = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"]

/**
 * What is sent again, how often, and after how long.
 *
 * **Details**
 *
 * Failures are retried up to the response head: the phases `connect`, `send` and `head`, and an attempt that took longer than
 * `attemptTimeout`. How often and when is what `Retry.Options` says: twice more by default, with full jitter, within the budget of
 * the group. `while` is asked besides.
 *
 * A request is sent again if its method is one of `methods`, and if its body can be sent again: it has none, or a rewrite gave it as
 * bytes. A body that streams can't; while there was no connection nobody has asked for it, and so the phase `connect` alone is
 * retried.
 *
 * **Gotchas**
 *
 * A listed status is a failure of its attempt for the circuit, if another attempt follows. The last answer is passed on, and is no
 * failure.
 *
 * **Example** (A 503 that the next attempt makes good)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Proxy, Transport } from "@blackgate/http"
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api.v1") {}
 *
 * let attempts = 0
 * const upstream = () => Effect.sync(() => HttpServerResponse.empty({ status: ++attempts === 1 ? 503 : 204 }))
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(
 *   Proxy.route("/*", {
 *     group: Api,
 *     upstream: "http://intra.service.com",
 *     timeout: "5 seconds",
 *     retry: { base: "5 millis", statuses: true }
 *   }).pipe(
 *     Layer.provide(Api.layer({ pool: { maxConcurrent: 10 } })),
 *     Layer.provide(Transport.layerMemory(upstream))
 *   ),
 *   { disableLogger: true }
 * )
 *
 * const { status } = await handler(new Request("http://gateway/"))
 * status // => 204
 * attempts // => 2
 * await dispose()
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Retry.Options<UpstreamError> {
  /**
   * Which methods are sent again, as they go to the upstream. `idempotentMethods` by default.
   */
  readonly methods?: ReadonlyArray<string> | undefined
  /**
   * Which answers are thrown away for another attempt: `true` is 502, 503 and 504. None by default. Their `Retry-After` is waited for, if
   * that is not longer than `maxRetryAfter`. When there won't be another attempt, the answer is passed on as it is.
   */
  readonly statuses?: boolean | ReadonlyArray<number> | undefined
}
