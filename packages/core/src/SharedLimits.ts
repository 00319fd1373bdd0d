/**
 * Limits that threads of one process share: `maxConcurrent` of a group, and its rate limits, hold for all of them together.
 *
 * Groups of one name have one limit, wherever they are built with the `layer`. That is all they share: each thread has lines, an adaptive
 * limit, circuits, budgets, counts and events of its own. Without the layer a group's limits are its own, and it pays nothing.
 *
 * It is memory and atomics, those of the Web, and starts no threads. Processes do not share it: for rate limits and circuits of several
 * there is Redis.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { finite } from "./internal/poolOptions.ts"
import { CurrentMember, SharedMember } from "./internal/SharedMember.ts"
import { mostMembers, SharedMemory } from "./internal/SharedMemory.ts"
import { SharedRegion } from "./internal/SharedRegion.ts"
import { checkUnsafe, InvalidOptions, whole } from "./InvalidOptions.ts"

const atMost = (most: number) =>
  Schema.makeFilter((n: number) => n > most && n !== Infinity ? `expected at most ${most}, got ${n}` : undefined)

const count = (most: number) => whole(1).check(finite, atMost(most))

const makeOptions = Schema.Struct({
  members: count(mostMembers),
  maxGroups: Schema.optional(count(100_000)),
  maxKeys: Schema.optional(count(10_000_000))
})

/**
 * Makes the memory that threads share.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: {
    readonly members: number
    readonly maxGroups?: number | undefined
    readonly maxKeys?: number | undefined
  }
): SharedArrayBuffer => {
  const { maxGroups = 1000, maxKeys = 100_000, members } = checkUnsafe("SharedLimits", makeOptions, options)
  return SharedMemory.make(members, maxGroups, maxKeys)
}

/**
 * Has the groups that are built with it share their limits with those of the same name in the other members.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (memory: SharedArrayBuffer, member: number): Layer.Layer<never> =>
  Layer.effect(CurrentMember, Effect.sync(() => SharedMember.of(known(memory, member), member)))

/**
 * Gives back all that a member had whose thread has ended, however it did.
 *
 * @category combinators
 * @since 0.1.0
 */
export const release = (memory: SharedArrayBuffer, member: number): Effect.Effect<void> =>
  Effect.sync(() => SharedRegion.bury(known(memory, member), member)).pipe(
    Effect.flatMap((done) => done ? Effect.void : Effect.fail("busy" as const)),
    Effect.tapError(() => Effect.yieldNow),
    Effect.retry({ times: patience }),
    Effect.ignore
  )

/** So many looks, and it is left to the next release to find what a thread had under way as it died. */
const patience = 10_000

const known = (memory: SharedArrayBuffer, member: number): SharedMemory => {
  const shared = SharedMemory.of(memory)
  if (shared === undefined) {
    throw new InvalidOptions({ subject: "SharedLimits", problem: "memory: expected what SharedLimits.make has made" })
  }
  if (!Number.isInteger(member) || member < 0 || member >= shared.members) {
    const problem = `member: expected a whole number from 0 to ${shared.members - 1}, got ${member}`
    throw new InvalidOptions({ subject: "SharedLimits", problem })
  }
  return shared
}
