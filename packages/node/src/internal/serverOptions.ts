import * as InvalidOptions from "@blackgate/core/InvalidOptions"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Options } from "../Server.ts"
import type { Listener } from "./Listener.ts"
import { tlsServer } from "./tls.ts"

const pem = Schema.String.check(
  Schema.makeFilter((text: string) => text.includes("-----BEGIN ") ? undefined : "expected PEM")
)

export const tlsSchema = Schema.Struct({
  certificates: Schema.NonEmptyArray(
    Schema.Struct({ cert: pem, key: pem, passphrase: Schema.optional(Schema.String) })
  ),
  minVersion: Schema.optional(Schema.Literals(["TLSv1.2", "TLSv1.3"])),
  ciphers: Schema.optional(Schema.String),
  client: Schema.optional(
    Schema.Struct({
      ca: Schema.Union([pem, Schema.NonEmptyArray(pem)]),
      mode: Schema.optional(Schema.Literals(["required", "optional"]))
    })
  )
})

export const changeSchema = Schema.Struct({
  tls: Schema.optional(tlsSchema),
  http2: Schema.optional(Schema.Boolean),
  maxHeaderBytes: Schema.optional(InvalidOptions.whole(1)),
  maxHeaders: Schema.optional(InvalidOptions.whole(1)),
  maxUri: Schema.optional(InvalidOptions.whole(1)),
  maxBodySize: Schema.optional(InvalidOptions.whole(0)),
  maxConnections: Schema.optional(InvalidOptions.whole(1)),
  maxRequestsPerConnection: Schema.optional(InvalidOptions.whole(1)),
  maxConcurrentStreams: Schema.optional(InvalidOptions.whole(1)),
  headTimeout: Schema.optional(InvalidOptions.duration),
  bodyTimeout: Schema.optional(InvalidOptions.duration),
  stallTimeout: Schema.optional(InvalidOptions.duration),
  keepAlive: Schema.optional(InvalidOptions.duration),
  drainDelay: Schema.optional(InvalidOptions.duration),
  drainTimeout: Schema.optional(InvalidOptions.duration)
})
export const schema = Schema.Struct({
  ...changeSchema.fields,
  reusePort: Schema.optional(Schema.Boolean),
  port: Schema.optional(InvalidOptions.whole(0)),
  host: Schema.optional(Schema.String)
})

const millis = (given: Duration.Input | undefined, otherwise: Duration.Input): number =>
  Duration.toMillis(given ?? otherwise)

/** What a listener has to know of them. */
export const limitsOf = (options: Options) => ({
  http2: options.http2 ?? true,
  maxHeaderBytes: options.maxHeaderBytes ?? 16 * 1024,
  maxHeaders: options.maxHeaders ?? 100,
  maxUri: options.maxUri ?? 8 * 1024,
  maxBodySize: options.maxBodySize ?? Infinity,
  maxConnections: options.maxConnections ?? Infinity,
  maxRequestsPerConnection: options.maxRequestsPerConnection ?? 10_000,
  maxConcurrentStreams: options.maxConcurrentStreams ?? 100,
  headTimeout: millis(options.headTimeout, "10 seconds"),
  bodyTimeout: millis(options.bodyTimeout, "30 seconds"),
  stallTimeout: millis(options.stallTimeout, "60 seconds"),
  keepAlive: millis(options.keepAlive, "60 seconds")
})

/** What makes TLS of connections; what there is already, session tickets included, if that is no other. */
export const tlsOf = (
  next: Options,
  { arrivals }: Listener,
  current: Options | undefined
): Effect.Effect<ReturnType<typeof tlsServer> | undefined, InvalidOptions.InvalidOptions> => {
  const { headTimeout, http2, tls } = next
  if (tls === undefined) return Effect.succeed(undefined)
  if (current !== undefined && handshake(current) === handshake(next)) return Effect.succeed(arrivals.tls)
  return Effect.try({
    try: () => tlsServer(tls, millis(headTimeout, "10 seconds"), http2 === false ? ["http/1.1"] : ["h2", "http/1.1"]),
    catch: (cause) =>
      new InvalidOptions.InvalidOptions({ subject: "Server", problem: `tls: ${(cause as Error).message}` })
  })
}

const handshake = ({ headTimeout, http2 = true, tls }: Options): string =>
  JSON.stringify([tls, http2, millis(headTimeout, "10 seconds")])
