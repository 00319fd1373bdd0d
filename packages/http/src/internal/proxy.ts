/**
 * What a proxy route does with a request, untyped: `Proxy.ts` says what the types are. `any` stands for the errors and services of
 * the user's own effects, which a generic body can't follow.
 */
import * as Command from "@blackgate/core/Command"
import type { CommandError } from "@blackgate/core/CommandError"
import * as Criticality from "@blackgate/core/Criticality"
import type * as Group from "@blackgate/core/Group"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { HeaderList } from "../HeaderList.ts"
import type * as Proxy from "../Proxy.ts"
import type { ProxyRequest, ProxyResponse } from "../Rewrite.ts"
import { type Request, type Response, Transport } from "../Transport.ts"
import type { Upstream } from "../Upstream.ts"
import { UpstreamError } from "../UpstreamError.ts"
import { receiveWith, Receiving, Sending } from "./callContext.ts"
import { endToEnd } from "./endToEnd.ts"
import * as Failures from "./failures.ts"
import * as Path from "./path.ts"
import { receive } from "./receive.ts"
import { toResponse } from "./respond.ts"
import { toTransport } from "./send.ts"
import { isFinal, reason, wrongResponse } from "./sendable.ts"
import { announced } from "./trailers.ts"

type Answer = HttpServerResponse.HttpServerResponse

/** A route's options, checked. */
export interface Settings {
  readonly key: string
  readonly group: Group.Ref<any>
  /** Where it is known beforehand; otherwise each request finds it in its context. */
  readonly transport: Transport["Service"] | undefined
  readonly options: Proxy.Options<any, any, any, any>
  readonly upstream: Upstream
  readonly idle: Duration.Duration | undefined
  readonly headTimeout: Duration.Duration | undefined
  /** Whether a path, resolved, is the route's own in every reading. */
  readonly isOwn: (method: string, path: string, hadDots: boolean) => boolean
}

/** The effect that answers a request. */
export const serve = (settings: Settings): Effect.Effect<Answer, any, any> => {
  const { headTimeout, idle, isOwn, options, upstream } = settings
  const exchange = exchangeWith(settings)
  const asked = options.callContext ?? {}
  const receiving = asked.receive ? new Receiving(asked.receive === true ? {} : asked.receive) : undefined
  const sending = asked.send ? new Sending(asked.send === true ? {} : asked.send) : undefined
  const answered = Effect.gen(function*() {
    const source = yield* HttpServerRequest
    const received = receive(source, upstream, options.preserveHost === true)
    const path = received && Path.resolve(received.path)
    if (received === undefined || path === undefined) return Failures.badRequest
    const route = yield* Effect.serviceOption(HttpRouter.RouteContext)
    if (!isSpelled(route, path) || !isOwn(source.method, path, path !== received.path)) return Failures.badRequest

    const request = yield* perform("rewrite", options.rewrite, { ...received, path })
    if (HttpServerResponse.isHttpServerResponse(request)) return request
    let outgoing = toTransport(request, idle, headTimeout)
    if (typeof outgoing === "string") return yield* refuse("rewrite", Cause.die(new Error(outgoing)))

    const transport = settings.transport ?? (yield* Transport)
    const context = yield* Effect.context<never>()
    const state = new Exchange(context)
    if (sending !== undefined) state.send = { sending, criticality: yield* Criticality.current }
    // What is not believed is not passed on to someone who would believe this gateway.
    else if (receiving?.trusts(source) === false) {
      outgoing = { ...outgoing, headers: receiving.strip(outgoing.headers) }
    }
    // Whatever becomes of the response, its exchange ends with the request.
    yield* Scope.addFinalizer(yield* Effect.scope, Effect.sync(() => state.abandon()))
    const answer: Response | Answer = yield* exchange(request, outgoing, transport, state)
    if (HttpServerResponse.isHttpServerResponse(answer)) return answer

    const response: ProxyResponse = {
      ...answer,
      statusText: reason(answer.statusText),
      headers: headersOf(answer)
    }
    const rewritten = yield* perform("rewriteResponse", options.rewriteResponse, response, request)
    if (HttpServerResponse.isHttpServerResponse(rewritten)) return rewritten
    const wrong = rewritten === response ? undefined : wrongResponse(rewritten)
    if (wrong !== undefined) return yield* refuse("rewriteResponse", Cause.die(new Error(wrong)))
    return toResponse(rewritten, response, context)
  })
  const served = receiving === undefined ? answered : receiveWith(receiving, answered)
  return options.criticality === undefined ? served : Criticality.provide(served, options.criticality)
}

const headersOf = ({ headers, trailers }: Response): HeaderList => {
  const passed = endToEnd(headers, "response")
  const names = trailers === undefined ? undefined : announced(headers)
  if (names !== undefined) passed.push("trailer", names)
  return passed
}

// A route that was found by another spelling of its literal part: whoever is behind may find another one.
const isSpelled = (route: Option.Option<HttpRouter.RouteContext["Service"]>, path: string): boolean => {
  // Under a prefix, Effect has taken that off the path, and the pattern still has it.
  if (Option.isNone(route) || Option.isSome(route.value.route.prefix)) return true
  const pattern = route.value.route.path
  let spelled = spellings.get(pattern)
  if (spelled === undefined) spellings.set(pattern, spelled = Path.spelledBy(pattern))
  return spelled(path)
}

// By the routes' own patterns, so there are no more of them than routes.
const spellings = new Map<string, (path: string) => boolean>()

/** One exchange with the upstream: told how it went, and able to give it up. */
class Exchange {
  over = false
  /** What the upstream is told about the call. */
  send: { readonly sending: Sending; readonly criticality: Criticality.Criticality } | undefined = undefined
  private readonly context: Context.Context<never>
  private answered = false
  private stop: (() => void) | undefined = undefined

  constructor(context: Context.Context<never>) {
    this.context = context
  }

  start(
    call: Command.Running<Response | Answer, UpstreamError>,
    transport: Transport["Service"],
    request: Request
  ): () => void {
    const { send } = this
    const end = (exit: Exit.Exit<Response, UpstreamError>) => {
      this.over = true
      const failure = exit._tag === "Failure" ? Option.getOrUndefined(Exit.findErrorOption(exit)) : undefined
      if (failure === undefined) return call.end(exit)
      const silent = failure.side === "client"
      // What comes before the head is logged with its fallback.
      if (silent || this.answered) this.log(failure.message)
      if (!silent) return call.end(exit)
      call.answer(Failures.requestTimeout)
      call.end(Exit.interrupt())
    }
    const refuse = (response: Response) => {
      end(strange(request, response))
      this.stop?.()
    }
    const sent = send === undefined
      ? request
      : { ...request, headers: send.sending.write(request.headers, call.remaining(), send.criticality) }
    const stop = transport.send(sent, {
      answer: (response) => {
        if (!isFinal(response.status)) return refuse(response)
        this.answered = true
        call.answer(response)
      },
      end: (exit) => end(exit._tag === "Success" && !isFinal(exit.value.status) ? strange(request, exit.value) : exit)
    })
    this.stop = () => {
      stop()
      call.end(Exit.interrupt())
    }
    return () => {
      // After its answer a call is stopped by nothing else.
      if (this.answered && !this.over) this.log(`${request.upstream.origin} was cut off: the total time was up`)
      stop()
    }
  }

  private log(message: string): void {
    Effect.runForkWith(this.context)(Effect.logWarning(message))
  }

  abandon(): void {
    if (!this.over) this.stop?.()
  }
}

// Effect's servers would answer a 500 for it, without a word of why.
const strange = ({ upstream }: Request, { status }: Response): Exit.Exit<never, UpstreamError> =>
  Exit.fail(new UpstreamError({ phase: "head", origin: upstream.origin, cause: new Error(`its status was ${status}`) }))

// The arguments are what one exchange needs; the fallback is handed the same.
const exchangeWith = ({ group, key, options }: Settings) =>
  Command.callback(
    key,
    (
      call: Command.Running<Response | Answer, UpstreamError>,
      _request: ProxyRequest,
      outgoing: Request,
      transport: Transport["Service"],
      state: Exchange
    ) => state.start(call, transport, outgoing),
    {
      group,
      timeout: options.timeout,
      total: options.total,
      priority: options.priority,
      fallback: (failure: CommandError | UpstreamError, request: ProxyRequest): Effect.Effect<Answer, any, any> =>
        Effect.andThen(
          failure._tag === "UpstreamError" ? Effect.logWarning(failure.message) : Effect.void,
          options.fallback === undefined
            ? Effect.succeed(Failures.failure(failure))
            : toEffect(options.fallback(failure, request))
        )
    }
  )

/** Runs a function of the user's. If it fails or dies, that is the answer to this request, and a line in the log. */
const perform = <A, Args extends ReadonlyArray<unknown>>(
  what: string,
  f: ((value: A, ...args: Args) => A | Effect.Effect<A, any, any>) | undefined,
  value: A,
  ...args: Args
): Effect.Effect<A | Answer, never, any> =>
  f === undefined
    ? Effect.succeed(value)
    : Effect.catchCause(Effect.suspend(() => toEffect(f(value, ...args))), (cause) => refuse(what, cause))

const refuse = (what: string, cause: Cause.Cause<unknown>): Effect.Effect<Answer> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  // A failure that is an answer is one: a 401 from a rewrite that checks who is asking, say.
  if (HttpServerResponse.isHttpServerResponse(failure)) return Effect.succeed(failure)
  if (HttpServerRespondable.isRespondable(failure)) return HttpServerRespondable.toResponse(failure)
  return Effect.as(Effect.logError(`${what} failed`, cause), Failures.internalError)
}

const toEffect = <A>(value: A | Effect.Effect<A, any, any>): Effect.Effect<A, any, any> =>
  Effect.isEffect(value) ? value as Effect.Effect<A, any, any> : Effect.succeed(value)
