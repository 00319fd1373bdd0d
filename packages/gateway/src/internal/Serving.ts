import type { Group } from "@blackgate/core"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import type { CannotListen } from "../CannotListen.ts"
import type { ConfigError } from "../ConfigError.ts"
import type { CodeRoutes } from "./CodeRoutes.ts"
import { takeConnects } from "./connects.ts"
import { buildGeneration, type Generation } from "./Generation.ts"
import { makeKept } from "./Kept.ts"
import { Listeners, type Ports } from "./Listening.ts"
import type { Plan } from "./Plan.ts"
import type { Prepared } from "./Prepared.ts"

/** A config that is served: by the whole program, or by one of its workers. */
export interface Serving {
  readonly plan: () => Plan
  /** Those of a config module. */
  readonly code: () => CodeRoutes | undefined
  /** Those of the file. */
  readonly groups: () => ReadonlyArray<Group.Group>
  readonly addresses: () => ReadonlyArray<string>
  readonly ports: () => Ports
  readonly isReady: Effect.Effect<boolean>
  /** Builds another config beside this one, and opens what it adds. */
  readonly prepare: (
    plan: Plan,
    ports?: Ports
  ) => Effect.Effect<Prepared & { readonly ports: Ports }, ConfigError | CannotListen>
}

export interface ServingOptions {
  /** Its number, if it is one of several workers, which listen on the same addresses. */
  readonly worker?: number | undefined
  readonly ports?: Ports | undefined
  /** Is told where lines of the log are wanted besides. */
  readonly logsTo?: ((logger: Logger.Logger<unknown, void> | undefined) => void) | undefined
}

/** Serves a config, and drains it with the scope. */
export const serve = (
  first: Plan,
  { logsTo = () => {}, ports = {}, worker }: ServingOptions = {}
): Effect.Effect<Serving, ConfigError | CannotListen, Scope.Scope> =>
  Effect.gen(function*() {
    const kept = yield* makeKept
    let current: Generation = yield* buildGeneration(first, kept, worker)
    // After the listeners: what is under way has ended by then.
    yield* Effect.addFinalizer(() => current.close())
    const answer = HttpServer.serve(Effect.suspend(() => current.answer))
    const listeners = new Listeners("gateway", answer, worker !== undefined)
    yield* Effect.addFinalizer(() => listeners.close)
    const opened = yield* Effect.uninterruptible(Effect.tap(listeners.prepare(first, ports), ({ commit }) => commit))
    let open = opened.ports
    const use = ({ begin, connects, telemetry }: Generation) => {
      logsTo(telemetry?.logger)
      for (const { plan, server } of listeners.listening) takeConnects(server.node, connects.get(plan.key), begin)
    }
    use(current)

    const prepare: Serving["prepare"] = (next, ports = {}) =>
      Effect.gen(function*() {
        const generation = yield* buildGeneration(next, kept, worker)
        const changed = yield* Effect.onError(listeners.prepare(next, ports), () => generation.close())
        return {
          ports: changed.ports,
          commit: Effect.gen(function*() {
            yield* changed.commit
            const old = current
            current = generation
            open = changed.ports
            use(current)
            yield* generation.after(old)
            yield* old.retire()
          }),
          abort: Effect.andThen(changed.abort, generation.close())
        }
      })

    return {
      plan: () => current.plan,
      code: () => current.code,
      groups: () => current.groups,
      addresses: () => listeners.addresses,
      ports: () => open,
      isReady: listeners.areReady,
      prepare
    }
  })
