/**
 * Any Effect `HttpClient`, protected by a group: its requests are the calls of a command.
 *
 * It stands around the client that it is given: what was put around that before, such as a base URL or a filter of statuses, is
 * inside of the policies; what comes after is outside. So is everything that is built on a client, such as `HttpApiClient` and the
 * clients of RPC.
 *
 * A call is over at the head of its response, or, with `until: "body"`, when that has been read. It does not decode, does not follow
 * redirects, and does not repeat what is not safe to repeat.
 *
 * @since 0.1.0
 */
import type * as Circuit from "@blackgate/core/Circuit"
import type * as Command from "@blackgate/core/Command"
import * as CommandError from "@blackgate/core/CommandError"
import type * as Group from "@blackgate/core/Group"
import type * as Hedge from "@blackgate/core/Hedge"
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import type * as RateLimit from "@blackgate/core/RateLimit"
import type * as Retry from "@blackgate/core/Retry"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as internal from "./internal/client.ts"

/**
 * What is tried again.
 *
 * **Details**
 *
 * As the `retry` of a command, for requests that may be repeated. A response that counts as a failure is retried as a failure is. Its
 * `Retry-After` is waited for, be it seconds or a date, if that is not longer than `maxRetryAfter`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryOptions<in E = unknown>
  extends Pick<Retry.Options<never>, "times" | "base" | "max" | "maxRetryAfter" | "waitFor">
{
  /** Says when instead of `base` and `max`, for each request anew. */
  readonly schedule?: Schedule.Schedule<unknown> | undefined
  /** Which failures are worth another attempt, of the client's and of the responses that are failures. What the circuit counts, by default. */
  readonly while?: ((failure: HttpClientResponse | E | CommandError.CommandTimeout) => boolean) | undefined
  /**
   * Which requests may be repeated. By default those of an idempotent method (RFC 9110, section 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT,
   * DELETE; and QUERY) whose body, if any, is no stream.
   */
  readonly isRepeatable?: ((request: HttpClientRequest) => boolean) | undefined
}

/**
 * When a second request is made beside a slow one.
 *
 * @category models
 * @since 0.1.0
 */
export interface HedgeOptions extends Hedge.Options {
  /**
   * Which requests may be made twice at once. By default those of a safe method (RFC 9110, section 9.2.1: GET, HEAD, OPTIONS, TRACE; and
   * QUERY) whose body, if any, is no stream, and that ask for no upgrade.
   */
  readonly isRepeatable?: ((request: HttpClientRequest) => boolean) | undefined
}

/**
 * How the requests of a client are treated.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<
  in E = unknown,
  Timeout extends Duration.Input | undefined = Duration.Input | undefined,
  AttemptTimeout extends Duration.Input | undefined = Duration.Input | undefined,
  Until extends "head" | "body" = "head" | "body"
> extends Command.Policies<Timeout, AttemptTimeout> {
  /** Names the requests in metrics, spans and errors: all of them. `"client"` by default. */
  readonly key?: string | undefined
  /**
   * When a call is over: its permit is back, its deadlines no longer count, its outcome is known.
   *
   * `"head"`, the default: as the head of the response arrives. The body streams outside of all policies.
   *
   * `"body"`: when the body has been read, into memory, whether or not anybody wants it. It is part of the call: deadlines bound it, and
   * if it breaks off that is a failure, and is retried.
   */
  readonly until?: Until | undefined
  /**
   * Which responses are failures: for the circuit, for the metrics, and worth another attempt. They are responses all the same, and
   * the last one is what the client answers. By default those with a status of 500 and above, and 429.
   */
  readonly isFailure?: ((response: HttpClientResponse) => boolean) | undefined
  /**
   * Which circuit of the group a request passes, if that has circuits: by default that of its origin, such as `https://a.example`.
   * `isFailure` says which of the client's own failures are the dependency's: by default all but those of an invalid URL, of a request
   * that can't be encoded, and of a status (`filterStatus`) that is no failure.
   */
  readonly circuit?: Circuit.CommandOptions<[request: HttpClientRequest], E> | undefined
  /** What of the group's rate limit a request takes. By default all requests share the limit of the group. */
  readonly rateLimit?: RateLimit.CommandOptions<[request: HttpClientRequest]> | undefined
  /** Whether, and when, what failed is tried again. By default nothing is. */
  readonly retry?: RetryOptions<E> | undefined
  /** When a second request is made beside a slow one. By default none is. */
  readonly hedge?: HedgeOptions | undefined
}

/**
 * What protecting a client adds to its failures: those of the group, a deadline where there is one, and what reading a body can fail
 * with where that is part of the call.
 *
 * @category models
 * @since 0.1.0
 */
export type Failure<Timeout, AttemptTimeout = undefined, Until = "head"> =
  | Command.Failure<Timeout, AttemptTimeout>
  | (["body"] extends [Until] ? HttpClientError.HttpClientError : never)

const fn = Schema.declare(Predicate.isFunction, { expected: "a function" })

// The command checks the rest of it, by the same names.
const withIsRepeatable = Schema.declare(
  (u: unknown): u is object =>
    Predicate.isObject(u) &&
    (!("isRepeatable" in u) || u.isRepeatable === undefined || Predicate.isFunction(u.isRepeatable)),
  { expected: "options whose isRepeatable is a function" }
)

const schema = Schema.Struct({
  key: Schema.optional(Schema.String),
  until: Schema.optional(Schema.Literals(["head", "body"])),
  isFailure: Schema.optional(fn),
  circuit: Schema.optional(Schema.Unknown),
  rateLimit: Schema.optional(Schema.Unknown),
  retry: Schema.optional(withIsRepeatable),
  hedge: Schema.optional(withIsRepeatable),
  timeout: Schema.optional(Schema.Unknown),
  attemptTimeout: Schema.optional(Schema.Unknown),
  priority: Schema.optional(Schema.Unknown),
  detach: Schema.optional(Schema.Unknown)
})

/**
 * Protects a client by a group.
 *
 * **Details**
 *
 * The client fails with what it failed with before, with what the group refuses a call with, and with `CommandTimeout` where there is a
 * deadline; it requires the group, if that is given as its class. Each request is one call, its attempts included. Requests that may not
 * be repeated are made once, whatever `retry` and `hedge` say.
 *
 * **Gotchas**
 *
 * By default a call is over at the head of the response: a permit bounds the requests that wait for one, not the bodies that stream.
 * To hold it for as long as a body streams, make a command of all of the work, reading included.
 *
 * Options that make no sense throw `InvalidOptions`.
 *
 * **Example** (A client with a timeout and retries)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Client } from "@blackgate/http"
 * import { Effect } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api") {}
 *
 * let requests = 0
 * const flaky = HttpClient.make((request) =>
 *   Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("a report", { status: ++requests < 3 ? 503 : 200 })))
 * )
 *
 * const client = flaky.pipe(Client.within(Api, { timeout: "1 second", retry: { base: 1 } }))
 *
 * const program = client.get("https://reports.example/1").pipe(Effect.andThen((response) => response.text))
 *
 * await Effect.runPromise(Effect.provide(program, Api.layer({ pool: { maxConcurrent: 10 } }))) // => "a report"
 * requests // => 3
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const within: {
  <
    Self = never,
    Timeout extends Duration.Input | undefined = undefined,
    AttemptTimeout extends Duration.Input | undefined = undefined,
    Until extends "head" | "body" = "head"
  >(
    group: Group.Ref<Self>,
    options?: Options<unknown, Timeout, AttemptTimeout, Until>
  ): <E, R>(
    self: HttpClient.HttpClient.With<E, R>
  ) => HttpClient.HttpClient.With<E | Failure<Timeout, AttemptTimeout, Until>, R | Self>
  <
    E,
    R,
    Self = never,
    Timeout extends Duration.Input | undefined = undefined,
    AttemptTimeout extends Duration.Input | undefined = undefined,
    Until extends "head" | "body" = "head"
  >(
    self: HttpClient.HttpClient.With<E, R>,
    group: Group.Ref<Self>,
    options?: Options<E, Timeout, AttemptTimeout, Until>
  ): HttpClient.HttpClient.With<E | Failure<Timeout, AttemptTimeout, Until>, R | Self>
} = dual(
  (args) => HttpClient.isHttpClient(args[0]),
  <E, R>(
    self: HttpClient.HttpClient.With<E, R>,
    group: Group.Ref<unknown>,
    options: Options<E> = {}
  ): HttpClient.HttpClient.With<E | Failure<Duration.Input, undefined, "body">, R> => {
    InvalidOptions.checkUnsafe(typeof options.key === "string" ? options.key : "client", schema, options)
    return internal.within(self, group, options)
  }
)

/**
 * Turns the failures of the machinery into `HttpClientError`, with a `TransportError` as its reason and the failure as that one's
 * cause.
 *
 * **When to use**
 *
 * Use where a client may fail with nothing else, such as `transformClient` of `HttpApiClient.make`. `layer` does it by itself.
 *
 * **Gotchas**
 *
 * For whatever stands outside, the refusal of a full pool is then a broken connection: `HttpClient.retryTransient` tries it again. Use
 * the option `retry` instead, which does not.
 *
 * **Example** (What is behind a failure)
 *
 * ```ts import.meta.vitest
 * import { Group } from "@blackgate/core"
 * import { Client } from "@blackgate/http"
 * import { Effect, Option } from "effect"
 * import { HttpClient } from "effect/http"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("api", { pool: { maxConcurrent: 10 } })
 *   const client = HttpClient.make(() => Effect.never).pipe(
 *     Client.within(group, { timeout: "5 millis" }),
 *     Client.withHttpClientErrors
 *   )
 *   const failure = yield* Effect.flip(client.get("https://reports.example/1"))
 *   return [failure._tag, Option.map(Client.commandError(failure), ({ _tag }) => _tag)]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["HttpClientError", Option.some("CommandTimeout")]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withHttpClientErrors = <E, R>(
  self: HttpClient.HttpClient.With<E, R>
): HttpClient.HttpClient.With<Exclude<E, CommandError.CommandError> | HttpClientError.HttpClientError, R> =>
  internal.mapErrors(self, (failure, request) =>
    CommandError.isCommandError(failure)
      ? new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: failure, description: failure.message })
      })
      : failure)

/**
 * The failure of the machinery that is behind another one, if one is: behind an `HttpClientError`, or what RPC makes of that.
 *
 * @category getters
 * @since 0.1.0
 */
export const commandError = (failure: unknown): Option.Option<CommandError.CommandError> => {
  // As far as `cause` and `reason` lead, and no further than anybody would nest them.
  for (let depth = 0; depth < 10 && Predicate.isObject(failure); depth++) {
    if (CommandError.isCommandError(failure)) return Option.some(failure)
    failure = "reason" in failure ? failure.reason : "cause" in failure ? failure.cause : undefined
  }
  return Option.none()
}

/**
 * Takes an `HttpClient` and provides it protected by a group, for all that asks for one: `HttpApiClient`, say, or the clients of RPC.
 * What the machinery fails with is an `HttpClientError`: see `withHttpClientErrors`.
 *
 * **Gotchas**
 *
 * Options that make no sense end the building of the layer with `InvalidOptions`, as a defect.
 *
 * **Example** (One line for a whole program)
 *
 * ```ts import.meta.vitest
 * import { Group, Pool } from "@blackgate/core"
 * import { Client } from "@blackgate/http"
 * import { Effect, Layer } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * class Api extends Group.Service<Api>()("api") {}
 *
 * const Memory = Layer.succeed(
 *   HttpClient.HttpClient,
 *   HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("a report"))))
 * )
 *
 * const Protected = Client.layer(Api, { timeout: "1 second" }).pipe(
 *   Layer.provide(Memory),
 *   Layer.provideMerge(Api.layer({ pool: { maxConcurrent: 10 } }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   yield* HttpClient.get("https://reports.example/1")
 *   return (yield* Pool.statistics((yield* Api).pool)).admitted
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Protected)) // => 1
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self = never>(
  group: Group.Ref<Self>,
  options?: Options<HttpClientError.HttpClientError>
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | Self> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const own = Context.isKey(group) ? yield* group : group
      return withHttpClientErrors(within(client, own, options))
    })
  )
