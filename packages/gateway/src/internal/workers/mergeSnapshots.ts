import type { GroupSnapshot } from "@blackgate/core"
import { mixture } from "./mixture.ts"

type Snapshot = GroupSnapshot.GroupSnapshot
type Calls = GroupSnapshot.Calls
type Numbers = GroupSnapshot.Numbers
type Latency = GroupSnapshot.Latency
type Budget = GroupSnapshot.Budget
type Circuits = NonNullable<Snapshot["circuits"]>

// As many as one process shows.
const mostShown = 100

const sum = <A>(all: ReadonlyArray<A>, of: (each: A) => number): number => all.reduce((sum, each) => sum + of(each), 0)
const most = <A>(all: ReadonlyArray<A>, of: (each: A) => number): number => Math.max(...all.map(of))

/** `null` is no limit. */
const limit = (all: ReadonlyArray<number | null>, of: (limits: ReadonlyArray<number>) => number): number | null => {
  const limits = all.filter((each) => each !== null)
  return limits.length < all.length ? null : of(limits)
}
const added = (limits: ReadonlyArray<number>) => sum(limits, (each) => each)
const largest = (limits: ReadonlyArray<number>) => Math.max(...limits)

const numbersOf = (all: ReadonlyArray<Numbers>): Numbers => {
  const calls = sum(all, ({ calls }) => calls)
  const outcomes = Object.fromEntries(
    Object.keys(all[0]!.outcomes).map((
      outcome
    ) => [outcome, sum(all, (each) => each.outcomes[outcome as keyof Numbers["outcomes"]])])
  ) as Numbers["outcomes"] // the same outcomes
  return {
    calls,
    outcomes,
    degraded: sum(all, ({ degraded }) => degraded),
    hedges: sum(all, ({ hedges }) => hedges),
    attempts: sum(all, ({ attempts }) => attempts),
    queuedMeanMillis: calls === 0 ? 0 : sum(all, (each) => each.queuedMeanMillis * each.calls) / calls
  }
}

const latencyOf = (given: ReadonlyArray<Latency | null>): Latency | null => {
  const all = given.filter((each) => each !== null)
  if (all.length <= 1) return all[0] ?? null
  const calls = sum(all, ({ calls }) => calls)
  const quantile = mixture(all.map(({ calls, maxMillis, p50Millis, p90Millis, p95Millis, p99Millis }) => ({
    weight: calls,
    points: [[0.5, p50Millis], [0.9, p90Millis], [0.95, p95Millis], [0.99, p99Millis], [1, maxMillis]] as const
  })))
  return {
    calls,
    meanMillis: sum(all, (each) => each.meanMillis * each.calls) / calls,
    maxMillis: most(all, ({ maxMillis }) => maxMillis),
    p50Millis: quantile(0.5),
    p90Millis: quantile(0.9),
    p95Millis: quantile(0.95),
    p99Millis: quantile(0.99)
  }
}

const callsOf = (all: ReadonlyArray<Calls>): Calls => {
  const lately = numbersOf(all.map(({ lately }) => lately))
  const judged = lately.calls - lately.outcomes.interrupted
  return {
    ...numbersOf(all),
    queuedMaxMillis: most(all, ({ queuedMaxMillis }) => queuedMaxMillis),
    latency: latencyOf(all.map(({ latency }) => latency)),
    lately: {
      ...lately,
      seconds: most(all, ({ lately: { seconds } }) => seconds),
      callsPerSecond: sum(all, ({ lately: { callsPerSecond } }) => callsPerSecond),
      errorPercent: judged === 0 ? 0 : 100 * (judged - lately.outcomes.success) / judged
    },
    latencyLately: latencyOf(all.map(({ latencyLately }) => latencyLately))
  }
}

const budgetOf = (all: ReadonlyArray<Budget>): Budget => ({
  ...all[0]!,
  remaining: limit(all.map(({ remaining }) => remaining), added),
  perSecond: limit(all.map(({ perSecond }) => perSecond), added)
})

const severity = ["open", "half-open", "closed"] as const

const circuitsOf = (all: ReadonlyArray<Circuits>): Circuits => {
  const worst = all.flatMap(({ circuits }) => circuits)
    .toSorted((a, b) => Number(b.forced) - Number(a.forced) || severity.indexOf(a.state) - severity.indexOf(b.state))
  const circuits = [...new Map(worst.toReversed().map((each) => [each.circuit, each])).values()].toReversed()
  return {
    circuits: circuits.slice(0, mostShown),
    omitted: Math.max(0, circuits.length - mostShown) + most(all, ({ omitted }) => omitted),
    shared: all.some(({ shared }) => shared)
  }
}

const groupOf = (all: ReadonlyArray<Snapshot>): Snapshot => {
  const pools = all.map(({ pool }) => pool)
  const keys = Map.groupBy(all.flatMap(({ keys }) => keys), ({ key }) => key)
  const shown = [...keys].map(([key, calls]) => ({ key, ...callsOf(calls) }))
  const busiest = shown.length <= mostShown
    ? shown
    : shown.toSorted((a, b) => b.lately.calls - a.lately.calls).slice(0, mostShown)
  const circuits = all.flatMap(({ circuits }) => circuits ?? [])
  const limits = all.flatMap(({ rateLimit }) => rateLimit ?? [])
  const left = limits.flatMap(({ left }) => left ?? [])
  return {
    group: all[0]!.group,
    at: most(all, ({ at }) => at),
    upMillis: most(all, ({ upMillis }) => upMillis),
    pool: {
      // One limit for all of them.
      maxConcurrent: limit(pools.map(({ maxConcurrent }) => maxConcurrent), largest),
      maxQueued: limit(pools.map(({ maxQueued }) => maxQueued), added),
      active: sum(pools, ({ active }) => active),
      queued: sum(pools, ({ queued }) => queued),
      overdue: sum(pools, ({ overdue }) => overdue),
      admitted: sum(pools, ({ admitted }) => admitted),
      rejected: sum(pools, ({ rejected }) => rejected),
      queueTimeouts: sum(pools, ({ queueTimeouts }) => queueTimeouts),
      shed: sum(pools, ({ shed }) => shed),
      waits: sum(pools, ({ waits }) => waits),
      waitTotalMillis: sum(pools, ({ waitTotalMillis }) => waitTotalMillis),
      waitLongestMillis: most(pools, ({ waitLongestMillis }) => waitLongestMillis),
      waitCurrentMillis: most(pools, ({ waitCurrentMillis }) => waitCurrentMillis)
    },
    total: callsOf(all.map(({ total }) => total)),
    keys: busiest,
    keysOmitted: shown.length - busiest.length + most(all, ({ keysOmitted }) => keysOmitted),
    circuits: circuits.length === 0 ? null : circuitsOf(circuits),
    retryBudget: budgetOf(all.map(({ retryBudget }) => retryBudget)),
    hedgeBudget: budgetOf(all.map(({ hedgeBudget }) => hedgeBudget)),
    rateLimit: limits[0] === undefined ? null : { ...limits[0], left: left.length === 0 ? null : Math.min(...left) }
  }
}

/** How the groups of several workers stand together: each of a name is one. */
export const mergeSnapshots = (workers: ReadonlyArray<ReadonlyArray<Snapshot>>): ReadonlyArray<Snapshot> =>
  [...Map.groupBy(workers.flat(), ({ group }) => group).values()].map(groupOf)
