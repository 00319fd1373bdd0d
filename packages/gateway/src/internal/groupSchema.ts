import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional, required } from "./fields.ts"

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
  baseline: optional(
    Schema.Struct({
      every: optional(F.duration, "How long after one measurement the next is. 1m by default, and less at first."),
      calls: optional(F.whole(1, 1000), "How many requests it takes. 50 by default."),
      jitter: optional(
        F.fraction,
        "By which share of itself that time is longer, at random, at the most. 0.15 by default."
      )
    }),
    "gradient: how the latency without a queue is measured."
  ),
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
  max_keys: optional(
    F.whole(1),
    "How many keys are counted at once, about 200 bytes each; the one not heard of for longest starts anew. 100000 by default."
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

/** One of the `groups`. */
export const Group = Schema.Struct({
  pool: required(Pool, "How many requests run at once, and how many wait."),
  adaptive_limit: optional(AdaptiveLimit, "Has latency move the pool's limit, up to its max_concurrent."),
  circuit: optional(Circuit, "When an upstream is left alone. Without it there is no circuit."),
  rate_limit: optional(RateLimit, "How many requests there may be in so much time. Without it there is no limit."),
  retry_budget: optional(RetryBudget, "How many retries there may be, whatever the routes say.")
})
