/**
 * How a group stands at one instant: its pool, its calls by key, its circuits, what is left of its budgets and of its rate limit.
 *
 * What a dashboard shows, as plain JSON. It is made from what this process knows: it waits for nothing, and fails at nothing, with
 * circuits and limits in Redis too. It says how things stand and how they were of late; what happens in between is `GroupEvents`, and
 * what is kept for good is `CommandMetrics`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Outcome } from "./CommandMetrics.ts"
import type * as Group from "./Group.ts"
import { snapshot } from "./internal/groupSnapshot.ts"
import type { GroupState } from "./internal/GroupState.ts"
import { outcomes } from "./internal/Record.ts"
import { checkUnsafe, duration, whole } from "./InvalidOptions.ts"

const number = Schema.Finite
/** `null` is no limit. */
const limit = Schema.NullOr(number)

const counts = Object.fromEntries(outcomes.map((outcome) => [outcome, number])) as {
  readonly [outcome in Outcome]: typeof number
}

/**
 * What is counted of calls that have ended.
 *
 * @category models
 * @since 0.1.0
 */
export const Numbers = Schema.Struct({
  calls: number,
  /** The calls by their outcome. */
  outcomes: Schema.Struct(counts),
  /** Calls that were answered by their fallback, or with the last good value. Each counts by its outcome too. */
  degraded: number,
  /** Attempts that were started beside a slow one. */
  hedges: number,
  /** How often the effect of a call was started, refused calls included: retries and hedges make it more than one a call. */
  attempts: number,
  /** How long a call waited for permits, on average, those that did not wait included. */
  queuedMeanMillis: number
})

/**
 * @category models
 * @since 0.1.0
 */
export type Numbers = typeof Numbers.Type

/**
 * How long calls took, waits included: of those that ended as success, failure, defect or timeout. One that was refused, or that its
 * caller gave up, says nothing of it.
 *
 * **Details**
 *
 * Quantiles are within 1/32 of the truth (3.2 %) from 1/16 of a millisecond to 35 minutes; the mean and the maximum are exact.
 *
 * @category models
 * @since 0.1.0
 */
export const Latency = Schema.Struct({
  /** How many calls that is of. */
  calls: number,
  meanMillis: number,
  maxMillis: number,
  p50Millis: number,
  p90Millis: number,
  p95Millis: number,
  p99Millis: number
})

/**
 * @category models
 * @since 0.1.0
 */
export type Latency = typeof Latency.Type

/**
 * The calls of a key, or of all keys: since the group was made, and of late.
 *
 * @category models
 * @since 0.1.0
 */
export const Calls = Schema.Struct({
  ...Numbers.fields,
  /** The longest that a call has waited for permits. */
  queuedMaxMillis: number,
  /** `null` if there was no such call. */
  latency: Schema.NullOr(Latency),
  /** In this second and the nine before. */
  lately: Schema.Struct({
    ...Numbers.fields,
    /** How long that is: from 9 to 10 seconds, less if the group is younger, and 1 at the least. */
    seconds: number,
    callsPerSecond: number,
    /** Of the calls that were not interrupted, those that did not succeed: from 0 to 100. */
    errorPercent: number
  }),
  /** Of the last 30 to 60 seconds. `null` if there was no such call. */
  latencyLately: Schema.NullOr(Latency)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Calls = typeof Calls.Type

/**
 * What is left of a budget: for retries, or for hedges.
 *
 * @category models
 * @since 0.1.0
 */
export const Budget = Schema.Struct({
  /** How many could be made now. `null` is no limit, in the settings too. */
  remaining: limit,
  ratio: limit,
  perSecond: limit,
  windowMillis: number
})

/**
 * @category models
 * @since 0.1.0
 */
export type Budget = typeof Budget.Type

/**
 * How a group stands. Its type and its JSON are the same; whatever ends in `Millis` is in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export const GroupSnapshot = Schema.Struct({
  /** The name of the group. */
  group: Schema.String,
  /** When, in milliseconds since 1970. */
  at: number,
  /** For how long there has been this group. */
  upMillis: number,
  /** As `Pool.Statistics`. */
  pool: Schema.Struct({
    maxConcurrent: limit,
    maxQueued: limit,
    active: number,
    queued: number,
    overdue: number,
    admitted: number,
    rejected: number,
    queueTimeouts: number,
    shed: number,
    waits: number,
    waitTotalMillis: number,
    waitLongestMillis: number,
    /** How long the one that has waited longest has been waiting by now. */
    waitCurrentMillis: number
  }),
  /** All keys together. */
  total: Calls,
  /** The keys with the most calls of late come first, where some are left out. */
  keys: Schema.Array(Schema.Struct({ key: Schema.String, ...Calls.fields })),
  /** How many keys are left out. */
  keysOmitted: number,
  /** `null` if the group has none. */
  circuits: Schema.NullOr(Schema.Struct({
    /** Those that an operator holds and those that are not closed come first; then closed ones, the one that was used last first. */
    circuits: Schema.Array(Schema.Struct({
      circuit: Schema.String,
      state: Schema.Literals(["closed", "open", "half-open"]),
      /** Whether an operator holds it. */
      forced: Schema.Boolean,
      /** When the next call may probe, or 0. */
      retryAfterMillis: number
    })),
    /** How many are left out. */
    omitted: number,
    /** Whether they are kept in Redis, say: then this is what was last heard here, and closed ones are not listed. */
    shared: Schema.Boolean
  })),
  retryBudget: Budget,
  hedgeBudget: Budget,
  /** `null` if the group has none. */
  rateLimit: Schema.NullOr(Schema.Struct({
    limit: number,
    windowMillis: number,
    algorithm: Schema.Literals(["token-bucket", "fixed-window"]),
    /** The tokens that are left to commands without a key of their own. `null` if the limit is kept elsewhere. */
    left: Schema.NullOr(number),
    /** Whether it is kept by a `RateLimiter` that was provided. */
    shared: Schema.Boolean
  }))
})

/**
 * @category models
 * @since 0.1.0
 */
export type GroupSnapshot = typeof GroupSnapshot.Type

/**
 * How much of a group is shown.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many keys, those with the most calls of late. 100 by default. */
  readonly maxKeys?: number | undefined
  /** How many circuits, those that are open first. 100 by default. */
  readonly maxCircuits?: number | undefined
}

const options = Schema.Struct({ maxKeys: Schema.optional(whole(0)), maxCircuits: Schema.optional(whole(0)) })

const limitsOf = (group: Group.Group, input: Options) => {
  checkUnsafe(`GroupSnapshot of ${group.name}`, options, input)
  return { maxKeys: input.maxKeys ?? 100, maxCircuits: input.maxCircuits ?? 100 }
}

/**
 * How a group stands now.
 *
 * **Details**
 *
 * It is taken in one go, so that its numbers fit each other. A group keeps 1,000 keys apart, 11 KB each at the most; later ones are one
 * key, `(other)`.
 *
 * **Example** (What a dashboard asks)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, GroupSnapshot } from "@blackgate/core"
 * import { Effect, Schema } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 10 } })
 *   const call = Effect.succeed("user 1").pipe(Command.within(group, { key: "get_current_user" }))
 *   yield* Effect.all([call, call])
 *   const { keys, pool } = Schema.encodeSync(GroupSnapshot.GroupSnapshot)(yield* GroupSnapshot.take(group))
 *   return [pool.admitted, ...keys.map(({ key, outcomes }) => `${key}: ${outcomes.success}`)]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => [2, "get_current_user: 2"]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const take = (group: Group.Group, options: Options = {}): Effect.Effect<GroupSnapshot> => {
  const limits = limitsOf(group, options)
  return Effect.sync(() => snapshot(group as GroupState, limits)) // the one class that implements it
}

/**
 * One now, and one every so often, until the stream is left. The first that is due after the group is closed ends it.
 *
 * **Gotchas**
 *
 * Each reader takes its own. For many readers, `Stream.share` makes them one. A reader that is slow is shown fewer, and never an
 * old one.
 *
 * @category getters
 * @since 0.1.0
 */
export const every = (
  group: Group.Group,
  interval: Duration.Input,
  options: Options = {}
): Stream.Stream<GroupSnapshot> => {
  checkUnsafe("GroupSnapshot.every", Schema.Struct({ interval: duration }), { interval })
  return Stream.fromEffectSchedule(take(group, options), Schedule.fixed(interval)).pipe(
    Stream.takeWhile(() => !(group as GroupState).events.closed)
  )
}
