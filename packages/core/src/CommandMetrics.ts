/**
 * What is counted of calls and pools, as Effect metrics.
 *
 * A group keeps its numbers in plain fields and lends them to the `MetricRegistry` of the layer that made it: nothing is pushed, and
 * whoever reads the registry (`Metric.snapshot`, `PrometheusMetrics`, OTLP) finds every group there. It does not export anything.
 *
 * Commands carry the attributes `group` and `key`; the calls also `outcome`. A group keeps at most 1,000 keys apart: later ones are
 * counted together under the key `(other)`, so that keys made from user input can't fill the memory.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * The ways a call can end; each ends in exactly one.
 *
 * **Details**
 *
 * - `success`: its effect succeeded
 * - `failure`: its effect failed
 * - `defect`: its effect died
 * - `timeout`: the deadline, or the attempt's, passed
 * - `short-circuited`: its circuit was open
 * - `rate-limited`: its rate limit was used up
 * - `rejected`: the pool refused it (`PoolFull`, `QueueTimeout`, `PoolReentered`)
 * - `interrupted`: its caller was interrupted, or its effect interrupted itself
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | "success"
  | "failure"
  | "defect"
  | "timeout"
  | "rejected"
  | "short-circuited"
  | "rate-limited"
  | "interrupted"

/**
 * The upper bounds of the buckets of the two histograms of time, in seconds.
 *
 * @category metrics
 * @since 0.1.0
 */
export const boundaries: ReadonlyArray<number> = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
  60
]

/**
 * Calls that ended, by `group`, `key` and `outcome`. A call that its fallback rescued counts by what happened before.
 *
 * **Example** (Reading one series)
 *
 * ```ts import.meta.vitest
 * import { Command, CommandMetrics, Group } from "@blackgate/core"
 * import { Effect, Metric } from "effect"
 *
 * class Session extends Group.Service<Session>()("metrics.example") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.succeed("user 1").pipe(Command.within(Session, { key: "get_current_user" }))
 *   const { count } = yield* Metric.value(
 *     Metric.withAttributes(CommandMetrics.calls, {
 *       group: "metrics.example",
 *       key: "get_current_user",
 *       outcome: "success"
 *     })
 *   )
 *   return count
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Session.layer({ pool: { maxConcurrent: 10 } }))) // => 1
 * ```
 *
 * @category metrics
 * @since 0.1.0
 */
export const calls = Metric.counter("blackgate_command_calls_total", {
  description: "Calls that ended, by outcome",
  incremental: true
})

/**
 * Calls that a command's own `fallback` answered, by `group` and `key`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const degraded = Metric.counter("blackgate_command_degraded_total", {
  description: "Calls that were answered by their fallback",
  incremental: true
})

/**
 * How long calls took, their waits included, by `group` and `key`: seconds.
 *
 * @category metrics
 * @since 0.1.0
 */
export const duration = Metric.histogram("blackgate_command_duration_seconds", {
  description: "How long calls took, in seconds, waits included",
  boundaries
})

/**
 * How long calls waited for a permit, by `group` and `key`: seconds, zero for those that did not wait.
 *
 * @category metrics
 * @since 0.1.0
 */
export const queueWait = Metric.histogram("blackgate_command_queue_wait_seconds", {
  description: "How long calls waited for a permit, in seconds",
  boundaries
})

/**
 * The upper bounds of the buckets of `attempts`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const attemptBoundaries: ReadonlyArray<number> = [0, 1, 2, 3, 4, 5, 10, 20, 50, 100]

/**
 * How often the effect of a call was started, by `group` and `key`: more than once with retries or hedges, not at all if it was refused.
 *
 * @category metrics
 * @since 0.1.0
 */
export const attempts = Metric.histogram("blackgate_command_attempts", {
  description: "How often the effect of a call was started",
  boundaries: attemptBoundaries
})

/**
 * Second attempts that were made beside a slow first one, by `group` and `key`. What came of them is no outcome of its own.
 *
 * @category metrics
 * @since 0.1.0
 */
export const hedges = Metric.counter("blackgate_command_hedges_total", {
  description: "Attempts that were started beside a slow one",
  incremental: true
})

/**
 * Calls that hold a permit of the pool of `group`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const poolActive = Metric.gauge("blackgate_pool_active", { description: "Calls that hold a permit" })

/**
 * Calls that wait for a permit of the pool of `group`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const poolQueued = Metric.gauge("blackgate_pool_queued", { description: "Calls that wait for a permit" })

/**
 * Of the active calls of `group`, those that were told to stop and have not stopped yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const poolOverdue = Metric.gauge("blackgate_pool_overdue", {
  description: "Calls that were told to stop and have not stopped yet"
})

/**
 * The limit of `poolActive`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const poolMaxConcurrent = Metric.gauge("blackgate_pool_max_concurrent", {
  description: "How many calls may run at once"
})

/**
 * The limit of `poolQueued`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const poolMaxQueued = Metric.gauge("blackgate_pool_max_queued", { description: "How many calls may wait" })
