/**
 * A gateway that runs a config, and can change to another one without losing a request.
 *
 * A new config is built whole beside the old one, then all requests that come take the new one, in one step; those that are under way
 * end in the old one. What both have keeps its state: listeners, groups, connections to upstreams. It reads no files and hears no signals.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { CannotListen } from "./CannotListen.ts"
import type { ConfigError } from "./ConfigError.ts"
import type { Config } from "./ConfigSchema.ts"
import { adminAnswer } from "./internal/admin.ts"
import type { CodeRoutes } from "./internal/CodeRoutes.ts"
import { buildGeneration } from "./internal/Generation.ts"
import { makeKept } from "./internal/Kept.ts"
import { Listeners } from "./internal/Listening.ts"
import { operationsOf } from "./internal/operations.ts"
import type { Plan } from "./internal/Plan.ts"
import { all } from "./internal/Prepared.ts"
import { serve, type Serving } from "./internal/Serving.ts"
import { whereOf } from "./internal/where.ts"

/**
 * A gateway that runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gateway {
  /** Where it listens, in words. */
  readonly where: Effect.Effect<string>
  /** Loads the config anew and changes to it. If that can't be done nothing changes. */
  readonly reload: Effect.Effect<void, ConfigError | CannotListen | { readonly _tag: string; readonly message: string }>
}

/**
 * Where a gateway's configs come from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Configs {
  readonly first: Plan
  readonly load: Effect.Effect<Plan, ConfigError>
  /** Is told of each config that was changed to. */
  readonly took: (config: Config) => Effect.Effect<void>
  /** Is told where lines of the log are wanted besides. */
  readonly logsTo?: ((logger: Logger.Logger<unknown, void> | undefined) => void) | undefined
}

/**
 * Starts a gateway, and drains it with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  { first, load, logsTo, took }: Configs
): Effect.Effect<Gateway, ConfigError | CannotListen, Scope.Scope> =>
  Effect.gen(function*() {
    let serving: Serving | undefined
    const one = yield* Semaphore.make(1)
    const reload: Gateway["reload"] = Effect.uninterruptible(Semaphore.withPermit(
      one,
      Effect.gen(function*() {
        const next = yield* load
        const change = yield* all([serving!.prepare(next), admin.prepare(next)])
        yield* change.commit
        yield* took(next.loaded.config)
      })
    ))
    const admin = new Listeners(
      "admin",
      adminAnswer({
        isReady: Effect.suspend(() => serving!.isReady),
        plan: () => serving!.plan(),
        addresses: () => serving!.addresses(),
        reload,
        operations: operationsOf(() => serving!)
      })
    )
    // Operators can see how it goes to the end.
    yield* Effect.addFinalizer(() => admin.close)
    serving = yield* serve(first, { logsTo })
    yield* Effect.uninterruptible(Effect.flatMap(admin.prepare(first), ({ commit }) => commit))
    return { where: Effect.sync(() => whereOf(serving.addresses(), admin.addresses)), reload }
  })

/**
 * Builds all of a config that needs no network but for what a module needs, and lets go of it again. The routes of the module remain.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check = (plan: Plan): Effect.Effect<CodeRoutes | undefined, ConfigError> =>
  Effect.scoped(Effect.gen(function*() {
    const { config, ...loaded } = plan.loaded
    // A collector would have to be told something.
    const silent = { ...plan, loaded: { ...loaded, config: { ...config, telemetry: {} } } }
    const generation = yield* buildGeneration(silent, yield* makeKept)
    yield* generation.close()
    return generation.code
  }))
