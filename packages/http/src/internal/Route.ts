/**
 * What a route is made of, untyped: `Proxy.ts` says what the types are. `any` stands for the errors and services of the user's own
 * effects, which a generic body can't follow.
 */
import * as Command from "@blackgate/core/Command"
import type * as Group from "@blackgate/core/Group"
import type * as Retry from "@blackgate/core/Retry"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Forwarded from "../Forwarded.ts"
import type * as Proxy from "../Proxy.ts"
import type { ProxyRequest } from "../Rewrite.ts"
import type { Transport } from "../Transport.ts"
import { type Request, type Response } from "../Transport.ts"
import type { Upstream } from "../Upstream.ts"
import { Report, type UpstreamError } from "../UpstreamError.ts"
import { Receiving, Sending } from "./callContext.ts"
import type { Exchange } from "./Exchange.ts"
import * as Failures from "./failures.ts"
import { Forwarding } from "./Forwarding.ts"
import { sendable, toEffect } from "./perform.ts"
import { type Retrying, retryingWith } from "./retrying.ts"
import { Serving } from "./Serving.ts"

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
  readonly headTimeout: Duration.Duration | undefined
  /** Where it is known beforehand, as with the transport. */
  readonly forwarding: Forwarding | undefined
  /** The same. */
  readonly report: typeof Report.Service | undefined
  /** How a request is served that asks for another protocol. */
  readonly tunnels: {
    readonly group: Group.Ref<any>
    readonly idle: Duration.Duration | undefined
    readonly total: Duration.Input | undefined
  }
  /** Whether a path, resolved, is the route's own in every reading. */
  readonly isOwn: (method: string, path: string, hadDots: boolean) => boolean
}

type AnyFiber = Fiber.Fiber<unknown, unknown>

export const always = (): boolean => true

/**
 * The effect that answers the requests of a route, and what they have in common: one object, with what each of them asks for first, because
 * of many routes memory is slow.
 *
 * Where the functions of the user are synchronous it waits for nothing but the exchange, and is a few calls of functions up to there
 * and from there on: a generator would take a step of the fiber for each.
 */
// By prototype alone it is an effect: `extends Effectable.Class` would be dearer to make.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class Route {
  readonly transport: Transport["Service"] | undefined
  readonly forwarding: Forwarding | undefined
  readonly upstream: Upstream
  readonly preserveHost: boolean
  readonly maxBodySize: number | undefined
  readonly isOwn: Settings["isOwn"]
  readonly rewrite: Proxy.Options<any, any, any, any, any>["rewrite"]
  readonly idle: Duration.Duration | undefined
  readonly headTimeout: Duration.Duration | undefined
  /** For the requests that may be sent again, if any may. */
  readonly retrying: ((request: ProxyRequest) => Retrying<Exchanging> | undefined) | undefined
  readonly receiving: Receiving | undefined
  readonly sending: Sending | undefined
  readonly exchange: Exchanging
  readonly rewriteResponse: Proxy.Options<any, any, any, any, any>["rewriteResponse"]
  /** Its own path, and how that is spelled, once the router has found it. */
  pattern: string | undefined = undefined
  spelled: (path: string) => boolean = always

  readonly tunnel: Exchanging
  readonly tunnelIdle: Duration.Duration | undefined
  readonly upgrade: NonNullable<Proxy.Options<any, any, any, any, any>["upgrade"]>
  /** Where it is not known beforehand. */
  readonly forwardingIn: ((fiber: AnyFiber) => Forwarding) | undefined
  private readonly settings: Settings

  constructor(settings: Settings) {
    const { forwarding, group, options, tunnels } = settings
    const { callContext: { receive, send } = {}, retry } = options
    const exchange = exchangeWith(settings, group, options.total)
    this.transport = settings.transport
    this.forwarding = forwarding
    this.upstream = settings.upstream
    this.preserveHost = options.preserveHost === true
    this.maxBodySize = options.maxBodySize
    this.isOwn = settings.isOwn
    this.rewrite = options.rewrite
    this.idle = settings.idle
    this.headTimeout = settings.headTimeout
    this.retrying = retry && retryingWith(retry, (retry) => exchangeWith(settings, group, options.total, retry))
    this.receiving = receive ? new Receiving(receive === true ? {} : receive) : undefined
    this.sending = send ? new Sending(send === true ? {} : send) : undefined
    this.exchange = exchange
    this.rewriteResponse = options.rewriteResponse
    this.tunnel = tunnels.group === group && tunnels.total === options.total
      ? exchange
      : exchangeWith(settings, tunnels.group, tunnels.total)
    this.tunnelIdle = tunnels.idle
    this.upgrade = options.upgrade ?? true
    this.forwardingIn = forwarding === undefined ? forwardingOf(options.forwarded) : undefined
    this.settings = settings
  }

  /** The gateway's own answer, where nobody has another one to give. */
  failed(cause: Cause.Cause<unknown>): Effect.Effect<Answer, any> {
    const error = Cause.hasDies(cause) ? undefined : Option.getOrUndefined(Cause.findErrorOption(cause))
    const failure = this.settings.options.fallback === undefined
      ? error as Proxy.Failure | undefined
      : error instanceof Unanswered
      ? error.failure
      : undefined
    return failure === undefined
      ? Effect.failCause(cause)
      : Effect.as(told(this.settings, failure), Failures.failure(failure))
  }
}

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Route extends Effect.Effect<Answer, any, any> {}
Object.setPrototypeOf(
  Route.prototype,
  Effectable.Prototype<Route>({
    label: "ProxyRoute",
    evaluate(fiber) {
      return new Serving(this, fiber).answer()
    }
  })
)

// A handler finds the gateway's options as each request comes; they are the same ones as a rule.
const forwardingOf = (own: Forwarded.Options | undefined) => {
  if (own === undefined) return (fiber: AnyFiber): Forwarding => Forwarding.of(fiber.getRef(Forwarded.Defaults))
  let last: Forwarded.Options | undefined
  let forwarding: Forwarding | undefined
  return (fiber: AnyFiber): Forwarding => {
    const defaults = fiber.getRef(Forwarded.Defaults)
    if (forwarding === undefined || defaults !== last) {
      forwarding = Forwarding.of(defaults, own)
      last = defaults
    }
    return forwarding
  }
}

type Exchanging = ReturnType<typeof exchangeWith>

const ofRequest = (key: ((request: ProxyRequest) => string) | undefined) =>
  key && ((request: ProxyRequest) => key(request))

// One for all routes: what they have in common does not have to be found in the memory of each.
const start = (
  call: Command.Running<Response | Answer, UpstreamError>,
  _request: ProxyRequest,
  outgoing: Request,
  transport: Transport["Service"],
  state: Exchange
) => state.start(call, transport, outgoing)

// The arguments are what one exchange needs; the fallback is handed the same.
const exchangeWith = (
  settings: Settings,
  group: Group.Ref<any>,
  total: Duration.Input | undefined,
  retry?: Retry.Options<UpstreamError>
) => {
  const { key, options } = settings
  const { fallback } = options
  return Command.callback(
    key,
    start,
    {
      group,
      timeout: options.timeout,
      attemptTimeout: options.attemptTimeout,
      total,
      retry,
      circuit: options.circuit && { ...options.circuit, key: ofRequest(options.circuit.key) },
      rateLimit: options.rateLimit && { ...options.rateLimit, key: ofRequest(options.rateLimit.key) },
      priority: options.priority,
      ...(fallback === undefined ? {} : {
        fallback: (failure: Proxy.Failure, request: ProxyRequest): Effect.Effect<Answer, any, any> => {
          const said = fallback(failure, request)
          if (said === undefined) return Effect.fail(new Unanswered(failure))
          return Effect.andThen(
            told(settings, failure),
            Effect.flatMap(toEffect(said), (answer) => sendable("fallback", answer))
          )
        }
      })
    }
  )
}

/** What a fallback has no answer to. */
class Unanswered {
  readonly failure: Proxy.Failure

  constructor(failure: Proxy.Failure) {
    this.failure = failure
  }
}

const told = ({ key, report }: Settings, failure: Proxy.Failure): Effect.Effect<void> => {
  if (failure._tag !== "UpstreamError") return Effect.void
  return report === undefined
    ? Effect.withFiber((fiber) => fiber.getRef(Report)(failure, key))
    : report(failure, key)
}
