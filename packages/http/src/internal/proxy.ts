/**
 * What a proxy route does with a request, untyped: `Proxy.ts` says what the types are. `any` stands for the errors and services of
 * the user's own effects, which a generic body can't follow.
 */
import * as Command from "@blackgate/core/Command"
import type { CommandError } from "@blackgate/core/CommandError"
import * as Criticality from "@blackgate/core/Criticality"
import type * as Group from "@blackgate/core/Group"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Forwarded from "../Forwarded.ts"
import * as HeaderList from "../HeaderList.ts"
import type * as Proxy from "../Proxy.ts"
import type { ProxyRequest, ProxyResponse } from "../Rewrite.ts"
import { type Request, type Response, Transport } from "../Transport.ts"
import { isSwitched, type Request as UpgradeRequest, type Switched } from "../Upgrade.ts"
import type { Upstream } from "../Upstream.ts"
import { UpstreamError } from "../UpstreamError.ts"
import { receiveWith, Receiving, Sending } from "./callContext.ts"
import { endToEnd } from "./endToEnd.ts"
import * as Failures from "./failures.ts"
import { Forwarding } from "./Forwarding.ts"
import { Limit, limited } from "./limited.ts"
import { malformed } from "./malformed.ts"
import * as Path from "./path.ts"
import { receive } from "./receive.ts"
import { toResponse } from "./respond.ts"
import { toTransport } from "./send.ts"
import { isFinal, reason, wrongFields, wrongResponse } from "./sendable.ts"
import { traced } from "./trace.ts"
import * as Upgrade from "./upgrade.ts"

type Answer = HttpServerResponse.HttpServerResponse

/** A route's options, checked. */
export interface Settings {
  readonly key: string
  readonly group: Group.Ref<any>
  /** Where it is known beforehand; otherwise each request finds it in its context. */
  readonly transport: Transport["Service"] | undefined
  readonly options: Proxy.Options<any, any, any, any, any>
  readonly upstream: Upstream
  readonly idle: Duration.Duration | undefined
  /** Where it is known beforehand, as with the transport. */
  readonly forwarding: Forwarding | undefined
  /** How a request is served that asks for another protocol. */
  readonly tunnels: {
    readonly group: Group.Ref<any>
    readonly idle: Duration.Duration | undefined
    readonly total: Duration.Input | undefined
  }
  /** Whether a path, resolved, is the route's own in every reading. */
  readonly isOwn: (method: string, path: string, hadDots: boolean) => boolean
}

/** The effect that answers a request. */
export const serve = (settings: Settings): Effect.Effect<Answer, any, any> => {
  const { idle, isOwn, options, tunnels, upstream } = settings
  const { maxBodySize } = options
  const exchange = exchangeWith(settings, settings.group, options.total)
  const exchangeOf = (limit: Limit, max: number) => (...args: Parameters<typeof exchange>) =>
    Effect.catchCause(exchange(...args), (cause) => limit.exceeded ? tooLarge(max) : Effect.failCause(cause))
  const tunnel = exchangeWith(settings, tunnels.group, tunnels.total)
  const asked = options.callContext ?? {}
  const receiving = asked.receive ? new Receiving(asked.receive === true ? {} : asked.receive) : undefined
  const sending = asked.send ? new Sending(asked.send === true ? {} : asked.send) : undefined
  const forwardingIn = settings.forwarding === undefined ? forwardingOf(options.forwarded) : () => settings.forwarding!
  const answered = Effect.gen(function*() {
    const source = yield* HttpServerRequest
    const wrong = malformed(source)
    if (wrong !== undefined) {
      return yield* Effect.as(Effect.logInfo(`a request was refused: ${wrong}`), Failures.malformed)
    }
    const forwarding = forwardingIn(Fiber.getCurrent()!)
    const passes = forwarding.passes(source.headers["via"])
    if (passes >= forwarding.maxPasses) {
      return yield* Effect.as(
        Effect.logWarning(`a loop: the request has passed ${forwarding.passedBy} ${passes} times before`),
        Failures.loopDetected
      )
    }
    const transport = settings.transport ?? (yield* Transport)
    const protocol = source.headers["upgrade"] === undefined
      ? undefined
      : yield* Upgrade.asked(source, options.upgrade ?? true, transport)
    const received = receive(source, upstream, options.preserveHost === true, forwarding)
    const path = received && Path.resolve(received.path)
    if (received === undefined || path === undefined) return Failures.badRequest
    const route = yield* Effect.serviceOption(HttpRouter.RouteContext)
    if (!isSpelled(route, path) || !isOwn(source.method, path, path !== received.path)) return Failures.badRequest
    if (HttpServerResponse.isHttpServerResponse(protocol)) return protocol

    const limit = maxBodySize === undefined ? undefined : new Limit(maxBodySize)
    const body = limit === undefined ? received.body : limited(received.body, maxBodySize!, limit)
    if (body === undefined) return yield* tooLarge(maxBodySize!)

    const request = yield* perform("rewrite", options.rewrite, { ...received, path, body })
    if (HttpServerResponse.isHttpServerResponse(request)) return request
    let outgoing = toTransport(request, protocol === undefined ? idle : tunnels.idle)
    if (typeof outgoing === "string") return yield* refuse("rewrite", Cause.die(new Error(outgoing)))

    const state = new Exchange()
    if (sending !== undefined) state.send = { sending, criticality: yield* Criticality.current }
    // What is not believed is not passed on to someone who would believe this gateway.
    else if (receiving?.trusts(source) === false) {
      outgoing = { ...outgoing, headers: receiving.strip(outgoing.headers) }
    }
    // Whatever becomes of the response, its exchange ends with the request.
    yield* Scope.addFinalizer(yield* Effect.scope, Effect.suspend(() => state.close()))
    const fiber = Fiber.getCurrent()!
    const exchanged = limit === undefined ? exchange : exchangeOf(limit, maxBodySize!)
    const answer: Response | Answer = protocol === undefined
      ? yield* exchanged(request, outgoing, traced(transport, fiber, source), state)
      : yield* tunnel(request, { ...outgoing, protocol } as Request, traced(switching(transport), fiber, source), state)
    if (HttpServerResponse.isHttpServerResponse(answer)) return answer

    const headers = endToEnd(answer.headers, "response")
    forwarding.addResponseVia(headers, answer.version ?? "1.1")
    const response: ProxyResponse = { ...answer, statusText: reason(answer.statusText), headers }
    const rewritten = yield* perform("rewriteResponse", options.rewriteResponse, response, request)
    if (HttpServerResponse.isHttpServerResponse(rewritten)) return rewritten
    if (isSwitched(response)) {
      if (rewritten.status === 101) return yield* join(response, rewritten)
      yield* state.close()
    }
    const unsendable = rewritten === response ? undefined : wrongResponse(rewritten)
    if (unsendable !== undefined) return yield* refuse("rewriteResponse", Cause.die(new Error(unsendable)))
    return toResponse(rewritten, response, yield* Effect.context<never>())
  })
  const served = receiving === undefined ? answered : receiveWith(receiving, answered)
  return options.criticality === undefined ? served : Criticality.provide(served, options.criticality)
}

// A handler finds the gateway's options as each request comes; they are the same ones as a rule.
const forwardingOf = (own: Forwarded.Options | undefined) => {
  let last: Forwarded.Options | undefined
  let forwarding: Forwarding | undefined
  return (fiber: Fiber.Fiber<unknown, unknown>): Forwarding => {
    const defaults = fiber.getRef(Forwarded.Defaults)
    if (forwarding === undefined || defaults !== last) {
      forwarding = new Forwarding({ ...defaults, ...own })
      last = defaults
    }
    return forwarding
  }
}

const tooLarge = (max: number) =>
  Effect.as(Effect.logInfo(`a request was refused: its body is longer than ${max} bytes`), Failures.tooLarge)

// To the exchange, an agreement to switch is an answer as any other.
const switching = ({ upgrades }: Transport["Service"]): Transport["Service"] => ({
  send: (request, call) => upgrades!.open(request as UpgradeRequest, call)
})

/** Is what two connections are to each other for as long as they last. */
const join = (switched: Switched, head: ProxyResponse): Effect.Effect<Answer> => {
  const wrong = wrongResponse({ ...head, status: 200 })
  if (wrong !== undefined) return refuse("rewriteResponse", Cause.die(new Error(wrong)))
  return Effect.as(
    Effect.callback<void>((resume) => switched.join(head, () => resume(Effect.void))),
    HttpServerResponse.empty({ status: 101 })
  )
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
  /** What the upstream is told about the call. */
  send: { readonly sending: Sending; readonly criticality: Criticality.Criticality } | undefined = undefined
  private over = false
  private answered = false
  private broke: UpstreamError | undefined = undefined
  private stop: (() => void) | undefined = undefined

  start(
    call: Command.Running<Response, UpstreamError>,
    transport: Transport["Service"],
    request: Request
  ): () => void {
    const { send } = this
    const end = (exit: Exit.Exit<Response, UpstreamError>) => {
      this.over = true
      if (this.answered && exit._tag === "Failure") {
        this.broke = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      }
      call.end(exit)
    }
    const answer = (response: Response) => {
      this.answered = true
      call.answer(response)
    }
    const refuse = (response: Response) => {
      end(strange(request, response))
      this.stop?.()
    }
    const sent = send === undefined
      ? request
      : { ...request, headers: send.sending.write(request.headers, call.remaining(), send.criticality) }
    const stop = transport.send(sent, {
      answer: (response) => isAnswer(response) ? answer(response) : refuse(response),
      end: (exit) => end(exit._tag === "Success" && !isAnswer(exit.value) ? strange(request, exit.value) : exit)
    })
    this.stop = () => {
      stop()
      call.end(Exit.interrupt())
    }
    return stop
  }

  /** The request is over. No fallback has heard of a body that broke off: the log has. */
  close(): Effect.Effect<void> {
    if (!this.over) this.stop?.()
    return this.broke === undefined ? Effect.void : Effect.logWarning(this.broke.message)
  }
}

const isAnswer = (response: Response): boolean => isFinal(response.status) || isSwitched(response)

// Effect's servers would answer a 500 for it, without a word of why.
const strange = ({ upstream }: Request, { status }: Response): Exit.Exit<never, UpstreamError> =>
  Exit.fail(new UpstreamError({ phase: "head", origin: upstream.origin, cause: new Error(`its status was ${status}`) }))

// The arguments are what one exchange needs; the fallback is handed the same.
const exchangeWith = ({ key, options }: Settings, group: Group.Ref<any>, total: Duration.Input | undefined) =>
  Command.callback(
    key,
    (
      call: Command.Running<Response, UpstreamError>,
      _request: ProxyRequest,
      outgoing: Request,
      transport: Transport["Service"],
      state: Exchange
    ) => state.start(call, transport, outgoing),
    {
      group,
      timeout: options.timeout,
      total,
      priority: options.priority,
      fallback: (failure: CommandError | UpstreamError, request: ProxyRequest): Effect.Effect<Answer, any, any> =>
        Effect.andThen(
          failure._tag === "UpstreamError" ? Effect.logWarning(failure.message) : Effect.void,
          options.fallback === undefined
            ? Effect.succeed(Failures.failure(failure))
            : Effect.flatMap(toEffect(options.fallback(failure, request)), sendable)
        )
    }
  )

// Node would refuse the fields when it is too late to say why.
const sendable = (answer: Answer): Effect.Effect<Answer> => {
  const wrong = wrongFields(HeaderList.fromHeaders(answer.headers))
  return wrong === undefined ? Effect.succeed(answer) : refuse("fallback", Cause.die(new Error(wrong)))
}

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
