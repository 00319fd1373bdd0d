/**
 * A limit of calls at once that finds itself, from how long calls take: between a floor and a ceiling it drives the group's pool.
 *
 * It measures calls from the start of their effect, so that the wait for a permit doesn't count, and looks at them a window at a
 * time. It does not refuse calls: the pool does.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/**
 * Compares what calls take now with what they take when nothing waits at the dependency, and lets in fewer the more that differs.
 *
 * **Details**
 *
 * After Envoy's adaptive concurrency and Netflix's gradient limit: with a ratio `tolerance * idle / now`, cut off at 1 above and 0.5
 * below, the limit becomes `limit * ratio + sqrt(limit)`. What calls take when nothing waits is measured anew now and then, with the
 * limit at its floor for as many calls as a window has.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gradient {
  readonly algorithm?: "gradient" | undefined
  /** How much longer than on an idle dependency a call may take before that counts. 1.5 by default. */
  readonly tolerance?: number | undefined
  /** How often the idle dependency is measured anew. Every 30 seconds, by default. */
  readonly measureEvery?: Duration.Input | undefined
}

/**
 * Lets in one call more after each window that went well, and a share fewer after one that did not: in which calls timed out, or
 * took longer than they should.
 *
 * @category models
 * @since 0.1.0
 */
export interface Aimd {
  readonly algorithm: "aimd"
  /** What the calls of a window may take, on average. */
  readonly target: Duration.Input
  /** The share of the limit that is left after a bad window: more than 0, less than 1. 0.9 by default. */
  readonly backoff?: number | undefined
}

/**
 * How a group's pool finds its limit.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = (Gradient | Aimd) & {
  /** The floor. 1 by default. */
  readonly min?: number | undefined
  /** The ceiling. The pool's own `maxConcurrent` by default, which has to be finite then. */
  readonly max?: number | undefined
  /** Where it begins. By default at the ceiling, or at 20 if that is less. */
  readonly initial?: number | undefined
  /** How long a window is at the least. 100 milliseconds by default. */
  readonly window?: Duration.Input | undefined
  /** How many calls a window has at the least. 10 by default. */
  readonly samples?: number | undefined
}
