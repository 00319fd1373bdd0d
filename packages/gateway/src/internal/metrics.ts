import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"

type Snapshot = Metric.Metric.Snapshot

/** As Prometheus reads it. */
export const prometheusText = (snapshots: ReadonlyArray<Snapshot>): string => {
  // What Effect formats is a registry.
  const entries = snapshots.map(({ state, ...meta }, i) =>
    [String(i), { ...meta, hooks: { get: () => state, update: () => {}, modify: () => {} } }] as const
  )
  const registry = new Map(entries) as unknown as typeof Metric.MetricRegistry.Service
  return PrometheusMetrics.formatUnsafe(Context.make(Metric.MetricRegistry, registry))
}
