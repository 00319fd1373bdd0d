import * as Cause from "effect/Cause"
import { attemptBoundaries, type Outcome } from "../CommandMetrics.ts"
import { inherit } from "./Boundary.ts"
import type { Admission, Call, Ending, Gate } from "./Call.ts"
import { Histogram } from "./Histogram.ts"
import type { Policy } from "./Policy.ts"
import { Rejection } from "./Rejection.ts"
import type { Timers } from "./Timers.ts"

export const outcomes: ReadonlyArray<Outcome> = [
  "success",
  "failure",
  "defect",
  "timeout",
  "rejected",
  "short-circuited",
  "rate-limited",
  "interrupted"
]

/** What is known of the calls of one key. As the outermost gate it sees each call once, and how it ended. */
export class Record implements Gate, Admission {
  readonly group: string
  readonly key: string
  private readonly timers: Timers
  readonly counts: { [outcome in Outcome]: number } = {
    success: 0,
    failure: 0,
    defect: 0,
    timeout: 0,
    rejected: 0,
    "short-circuited": 0,
    "rate-limited": 0,
    interrupted: 0
  }
  degraded = 0
  hedges = 0
  readonly duration: Histogram
  readonly queueWait: Histogram
  readonly attempts: Histogram

  constructor(group: string, key: string, timers: Timers, boundaries: ReadonlyArray<number>) {
    this.group = group
    this.key = key
    this.timers = timers
    this.duration = new Histogram(boundaries)
    this.queueWait = new Histogram(boundaries)
    this.attempts = new Histogram(attemptBoundaries)
  }

  enter(call: Call): Admission {
    call.startedAt = this.timers.now()
    inherit(call, call.startedAt)
    return this
  }

  leave(call: Call, exit: Ending): void {
    const outcome = outcomeOf(this.group, call, exit)
    this.counts[outcome]++
    this.duration.record((this.timers.now() - call.startedAt) / 1000)
    this.queueWait.record(call.queuedFor / 1000)
    this.attempts.record(call.attempts)
    const span = call.span
    if (span !== undefined && span._tag === "Span") {
      span.attribute("blackgate.group", this.group)
      span.attribute("blackgate.key", this.key)
      span.attribute("blackgate.outcome", outcome)
    }
  }
}

// What its work failed with may be a rejection too, from another command inside: that is a failure of this one. Its own may have come
// from beyond a policy that stands between its gates, such as a hedge.
const outcomeOf = (group: string, call: Call, exit: Ending): Outcome => {
  if (exit._tag === "Success") return "success"
  if (call.rejection !== undefined) return call.rejection.outcome
  const failure = exit.cause.reasons.find(Cause.isFailReason)?.error
  if (failure instanceof Rejection && failure.group === group && failure.key === call.plan.key) return failure.outcome
  if (Cause.hasDies(exit.cause)) return "defect"
  return Cause.hasFails(exit.cause) ? "failure" : "interrupted"
}

/** Outside of every gate, so that a refusal by any of them is an outcome too. */
export const counting: Policy = {
  name: "outcomes",
  settings: () => ({}),
  gate: (spec, group) => group.record(spec.key)
}
