/**
 * What a protected client does with a request, untyped: `Client.ts` says what the types are. `any` stands for the errors and
 * services of the client that is protected, which a generic body can't follow.
 */
import * as Command from "@blackgate/core/Command"
import type * as Group from "@blackgate/core/Group"
import type * as RateLimit from "@blackgate/core/RateLimit"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type * as Client from "../Client.ts"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type AnyOptions = Client.Options<any, any, any, any>

/** An attempt that failed although there was a response: what its call ends with, if it is the last one. */
class Failed {
  readonly failure: unknown
  /** What `retry` waits for. */
  readonly retryAfter: Duration.Duration | undefined
  constructor(failure: unknown, retryAfter: Duration.Duration | undefined) {
    this.failure = failure
    this.retryAfter = retryAfter
  }
}

const originalOf = (failure: unknown): any => failure instanceof Failed ? failure.failure : failure

const isResponse = (u: unknown): u is Response => Predicate.hasProperty(u, HttpClientResponse.TypeId)

const isFailingStatus = ({ status }: Response): boolean => status >= 500 || status === 429

// RFC 9110, sections 9.2.1 and 9.2.2; QUERY is safe by its draft (draft-ietf-httpbis-safe-method-w-body).
const safe: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"])
const isSafe = ({ method }: Request): boolean => safe.has(method)
const isIdempotent = (request: Request): boolean =>
  isSafe(request) || request.method === "PUT" || request.method === "DELETE"

/** Whether there is still a body to send once it was sent. */
const canBeSentAgain = ({ body }: Request): boolean => {
  if (body._tag !== "Raw") return body._tag !== "Stream"
  const raw: unknown = body.body
  return !(Predicate.isObject(raw) && ("getReader" in raw || "pipe" in raw || Symbol.asyncIterator in raw))
}

const isRetried = (request: Request): boolean => isIdempotent(request) && canBeSentAgain(request)
const isHedged = (request: Request): boolean =>
  isSafe(request) && canBeSentAgain(request) && request.headers["upgrade"] === undefined

/** The origin of a request. What has none is not sent by most clients: that is no news of any host. */
const originOf = (request: Request): string =>
  Option.match(HttpClientRequest.toUrl(request), { onNone: () => "(no origin)", onSome: ({ origin }) => origin })

export const within = (
  self: HttpClient.HttpClient.With<any, any>,
  group: Group.Ref<any>,
  options: AnyOptions
): HttpClient.HttpClient.With<any, any> => {
  const commandOf = commandsOf(group, options)
  return HttpClient.transform(self, (send, request) => commandOf(request)(request, send))
}

/** How one request is done, by what may be done with it. */
const commandsOf = (group: Group.Ref<any>, options: AnyOptions) => {
  const { hedge, isFailure = isFailingStatus, key, retry, until, ...rest } = options
  const isOurs = (failure: unknown): boolean => {
    const original = originalOf(failure)
    if (isResponse(original)) return true // or it were none
    if (!HttpClientError.isHttpClientError(original)) return true
    const { reason } = original
    if (reason._tag === "StatusCodeError") return isFailure(reason.response)
    return reason._tag !== "EncodeError" && reason._tag !== "InvalidUrlError"
  }
  const policies = {
    ...rest,
    group,
    rateLimit: rest.rateLimit as RateLimit.CommandOptions<ReadonlyArray<any>> | undefined, // of the arguments it knows the first
    circuit: {
      ...rest.circuit, // for the check of the names
      key: rest.circuit?.key ?? originOf,
      isFailure: (failure: unknown) => {
        const own = rest.circuit?.isFailure
        const original = originalOf(failure)
        return own === undefined || isResponse(original) ? isOurs(failure) : own(original)
      }
    }
  }
  const attempt = attemptWith(isFailure, until === "body")

  const make = (retried: boolean, hedged: boolean) => {
    const { isRepeatable: _, ...retryOptions } = retry ?? {}
    const { isRepeatable: __, ...hedgeOptions } = hedge ?? { after: 0 }
    const command = Command.make(
      key ?? "client",
      (_request: Request, send: Effect.Effect<Response, any, any>, attempts: Attempts) => attempt(send, attempts),
      {
        ...policies,
        ...(retried
          ? {
            retry: {
              ...retryOptions,
              while: (failure: unknown) => retryOptions.while?.(originalOf(failure)) ?? isOurs(failure)
            }
          }
          : {}),
        ...(hedged ? { hedge: hedgeOptions } : {})
      }
    )
    return (request: Request, send: Effect.Effect<Response, any, any>): Effect.Effect<Response, any, any> =>
      Effect.suspend(() => {
        // Of attempts that race, any may be the one whose response is returned.
        const attempts = new Attempts(!hedged)
        return Effect.onExit(command(request, send, attempts), (exit) => attempts.end(exit))
      }).pipe(
        Effect.catch((failure) => {
          const original = originalOf(failure)
          return isResponse(original) ? Effect.succeed(original) : Effect.fail(original)
        })
      )
  }

  const once = make(false, false)
  if (retry === undefined && hedge === undefined) return () => once
  const retried = retry === undefined ? once : make(true, false)
  const hedged = hedge === undefined ? once : make(false, true)
  const both = retry === undefined ? hedged : hedge === undefined ? retried : make(true, true)
  const mayRetry = retry?.isRepeatable ?? isRetried
  const mayHedge = hedge?.isRepeatable ?? isHedged
  return (request: Request) =>
    retry !== undefined && mayRetry(request)
      ? hedge !== undefined && mayHedge(request) ? both : retried
      : hedge !== undefined && mayHedge(request)
      ? hedged
      : once
}

const attemptWith =
  (isFailure: (response: Response) => boolean, whole: boolean) =>
  (send: Effect.Effect<Response, any, any>, attempts: Attempts): Effect.Effect<Response, any, any> =>
    Effect.suspend(() => {
      attempts.begin()
      return Effect.matchEffect(whole ? Effect.flatMap(send, read) : send, {
        onSuccess: (response) => isFailure(response) ? attempts.fail(response, response) : Effect.succeed(response),
        onFailure: (failure) =>
          HttpClientError.isHttpClientError(failure) && failure.reason._tag === "StatusCodeError"
            ? attempts.fail(failure, failure.reason.response)
            : Effect.fail(failure)
      })
    })

/** The attempts of one request, as far as they have failed with a response: one that nobody will read keeps its connection. */
class Attempts {
  private readonly oneAtATime: boolean
  private unread: Array<Response> = []

  constructor(oneAtATime: boolean) {
    this.oneAtATime = oneAtATime
  }

  begin(): void {
    if (this.oneAtATime && this.unread.length > 0) this.discard()
  }

  fail(failure: unknown, response: Response): Effect.Effect<never, Failed> {
    this.unread.push(response)
    return Effect.clockWith((clock) =>
      Effect.fail(new Failed(failure, retryAfterOf(response, clock.currentTimeMillisUnsafe())))
    )
  }

  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (this.unread.length === 0) return Effect.void
    return Effect.sync(() => {
      const original = originalOf(Option.getOrUndefined(Exit.findErrorOption(exit)))
      this.discard(HttpClientError.isHttpClientError(original) ? original.response : original)
    })
  }

  private discard(kept?: unknown): void {
    for (const response of this.unread) if (response !== kept) Effect.runFork(close(response))
    this.unread = []
  }
}

/** Ends a response that nobody has read: opening its body and closing that makes every client let go of it. */
const close = (response: Response): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.scoped(Stream.toPull(response.stream)))

// Seconds or a date (RFC 9110, section 10.2.3); what is neither is not there.
const retryAfterOf = (response: Response, now: number): Duration.Duration | undefined => {
  const value = response.headers["retry-after"]
  const parsed = value === undefined ? undefined : Result.getOrUndefined(Headers.parseRetryAfter(value))
  return parsed === undefined ? undefined : Headers.retryAfterDelay(parsed, now)
}

/** A response whose body is here, as a whole. */
const read = (response: Response): Effect.Effect<Response, HttpClientError.HttpClientError> => {
  const { headers, request, status } = response
  if (status < 200 || status === 204 || status === 205 || status === 304) return Effect.succeed(response) // it has none
  return Effect.map(response.arrayBuffer, (body) => {
    // Effect's response of the Web's reads a body once. Each way to read it gets one of its own, so that none is in another's way.
    const init = { status: Math.min(status, 599), headers }
    const fresh = () => HttpClientResponse.fromWeb(request, new Response(body, init))
    return Object.create(fresh(), {
      arrayBuffer: { get: () => Effect.succeed(body) },
      stream: { get: () => fresh().stream },
      // What the Web's response does not have, or not so.
      status: { value: status },
      headers: { value: headers },
      url: { get: () => response.url },
      cookies: { get: () => response.cookies },
      remoteAddress: { get: () => response.remoteAddress }
    }) as Response
  })
}

/** The same client with other failures. Its failures are what the caller says they are. */
export const mapErrors = (
  self: HttpClient.HttpClient.With<any, any>,
  f: (failure: any, request: Request) => any
): HttpClient.HttpClient.With<any, any> =>
  HttpClient.transform(self, (send, request) => Effect.mapError(send, (failure) => f(failure, request)))
