import * as Criticality from "@blackgate/core/Criticality"
import * as Deadline from "@blackgate/core/Deadline"
import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as CallContext from "../CallContext.ts"
import * as HeaderList from "../HeaderList.ts"
import { timedOut } from "./failures.ts"
import { token } from "./fields.ts"

const grpcHeader = "grpc-timeout"
const millisHeader = "x-envoy-expected-rq-timeout-ms"
const usualCriticalityHeader = "blackgate-criticality"

const fieldName = Schema.String.check(
  Schema.makeFilter((name: string) => token.test(name) ? undefined : "expected the name of a header")
)

const receiveFields = Schema.Struct({
  trust: Schema.optional(Schema.declare(Predicate.isFunction, { expected: "a function" })),
  maxDeadline: Schema.optional(InvalidOptions.duration),
  maxCriticality: Schema.optional(Schema.Literals(Criticality.levels)),
  criticalityHeader: Schema.optional(fieldName)
})
const sendFields = Schema.Struct({ criticalityHeader: Schema.optional(fieldName) })

/** What a route can be given. */
export const options = Schema.Struct({
  receive: Schema.optional(Schema.Union([Schema.Boolean, receiveFields])),
  send: Schema.optional(Schema.Union([Schema.Boolean, sendFields]))
})

/** Options, checked, with their defaults. */
export class Receiving {
  private readonly trust: (request: HttpServerRequest) => boolean
  private readonly maxMillis: number
  private readonly maxCriticality: Criticality.Criticality
  private readonly criticalityHeader: string

  constructor(options: CallContext.Receive) {
    InvalidOptions.checkUnsafe("CallContext.receive", receiveFields, options)
    this.trust = options.trust ?? (() => true)
    this.maxMillis = Duration.toMillis(options.maxDeadline ?? "1 hour")
    this.maxCriticality = options.maxCriticality ?? "critical-plus"
    this.criticalityHeader = (options.criticalityHeader ?? usualCriticalityHeader).toLowerCase()
  }

  trusts(request: HttpServerRequest): boolean {
    return this.trust(request)
  }

  /** What the request says, no more than may be. */
  read({ headers }: HttpServerRequest) {
    const level = headers[this.criticalityHeader]
    const criticality = level === undefined ? undefined : Option.getOrUndefined(Criticality.fromString(level))
    const millis = Math.min(
      parseGrpc(headers[grpcHeader]) ?? Infinity,
      parseMillis(headers[millisHeader]) ?? Infinity
    )
    return {
      millis: millis === Infinity ? undefined : Math.min(millis, this.maxMillis),
      criticality: criticality && Order.min(Criticality.Order)(criticality, this.maxCriticality)
    }
  }

  /** Without what it would read. */
  strip(headers: HeaderList.HeaderList): HeaderList.HeaderList {
    return without(headers, this.criticalityHeader)
  }
}

/** Runs an app as its request asks, if that is to be believed. */
export const receiveWith = <E, R>(
  receiving: Receiving,
  app: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest, (request) => {
    if (!receiving.trusts(request)) return app
    const { criticality, millis } = receiving.read(request)
    const leveled = criticality === undefined ? app : Criticality.provide(app, criticality)
    return millis === undefined
      ? leveled
      : Deadline.withinOrElse(leveled, { timeout: millis, orElse: () => Effect.succeed(timedOut) })
  })

/** Options, checked, with their defaults. */
export class Sending {
  private readonly criticalityHeader: string

  constructor(options: CallContext.Send) {
    InvalidOptions.checkUnsafe("CallContext.send", sendFields, options)
    this.criticalityHeader = (options.criticalityHeader ?? usualCriticalityHeader).toLowerCase()
  }

  /** In place of whatever the request said of it. */
  write(
    headers: HeaderList.HeaderList,
    remaining: Duration.Duration,
    criticality: Criticality.Criticality
  ): HeaderList.HeaderList {
    return [
      ...without(headers, this.criticalityHeader),
      ...this.fields(HeaderList.get(headers, "content-type"), remaining, criticality)
    ]
  }

  fields(
    contentType: string | undefined,
    remaining: Duration.Duration,
    criticality: Criticality.Criticality
  ): Array<string> {
    const level = [this.criticalityHeader, criticality]
    const left = Duration.toMillis(remaining)
    if (left === Infinity) return level
    // Rounded down, so that who is behind gives up no later; but 0 is "for ever" to some.
    const millis = Math.max(1, Math.floor(left))
    return contentType?.startsWith("application/grpc") === true
      ? [...level, grpcHeader, formatGrpc(millis)]
      : [...level, millisHeader, String(millis)]
  }
}

const without = (headers: HeaderList.HeaderList, criticalityHeader: string): HeaderList.HeaderList =>
  [grpcHeader, millisHeader, criticalityHeader].reduce(
    (list: HeaderList.HeaderList, name) =>
      HeaderList.get(list, name) === undefined ? list : HeaderList.remove(list, name),
    headers
  )

// TimeoutValue is at most eight digits (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
const grpc = /^(\d{1,8})([HMSmun])$/
const units: { readonly [unit: string]: number } = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

const parseGrpc = (value: string | undefined): number | undefined => {
  const match = value === undefined ? null : grpc.exec(value)
  return match === null ? undefined : Number(match[1]) * units[match[2]!]!
}

const formatGrpc = (millis: number): string => {
  const unit = ["m", "S", "M", "H"].find((unit) => millis / units[unit]! < 1e8) ?? "H"
  return `${Math.min(99_999_999, Math.floor(millis / units[unit]!))}${unit}`
}

const parseMillis = (value: string | undefined): number | undefined =>
  value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined
