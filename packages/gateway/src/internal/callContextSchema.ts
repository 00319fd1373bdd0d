import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional } from "./fields.ts"

const criticalityHeader = "The header of the level. blackgate-criticality by default."

/** What a route reads of how much time a request has, and how much it matters; and what it says of that. */
export const CallContext = Schema.Struct({
  receive: optional(
    Schema.Union([
      F.flag,
      Schema.Struct({
        trust: optional(
          Schema.Array(F.trusted),
          "Networks and addresses of the peers that are believed; what others say is taken out. All of them by default."
        ),
        max_deadline: optional(F.duration, "A longer deadline is cut down to this. 1h by default."),
        max_criticality: optional(F.criticality, "A higher level is cut down to this. critical-plus by default."),
        criticality_header: optional(F.fieldName, criticalityHeader)
      })
    ]).annotate({ expected: "true, false or a mapping" }),
    "Whether deadlines (grpc-timeout, x-envoy-expected-rq-timeout-ms) and levels of clients are believed. Off by default."
  ),
  send: optional(
    Schema.Union([F.flag, Schema.Struct({ criticality_header: optional(F.fieldName, criticalityHeader) })]).annotate({
      expected: "true, false or a mapping"
    }),
    "Whether the upstream is told how much time is left, and the level, in place of what the client said. Off by default."
  )
})
