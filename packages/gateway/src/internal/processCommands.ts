import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import { findConfigFile, loadPlan } from "./configFile.ts"
import { say, startDaemon } from "./daemon.ts"
import { codeOf, type Failed, failWith, reported } from "./Failed.ts"
import { configFile, flags } from "./flags.ts"
import * as Pidfile from "./Pidfile.ts"
import { runGateway } from "./run.ts"
import { startedWith } from "./startedWith.ts"
import { workersOf } from "./workers/workersOf.ts"

const pidfile = Effect.map(flags, ({ pidfile }) => pidfile ?? Pidfile.defaultPidfile)

const begin = Effect.gen(function*() {
  const { config, daemon, format, pidfile, stderr, stdout, watch, workers } = yield* flags
  if (daemon) {
    const file = yield* findConfigFile(config)
    const at = pidfile ?? Pidfile.defaultPidfile
    yield* Pidfile.vacant(at)
    const more = [
      ...(format === undefined ? [] : ["--log-format", format]),
      ...(watch ? ["--watch"] : []),
      "--workers",
      String(workers)
    ]
    return yield* startDaemon({ config: file, pidfile: at, stdout, stderr, more })
  }
  const run = Effect.flatMap(findConfigFile(config), (file) =>
    runGateway({
      file: Path.resolve(file),
      pidfile: pidfile && Path.resolve(pidfile),
      format,
      watch,
      workers,
      listens: (where) => say({ listens: where })
    }))
  return yield* Effect.tapError(run, (error) => say({ failed: error.message, code: codeOf(error) }))
})

export const start = Command.make("start", {}, () => reported(begin)).pipe(
  Command.withDescription("Runs the gateway of a config file: SIGTERM and SIGINT drain it, SIGHUP reloads the file.")
)

const isGone = (pid: number): Effect.Effect<void> =>
  Effect.suspend(() => Pidfile.isAlive(pid) ? Effect.andThen(Effect.sleep(20), isGone(pid)) : Effect.void)

const signal = (pid: number, signal: NodeJS.Signals) =>
  Effect.suspend(() => {
    try {
      process.kill(pid, signal)
      return Effect.void
    } catch (cause) {
      return failWith(1, `process ${pid} can't be signalled: ${(cause as Error).message}`)
    }
  })

const end = (pid: number) =>
  Effect.gen(function*() {
    yield* signal(pid, "SIGTERM")
    yield* isGone(pid)
    yield* Console.log(`Blackgate, process ${pid}, has stopped`)
  })

/** For what needs one that runs. */
const withRunning = <R>(code: number, use: (pid: number) => Effect.Effect<void, Failed, R>) =>
  Effect.flatMap(pidfile, (path): Effect.Effect<void, Failed, R> => {
    const pid = Pidfile.running(path)
    return pid === undefined ? failWith(code, `Blackgate does not run, by ${path}`) : use(pid)
  })

export const stop = Command.make("stop", {}, () => withRunning(1, end)).pipe(
  Command.withDescription("Drains the gateway of the pidfile, and waits until it has ended.")
)

export const restart = Command.make("restart", {}, () =>
  Effect.gen(function*() {
    // What could not be started again is not stopped.
    yield* reported(Effect.flatMap(configFile, loadPlan))
    const pid = Pidfile.running(yield* pidfile)
    if (pid !== undefined) yield* end(pid)
    yield* reported(begin)
  })).pipe(Command.withDescription("Stops the gateway of the pidfile, if it runs, and starts it again."))

// 3 is what LSB wants of a program that does not run.
export const status = Command.make(
  "status",
  {},
  () =>
    withRunning(3, (pid) => {
      const workers = workersOf(pid)
      return Console.log(`Blackgate runs, process ${pid}${workers > 1 ? `, ${workers} workers` : ""}`)
    })
).pipe(
  Command.withDescription("Says whether the gateway of the pidfile runs.")
)

// Whoever names none means the one that it runs.
const fileOf = (pid: number) =>
  Effect.flatMap(flags, ({ config }) => {
    const started = config === undefined ? startedWith(pid) : undefined
    return findConfigFile(config ?? started?.config, started?.cwd)
  })

export const reload = Command.make("reload", {}, () =>
  withRunning(1, (pid) =>
    Effect.gen(function*() {
      yield* reported(Effect.flatMap(fileOf(pid), loadPlan))
      yield* signal(pid, "SIGHUP")
      yield* Console.log(`Blackgate, process ${pid}, was told to reload`)
    }))).pipe(Command.withDescription("Checks the config file, and has the gateway of the pidfile reload it."))
