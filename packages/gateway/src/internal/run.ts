import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Scope } from "effect/Scope"
import type { ConfigError } from "../ConfigError.ts"
import type { CannotListen } from "../Gateway.ts"
import * as Gateway from "../Gateway.ts"
import { loadPlan } from "./configFile.ts"
import { ProgramLog } from "./ProgramLog.ts"
import { Sentry } from "./Sentry.ts"

/** The signals that end the program, and the code that it ends with when they come again. */
const ending = { SIGINT: 130, SIGTERM: 143 } as const

// Effect's `runMain` interrupts the program on the first one; whoever sends a second one has no more patience.
const hurry: Effect.Effect<void, never, Scope> = Effect.gen(function*() {
  let asked = false
  for (const [signal, code] of Object.entries(ending)) {
    const listener = () => {
      if (asked) process.exit(code)
      asked = true
      // What was asked for is no failure.
      process.exitCode = 0
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on(signal, listener)),
      // While the program ends, too.
      () => Effect.void
    )
  }
})

/** Runs the gateway of a file until it is interrupted, and changes it on SIGHUP. `listens` is called when it does. */
export const runGateway = (
  file: string,
  listens: (addresses: ReadonlyArray<string>) => Effect.Effect<void, never, Scope>
): Effect.Effect<never, ConfigError | CannotListen> => {
  const sentry = new Sentry()
  const log = new ProgramLog(sentry)
  return Effect.scoped(Effect.gen(function*() {
    yield* hurry
    // A storm of them is one reload under way and one to come.
    const hangups = yield* Queue.sliding<void>(1)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const listener = () => void Queue.offerUnsafe(hangups, undefined)
        process.on("SIGHUP", listener)
        return listener
      }),
      (listener) => Effect.sync(() => process.off("SIGHUP", listener))
    )
    const plan = yield* loadPlan(file)
    const { config } = plan.loaded
    log.settings = config.log ?? {}
    yield* sentry.use(config.sentry?.dsn)
    const gateway = yield* Gateway.make(plan)
    const addresses = yield* gateway.addresses
    yield* Console.log(`Blackgate listens on ${addresses.join(" and ")}`)
    yield* listens(addresses)
    const reload = Effect.gen(function*() {
      const plan = yield* loadPlan(file)
      const { config } = plan.loaded
      yield* gateway.reload(plan)
      log.settings = config.log ?? {}
      yield* sentry.use(config.sentry?.dsn)
      const addresses = yield* gateway.addresses
      yield* Effect.logInfo(`reloaded ${file}, listening on ${addresses.join(" and ")}`)
    }).pipe(Effect.catch((error) => Effect.logError(`not reloaded, the old config goes on:\n${error.message}`)))
    return yield* Effect.forever(Effect.andThen(Queue.take(hangups), reload))
  })).pipe(Effect.provide(log.layer))
}
