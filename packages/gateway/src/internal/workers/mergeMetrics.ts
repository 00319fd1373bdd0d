import { CommandMetrics } from "@blackgate/core"
import type * as Metric from "effect/Metric"

type Snapshot = Metric.Metric.Snapshot
type Of<Type extends Snapshot["type"]> = Extract<Snapshot, { readonly type: Type }>

/** What is the same in all workers: a limit of the whole program. */
const programWide = new Set([CommandMetrics.poolMaxConcurrent.id])

const keyOf = ({ attributes = {}, id, type }: Snapshot): string =>
  JSON.stringify([type, id, Object.entries(attributes).toSorted(([a], [b]) => a < b ? -1 : 1)])

const plus = (a: number | bigint, b: number | bigint): number | bigint =>
  typeof a === "bigint" && typeof b === "bigint" ? a + b : Number(a) + Number(b)

/** Sums by key, for those that either has. */
const plusAll = <K>(a: Iterable<readonly [K, number]>, b: Iterable<readonly [K, number]>): Map<K, number> => {
  const sums = new Map(a)
  for (const [key, n] of b) sums.set(key, (sums.get(key) ?? 0) + n)
  return sums
}

const sum = (a: Snapshot, b: Snapshot): Snapshot => {
  switch (a.type) {
    case "Counter": {
      const { state } = b as Of<"Counter">
      return { ...a, state: { ...a.state, count: plus(a.state.count, state.count) } }
    }
    case "Gauge": {
      const { state } = b as Of<"Gauge">
      if (programWide.has(a.id)) return a.state.value >= state.value ? a : b
      return { ...a, state: { ...a.state, value: plus(a.state.value, state.value) } }
    }
    case "Histogram": {
      const { state } = b as Of<"Histogram">
      if (state.count === 0) return a
      if (a.state.count === 0) return b
      return {
        ...a,
        state: {
          ...a.state,
          buckets: [...plusAll(a.state.buckets, state.buckets)].toSorted(([a], [b]) => a - b),
          count: a.state.count + state.count,
          min: Math.min(a.state.min, state.min),
          max: Math.max(a.state.max, state.max),
          sum: a.state.sum + state.sum
        }
      }
    }
    case "Frequency": {
      const { state } = b as Of<"Frequency">
      return { ...a, state: { ...a.state, occurrences: plusAll(a.state.occurrences, state.occurrences) } }
    }
    // Nothing here makes one, and quantiles have no sum: those of one worker are shown.
    case "Summary":
      return a
  }
}

/** Adds up what several workers have counted. */
export const mergeMetrics = (all: ReadonlyArray<ReadonlyArray<Snapshot>>): ReadonlyArray<Snapshot> => {
  const merged = new Map<string, Snapshot>()
  for (const snapshot of all.flat()) {
    const key = keyOf(snapshot)
    const before = merged.get(key)
    merged.set(key, before === undefined ? snapshot : sum(before, snapshot))
  }
  return [...merged.values()]
}

/**
 * What all workers have counted, those that are no more too: as much of it as was seen of them. So no counter goes back when a worker dies.
 */
export class Counted {
  private readonly last = new Map<number, { readonly worker: unknown; readonly snapshots: ReadonlyArray<Snapshot> }>()
  private departed: ReadonlyArray<Snapshot> = []

  /** Of a place, `worker` is who has it. */
  all(
    answers: ReadonlyArray<
      { readonly place: number; readonly worker: unknown; readonly value: ReadonlyArray<Snapshot> }
    >
  ): ReadonlyArray<Snapshot> {
    for (const { place, value, worker } of answers) {
      const last = this.last.get(place)
      if (last !== undefined && last.worker !== worker) {
        this.departed = mergeMetrics([this.departed, last.snapshots.filter(({ type }) => type !== "Gauge")])
      }
      this.last.set(place, { worker, snapshots: value })
    }
    const there = new Set(answers.map(({ place }) => place))
    // Between its end and the next one in its place.
    const away = [...this.last].flatMap(([place, { snapshots }]) =>
      there.has(place) ? [] : [snapshots.filter(({ type }) => type !== "Gauge")]
    )
    const live = mergeMetrics(answers.map(({ value }) => value))
    const known = new Set(live.map(keyOf))
    // A group that is no more is not shown by what a dead worker has counted of it.
    const past = [this.departed, ...away].map((snapshots) => snapshots.filter((each) => known.has(keyOf(each))))
    return mergeMetrics([live, ...past])
  }
}
