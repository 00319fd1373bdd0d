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
import { Forwarded } from "./internal/forwardedSchema.ts"
import { Group } from "./internal/groupSchema.ts"
import { Drain, Limits, Listen } from "./internal/listenSchema.ts"
import { Route } from "./internal/routeSchema.ts"
import { Telemetry } from "./internal/telemetrySchema.ts"
import { Upstream } from "./internal/upstreamSchema.ts"

const Proxy = Schema.Struct({
  name: required(F.name, "Names the proxy in logs and metrics. Several may have one name."),
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
  limits: optional(Limits, "What a client may do."),
  drain: optional(Drain, "How the gateway stops."),
  forwarded: optional(Forwarded, "Whom to believe of where requests come from, and what to tell upstreams."),
  admin: optional(
    Admin,
    "The API for operators, on an address of its own. Off unless it is here; \"admin: {}\" is all it takes."
  ),
  log: optional(Log, "The program's own log, on stderr."),
  telemetry: optional(Telemetry, "Traces, metrics and logs for a collector. Off unless it is here.")
})

/**
 * What a config file says.
 *
 * @category models
 * @since 0.1.0
 */
export type Config = typeof ConfigSchema.Type
