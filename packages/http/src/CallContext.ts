/**
 * Criticality and deadline over HTTP: read from the headers of requests that come in, written into those that go out.
 *
 * There is no standard for either. A deadline travels as how long there is, not until when, so that the clocks of two machines need
 * not agree: in `grpc-timeout` where the request is gRPC, in Envoy's `x-envoy-expected-rq-timeout-ms` otherwise. Both are read,
 * from any request; the shorter counts. A criticality travels by its name, in `blackgate-criticality` unless an option says otherwise.
 *
 * Both directions are off until they are asked for: whoever is believed can have the calls of others shed.
 *
 * @since 0.1.0
 */
import * as Criticality from "@blackgate/core/Criticality"
import * as Deadline from "@blackgate/core/Deadline"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import { receiveWith, Receiving, Sending } from "./internal/callContext.ts"

/**
 * What is believed of what a request says.
 *
 * @category models
 * @since 0.1.0
 */
export interface Receive {
  /** Whose headers are read: those of every request, by default. For an edge that has both friends and strangers. */
  readonly trust?: ((request: HttpServerRequest) => boolean) | undefined
  /** The longest deadline that is set; a longer one is cut down to it. An hour, by default. */
  readonly maxDeadline?: Duration.Input | undefined
  /** The highest level that a request gets; a higher one is cut down to it. `"critical-plus"` by default: all levels. */
  readonly maxCriticality?: Criticality.Criticality | undefined
  /** Where the level is read. `"blackgate-criticality"` by default. */
  readonly criticalityHeader?: string | undefined
}

/**
 * How it is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Send {
  /** Where the level is written. `"blackgate-criticality"` by default. */
  readonly criticalityHeader?: string | undefined
}

/**
 * What a route reads and writes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Whether, and how, what a client says is believed. Off by default. */
  readonly receive?: boolean | Receive | undefined
  /**
   * Whether, and how, it is said to the upstream. Off by default. When it is on, what the client said is never passed on as it came,
   * believed or not.
   */
  readonly send?: boolean | Send | undefined
}

/**
 * Middleware that runs an app at the criticality, and within the deadline, that the request asks for.
 *
 * **When to use**
 *
 * Use behind a gateway or among services that you run. For an app that strangers reach, say whom to `trust`.
 *
 * **Details**
 *
 * When the deadline passes the app is interrupted, and the answer is the 504 of a proxy route; the deadline bounds the time to the
 * response, not its body. One that had passed on arrival (a timeout of 0) is a 504 at once: nothing of the app runs. It is a
 * `Deadline.within`, so it can only make the time of a command shorter.
 *
 * A header that makes no sense, or came twice, is ignored. A request without a level keeps the one around the app.
 *
 * Options that make no sense throw `InvalidOptions`.
 *
 * **Example** (Two requests)
 *
 * ```ts import.meta.vitest
 * import { Criticality } from "@blackgate/core"
 * import { CallContext } from "@blackgate/http"
 * import { Effect } from "effect"
 * import { HttpEffect, HttpServerResponse } from "effect/http"
 *
 * const app = Effect.map(Criticality.current, (level) => HttpServerResponse.text(level)).pipe(CallContext.receive())
 *
 * const handle = HttpEffect.toWebHandler(app)
 * const ask = (headers: Record<string, string>) => handle(new Request("http://api/", { headers }))
 *
 * const report = await ask({ "blackgate-criticality": "sheddable" })
 * await report.text() // => "sheddable"
 * const late = await ask({ "grpc-timeout": "0m" })
 * late.status // => 504
 * ```
 *
 * @category middleware
 * @since 0.1.0
 */
export const receive: {
  (
    options?: Receive
  ): <E, R>(app: Effect.Effect<HttpServerResponse, E, R>) => Effect.Effect<HttpServerResponse, E, R | HttpServerRequest>
  <E, R>(
    app: Effect.Effect<HttpServerResponse, E, R>,
    options?: Receive
  ): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest>
} = dual((args) => Effect.isEffect(args[0]), <E, R>(
  app: Effect.Effect<HttpServerResponse, E, R>,
  options: Receive = {}
): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest> => receiveWith(new Receiving(options), app))

/**
 * A client that says, with each request, how critical the calling fiber is and how much time it has left.
 *
 * **Details**
 *
 * What is left is that of the nearest deadline when the request is sent: of `Deadline.within`, or the `timeout` or `attemptTimeout` of
 * the command that sends it. Without one there is no such header. It is rounded down to milliseconds, and at least one.
 *
 * **Example** (A command that calls another service)
 *
 * ```ts import.meta.vitest
 * import { Command, Criticality, Group } from "@blackgate/core"
 * import { CallContext } from "@blackgate/http"
 * import { Effect } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * const seen: Array<string | undefined> = []
 * const client = HttpClient.make((request) => {
 *   seen.push(request.headers["blackgate-criticality"])
 *   seen.push(request.headers["x-envoy-expected-rq-timeout-ms"] === undefined ? "no deadline" : "a deadline")
 *   return Effect.succeed(HttpClientResponse.fromWeb(request, new Response()))
 * }).pipe(CallContext.send())
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("reports", { pool: { maxConcurrent: 10 } })
 *   yield* client.get("http://reports/").pipe(
 *     Command.within(group, { key: "get", timeout: "1 second" }),
 *     Criticality.provide("sheddable")
 *   )
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * seen // => ["sheddable", "a deadline"]
 * ```
 *
 * @category clients
 * @since 0.1.0
 */
export const send: {
  (options?: Send): <E, R>(client: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E, R>
  <E, R>(client: HttpClient.HttpClient.With<E, R>, options?: Send): HttpClient.HttpClient.With<E, R>
} = dual((args) => HttpClient.isHttpClient(args[0]), <E, R>(
  client: HttpClient.HttpClient.With<E, R>,
  options: Send = {}
): HttpClient.HttpClient.With<E, R> => {
  const sending = new Sending(options)
  return HttpClient.mapRequestEffect(
    client,
    (request) =>
      Effect.zipWith(Deadline.remaining, Criticality.current, (remaining, criticality) => {
        let sent = request
        const fields = sending.fields(
          request.headers["content-type"],
          remaining,
          criticality
        )
        for (let i = 0; i < fields.length; i += 2) sent = HttpClientRequest.setHeader(sent, fields[i]!, fields[i + 1]!)
        return sent
      })
  )
})
