import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Scope } from "effect/Scope"
import type { CannotListen } from "../CannotListen.ts"
import type { ConfigError } from "../ConfigError.ts"
import type { Config } from "../ConfigSchema.ts"
import * as Gateway from "../Gateway.ts"
import { filesOf, loadPlan } from "./configFile.ts"
import { FileWatch } from "./FileWatch.ts"
import * as Pidfile from "./Pidfile.ts"
import { type LogFormat, ProgramLog } from "./ProgramLog.ts"
import { recording } from "./Read.ts"
import { Sentry } from "./Sentry.ts"
import { logStrays } from "./strays.ts"
import { notify } from "./systemd.ts"
import type { NoWorkers } from "./workers/addresses.ts"
import { coordinate, type Sourced } from "./workers/Coordinator.ts"
import type { Refusal } from "./workers/protocol.ts"
import type { WorkerGone } from "./workers/WorkerThread.ts"

/** The signals that end the program, and the code that it ends with when they come again. */
const ending = { SIGINT: 130, SIGTERM: 143 } as const

// Effect's `runMain` interrupts the program on the first one; whoever sends a second one has no more patience. They are heard until
// the process ends.
const hurry = Effect.sync(() => {
  let asked = false
  for (const [signal, code] of Object.entries(ending)) {
    process.on(signal, () => {
      if (asked) process.exit(code)
      asked = true
      // What was asked for is no failure.
      process.exitCode = 0
    })
  }
})

interface Hangups {
  readonly queue: Queue.Dequeue<void>
  /** Has what a config module has imported by now watched, too, in what began at a time. */
  readonly watch: (since: number) => Effect.Effect<void>
}

/** A storm of SIGHUPs is one reload under way and one to come. */
const hangups = (watched: string | undefined): Effect.Effect<Hangups, never, Scope> =>
  Effect.gen(function*() {
    const queue = yield* Queue.sliding<void>(1)
    const listener = () => void Queue.offerUnsafe(queue, undefined)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("SIGHUP", listener)),
      () => Effect.sync(() => process.off("SIGHUP", listener))
    )
    if (watched === undefined) return { queue, watch: () => Effect.void }
    const files = yield* Effect.acquireRelease(
      Effect.sync(() => new FileWatch(listener)),
      (files) => Effect.sync(() => files.close())
    )
    const watch = (since: number) =>
      Effect.sync(() => {
        for (const file of filesOf(watched)) files.add(file, since)
      })
    return { queue, watch }
  })

export interface RunOptions {
  readonly file: string
  readonly pidfile: string | undefined
  /** Goes before that of the config. */
  readonly format: LogFormat | undefined
  /** Whether a change of the file is a SIGHUP. */
  readonly watch: boolean
  /** How many threads serve. One is the thread of the process, which needs no other. */
  readonly workers: number
  /** Is told when it listens. */
  readonly listens: (where: string) => Effect.Effect<void>
}

/** What several threads are to read is read once. */
const load = (file: string): Effect.Effect<Sourced, ConfigError> =>
  Effect.suspend(() => {
    const { files, module, read } = recording()
    return Effect.map(loadPlan(file, read, module), (plan) => ({ plan, files, module }))
  })

/** Runs the gateway of a file until it is interrupted, and changes it on SIGHUP. */
export const runGateway = (
  { file, format, listens, pidfile, watch, workers }: RunOptions
): Effect.Effect<
  never,
  ConfigError | CannotListen | Pidfile.PidfileError | NoWorkers | Refusal | WorkerGone
> => {
  const sentry = new Sentry()
  const log = new ProgramLog(sentry, format)
  const apply = (config: Config) => {
    log.settings = config.log ?? {}
    return sentry.use(config.sentry?.dsn)
  }
  return Effect.scoped(Effect.gen(function*() {
    yield* hurry
    yield* logStrays
    const { queue, watch: watchAll } = yield* hangups(watch ? file : undefined)
    // Before the pidfile, which stands for one that can run.
    const began = Date.now()
    const first = yield* load(file)
    yield* watchAll(began)
    yield* apply(first.plan.loaded.config)
    // Taken away last: who waits for the end of the program waits for that.
    if (pidfile !== undefined) yield* Pidfile.write(pidfile)
    const gateway = workers === 1
      ? yield* Gateway.make({
        first: first.plan,
        load: loadPlan(file),
        took: apply,
        logsTo: (logger) => {
          log.also = logger
        }
      })
      : yield* coordinate({ workers, format, first, load: load(file), took: apply })
    const where = yield* gateway.where
    yield* Console.log(`Blackgate listens on ${where}`)
    yield* listens(where)
    yield* notify("READY=1")
    yield* Effect.addFinalizer(() => notify("STOPPING=1"))
    const reload = Effect.gen(function*() {
      const began = Date.now()
      yield* Effect.ensuring(gateway.reload, Effect.suspend(() => watchAll(began)))
      yield* Effect.logInfo(`reloaded ${file}, listening on ${yield* gateway.where}`)
    }).pipe(
      Effect.catch((error) => Effect.logError(`not reloaded, the old config goes on:\n${error.message}`)),
      // What nobody has thought of ends no gateway.
      Effect.catchDefect((defect) => Effect.logError("not reloaded, the old config goes on", Cause.die(defect)))
    )
    return yield* Effect.forever(Effect.andThen(Queue.take(queue), reload))
  })).pipe(Effect.provide(log.layer))
}
