/**
 * A group owns what must be shared between calls; a command says how one call behaves.
 *
 * That is the pool and what moves its limit, circuits, rate limits, the budgets of retries and hedges, the timer of the deadlines and the counts. A group is a service, so that a forgotten one is a compile
 * error, or a plain value, where groups come from data.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as AdaptiveLimit from "./AdaptiveLimit.ts"
import type * as Circuit from "./Circuit.ts"
import { GroupState, GroupTypeId } from "./internal/GroupState.ts"
import { optionsOf, share } from "./internal/policies.ts"
import { CurrentMember } from "./internal/SharedMember.ts"
import { Timers } from "./internal/Timers.ts"
import { check, type InvalidOptions } from "./InvalidOptions.ts"
import type * as Pool from "./Pool.ts"
import type * as RateLimit from "./RateLimit.ts"
import type * as RetryBudget from "./RetryBudget.ts"

/**
 * The state that the calls of a group share.
 *
 * @category models
 * @since 0.1.0
 */
export interface Group {
  readonly [GroupTypeId]: typeof GroupTypeId
  /** Names it in errors, metrics and spans. */
  readonly name: string
  /** The bulkhead of its calls. */
  readonly pool: Pool.Pool
}

/**
 * What a group is made with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many of its calls run at once, and how many wait. */
  readonly pool: Pool.Options
  /**
   * Has latency drive how many calls run at once, between a floor and the pool's `maxConcurrent`. Without it that is the limit.
   */
  readonly adaptiveLimit?: AdaptiveLimit.Options | undefined
  /** When a dependency is left alone. Without it there are no circuits. */
  readonly circuit?: Circuit.Options | undefined
  /** How many retries its commands may make: as many as 20 % of their calls and 10 a second, over 10 seconds, by default. */
  readonly retryBudget?: RetryBudget.Options | undefined
  /** How many hedges its commands may make: as many as 10 % of their calls and 1 a second, over 10 seconds, by default. */
  readonly hedgeBudget?: RetryBudget.Options | undefined
  /** How many calls there may be in so much time. Without it there is no limit. */
  readonly rateLimit?: RateLimit.Options | undefined
}

const options = optionsOf("group")

/**
 * A group, given as its class (then it is in the requirements) or as a value (then it is not).
 *
 * @category models
 * @since 0.1.0
 */
export type Ref<Self = never> = Context.Key<Self, Group> | Group

/**
 * The class of a group.
 *
 * @category models
 * @since 0.1.0
 */
export interface Class<in out Self, in out Name extends string> extends Context.ServiceClass<Self, Name, Group> {
  /**
   * Provides the group, with the state that its calls share.
   *
   * **Gotchas**
   *
   * One layer, provided twice, is one group; two calls of `layer` are two, with a pool each, and a warning in the log. Options that make no sense end the
   * building of the layer with `InvalidOptions`, as a defect.
   */
  layer(options: Options): Layer.Layer<Self>
  /**
   * The same from `Config`, so that an environment variable resizes the pool.
   *
   * **Example** (A pool sized by the environment)
   *
   * ```ts import.meta.vitest
   * import { Group, Pool } from "@blackgate/core"
   * import { Config, ConfigProvider, Effect } from "effect"
   *
   * class Session extends Group.Service<Session>()("service.session") {
   *   static readonly Live = Session.layerConfig({
   *     pool: { maxConcurrent: Config.Int("SESSION_POOL").pipe(Config.withDefault(10)) }
   *   })
   * }
   *
   * const program = Effect.gen(function*() {
   *   const { pool } = yield* Session
   *   return (yield* Pool.statistics(pool)).maxConcurrent
   * }).pipe(
   *   Effect.provide(Session.Live),
   *   Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { SESSION_POOL: "25" } }))
   * )
   *
   * await Effect.runPromise(program) // => 25
   * ```
   */
  layerConfig(options: Config.Wrap<Options>): Layer.Layer<Self, Config.ConfigError | InvalidOptions>
}

/**
 * Makes the class of a group.
 *
 * **Example** (A group and its layer)
 *
 * ```ts import.meta.vitest
 * import { Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Session extends Group.Service<Session>()("service.session") {}
 *
 * const SessionLive = Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })
 *
 * const program = Effect.succeed("user 1").pipe(
 *   Command.within(Session, { key: "get_current_user", timeout: "1 second" })
 * )
 *
 * await Effect.runPromise(Effect.provide(program, SessionLive)) // => "user 1"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self>() => <const Name extends string>(name: Name): Class<Self, Name> => {
  const tag = Context.Service<Self, Group>()(name)
  const statics = {
    layer: (options: Options) => Layer.effect(tag, Effect.orDie(make(name, options))),
    layerConfig: (options: Config.Wrap<Options>) =>
      Layer.effect(tag, Effect.flatMap(Config.unwrap(options), (options) => make(name, options)))
  }
  return Object.assign(tag, statics)
}

/**
 * Makes a group as a plain value, on the current `Clock`, for as long as the scope is open.
 *
 * **When to use**
 *
 * Use where groups are made from data, such as a file: keys that it doesn't know are refused too, by name.
 *
 * **Gotchas**
 *
 * Deadlines keep to the Clock that was current here, not to the caller's. Names should differ: of two groups of one name the one
 * that was made last has the metrics, and the log has a warning when the second is made. A scope that is never closed keeps the process alive until its last deadline
 * would have passed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, input: Options): Effect.Effect<Group, InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    yield* check(name, options, input)
    const timers = yield* Timers.make
    const context = yield* Effect.context<never>()
    const group = yield* Effect.acquireRelease(
      Effect.sync(() => new GroupState(name, input, timers, context)),
      (group) => Effect.sync(() => group.close())
    )
    const member = yield* CurrentMember
    if (member !== undefined) yield* member.join(group.pool)
    yield* share(group, input)
    if (group.hides) {
      yield* Effect.logWarning(`there is another group named ${name}: its metrics are hidden by this one's`)
    }
    return group
  })

/**
 * Whether something is a group (a value, not a class).
 *
 * @category guards
 * @since 0.1.0
 */
export const isGroup = (u: unknown): u is Group => Predicate.hasProperty(u, GroupTypeId)
