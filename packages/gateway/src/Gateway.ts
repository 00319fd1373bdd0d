/**
 * A gateway that runs a config, and can change to another one without losing a request.
 *
 * A new config is built whole beside the old one, then all requests that come take the new one, in one step; those that are under way
 * end in the old one. What both have keeps its state: listeners, groups, connections to upstreams. It reads no files and hears no signals.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { CannotListen } from "./CannotListen.ts"
import type { ConfigError } from "./ConfigError.ts"
import type { Config } from "./ConfigSchema.ts"
import { adminRoutes, guarded } from "./internal/admin.ts"
import type { CodeRoutes } from "./internal/CodeRoutes.ts"
import { takeConnects } from "./internal/connects.ts"
import { buildGeneration, type Generation } from "./internal/Generation.ts"
import { makeKept } from "./internal/Kept.ts"
import {
  type Answers,
  changeAll,
  changes,
  closeAll,
  type Listening,
  of,
  openAll,
  staying
} from "./internal/Listening.ts"
import type { Plan } from "./internal/Plan.ts"

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
  readonly reload: Effect.Effect<void, ConfigError | CannotListen>
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
  { first, load, logsTo = () => {}, took }: Configs
): Effect.Effect<Gateway, ConfigError | CannotListen, Scope.Scope> =>
  Effect.gen(function*() {
    const kept = yield* makeKept
    let current: Generation = yield* buildGeneration(first, kept)
    // After the listeners: what is under way has ended by then.
    yield* Effect.addFinalizer(() => current.close())
    logsTo(current.telemetry?.logger)
    let listening: ReadonlyArray<Listening> = []
    const addresses = () => of("gateway", listening).map(({ address }) => address)
    // Operators can see how it goes to the end.
    yield* Effect.addFinalizer(() => closeAll(of("admin", listening)))
    yield* Effect.addFinalizer(() => closeAll(of("gateway", listening)))

    const one = yield* Semaphore.make(1)
    const reload = Effect.uninterruptible(Semaphore.withPermit(
      one,
      Effect.gen(function*() {
        const next = yield* load
        const changed = yield* changes(next, listening)
        const generation = yield* buildGeneration(next, kept)
        yield* Effect.gen(function*() {
          const opened = yield* openAll(next, changed.opened, answers)
          yield* Effect.onError(changeAll(next, changed.stay), () => closeAll(opened))
          const old = current
          current = generation
          logsTo(current.telemetry?.logger)
          listening = [...changed.stay.map(([each, plan]) => staying(each, plan)), ...opened]
          giveConnects(listening, current)
          yield* generation.resize
          yield* old.retire()
          yield* took(next.loaded.config)
          yield* Effect.forkDetach(closeAll(changed.closed))
        }).pipe(Effect.onError(() => generation.close()))
      })
    ))

    const admin = adminRoutes({
      isReady: Effect.suspend(() => Effect.forEach(of("gateway", listening), ({ server }) => server.isReady)).pipe(
        Effect.map((ready) => ready.every(Boolean))
      ),
      plan: () => current.plan,
      code: () => current.code,
      groups: () => current.groups,
      addresses,
      reload
    })
    const token = () => current.plan.loaded.config.admin?.token
    const answers: Answers = {
      gateway: HttpServer.serve(Effect.suspend(() => current.answer)),
      admin: HttpRouter.serve(admin, {
        disableLogger: true,
        disableListenLog: true,
        middleware: (answer) => Effect.suspend(() => guarded(token(), answer))
      })
    }
    listening = yield* openAll(first, first.listeners, answers)
    giveConnects(listening, current)
    const where = () =>
      [addresses().join(" and "), ...of("admin", listening).map(({ address }) => `for operators on ${address}`)].join(
        ", "
      )
    return { where: Effect.sync(where), reload }
  })

const giveConnects = (listening: ReadonlyArray<Listening>, { begin, connects }: Generation): void => {
  for (const { plan, server } of listening) takeConnects(server.node, connects.get(plan.key), begin)
}

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
