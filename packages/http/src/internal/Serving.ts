/** One request on its way through its route. `any` stands for the errors and services of the user's own effects. */
import * as Criticality from "@blackgate/core/Criticality"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { HeaderList } from "../HeaderList.ts"
import type { ProxyRequest, ProxyResponse } from "../Rewrite.ts"
import { type Request, type Response, Transport } from "../Transport.ts"
import { isSwitched, type Request as UpgradeRequest, type Switched } from "../Upgrade.ts"
import { endToEnd } from "./endToEnd.ts"
import { Exchange } from "./Exchange.ts"
import * as Failures from "./failures.ts"
import { type FieldsByName, fieldsByName } from "./fieldsByName.ts"
import type { Forwarding } from "./Forwarding.ts"
import { Limit, limited } from "./limited.ts"
import { refusal } from "./malformed.ts"
import * as Path from "./path.ts"
import { perform, refuse } from "./perform.ts"
import { receive } from "./receive.ts"
import { toResponse } from "./respond.ts"
import type { Route } from "./Route.ts"
import { toTransport } from "./send.ts"
import { reason, wrongResponse } from "./sendable.ts"
import { traced } from "./trace.ts"
import { announced } from "./trailers.ts"
import * as Upgrade from "./upgrade.ts"

type Answer = HttpServerResponse.HttpServerResponse

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** One request on its way, in the order of the methods. */
export class Serving {
  private readonly route: Route
  private readonly fiber: AnyFiber
  private readonly source: HttpServerRequest
  private readonly fields: FieldsByName
  private readonly forwarding: Forwarding
  private readonly transport: Transport["Service"]
  /** What its connection is to be switched to. */
  private protocol: string | undefined = undefined
  /** Of its body, if the route has one. */
  private limit: Limit | undefined = undefined
  private deliver: Response["deliver"] = undefined

  constructor(route: Route, fiber: AnyFiber) {
    const { context } = fiber
    this.route = route
    this.fiber = fiber
    this.source = Context.getUnsafe(context, HttpServerRequest)
    this.fields = fieldsByName(this.source)
    this.forwarding = route.forwarding ?? route.forwardingIn!(fiber)
    this.transport = route.transport ?? Context.getUnsafe(context as Context.Context<Transport>, Transport)
  }

  answer(): Effect.Effect<Answer, any, any> {
    const { fields, forwarding, route, source, transport } = this
    const refused = refusal(source, fields)
    if (refused !== undefined) {
      const told = refused === "" ? Effect.void : Effect.logInfo(`a request was refused: ${refused}`)
      return Effect.as(told, Failures.malformed)
    }
    const passes = forwarding.passes(fields["via"])
    if (passes >= forwarding.maxPasses) {
      return Effect.as(
        Effect.logWarning(`a loop: the request has passed ${forwarding.passedBy} ${passes} times before`),
        Failures.loopDetected
      )
    }
    if (fields["upgrade"] === undefined) return this.receive(undefined)
    const protocol = Upgrade.asked(source, route.upgrade, transport)
    return Effect.flatMap(protocol, (protocol) => this.receive(protocol))
  }

  private receive(protocol: string | Answer | undefined): Effect.Effect<Answer, any, any> {
    const { fiber, fields, forwarding, route, source } = this
    const { maxBodySize, preserveHost, upstream } = route
    const received = receive(source, fields, upstream, preserveHost, forwarding)
    const path = received && Path.resolve(received.path)
    if (received === undefined || path === undefined) return badRequest
    const found = Context.getOrUndefined(fiber.context, HttpRouter.RouteContext)
    if (!this.isSpelled(found, path) || !route.isOwn(source.method, path, path !== received.path)) return badRequest
    if (protocol !== undefined && typeof protocol !== "string") return Effect.succeed(protocol)
    this.protocol = protocol

    const limit = maxBodySize === undefined ? undefined : this.limit = new Limit(maxBodySize)
    const body = limit === undefined ? received.body : limited(received.body, limit)
    if (body === undefined) return tooLarge(limit!)

    const request = path === received.path && body === received.body ? received : { ...received, path, body }
    if (route.rewrite === undefined) return this.send(request, request)
    const rewritten = perform("rewrite", route.rewrite, request)
    return Effect.isEffect(rewritten)
      ? Effect.flatMap(rewritten, (rewritten) => this.sendRewritten(rewritten, request))
      : this.sendRewritten(rewritten, request)
  }

  // A route that was found by another spelling of its literal part: whoever is behind may find another one.
  private isSpelled(found: HttpRouter.RouteContext["Service"] | undefined, path: string): boolean {
    // Under a prefix, Effect has taken that off the path, and the pattern still has it.
    if (found === undefined || Option.isSome(found.route.prefix)) return true
    const { route } = this
    if (route.pattern !== found.route.path) {
      route.pattern = found.route.path
      route.spelled = Path.spelledBy(route.pattern)
    }
    return route.spelled(path)
  }

  private sendRewritten(request: ProxyRequest | Answer, received: ProxyRequest): Effect.Effect<Answer, any, any> {
    return HttpServerResponse.isHttpServerResponse(request) ? Effect.succeed(request) : this.send(request, received)
  }

  private send(request: ProxyRequest, received: ProxyRequest): Effect.Effect<Answer, any, any> {
    const { fiber, limit, protocol, route, source, transport } = this
    const { receiving, sending } = route
    let outgoing = toTransport(
      request,
      received,
      protocol === undefined ? route.idle : route.tunnelIdle,
      route.headTimeout
    )
    if (typeof outgoing === "string") return refuse("rewrite", Cause.die(new Error(outgoing)))
    const scope = Context.getUnsafe(fiber.context as Context.Context<Scope.Scope>, Scope.Scope)
    const retrying = protocol === undefined ? route.retrying?.(request) : undefined
    const state = retrying === undefined ? new Exchange(scope) : retrying.begin(scope, fiber)
    if (sending !== undefined) state.send = { sending, criticality: fiber.getRef(Criticality.Criticality) }
    // What is not believed is not passed on to someone who would believe this gateway.
    else if (receiving?.trusts(source) === false) {
      outgoing = { ...outgoing, headers: receiving.strip(outgoing.headers) }
    }
    const exchanged: Effect.Effect<Response | Answer, any, any> = protocol === undefined
      ? (retrying ?? route).exchange(request, outgoing, traced(transport, fiber, source), state)
      : route.tunnel(request, { ...outgoing, protocol } as Request, traced(switching(transport), fiber, source), state)
    const bounded = limit === undefined
      ? exchanged
      : Effect.catchCause(exchanged, (cause) => limit.exceeded ? tooLarge(limit) : Effect.failCause(cause))
    return Effect.matchCauseEffect(bounded, {
      onSuccess: (response) => this.receiveResponse(response, request, state),
      onFailure: (cause) => route.failed(cause)
    })
  }

  private receiveResponse(answer: Response | Answer, request: ProxyRequest, state: Exchange) {
    if (isAnswer(answer)) return Effect.succeed(answer)
    this.deliver = answer.deliver
    const headers = endToEnd(answer.headers, "response")
    const trailing = answer.trailers === undefined ? undefined : announced(answer.headers)
    if (trailing !== undefined) headers.push("trailer", trailing)
    this.forwarding.addResponseVia(headers, answer.version ?? "1.1")
    const response: ProxyResponse = isSwitched(answer)
      ? { ...answer, statusText: reason(answer.statusText), headers }
      : responseOf(answer, headers)
    const { rewriteResponse } = this.route
    if (rewriteResponse === undefined) return this.respond(response, response, state)
    const rewritten = perform("rewriteResponse", rewriteResponse, response, request)
    return Effect.isEffect(rewritten)
      ? Effect.flatMap(rewritten, (rewritten) => this.respondRewritten(rewritten, response, state))
      : this.respondRewritten(rewritten, response, state)
  }

  private respondRewritten(
    rewritten: ProxyResponse | Answer,
    response: ProxyResponse,
    state: Exchange
  ): Effect.Effect<Answer, any, any> {
    return HttpServerResponse.isHttpServerResponse(rewritten)
      ? Effect.succeed(rewritten)
      : this.respond(rewritten, response, state)
  }

  private respond(
    rewritten: ProxyResponse,
    response: ProxyResponse,
    state: Exchange
  ): Effect.Effect<Answer, any, any> {
    if (!isSwitched(response)) return this.toResponse(rewritten, response)
    return rewritten.status === 101
      ? join(response, rewritten)
      : Effect.flatMap(state.close(), () => this.toResponse(rewritten, response))
  }

  private toResponse(rewritten: ProxyResponse, response: ProxyResponse): Effect.Effect<Answer> {
    const wrong = rewritten === response ? undefined : wrongResponse(rewritten)
    if (wrong !== undefined) return refuse("rewriteResponse", Cause.die(new Error(wrong)))
    return Effect.succeed(toResponse(rewritten, response, this.deliver, this.fiber.context))
  }
}

// Effect's own question looks for a property that most of what is asked has not, in one place for all that ask: a slow one.
const isAnswer = (answer: Response | Answer): answer is Answer => !Array.isArray(answer.headers)

// Field by field: a copy of an object that nobody has seen before costs more than all else that is done to it.
const responseOf = ({ body, status, statusText, trailers, version }: Response, headers: HeaderList): ProxyResponse => ({
  status,
  statusText: reason(statusText),
  headers,
  version,
  body,
  trailers
})

const badRequest = Effect.succeed(Failures.badRequest)

const tooLarge = ({ max }: Limit): Effect.Effect<Answer> =>
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
    Failures.wasTunnel
  )
}
