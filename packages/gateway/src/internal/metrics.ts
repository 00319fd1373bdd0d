import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"

type Snapshot = Metric.Metric.Snapshot

/** As Prometheus reads it. */
export const prometheusText = (snapshots: ReadonlyArray<Snapshot>): string => {
  const { leftOut, shown } = exposable(snapshots)
  // What Effect formats is a registry.
  const entries = shown.map(({ state, ...meta }, i) =>
    [String(i), { ...meta, hooks: { get: () => state, update: () => {}, modify: () => {} } }] as const
  )
  const registry = new Map(entries) as unknown as typeof Metric.MetricRegistry.Service
  return PrometheusMetrics.formatUnsafe(Context.make(Metric.MetricRegistry, registry))
    + leftOut.map((id) => `# left out, since others have its name: ${JSON.stringify(id)}\n`).join("")
}

/** What a family of this type calls its samples, beside its own name. */
const suffixes: { readonly [Type in Snapshot["type"]]: ReadonlyArray<string> } = {
  Counter: [],
  Gauge: [],
  Frequency: [],
  Histogram: ["_bucket", "_sum", "_count"],
  Summary: ["_sum", "_count"]
}

/** The label that a family of this type has of its own. */
const own: { readonly [Type in Snapshot["type"]]?: string } = { Frequency: "key", Histogram: "le", Summary: "quantile" }

// What Effect writes is what it is given where that is a name already.
const named = (text: string, others: RegExp): string =>
  text.replaceAll(others, "_").replaceAll(/_+/g, "_").replace(/^(?=\d)/, "_")

const familyOf = (id: string): string => named(id, /[^a-zA-Z0-9_:]/g).replace(/^:/, "_:").replace(/_$/, "") || "metric"

// The labels that are not shown are Effect's: units. Those whose names are one are joined as OpenTelemetry says (Compatibility with
// Prometheus, "Metric Attributes").
const labelsOf = ({ attributes = {}, type }: Snapshot): Record<string, string> => {
  const labels = new Map<string, string>()
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "unit" || key === "time_unit") continue
    const plain = named(key, /[^a-zA-Z0-9_]/g)
    const name = plain === "" || plain === own[type] || key.startsWith("__")
      ? named(`attribute_${plain}`, /\s/g)
      : plain
    const before = labels.get(name)
    const text = String(value).toWellFormed()
    labels.set(name, before === undefined ? text : `${before};${text}`)
  }
  return Object.fromEntries([...labels].toSorted(([a], [b]) => a < b ? -1 : 1))
}

// What may go down is no counter to Prometheus, which takes that for a new start.
const typed = (snapshot: Snapshot): Snapshot =>
  snapshot.type === "Counter" && !snapshot.state.incremental
    ? { ...snapshot, type: "Gauge", state: { value: snapshot.state.count } }
    : snapshot

const isOurs = ({ id }: Snapshot): boolean => id.startsWith("blackgate_")

/**
 * What can stand on one page: of a name all is of one type, and no series is there twice, or Prometheus would take nothing of it. A config
 * module may have metrics of any name and kind; those of the program come first.
 */
const exposable = (
  snapshots: ReadonlyArray<Snapshot>
): { readonly shown: ReadonlyArray<Snapshot>; readonly leftOut: ReadonlyArray<string> } => {
  const shown: Array<Snapshot> = []
  const leftOut = new Set<string>()
  // What each name of a sample is for.
  const uses = new Map<string, string>()
  const series = new Set<string>()
  for (const each of snapshots.toSorted((a, b) => Number(isOurs(b)) - Number(isOurs(a)))) {
    const snapshot = typed(each)
    const family = familyOf(snapshot.id)
    const attributes = labelsOf(snapshot)
    const use = `${snapshot.type} ${family}`
    const names = [family, ...suffixes[snapshot.type].map((suffix) => family + suffix)]
    const key = JSON.stringify([family, attributes])
    if (series.has(key) || names.some((name) => (uses.get(name) ?? use) !== use)) leftOut.add(each.id)
    else {
      for (const name of names) uses.set(name, use)
      series.add(key)
      shown.push({ ...snapshot, id: family, attributes })
    }
  }
  return { shown, leftOut: [...leftOut] }
}
