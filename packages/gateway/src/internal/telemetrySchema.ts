import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional, required } from "./fields.ts"

const Otlp = Schema.Struct({
  url: required(F.url, "The collector's: /v1/traces, /v1/metrics and /v1/logs come behind it. Often port 4318."),
  headers: optional(Schema.Record(F.fieldName, F.secret), "Headers for the collector, such as a token. Never shown."),
  interval: optional(F.duration, "How often is sent what has come together. 10s by default."),
  gzip: optional(F.flag, "Whether it is compressed. false by default."),
  traces: optional(F.flag, "Whether there are spans of requests, and of those to upstreams. true by default."),
  metrics: optional(F.flag, "Whether there are the metrics that /metrics has. true by default."),
  logs: optional(F.flag, "Whether there are the lines of the program's log. true by default."),
  sample: optional(
    F.share,
    "The share of requests that have a trace; what a client has not sampled has none. 1 by default."
  ),
  temporality: optional(
    Schema.Literals(["cumulative", "delta"]),
    "Whether metrics count from the start, the default, or from the last time."
  ),
  service: optional(F.name, "What the gateway is called there, service.name. blackgate by default."),
  attributes: optional(Schema.Record(F.name, F.text), "What else is said of it, such as deployment.environment.name.")
})

/** What is told to others of how the gateway does. */
export const Telemetry = Schema.Struct({
  otlp: optional(Otlp, "Pushes traces, metrics and logs by OTLP over HTTP, in JSON.")
})
