import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type { Transport } from "../Transport.ts"
import * as Upgrade from "../Upgrade.ts"
import * as Failures from "./failures.ts"

const origin = Schema.String.check(
  Schema.makeFilter((text: string) =>
    URL.parse(text)?.origin === text ? undefined : `expected an origin such as "https://app.example.com", got ${text}`
  )
)

/** The option of a route. */
export const options = <Group extends Schema.ConstraintDecoder<unknown>>(group: Group) =>
  Schema.Union([
    Schema.Boolean,
    Schema.Struct({
      group: Schema.optional(group),
      origins: Schema.optional(Schema.Union([Schema.Literals(["any", "same"]), Schema.Array(origin)])),
      idle: Schema.optional(InvalidOptions.duration),
      total: Schema.optional(InvalidOptions.duration)
    })
  ])

/**
 * What a request asks its connection to be switched to, if the route and the transport can do that; an answer, if the request can't
 * be served; and `undefined` for one that goes on as a plain request.
 */
export const asked = (
  source: HttpServerRequest.HttpServerRequest,
  given: boolean | Upgrade.Options<unknown>,
  transport: Transport["Service"]
): Effect.Effect<string | HttpServerResponse.HttpServerResponse | undefined> =>
  Effect.suspend(() => {
    const { connection = "", host, origin, upgrade } = source.headers
    const state = transport.upgrades?.stateOf(source) ?? "unknown"
    const offered = /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(connection) ? Upgrade.protocols(upgrade) : undefined
    if (given === false || state === "declined" || offered === undefined) return Effect.undefined
    if (state === "unknown") {
      // Any other protocol is a mere offer. Without its protocol, a WebSocket's request has no meaning.
      if (!/(?:^|,)\s*websocket\s*(?:,|$)/i.test(offered)) return Effect.undefined
      return Effect.as(
        Effect.logWarning("a WebSocket was refused: tunnels need Undici, and a server that went through Tunnel.accept"),
        Failures.notImplemented
      )
    }
    const { origins = "any" } = given === true ? {} : given
    return Effect.succeed(mayAsk(origins, origin, host) ? offered : Failures.forbidden)
  })

// Whoever says no origin is no web page, and could say any.
const mayAsk = (
  origins: NonNullable<Upgrade.Options["origins"]>,
  origin: string | undefined,
  host: string | undefined
): boolean => {
  if (origins === "any" || origin === undefined) return true
  if (origins !== "same") return origins.includes(origin)
  const parsed = URL.parse(origin)
  // The scheme is that of whoever ends TLS, who may stand before this gateway: so the port that it means is left out here too.
  return parsed !== null && parsed.origin === origin && host !== undefined &&
    URL.parse(`${parsed.protocol}//${host}`)?.origin === origin
}
