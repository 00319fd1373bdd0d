import { SharedLimits } from "@blackgate/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { CannotListen } from "../../CannotListen.ts"
import type { ConfigError } from "../../ConfigError.ts"
import type { Config } from "../../ConfigSchema.ts"
import type { Gateway } from "../../Gateway.ts"
import { adminAnswer } from "../admin.ts"
import { Listeners } from "../Listening.ts"
import type { ModuleFiles } from "../ModuleImport.ts"
import type { Plan } from "../Plan.ts"
import { all } from "../Prepared.ts"
import type { LogFormat } from "../ProgramLog.ts"
import type { Files } from "../Read.ts"
import { whereOf } from "../where.ts"
import { areFree, canShare, type NoWorkers } from "./addresses.ts"
import { operationsOfAll } from "./operationsOfAll.ts"
import type { Refusal } from "./protocol.ts"
import { Workers, type WorkersOptions } from "./Workers.ts"
import type { WorkerGone } from "./WorkerThread.ts"

// Those of the file; what a route has that names none is not among them.
const mostGroups = 10_000

/** A config, and what it was read from. */
export interface Sourced {
  readonly plan: Plan
  readonly files: Files
  readonly module: ModuleFiles
}

export interface CoordinatorOptions {
  readonly workers: number
  readonly format: LogFormat | undefined
  readonly first: Sourced
  readonly load: Effect.Effect<Sourced, ConfigError>
  /** Is told of each config that was changed to. */
  readonly took: (config: Config) => Effect.Effect<void>
  readonly look?: WorkersOptions["look"]
}

/** Has workers serve a config, and lets operators in. With the scope the workers drain, and end. */
export const coordinate = (
  { first, format, load, look, took, workers: count }: CoordinatorOptions
): Effect.Effect<Gateway, ConfigError | CannotListen | NoWorkers | Refusal | WorkerGone, Scope.Scope> =>
  Effect.gen(function*() {
    yield* canShare(count)
    yield* areFree(first.plan, {})
    const limits = SharedLimits.make({ members: count, maxGroups: mostGroups })
    // A worker that takes the place of another one does so with a config that runs.
    const one = yield* Semaphore.make(1)
    const workers = new Workers({ count, first, format, limits, look, lock: Semaphore.withPermit(one) })

    const reload: Gateway["reload"] = Effect.uninterruptible(Semaphore.withPermit(
      one,
      Effect.gen(function*() {
        const next = yield* load
        yield* areFree(next.plan, workers.ports)
        const change = yield* all<Refusal | WorkerGone>([admin.prepare(next.plan), workers.prepare(next)])
        yield* change.commit
        yield* took(next.plan.loaded.config)
      })
    ))
    const admin = new Listeners(
      "admin",
      adminAnswer({
        isReady: workers.areReady,
        plan: () => workers.plan,
        addresses: () => workers.addresses,
        reload,
        operations: operationsOfAll(workers)
      })
    )
    // Operators can see how it goes to the end.
    yield* Effect.addFinalizer(() => admin.close)
    yield* workers.start
    yield* Effect.uninterruptible(Effect.flatMap(admin.prepare(first.plan), ({ commit }) => commit))
    return { where: Effect.sync(() => whereOf(workers.addresses, admin.addresses)), reload }
  })
