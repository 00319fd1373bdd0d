import * as Cause from "effect/Cause"
import { attemptBoundaries, type Outcome } from "../CommandMetrics.ts"
import { inherit } from "./Boundary.ts"
import type { Call } from "./Call.ts"
import type { Events } from "./Events.ts"
import type { Admission, Ending, Gate } from "./Gate.ts"
import { Histogram } from "./Histogram.ts"
import { LatencyWindow } from "./LatencyWindow.ts"
import { Marks } from "./Marks.ts"
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

/** What is counted of a key: calls by their outcome, and the rest. */
const indexOf = {
  success: 0,
  failure: 1,
  defect: 2,
  timeout: 3,
  rejected: 4,
  "short-circuited": 5,
  "rate-limited": 6,
  interrupted: 7,
  degraded: 8,
  hedges: 9,
  // Those that the histograms sum up.
  attempts: 10,
  queuedMillis: 11
}
const width = 12

export type Counted = keyof typeof indexOf

/** What is known of the calls of one key, in 11 KB. As the outermost gate it sees each call once, and how it ended. */
export class Record implements Gate, Admission {
  readonly group: string
  readonly key: string
  private readonly timers: Timers
  private readonly events: Events
  private readonly totals = new Array<number>(width).fill(0)
  private readonly marks: Marks
  /** Of the calls that were neither refused nor interrupted. */
  readonly latencies: LatencyWindow
  readonly duration: Histogram
  readonly queueWait: Histogram
  readonly attempts: Histogram

  constructor(events: Events, key: string, timers: Timers, boundaries: ReadonlyArray<number>) {
    this.group = events.group
    this.events = events
    this.key = key
    this.timers = timers
    const now = timers.now()
    this.marks = new Marks(width, now)
    this.latencies = new LatencyWindow(now)
    this.duration = new Histogram(boundaries)
    this.queueWait = new Histogram(boundaries, 0)
    this.attempts = new Histogram(attemptBoundaries, 1)
  }

  enter(call: Call): Admission {
    call.startedAt = call.now(this.timers)
    inherit(call, call.startedAt)
    return this
  }

  leave(call: Call, exit: Ending): void {
    const outcome = outcomeOf(this.group, call, exit)
    const index = indexOf[outcome]
    const now = call.now(this.timers)
    const millis = now - call.startedAt
    if (now >= this.marks.endsAt) this.moveTo(now)
    this.totals[index]!++
    if (index <= indexOf.timeout) this.latencies.record(millis, now)
    this.duration.record(millis / 1000)
    this.queueWait.record(call.queuedFor === 0 ? 0 : call.queuedFor / 1000)
    this.attempts.record(call.attempts)
    if (this.events.isRead) this.events.ended(call, exit, outcome, millis)
    const span = call.span
    if (span !== undefined && span._tag === "Span") {
      span.attribute("blackgate.group", this.group)
      span.attribute("blackgate.key", this.key)
      span.attribute("blackgate.outcome", outcome)
    }
  }

  /** Something else than its work has answered a call. */
  degraded(): void {
    this.totals[indexOf.degraded]!++
    if (this.events.isRead) this.events.degraded(this.key)
  }

  /** An attempt was started beside a slow one. */
  hedged(): void {
    this.totals[indexOf.hedges]!++
    if (this.events.isRead) this.events.hedged(this.key)
  }

  total(what: Counted): number {
    this.sumUp()
    return this.totals[indexOf[what]]!
  }

  /** In this second and the nine before; of the time that was given to `moveTo` last. */
  lately(what: Counted): number {
    return this.total(what) - this.marks.before(indexOf[what])
  }

  /** Before anything is read of the time that has come. */
  moveTo(now: number): void {
    if (now < this.marks.endsAt) return
    this.sumUp()
    this.marks.moveTo(now, this.totals)
  }

  private sumUp(): void {
    this.totals[indexOf.attempts] = this.attempts.sum
    this.totals[indexOf.queuedMillis] = this.queueWait.sum * 1000
  }
}

// What its work failed with may be a rejection too, from another command inside: that is a failure of this one. Its own may have come
// from beyond a policy that stands between its gates, such as a hedge.
const outcomeOf = (group: string, call: Call, exit: Ending): Outcome => {
  if (exit._tag === "Success") return "success"
  const { rejection } = call
  const [first] = exit.cause.reasons
  const failure = first?._tag === "Fail" ? first.error : exit.cause.reasons.find(Cause.isFailReason)?.error
  // A retry that was refused leaves the call with what it had failed with before.
  if (rejection !== undefined && (failure === undefined || failure === rejection)) return rejection.outcome
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
