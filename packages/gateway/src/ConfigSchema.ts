/**
 * What a config file may say: one schema, which the types, the checks and the JSON Schema for editors come from.
 *
 * Keys are in snake_case, as those of the Python program are, which are read as they stand. Durations have a unit, except for that
 * program's, whose names say that they are seconds. It says nothing of files, positions or environment variables: see `Config`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as F from "./internal/fields.ts"

const Proxy = Schema.Struct({
  name: F.name.pipe(Schema.annotateKey({ description: "Names the proxy in logs and metrics." })),
  upstream_url: F.url.pipe(
    Schema.annotateKey({ description: "Where requests go. What the substitution makes of the path is put behind it." })
  ),
  request_path_regex: Schema.optionalKey(F.text).pipe(Schema.annotateKey({
    description: "A regular expression as in Python that the whole path has to match. Without it, every path does."
  })),
  request_path_sub: Schema.optionalKey(F.text).pipe(Schema.annotateKey({
    description: "What every match of the regular expression becomes, with \\1 and \\g<name> for its groups."
  })),
  connect_timeout_seconds: Schema.optionalKey(F.seconds).pipe(
    Schema.annotateKey({ description: "How long a connection may take to be made. 10 by default." })
  ),
  request_timeout_seconds: Schema.optionalKey(F.seconds).pipe(
    Schema.annotateKey({ description: "Bounds the whole exchange, bodies included. Without it, nothing does." })
  )
})

const Certificate = Schema.Struct({
  cert: F.file.pipe(Schema.annotateKey({ description: "The file of the certificate and its chain, in PEM." })),
  key: F.file.pipe(Schema.annotateKey({ description: "The file of its key, in PEM." })),
  passphrase: Schema.optionalKey(F.secret).pipe(Schema.annotateKey({ description: "Of the key, if it is encrypted." }))
})

const tlsVersion = Schema.Literals(["TLSv1.2", "TLSv1.3"])

const Listen = Schema.Struct({
  port: Schema.optionalKey(F.whole(0, 65535)).pipe(
    Schema.annotateKey({ description: "9654 by default; 0 is any that is free." })
  ),
  host: Schema.optionalKey(F.name).pipe(Schema.annotateKey({ description: "The address. All of them by default." })),
  http2: Schema.optionalKey(F.flag).pipe(
    Schema.annotateKey({ description: "Whether HTTP/2 is spoken besides HTTP/1.1. True by default." })
  ),
  tls: Schema.optionalKey(Schema.Struct({
    certificates: Schema.NonEmptyArray(Certificate),
    min_version: Schema.optionalKey(tlsVersion),
    ciphers: Schema.optionalKey(F.text),
    client: Schema.optionalKey(Schema.Struct({
      ca: F.oneOrMore(F.file),
      mode: Schema.optionalKey(Schema.Literals(["required", "optional"]))
    })).pipe(Schema.annotateKey({ description: "Asks clients for a certificate that one of these vouches for." }))
  })).pipe(Schema.annotateKey({ description: "Without it, connections are not encrypted." }))
})

const Limits = Schema.Struct({
  max_header_bytes: Schema.optionalKey(F.whole(1)),
  max_headers: Schema.optionalKey(F.whole(1)),
  max_uri: Schema.optionalKey(F.whole(1)),
  max_body_size: Schema.optionalKey(F.whole(0)),
  max_connections: Schema.optionalKey(F.whole(1)),
  max_requests_per_connection: Schema.optionalKey(F.whole(1)),
  max_concurrent_streams: Schema.optionalKey(F.whole(1)),
  head_timeout: Schema.optionalKey(F.duration),
  body_timeout: Schema.optionalKey(F.duration),
  stall_timeout: Schema.optionalKey(F.duration),
  keep_alive: Schema.optionalKey(F.duration)
})

const Drain = Schema.Struct({
  delay: Schema.optionalKey(F.duration).pipe(
    Schema.annotateKey({ description: "How long connections are still taken after a SIGTERM. None by default." })
  ),
  timeout: Schema.optionalKey(F.duration).pipe(
    Schema.annotateKey({ description: "How long requests under way have to end by themselves. 30s by default." })
  )
})

const Pool = Schema.Struct({
  max_concurrent: F.whole(1).pipe(Schema.annotateKey({ description: "How many requests run at once." })),
  max_queued: Schema.optionalKey(F.whole(0)).pipe(
    Schema.annotateKey({ description: "How many wait. 0 by default: what can't run at once is a 503." })
  ),
  queue_timeout: Schema.optionalKey(F.duration)
})

const Circuit = Schema.Struct({
  consecutive: Schema.optionalKey(F.whole(1)),
  failure_rate: Schema.optionalKey(F.share),
  slow_call_rate: Schema.optionalKey(F.share),
  slower_than: Schema.optionalKey(F.duration),
  window: Schema.optionalKey(
    Schema.Union([
      Schema.Struct({ calls: F.whole(1, 10_000) }),
      Schema.Struct({ time: F.duration })
    ]).annotate({ expected: "{ calls: a number } or { time: a duration }" })
  ),
  minimum_calls: Schema.optionalKey(F.whole(1)),
  open_for: Schema.optionalKey(F.duration),
  probes: Schema.optionalKey(F.whole(1, 1000)),
  probe_lease: Schema.optionalKey(F.duration)
})

const RateLimit = Schema.Struct({
  limit: F.whole(1).pipe(Schema.annotateKey({ description: "How many requests there may be in a window." })),
  window: F.duration,
  algorithm: Schema.optionalKey(Schema.Literals(["token-bucket", "fixed-window"]))
})

const AdaptiveLimit = Schema.Struct({
  algorithm: Schema.optionalKey(Schema.Literals(["gradient", "aimd"])),
  min: Schema.optionalKey(F.whole(1)),
  initial: Schema.optionalKey(F.whole(1)),
  window: Schema.optionalKey(F.duration),
  minimum_calls: Schema.optionalKey(F.whole(1, 1000)),
  quantile: Schema.optionalKey(F.share),
  tolerance: Schema.optionalKey(F.atLeast(1)),
  smoothing: Schema.optionalKey(F.share),
  target: Schema.optionalKey(F.duration),
  increase: Schema.optionalKey(F.atLeast(0)),
  backoff: Schema.optionalKey(F.share)
})

const Group = Schema.Struct({
  pool: Pool,
  adaptive_limit: Schema.optionalKey(AdaptiveLimit),
  circuit: Schema.optionalKey(Circuit),
  rate_limit: Schema.optionalKey(RateLimit)
})

const Upstream = Schema.Struct({
  url: F.url,
  http: Schema.optionalKey(Schema.Literals(["1.1", "2", "auto", 1.1, 2])).pipe(
    Schema.annotateKey({ description: "Which version of HTTP is spoken. 1.1 by default." })
  ),
  connections: Schema.optionalKey(F.whole(1)),
  connect_timeout: Schema.optionalKey(F.duration),
  keep_alive: Schema.optionalKey(F.duration),
  tls: Schema.optionalKey(Schema.Struct({
    ca: Schema.optionalKey(F.oneOrMore(F.file)),
    cert: Schema.optionalKey(F.file),
    key: Schema.optionalKey(F.file),
    passphrase: Schema.optionalKey(F.secret),
    server_name: Schema.optionalKey(F.name),
    min_version: Schema.optionalKey(tlsVersion),
    ciphers: Schema.optionalKey(F.text),
    verify: Schema.optionalKey(Schema.Literals(["on", "off-insecure"]))
  }))
})

const fieldName = F.token("the name of a header")
const method = F.token("a method, such as GET")

const wanted = Schema.Union([
  F.text,
  Schema.Struct({ regex: F.text }),
  Schema.Struct({ present: F.flag })
]).annotate({ expected: "text, { regex: … } or { present: true or false }" })

const path = Schema.String.annotate({ expected: "a path that begins with a slash" }).check(
  Schema.isPattern(/^\/[^?#\s]*$/, { expected: "a path that begins with a slash" })
)

const Match = Schema.Struct({
  host: Schema.optionalKey(F.oneOrMore(F.name)).pipe(
    Schema.annotateKey({ description: "A host, or *.example.com for whatever is below it. Every host by default." })
  ),
  path: Schema.optionalKey(
    Schema.Union([
      path,
      Schema.Struct({ exact: path }),
      Schema.Struct({ prefix: path }),
      Schema.Struct({ regex: F.text })
    ]).annotate({ expected: "a path such as /api, { exact: … }, { prefix: … } or { regex: … }" })
  ).pipe(Schema.annotateKey({ description: "A path takes in everything below it, unless it is exact. / by default." })),
  method: Schema.optionalKey(F.oneOrMore(method)),
  headers: Schema.optionalKey(Schema.Record(fieldName, wanted)),
  query: Schema.optionalKey(Schema.Record(F.text, wanted))
})

const Edits = Schema.Struct({
  set: Schema.optionalKey(Schema.Record(fieldName, F.headerValue)),
  add: Schema.optionalKey(Schema.Record(fieldName, F.headerValue)),
  remove: Schema.optionalKey(Schema.Array(fieldName))
})

const Answer = Schema.Struct({
  status: F.whole(200, 599),
  body: Schema.optionalKey(F.text),
  headers: Schema.optionalKey(Schema.Record(fieldName, F.headerValue))
})

const Route = Schema.Struct({
  name: Schema.optionalKey(F.name),
  match: Schema.optionalKey(Match),
  upstream: Schema.optionalKey(F.name).pipe(
    Schema.annotateKey({ description: "A URL, or a name of upstreams." })
  ),
  redirect: Schema.optionalKey(Schema.Struct({
    status: Schema.optionalKey(Schema.Literals([301, 302, 303, 307, 308])),
    scheme: Schema.optionalKey(Schema.Literals(["http", "https"])),
    host: Schema.optionalKey(F.name),
    port: Schema.optionalKey(F.whole(1, 65535)),
    path: Schema.optionalKey(path),
    prefix: Schema.optionalKey(path)
  })),
  rewrite: Schema.optionalKey(Schema.Struct({
    path: Schema.optionalKey(path),
    prefix: Schema.optionalKey(path),
    host: Schema.optionalKey(F.headerValue)
  })),
  request_headers: Schema.optionalKey(Edits),
  response_headers: Schema.optionalKey(Edits),
  group: Schema.optionalKey(F.name),
  timeout: Schema.optionalKey(F.duration),
  head_timeout: Schema.optionalKey(F.duration),
  idle: Schema.optionalKey(F.duration),
  total: Schema.optionalKey(F.duration),
  fallback: Schema.optionalKey(Answer),
  priority: Schema.optionalKey(Schema.Literals(["high", "normal", "low"])),
  upgrade: Schema.optionalKey(F.flag),
  max_body_size: Schema.optionalKey(F.whole(0)),
  preserve_host: Schema.optionalKey(F.flag)
})

const Forwarded = Schema.Struct({
  trust: Schema.optionalKey(Schema.Array(F.trusted)),
  read: Schema.optionalKey(Schema.Literals(["x-forwarded", "forwarded"])),
  send: Schema.optionalKey(Schema.Literals(["x-forwarded", "forwarded", "both", "none"])),
  via: Schema.optionalKey(
    Schema.Union([F.token("a token"), Schema.Literal(false)]).annotate({ expected: "a token, or false" })
  ),
  instance: Schema.optionalKey(F.token("a token")),
  max_passes: Schema.optionalKey(F.whole(1))
})

const Log = Schema.Struct({
  level: Schema.optionalKey(Schema.Literals(["debug", "info", "warning", "error", "none"])),
  format: Schema.optionalKey(Schema.Literals(["text", "json"]))
})

/**
 * The schema of a config file.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigSchema = Schema.Struct({
  port: Schema.optionalKey(F.whole(0, 65535)).pipe(
    Schema.annotateKey({ description: "Where the gateway listens, on every address. 9654 by default." })
  ),
  sentry: Schema.optionalKey(Schema.Struct({ dsn: Schema.optionalKey(F.secret) })),
  proxies: Schema.optionalKey(Schema.Array(Proxy)).pipe(
    Schema.annotateKey({
      description: "As in the Python program: the first one whose regex matches the path is taken."
    })
  ),
  listen: Schema.optionalKey(F.oneOrMore(Listen)).pipe(
    Schema.annotateKey({ description: "Where the gateway listens, instead of port." })
  ),
  groups: Schema.optionalKey(Schema.Record(F.name, Group)),
  upstreams: Schema.optionalKey(Schema.Record(F.name, Upstream)),
  routes: Schema.optionalKey(Schema.Array(Route)),
  limits: Schema.optionalKey(Limits),
  drain: Schema.optionalKey(Drain),
  forwarded: Schema.optionalKey(Forwarded),
  log: Schema.optionalKey(Log)
})

/**
 * What a config file says.
 *
 * @category models
 * @since 0.1.0
 */
export type Config = typeof ConfigSchema.Type
