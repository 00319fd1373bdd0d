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
 * Makes the memory that threads share, to be posted to them.
 *
 * **Details**
 *
 * `members` is how many there are, 256 at the most; `maxGroups` how many names of groups at once, 1,000 by default; `maxKeys` how many
 * keys of rate limits in all, 100,000 by default. It takes all that from the start: 64 bytes for each group and member and 128 more for the
 * group, 24 for a key. Numbers that make no sense throw `InvalidOptions`.
 *
 * **Example** (Two members, with one permit)
 *
 * ```ts import.meta.vitest
 * import { Command, Group, SharedLimits } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * // The main thread makes it. Each thread is a member: here, this one is both.
 * const memory = SharedLimits.make({ members: 2 })
 *
 * const session = (member: number) =>
 *   Group.make("service.session", { pool: { maxConcurrent: 1 } }).pipe(
 *     Effect.provide(SharedLimits.layer(memory, member))
 *   )
 *
 * const program = Effect.gen(function*() {
 *   const [one, other] = [yield* session(0), yield* session(1)]
 *   const inside = Effect.succeed("user 1").pipe(Command.within(other, { key: "get_current_user" }), Effect.flip)
 *   const refused = yield* inside.pipe(Command.within(one, { key: "get_current_user" }))
 *   return refused._tag
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "PoolFull"
 * ```
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
 * Has the groups that are built with it share their limits with those of the same name in the other members, which are numbered from 0.
 *
 * **When to use**
 *
 * Provide it to the layers of groups, or to `Group.make`, in each thread, with the memory that the thread was handed. `Pool.make` and
 * `RateLimit.make`, which belong to no group, don't look at it.
 *
 * **Details**
 *
 * Whoever builds a group of a name first says how many calls run at once in all threads; from then on `Pool.resize` does, in whichever thread. One
 * that is built later, here or there, changes nothing by that. A thread lets in no more than its own `maxConcurrent` either, so all are to be told
 * the same. A group for which the memory has no room fails with `InvalidOptions`. Other
 * memory than that of `make`, or a number that no member has, is a defect: `InvalidOptions`.
 *
 * **Gotchas**
 *
 * No two threads may be the same member at once. A thread that has nothing to do but to wait for a permit ends: what it listens to does not keep
 * it alive. Node, Bun and Deno have one monotonic clock for all threads; where each has its own, as workers in browsers, rate limits are not exact.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (memory: SharedArrayBuffer, member: number): Layer.Layer<never> =>
  Layer.effect(CurrentMember, Effect.sync(() => SharedMember.of(known(memory, member), member)))

/**
 * Gives back all that a member had whose thread has ended, however it did: permits, locks, groups. Those who wait have its permits.
 *
 * **When to use**
 *
 * Call it when the thread has ended, and before another one takes its place.
 *
 * **Gotchas**
 *
 * While the thread still runs, its calls are given back too: there are more at once then than the limit says.
 *
 * @category combinators
 * @since 0.1.0
 */
export const release = (memory: SharedArrayBuffer, member: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let looks = 0; looks < patience;) {
      const left = SharedRegion.bury(known(memory, member), member)
      if (left === undefined) return
      if (left === "astray") looks++
      yield* Effect.yieldNow
    }
  })

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
