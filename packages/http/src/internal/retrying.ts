import type { CommandTimeout } from "@blackgate/core/CommandError"
import type * as Retry from "@blackgate/core/Retry"
import * as Clock from "effect/Clock"
import type * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Replay from "../Replay.ts"
import type { ProxyRequest } from "../Rewrite.ts"
import type { Body } from "../Transport.ts"
import type { UpstreamError } from "../UpstreamError.ts"
import { Attempts } from "./Attempts.ts"
import type { Exchange } from "./Exchange.ts"
import { token } from "./fields.ts"

const method = Schema.String.check(
  Schema.makeFilter((text: string) => token.test(text) ? undefined : `expected a method, such as "GET", got ${text}`)
)
const status = Schema.Number.check(
  Schema.makeFilter((n: number) =>
    Number.isInteger(n) && n >= 200 && n <= 599 ? undefined : `expected a status from 200 to 599, got ${n}`
  )
)

// Those that are a command's are checked there, by the same names.
const ofCommand = Schema.optional(Schema.Unknown)

/** The option of a route. */
export const options = Schema.Struct({
  times: ofCommand,
  base: ofCommand,
  max: ofCommand,
  schedule: ofCommand,
  while: ofCommand,
  retryAfter: ofCommand,
  maxRetryAfter: ofCommand,
  waitFor: ofCommand,
  methods: Schema.optional(Schema.Array(method)),
  statuses: Schema.optional(Schema.Union([Schema.Boolean, Schema.Array(status)]))
})

/** A command that retries, and what an exchange of its begins with. */
export interface Retrying<Command> {
  readonly exchange: Command
  readonly begin: (scope: Scope.Scope, fiber: Fiber.Fiber<unknown, unknown>) => Exchange
}

type Failure = UpstreamError | CommandTimeout

// An answer had begun to come: that is another failure than none.
const beforeHead = (failure: Failure): boolean => failure._tag !== "UpstreamError" || failure.phase !== "body"
const unasked = (failure: Failure): boolean => failure._tag === "UpstreamError" && failure.phase === "connect"

/**
 * The command that a request takes, if it may be sent again. A command does not know what it carries, so there are two: for what is still
 * there whatever has become of it, and for a body of which only what nobody has asked for is.
 */
export const retryingWith = <Command>(
  { methods = Replay.idempotentMethods, statuses = false, while: isWorth, ...others }: Replay.Options,
  command: (retry: Retry.Options<UpstreamError>) => Command
): (request: ProxyRequest) => Retrying<Command> | undefined => {
  const repeatable = new Set(methods)
  const retrying = (mayBe: (failure: Failure) => boolean, statuses: ReadonlyArray<number>): Retrying<Command> => {
    const thrownAway = new Set(statuses)
    return {
      exchange: command({ ...others, while: (failure) => mayBe(failure) && isWorth?.(failure) !== false }),
      begin: (scope, fiber) => new Attempts(scope, thrownAway, fiber.getRef(Clock.Clock))
    }
  }
  const whole = retrying(beforeHead, statuses === true ? [502, 503, 504] : statuses === false ? [] : statuses)
  const streamed = retrying(unasked, [])
  return ({ body, method }) => {
    if (!repeatable.has(method)) return undefined
    if (isWhole(body)) return whole
    // What else is raw may be a stream of Node's, which is gone with its exchange.
    return body._tag === "Raw" ? undefined : streamed
  }
}

const isWhole = (body: Body): boolean =>
  body._tag === "Empty" || body._tag === "Uint8Array" || (body._tag === "Raw" && body.body instanceof Uint8Array)
