/**
 * How much a call matters: who is shed first when there is too much to do.
 *
 * The levels are those of Google's SRE book (chapter 21, "Handling Overload"). A level travels in the context of the fiber, so that
 * it is set once, at the edge, and holds for all that is done for it, nested commands and forked children included.
 *
 * It is about who is turned away when a pool's line is full. Who of those who wait is served first is the command's `priority`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as order from "effect/Order"
import * as Schema from "effect/Schema"
import { checkUnsafe } from "./InvalidOptions.ts"

/**
 * From what matters most to what matters least.
 *
 * **Details**
 *
 * - `"critical-plus"`: for the few requests whose failure users would notice at once and badly.
 * - `"critical"`, the default: users would notice. There should be room for all of it and of what is above.
 * - `"sheddable-plus"`: may be turned away for minutes; batch jobs, which try again.
 * - `"sheddable"`: may be turned away for hours, and often is.
 *
 * @category models
 * @since 0.1.0
 */
export type Criticality = "critical-plus" | "critical" | "sheddable-plus" | "sheddable"

/**
 * All levels, the most critical first.
 *
 * @category models
 * @since 0.1.0
 */
export const levels: ReadonlyArray<Criticality> = ["critical-plus", "critical", "sheddable-plus", "sheddable"]

/**
 * The level that a fiber's calls have: `"critical"`, unless something around them has said otherwise.
 *
 * @category references
 * @since 0.1.0
 */
export const Criticality: Context.Reference<Criticality> = Context.Reference("@blackgate/core/Criticality", {
  defaultValue: (): Criticality => "critical"
})

/**
 * The level of the current fiber.
 *
 * **Example** (It is critical unless someone said otherwise)
 *
 * ```ts import.meta.vitest
 * import { Criticality } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.all([Criticality.current, Criticality.provide(Criticality.current, "sheddable")])
 *
 * Effect.runSync(program) // => ["critical", "sheddable"]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const current: Effect.Effect<Criticality> = Effect.service(Criticality)

const level = Schema.Struct({ level: Schema.Literals(levels) })

/**
 * Runs an effect at a level: the calls in it are shed before or after others.
 *
 * **When to use**
 *
 * Use at the edge, where it is known what a request is for, and around work that can wait: reports, prefetching, batches.
 *
 * **Details**
 *
 * The innermost wins, so a part of something critical can be sheddable. What is no level throws `InvalidOptions`.
 *
 * **Gotchas**
 *
 * When calls share a run, by `coalesce`, that has the level of the one who started it.
 *
 * **Example** (A report makes room for a user)
 *
 * ```ts import.meta.vitest
 * import { Command, Criticality, Group, Pool } from "@blackgate/core"
 * import { Effect, Fiber } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("orders", { pool: { maxConcurrent: 1, maxQueued: 1 } })
 *   const find = Command.make("find", (who: string) => Effect.as(Effect.sleep(5), `orders for ${who}`), {
 *     group,
 *     fallback: (failure) => Effect.succeed(failure._tag === "PoolFull" && failure.shed ? "shed" : failure._tag)
 *   })
 *   yield* Command.queue(find("the first"))
 *   const report = yield* Command.queue(Criticality.provide(find("a report"), "sheddable"))
 *   const user = yield* Command.queue(find("a user"))
 *   return [yield* Fiber.join(report), yield* Fiber.join(user)]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["shed", "orders for a user"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const provide: {
  (level: Criticality): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, level: Criticality): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, criticality: Criticality): Effect.Effect<A, E, R> => {
  checkUnsafe("Criticality.provide", level, { level: criticality })
  return Effect.provideService(self, Criticality, criticality)
})

/**
 * Reads a level from a string, in any case.
 *
 * **Example** (From a header)
 *
 * ```ts import.meta.vitest
 * import { Criticality } from "@blackgate/core"
 * import { Option } from "effect"
 *
 * Criticality.fromString("Sheddable-Plus") // => Option.some("sheddable-plus")
 * Criticality.fromString("urgent") // => Option.none()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromString = (input: string): Option.Option<Criticality> => {
  const lower = input.toLowerCase()
  return isCriticality(lower) ? Option.some(lower) : Option.none()
}

/**
 * Whether something is a level.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCriticality = (u: unknown): u is Criticality => levels.includes(u as Criticality)

/**
 * From what matters least to what matters most.
 *
 * **Example** (The less critical of two)
 *
 * ```ts import.meta.vitest
 * import { Criticality } from "@blackgate/core"
 * import { Order } from "effect"
 *
 * Order.min(Criticality.Order)("critical-plus", "sheddable") // => "sheddable"
 * ```
 *
 * @category ordering
 * @since 0.1.0
 */
export const Order: order.Order<Criticality> = order.mapInput(order.Number, (level) => -levels.indexOf(level))

/**
 * Whether one matters more than another. Of two of one level neither does.
 *
 * **Example** (Two levels)
 *
 * ```ts import.meta.vitest
 * import { Criticality } from "@blackgate/core"
 *
 * Criticality.isMoreCritical("critical", "sheddable") // => true
 * Criticality.isMoreCritical("critical", "critical") // => false
 * ```
 *
 * @category predicates
 * @since 0.1.0
 */
export const isMoreCritical: {
  (that: Criticality): (self: Criticality) => boolean
  (self: Criticality, that: Criticality): boolean
} = dual(2, (self: Criticality, that: Criticality): boolean => levels.indexOf(self) < levels.indexOf(that))
