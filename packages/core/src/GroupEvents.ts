/**
 * What happens in a group, as it happens: a stream, for a live dashboard, a log, or a test.
 *
 * Nothing is paid for it while nobody reads: a call looks at one field. A reader that is slow slows no call: it loses the oldest
 * events, and is told how many. It does not say how things stand (that is `GroupSnapshot`), does not count (`CommandMetrics`), and
 * keeps nothing for those who come later.
 *
 * Events are plain JSON, with the times in milliseconds.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Group from "./Group.ts"
import { circuit } from "./internal/CircuitGate.ts"
import type { GroupState } from "./internal/GroupState.ts"
import { outcomes } from "./internal/Record.ts"
import { checkUnsafe, whole } from "./InvalidOptions.ts"

const heading = {
  /** The name of the group. */
  group: Schema.String,
  /** When, in milliseconds since 1970. */
  at: Schema.Finite
}

const state = Schema.Literals(["closed", "open", "half-open"])

/**
 * A call ended: nothing of it is left. Each call ends once, whatever its attempts.
 *
 * @category models
 * @since 0.1.0
 */
export const CallEnded = Schema.TaggedStruct("CallEnded", {
  ...heading,
  /** The key of its command. */
  key: Schema.String,
  outcome: Schema.Literals(outcomes),
  /** From when it came to when it ended, waits included. */
  durationMillis: Schema.Finite,
  /** How long it waited for permits. */
  queuedMillis: Schema.Finite,
  /** How often its effect was started. */
  attempts: Schema.Finite,
  /** The tag, or the name, of what it failed or died with. */
  failure: Schema.optionalKey(Schema.String),
  /** When it may be worth another try, if the circuit or the rate limit refused it. */
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  /** The circuit that refused it. */
  circuit: Schema.optionalKey(Schema.String)
})

/**
 * A call that had failed was answered by its fallback, or with the last good value. It has ended before, by its outcome.
 *
 * @category models
 * @since 0.1.0
 */
export const CallDegraded = Schema.TaggedStruct("CallDegraded", { ...heading, key: Schema.String })

/**
 * A call has failed, and is made again after a delay. The budget has paid for it.
 *
 * @category models
 * @since 0.1.0
 */
export const RetryScheduled = Schema.TaggedStruct("RetryScheduled", {
  ...heading,
  key: Schema.String,
  /** 1 for the first. */
  retry: Schema.Finite,
  delayMillis: Schema.Finite,
  /** The tag, or the name, of what the call would end with if it were not made again. */
  failure: Schema.optionalKey(Schema.String),
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  circuit: Schema.optionalKey(Schema.String)
})

/**
 * A second attempt was started beside a slow one. The budget has paid for it.
 *
 * @category models
 * @since 0.1.0
 */
export const HedgeStarted = Schema.TaggedStruct("HedgeStarted", { ...heading, key: Schema.String })

/**
 * A circuit went from one state to another; with circuits in Redis, in whichever process.
 *
 * @category models
 * @since 0.1.0
 */
export const CircuitMoved = Schema.TaggedStruct("CircuitMoved", {
  ...heading,
  /** The circuit's key. */
  circuit: Schema.String,
  from: state,
  to: state,
  /** Whether an operator did it. */
  forced: Schema.Boolean
})

/**
 * The limits of the pool were set. `null` is no limit.
 *
 * @category models
 * @since 0.1.0
 */
export const PoolResized = Schema.TaggedStruct("PoolResized", {
  ...heading,
  maxConcurrent: Schema.NullOr(Schema.Finite),
  maxQueued: Schema.NullOr(Schema.Finite)
})

/**
 * The reader was too slow: so many events are missing here.
 *
 * @category models
 * @since 0.1.0
 */
export const Lost = Schema.TaggedStruct("Lost", {
  /** The name of the group. */
  group: Schema.String,
  /** How many, since the last of these. */
  count: Schema.Finite
})

/**
 * What a reader is told. Its type and its JSON are the same.
 *
 * @category models
 * @since 0.1.0
 */
export const Event = Schema.Union([
  CallEnded,
  CallDegraded,
  RetryScheduled,
  HedgeStarted,
  CircuitMoved,
  PoolResized,
  Lost
])

/**
 * @category models
 * @since 0.1.0
 */
export type Event = typeof Event.Type

/**
 * How events are read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many events are kept for a reader that is slow, about 200 bytes each. 1,024 by default. */
  readonly buffer?: number | undefined
}

const options = Schema.Struct({
  buffer: Schema.optional(
    whole(1).check(
      Schema.makeFilter((n: number) => n === Infinity ? "expected a bound: a reader may never come back" : undefined)
    )
  )
})

/**
 * The events of a group, from when the stream is run until it is left, or the group is closed.
 *
 * **When to use**
 *
 * Use to show what happens, while somebody looks: each run of the stream is a reader with a buffer of its own. To count, use
 * `CommandMetrics`, which loses nothing.
 *
 * **Details**
 *
 * Events are in the order in which they happened; circuits' transitions come by a way of their own, and may come after a call that
 * ended later. A reader whose buffer is full loses the oldest, and finds `Lost` in their place.
 *
 * **Gotchas**
 *
 * With a reader each call costs an object, and a reading of the wall clock. A stream that was not run yet has no buffer: what
 * happens before is not in it.
 *
 * **Example** (The first refusal)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, GroupEvents } from "@blackgate/core"
 * import { Effect, Fiber, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("service.session", { pool: { maxConcurrent: 1 } })
 *   const refusal = yield* GroupEvents.stream(group).pipe(
 *     Stream.filter((event) => event._tag === "CallEnded" && event.outcome === "rejected"),
 *     Stream.runHead,
 *     Effect.forkScoped({ startImmediately: true })
 *   )
 *   yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "slow" })))
 *   yield* Effect.ignore(Effect.void.pipe(Command.within(group, { key: "one too many" })))
 *   return (yield* Fiber.join(refusal)).pipe((event) => event._tag === "Some" && "key" in event.value && event.value.key)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "one too many"
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const stream = (group: Group.Group, input: Options = {}): Stream.Stream<Event> => {
  const { buffer = 1024 } = checkUnsafe(`GroupEvents.stream of ${group.name}`, options, input)
  const state = group as GroupState // the one class that implements it
  return Stream.unwrap(Effect.gen(function*() {
    const { events } = state
    const reader = yield* events.read(buffer)
    const circuits = state.shared(circuit)?.circuits
    if (circuits !== undefined && !events.closed) {
      const hear = Stream.runForEach(
        circuits.transitions,
        (moved) => Effect.sync(() => reader.offer(events.moved(moved)))
      )
      yield* Effect.forkScoped(hear, { startImmediately: true })
    }
    return Stream.fromPull(Effect.succeed(reader.pull))
  }))
}
