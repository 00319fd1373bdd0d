import * as Duration from "effect/Duration"
import type { Outcome } from "../CommandMetrics.ts"
import type * as GroupSnapshot from "../GroupSnapshot.ts"
import type { Budget } from "./Budget.ts"
import { circuit } from "./CircuitGate.ts"
import { limitOf } from "./Events.ts"
import type { GroupState } from "./GroupState.ts"
import { hedge } from "./HedgeWork.ts"
import { Latencies } from "./Latencies.ts"
import { latelySince } from "./Marks.ts"
import { rateLimit } from "./RateLimitGate.ts"
import { outcomes, type Record } from "./Record.ts"
import { retry } from "./RetryGate.ts"

/** How a group stands, at this instant: from what this process has in its fields, so that nothing is waited for. */
export const snapshot = (
  group: GroupState,
  { maxCircuits, maxKeys }: { readonly maxCircuits: number; readonly maxKeys: number }
): GroupSnapshot.GroupSnapshot => {
  const now = group.timers.now()
  // A group that is younger than a second has not had the time for a rate.
  const seconds = Math.max(1000, now - Math.max(latelySince(now), group.startedAt)) / 1000
  const records = Array.from(group.all)
  for (const record of records) record.moveTo(now)
  const shown = records.length <= maxKeys ? records : busiest(records, maxKeys)
  return {
    group: group.name,
    at: group.timers.wall(),
    upMillis: now - group.startedAt,
    pool: poolOf(group),
    total: callsOf(records, now, seconds),
    keys: shown.map((record) => ({ key: record.key, ...callsOf([record], now, seconds) })),
    keysOmitted: records.length - shown.length,
    circuits: circuitsOf(group, maxCircuits),
    retryBudget: budgetOf(group.shared(retry)!, now),
    hedgeBudget: budgetOf(group.shared(hedge)!.budget, now),
    rateLimit: rateLimitOf(group)
  }
}

const latelyOf = (record: Record): number => outcomes.reduce((sum, outcome) => sum + record.lately(outcome), 0)

// Where none was called lately, those that were made first.
const busiest = (records: ReadonlyArray<Record>, most: number): ReadonlyArray<Record> =>
  records.map((record) => ({ record, calls: latelyOf(record) })).toSorted((a, b) => b.calls - a.calls).slice(0, most)
    .map(({ record }) => record)

const callsOf = (records: ReadonlyArray<Record>, now: number, seconds: number): GroupSnapshot.Calls => {
  const total = numbersOf(records, (record, what) => record.total(what))
  const lately = numbersOf(records, (record, what) => record.lately(what))
  const judged = lately.calls - lately.outcomes.interrupted
  return {
    ...total,
    queuedMaxMillis: Math.max(0, ...records.map(({ queueWait }) => queueWait.max * 1000)),
    latency: latencyOf(Latencies.sum(records.flatMap(({ latencies }) => latencies.all()))),
    lately: {
      ...lately,
      seconds,
      callsPerSecond: lately.calls / seconds,
      errorPercent: judged === 0 ? 0 : 100 * (judged - lately.outcomes.success) / judged
    },
    latencyLately: latencyOf(Latencies.sum(records.flatMap(({ latencies }) => latencies.latest(now))))
  }
}

type Of = (record: Record, what: Parameters<Record["total"]>[0]) => number

const numbersOf = (records: ReadonlyArray<Record>, of: Of): GroupSnapshot.Numbers => {
  const sum = (what: Parameters<Record["total"]>[0]) => records.reduce((sum, record) => sum + of(record, what), 0)
  // Each of them is there: the list is all there are.
  const counts = Object.fromEntries(outcomes.map((outcome) => [outcome, sum(outcome)])) as {
    readonly [outcome in Outcome]: number
  }
  const calls = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const mean = (total: number) => calls === 0 ? 0 : total / calls
  return {
    calls,
    outcomes: counts,
    degraded: sum("degraded"),
    hedges: sum("hedges"),
    attempts: sum("attempts"),
    queuedMeanMillis: mean(sum("queuedMillis"))
  }
}

const latencyOf = (latencies: Latencies): GroupSnapshot.Latency | null =>
  latencies.count === 0 ? null : {
    calls: latencies.count,
    meanMillis: latencies.sum / latencies.count,
    maxMillis: latencies.max,
    p50Millis: latencies.quantile(0.5),
    p90Millis: latencies.quantile(0.9),
    p95Millis: latencies.quantile(0.95),
    p99Millis: latencies.quantile(0.99)
  }

const poolOf = ({ pool }: GroupState): GroupSnapshot.GroupSnapshot["pool"] => {
  const { maxConcurrent, maxQueued, wait, ...statistics } = pool.statistics()
  return {
    ...statistics,
    maxConcurrent: limitOf(maxConcurrent),
    maxQueued: limitOf(maxQueued),
    waits: wait.count,
    waitTotalMillis: Duration.toMillis(wait.total),
    waitLongestMillis: Duration.toMillis(wait.longest),
    waitCurrentMillis: Duration.toMillis(wait.current)
  }
}

const circuitsOf = (group: GroupState, most: number): GroupSnapshot.GroupSnapshot["circuits"] => {
  const known = group.shared(circuit)?.circuits.known(most)
  if (known === undefined) return null
  return {
    ...known,
    circuits: known.circuits.map(({ retryAfter, ...standing }) => ({ ...standing, retryAfterMillis: retryAfter }))
  }
}

const budgetOf = (budget: Budget, now: number): GroupSnapshot.Budget => {
  const { perSecond, ratio, window } = budget.settings
  return {
    remaining: limitOf(budget.remaining(now)),
    ratio: limitOf(ratio),
    perSecond: limitOf(perSecond),
    windowMillis: Duration.toMillis(window)
  }
}

const rateLimitOf = (group: GroupState): GroupSnapshot.GroupSnapshot["rateLimit"] => {
  const shared = group.shared(rateLimit)
  if (shared === undefined) return null
  const { limiter: { left }, settings: { algorithm, limit, window } } = shared
  return { limit, windowMillis: window, algorithm, left: left ?? null, shared: left === undefined }
}
