import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional } from "./fields.ts"

/** What is sent again. */
export const Retries = Schema.Struct({
  attempts: optional(F.whole(1), "How often a request is sent at the most, the first time included. 3 by default."),
  backoff: optional(
    Schema.Struct({
      base: optional(F.duration, "What the delay before the second attempt is at most; it doubles. 100ms by default."),
      max: optional(F.duration, "What any delay is at most. 10s by default.")
    }),
    "How long is waited: a random share of what doubles each time."
  ),
  failures: optional(
    F.oneOrMore(Schema.Literals(["connect", "send", "head", "timeout"])),
    "What is worth another attempt: that there was no connection, that the request could not be sent, that no head of an answer came, that attempt_timeout was up. All of them by default."
  ),
  statuses: optional(
    Schema.Union([F.flag, Schema.Array(F.whole(200, 599))]).annotate({
      expected: "true, false or a list of statuses from 200 to 599"
    }),
    "Answers that another attempt is worth more than: true is 502, 503 and 504. None by default. The last one is passed on."
  ),
  max_retry_after: optional(
    F.duration,
    "An answer of statuses whose Retry-After is longer than this is passed on. 1m by default."
  ),
  wait_for: optional(
    F.oneOrMore(Schema.Literals(["circuit_open", "rate_limited", "pool_full", "queue_timeout"])),
    "Refusals of the group that are waited out, too. None by default."
  ),
  methods: optional(
    F.oneOrMore(F.method),
    "What may be sent twice. By default what is idempotent: GET, HEAD, OPTIONS, TRACE, PUT, DELETE and QUERY."
  ),
  attempt_timeout: optional(F.duration, "Bounds each attempt to the head of its answer. By default nothing does.")
})
