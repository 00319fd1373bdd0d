import * as Schema from "effect/Schema"
import { CallContext } from "./callContextSchema.ts"
import { Fallback } from "./fallbackSchema.ts"
import * as F from "./fields.ts"
import { optional, required } from "./fields.ts"
import { Forwarded } from "./forwardedSchema.ts"
import { Retries } from "./retriesSchema.ts"

const origin = Schema.String.annotate({ expected: "an origin such as https://app.example.com" }).check(
  Schema.isPattern(/^[a-z][a-z\d+.-]*:\/\/[^\s/?#@]+$/u, { expected: "an origin such as https://app.example.com" })
)

const wanted = Schema.Union([
  F.text,
  Schema.Struct({ regex: required(F.text, "A regular expression that all of the value has to match.") }),
  Schema.Struct({ present: required(F.flag, "Whether there has to be one.") })
]).annotate({ expected: "text, { regex: … } or { present: true or false }" })

const path = Schema.String.annotate({ expected: "a path that begins with a slash" }).check(
  // oxlint-disable-next-line no-control-regex
  Schema.isPattern(/^\/[^?#\s\\\u0000-\u001f\u007f]*$/u, { expected: "a path that begins with a slash" })
)

const Match = Schema.Struct({
  host: optional(F.oneOrMore(F.name), "A host, or *.example.com for whatever is below it. Every host by default."),
  path: optional(
    Schema.Union([
      path,
      Schema.Struct({ exact: required(path, "This path alone.") }),
      Schema.Struct({ prefix: required(path, "This path, and everything below it.") }),
      Schema.Struct({ regex: required(F.text, "A regular expression that the whole path has to match.") })
    ]).annotate({ expected: "a path such as /api, { exact: … }, { prefix: … } or { regex: … }" }),
    "A path stands for everything below it, unless it is exact, and has no wildcards. / by default."
  ),
  method: optional(F.oneOrMore(F.method), "GET takes HEAD, too. Every method by default."),
  headers: optional(Schema.Record(F.fieldName, wanted), "By name, what their values have to be. All have to match."),
  query: optional(Schema.Record(F.text, wanted), "The same for parameters of the query.")
})

const Edits = Schema.Struct({
  remove: optional(Schema.Array(F.fieldName), "Names of headers that are taken away, first."),
  set: optional(Schema.Record(F.fieldName, F.headerValue), "Headers in place of whatever was there."),
  add: optional(Schema.Record(F.fieldName, F.headerValue), "Headers besides whatever was there.")
})

const Redirect = Schema.Struct({
  status: optional(Schema.Literals([301, 302, 303, 307, 308]), "302 by default."),
  scheme: optional(Schema.Literals(["http", "https"]), "That of the request by default."),
  host: optional(F.host, "That of the request by default."),
  port: optional(F.whole(1, 65535), "That of the request by default; none with another scheme or host."),
  path: optional(path, "In place of the path. The query goes along."),
  prefix: optional(path, "In place of the prefix that the route matches.")
})

const Rewrite = Schema.Struct({
  path: optional(path, "In place of the path."),
  prefix: optional(path, "In place of the prefix that the route matches: / takes it away."),
  host: optional(F.hostAndPort, "The Host that the upstream gets. Its own by default.")
})

const Upgrade = Schema.Struct({
  group: optional(F.name, "Whose limits tunnels have. Those of the route by default."),
  origins: optional(
    Schema.Union([Schema.Literals(["any", "same"]), Schema.NonEmptyArray(origin)]).annotate({
      expected: "any, same or a list of origins such as https://app.example.com"
    }),
    "Which web pages may ask: of any origin, of the host that was asked, or of these; others get a 403. any by default."
  ),
  idle: optional(F.duration, "How long no byte may move in either direction. That of the route by default."),
  total: optional(F.duration, "How long a tunnel may last. That of the route by default.")
})

/** One of the `routes`. */
export const Route = Schema.Struct({
  name: optional(
    F.name,
    "Names the route in logs, metrics and circuits; no other route may have it. What it matches by default."
  ),
  match: optional(Match, "Which requests take it. All by default."),
  upstream: optional(F.name, "Where they go: a URL, or a name of upstreams. This or a redirect has to be there."),
  redirect: optional(Redirect, "Sends clients elsewhere."),
  rewrite: optional(Rewrite, "What becomes of the request."),
  request_headers: optional(Edits, "What becomes of its headers, after the rewrite."),
  response_headers: optional(Edits, "What becomes of the headers of the answer."),
  group: optional(F.name, "Whose limits it has. Without one it has none."),
  timeout: optional(
    F.duration,
    "Bounds the time to the head of the answer, the wait for the pool included; then it is a 504."
  ),
  retries: optional(
    Retries,
    "Whether it is sent again when the upstream failed before the head of an answer, if it can be. Off unless it is here; \"retries: {}\" is all it takes."
  ),
  head_timeout: optional(F.duration, "Bounds the wait for the head of the answer, from the end of the request."),
  idle: optional(F.duration, "How long nothing may move in the middle of a body. 5m by default."),
  total: optional(
    F.duration,
    "Bounds the exchange to the end of the answer. By default nothing does, so that streams stay open."
  ),
  fallback: optional(
    Fallback,
    "What is answered when there is no answer: the upstream failed, the pool is full, the time is up."
  ),
  priority: optional(
    Schema.Literals(["high", "normal", "low"]),
    "Who is served first of those who wait for the pool. normal by default."
  ),
  criticality: optional(
    F.criticality,
    "Who is turned away first when the line of the pool is full: the level of requests that bring none. critical by default."
  ),
  call_context: optional(
    CallContext,
    "Whether deadlines and levels are read from requests, and said to the upstream. Off by default."
  ),
  circuit: optional(
    F.name,
    "Which circuit of the group it passes: routes that name the same one share it. By default each has its own."
  ),
  rate_limit_tokens: optional(F.whole(1), "How much of the rate limit of the group a request takes. 1 by default."),
  upgrade: optional(
    Schema.Union([F.flag, Upgrade]).annotate({ expected: "true, false or a mapping" }),
    "Whether WebSockets pass, and which. true by default."
  ),
  max_body_size: optional(F.whole(0), "Of a request body, in bytes; a longer one is a 413."),
  preserve_host: optional(F.flag, "Whether the upstream gets the client's Host. false by default."),
  forwarded: optional(Forwarded, "What of forwarded is otherwise for this route.")
})
