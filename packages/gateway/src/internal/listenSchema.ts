import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional, required } from "./fields.ts"

const Certificate = Schema.Struct({
  cert: required(F.file, "The file of the certificate and its chain, in PEM."),
  key: required(F.file, "The file of its key, in PEM."),
  passphrase: optional(F.secret, "Of the key, if it is encrypted.")
})

const ListenTls = Schema.Struct({
  certificates: required(
    Schema.NonEmptyArray(Certificate),
    "One for each name; the first is for clients that name none."
  ),
  min_version: optional(F.tlsVersion, "The least version that is spoken. TLSv1.2 by default."),
  ciphers: optional(F.text, "OpenSSL's list of ciphers. Node's own by default."),
  client: optional(
    Schema.Struct({
      ca: required(F.oneOrMore(F.file), "The files of who vouches for clients, in PEM."),
      mode: optional(
        Schema.Literals(["required", "optional"]),
        "required, the default: no connection without a certificate. optional: none is fine, one that is not trusted is not."
      )
    }),
    "Asks clients for a certificate. By default they are not asked."
  )
})

const Connect = Schema.Struct({
  allow: required(
    Schema.NonEmptyArray(F.text),
    "Where they may go: host:port each. The host may be *.example.com or *, the port *. Anything else is a 403."
  ),
  ranges: optional(
    Schema.Array(F.text),
    "Networks that may be reached although they are not of the public internet, such as 10.1.0.0/16. None by default."
  ),
  group: optional(F.name, "Whose limits tunnels have. Without one they have none."),
  timeout: optional(F.duration, "Bounds the time to the connection. 10s by default."),
  idle: optional(F.duration, "How long no byte may move in either direction. 5m by default."),
  total: optional(F.duration, "How long a tunnel may last. By default nothing bounds that.")
})

/** Where the gateway listens. */
export const Listen = Schema.Struct({
  port: optional(F.whole(0, 65535), "9654 by default; 0 is any that is free."),
  host: optional(F.name, "The address. All of them by default."),
  http2: optional(F.flag, "Whether HTTP/2 is spoken besides HTTP/1.1. true by default."),
  connect: optional(
    Connect,
    "Lets clients open tunnels to elsewhere by CONNECT. Whoever can reach the address can use it. Off by default."
  ),
  tls: optional(ListenTls, "Without it, connections are not encrypted.")
})

/** What a client may do. */
export const Limits = Schema.Struct({
  max_header_bytes: optional(F.whole(1), "Of a request head, in bytes. 16384 by default; a longer one is a 431."),
  max_headers: optional(F.whole(1), "Of a request, a number. 100 by default; more are a 431."),
  max_uri: optional(F.whole(1), "Of a request target, in bytes. 8192 by default; a longer one is a 414."),
  max_body_size: optional(F.whole(0), "Of a request body, in bytes. No limit by default; a longer one is a 413."),
  max_connections: optional(F.whole(1), "At once, on each address. No limit by default; one more is closed."),
  max_requests_per_connection: optional(F.whole(1), "10000 by default; then a connection is told to close."),
  max_concurrent_streams: optional(F.whole(1), "Of one connection of HTTP/2. 100 by default; one more is refused."),
  head_timeout: optional(F.duration, "How long a head may take. 10s by default, then it is a 408."),
  body_timeout: optional(
    F.duration,
    "How long nothing may come in the middle of a body. 30s by default, then it is a 408."
  ),
  stall_timeout: optional(
    F.duration,
    "How long a client may take nothing of its answer. 60s by default, then it is cut off."
  ),
  keep_alive: optional(F.duration, "How long an idle connection is kept. 60s by default.")
})

/** How the gateway stops. */
export const Drain = Schema.Struct({
  delay: optional(
    F.duration,
    "How long connections are still taken after a SIGTERM, for a load balancer to notice. None by default."
  ),
  timeout: optional(F.duration, "How long requests under way have to end by themselves. 30s by default.")
})
