/**
 * What a config file may say: one schema, which the types, the checks, the JSON Schema for editors and the reference in the docs come from.
 *
 * Keys are in snake_case, as those of the Python program are, which are read as they stand. Durations have a unit, except for that
 * program's, whose names say that they are seconds. It says nothing of files, positions or environment variables: see `Config`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as F from "./internal/fields.ts"
import { optional, required } from "./internal/fields.ts"
import { Route } from "./internal/routeSchema.ts"

const tlsVersion = Schema.Literals(["TLSv1.2", "TLSv1.3"])

const Proxy = Schema.Struct({
  name: required(F.name, "Names the proxy in logs and metrics."),
  upstream_url: required(F.url, "Where requests go. What the substitution makes of the path is put behind it."),
  request_path_regex: optional(
    F.text,
    "A regular expression as in Python that the whole path has to match. Without it, every path does."
  ),
  request_path_sub: optional(
    F.text,
    "What every match of the regular expression becomes, with \\1 and \\g<name> for its groups."
  ),
  connect_timeout_seconds: optional(F.seconds, "How long a connection may take to be made. 10 by default."),
  request_timeout_seconds: optional(F.seconds, "Bounds the whole exchange, bodies included. Without it, nothing does.")
})

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
  min_version: optional(tlsVersion, "The least version that is spoken. TLSv1.2 by default."),
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

const Listen = Schema.Struct({
  port: optional(F.whole(0, 65535), "9654 by default; 0 is any that is free."),
  host: optional(F.name, "The address. All of them by default."),
  http2: optional(F.flag, "Whether HTTP/2 is spoken besides HTTP/1.1. true by default."),
  tls: optional(ListenTls, "Without it, connections are not encrypted.")
})

const Limits = Schema.Struct({
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

const Drain = Schema.Struct({
  delay: optional(
    F.duration,
    "How long connections are still taken after a SIGTERM, for a load balancer to notice. None by default."
  ),
  timeout: optional(F.duration, "How long requests under way have to end by themselves. 30s by default.")
})

const Pool = Schema.Struct({
  max_concurrent: required(F.whole(1), "How many requests run at once, to the end of their answers."),
  max_queued: optional(F.whole(0), "How many wait. 0 by default: what can't run at once is a 503."),
  queue_timeout: optional(F.duration, "How long one may wait, then it is a 503. By default as long as its timeout.")
})

const AdaptiveLimit = Schema.Struct({
  algorithm: optional(Schema.Literals(["gradient", "aimd"]), "gradient by default."),
  min: optional(F.whole(1), "The floor. 3 by default."),
  initial: optional(F.whole(1), "The limit to begin with. 20 by default."),
  window: optional(F.duration, "How long requests are measured before the limit moves. 100ms by default."),
  minimum_calls: optional(F.whole(1, 1000), "How many have to be measured before the limit moves. 10 by default."),
  quantile: optional(
    F.share,
    "Which share of a window is not slower than its latency. 0.5 with gradient, 0.9 with aimd."
  ),
  tolerance: optional(F.atLeast(1), "gradient: so many times the baseline is still no queue. 1.5 by default."),
  smoothing: optional(F.share, "gradient: how far the limit goes towards its target in a window. 0.2 by default."),
  target: optional(F.duration, "aimd, which needs it: from when on a request is slow."),
  increase: optional(F.atLeast(0), "aimd: what a good window adds to the limit. 1 by default."),
  backoff: optional(F.share, "aimd: what a bad window leaves of the limit. 0.9 by default.")
})

const Circuit = Schema.Struct({
  consecutive: optional(F.whole(1), "So many failures in a row open it."),
  failure_rate: optional(F.share, "This share of failures opens it. 0.5 by default, if no reason is given."),
  slow_call_rate: optional(F.share, "This share of slow requests opens it. Needs slower_than."),
  slower_than: optional(F.duration, "From when on a request is slow."),
  window: optional(
    Schema.Union([
      Schema.Struct({ calls: required(F.whole(1, 10_000), "The last so many.") }),
      Schema.Struct({ time: required(F.duration, "Those of the last so long.") })
    ]).annotate({ expected: "{ calls: a number } or { time: a duration }" }),
    "Which requests the rates are of. { calls: 100 } by default."
  ),
  minimum_calls: optional(F.whole(1), "How many the window has to hold before a rate means anything. 10 by default."),
  open_for: optional(F.duration, "How long it stays open. 5s by default."),
  probes: optional(F.whole(1, 1000), "How many requests are let through to see whether it can close. 1 by default."),
  probe_lease: optional(F.duration, "After how long a probe that is not heard of gives its place away. 30s by default.")
})

const RateLimit = Schema.Struct({
  limit: required(F.whole(1), "How many requests there may be in a window; one more is a 429."),
  window: required(F.duration, "How long a window is."),
  algorithm: optional(
    Schema.Literals(["token-bucket", "fixed-window"]),
    "Whether tokens come back one by one, the default, or all at once."
  ),
  key: optional(
    Schema.Union([
      Schema.Literal("client_address"),
      Schema.Struct({ header: required(F.token("the name of a header"), "Each of its values, as clients send it.") })
    ]).annotate({ expected: "client_address or { header: … }" }),
    "What is limited apart: each client address, as forwarded says, or each value of a header. By default the group as a whole."
  )
})

const RetryBudget = Schema.Struct({
  ratio: optional(F.atLeast(0), "Retries for each request of a route with retries. 0.2 by default."),
  per_second: optional(F.atLeast(0), "Retries for each second besides, whatever the requests. 10 by default."),
  window: optional(F.duration, "For how long a request counts, and a retry. 10s by default.")
})

const Group = Schema.Struct({
  pool: required(Pool, "How many requests run at once, and how many wait."),
  adaptive_limit: optional(AdaptiveLimit, "Has latency move the pool's limit, up to its max_concurrent."),
  circuit: optional(Circuit, "When an upstream is left alone. Without it there is no circuit."),
  rate_limit: optional(RateLimit, "How many requests there may be in so much time. Without it there is no limit."),
  retry_budget: optional(RetryBudget, "How many retries there may be, whatever the routes say.")
})

const UpstreamTls = Schema.Struct({
  ca: optional(F.oneOrMore(F.file), "The files of who vouches for it, in PEM, in place of those that Node trusts."),
  cert: optional(F.file, "The file of the gateway's own certificate, if it is asked for one."),
  key: optional(F.file, "The file of its key."),
  passphrase: optional(F.secret, "Of the key, if it is encrypted."),
  server_name: optional(F.name, "The name that is asked for and verified. The host of the URL by default."),
  min_version: optional(tlsVersion, "The least version that is spoken. TLSv1.2 by default."),
  ciphers: optional(F.text, "OpenSSL's list of ciphers. Node's own by default."),
  verify: optional(
    Schema.Literals(["on", "off-insecure"]),
    "off-insecure: anybody can take the upstream's place. on by default."
  )
})

const Upstream = Schema.Struct({
  url: required(F.url, "An http or https URL; its path stands before that of requests."),
  http: optional(
    Schema.Literals(["1.1", "2", "auto", 1.1, 2]),
    "Which version of HTTP is spoken. 1.1 by default; 2 for gRPC; auto is what it prefers."
  ),
  connections: optional(F.whole(1), "How many there may be. By default one for each request under way."),
  connect_timeout: optional(F.duration, "How long a connection may take to be made, TLS included. 10s by default."),
  keep_alive: optional(F.duration, "How long an idle connection is kept, if the upstream doesn't say. 4s by default."),
  tls: optional(UpstreamTls, "For an https URL.")
})

const Forwarded = Schema.Struct({
  trust: optional(Schema.Array(F.trusted), "Networks and addresses of proxies that are believed. Nobody by default."),
  read: optional(Schema.Literals(["x-forwarded", "forwarded"]), "Which fields they write. x-forwarded by default."),
  send: optional(
    Schema.Literals(["x-forwarded", "forwarded", "both", "none"]),
    "Which fields are sent. x-forwarded by default."
  ),
  via: optional(
    Schema.Union([F.token("a token"), Schema.Literal(false)]).annotate({ expected: "a token, or false" }),
    "What the gateway calls itself in Via: blackgate by default. false for no Via, and no detection of loops."
  ),
  instance: optional(F.token("a token"), "Tells this gateway from others of its name. Random by default."),
  max_passes: optional(F.whole(1), "How often a request may pass this gateway; then it is a 508. 1 by default.")
})

const Admin = Schema.Struct({
  host: optional(F.name, "The address. 127.0.0.1 by default; any other one needs a token."),
  port: optional(F.whole(0, 65535), "9655 by default; 0 is any that is free."),
  token: optional(F.secret, "Who has it as a Bearer token is let in. /health and /ready need none.")
})

const AccessLog = Schema.Struct({
  format: optional(
    Schema.Literals(["common", "json"]),
    "common, the default, is the Common Log Format; json has more."
  ),
  sample: optional(F.share, "The share of requests that have a line. 1 by default.")
})

const Log = Schema.Struct({
  access: optional(
    AccessLog,
    "A line for each request, on stdout, when it is over. Off unless it is here; \"access: {}\" is all it takes."
  ),
  level: optional(
    Schema.Literals(["debug", "info", "warning", "error", "none"]),
    "The least that is written. info by default."
  ),
  format: optional(Schema.Literals(["text", "json"]), "text by default. --log-format goes before it.")
})

/**
 * The schema of a config file.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigSchema = Schema.Struct({
  port: optional(F.whole(0, 65535), "Where the gateway listens, on every address. 9654 by default."),
  sentry: optional(
    Schema.Struct({ dsn: optional(F.secret, "Empty is none.") }),
    "Where defects are reported to. The package @sentry/node has to be installed for it."
  ),
  proxies: optional(
    Schema.Array(Proxy),
    "As in the Python program: the first one whose regular expression matches takes what no route does."
  ),
  listen: optional(F.oneOrMore(Listen), "Where the gateway listens, in place of port."),
  groups: optional(Schema.Record(F.name, Group), "By name: what routes share."),
  upstreams: optional(Schema.Record(F.name, Upstream), "By name: where routes go."),
  routes: optional(Schema.Array(Route), "Which requests go where. The most specific route takes a request."),
  limits: optional(Limits, "What a client may do. They change with a restart only."),
  drain: optional(Drain, "How the gateway stops. It changes with a restart only."),
  forwarded: optional(Forwarded, "Whom to believe of where requests come from, and what to tell upstreams."),
  admin: optional(
    Admin,
    "The API for operators, on an address of its own. Off unless it is here; \"admin: {}\" is all it takes."
  ),
  log: optional(Log, "The program's own log, on stderr.")
})

/**
 * What a config file says.
 *
 * @category models
 * @since 0.1.0
 */
export type Config = typeof ConfigSchema.Type
