import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Os from "node:os"
import { findConfigFile } from "./configFile.ts"
import { failWith } from "./Failed.ts"
import { defaultPidfile } from "./Pidfile.ts"

const path = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar("FILE"), Flag.withDescription(description), Flag.optional)

// What the Python program did for itself, and whoever starts this one does better.
const gone = (name: string) => Flag.String(name).pipe(Flag.optional, Flag.withHidden)
const instead = {
  stdin: "a gateway reads nothing from it",
  directory: "start it in that folder",
  umask: "set it before the start"
} as const

/** The program without its commands, and the flags that all of them have. */
export const blackgate = Command.make("blackgate").pipe(
  Command.withDescription(
    "Blackgate, an API gateway that runs from a config file. Flags stand before or after the command."
  ),
  Command.withSharedFlags({
    config: path(
      "config",
      "The config file. Without it: ./blackgate.yml, ./blackgate.config.ts, ~/.blackgate.yml, "
        + "/usr/local/etc/blackgate/blackgate.yml, /etc/blackgate/blackgate.yml"
    ).pipe(Flag.withAlias("c")),
    daemon: Flag.Boolean("daemon").pipe(
      Flag.withDescription("Start in the background, and wait until it listens"),
      Flag.withDefault(false)
    ),
    pidfile: path("pidfile", `Where the process is written down. With --daemon, ${defaultPidfile} by default`),
    stdout: path("stdout", "Where a daemon's output goes. /dev/null by default"),
    stderr: path("stderr", "Where a daemon's log goes. /dev/null by default"),
    "log-format": Flag.Literals("log-format", ["text", "json"]).pipe(
      Flag.withDescription("Goes before log.format of the config file"),
      Flag.optional
    ),
    watch: Flag.Boolean("watch").pipe(
      Flag.withDescription("Reload when the config file has changed, as on a SIGHUP"),
      Flag.withDefault(false)
    ),
    workers: Flag.String("workers").pipe(
      Flag.withMetavar("N|auto"),
      Flag.withDescription(
        "How many threads serve: all listen on the same ports. auto is one for each core. 1 by default"
      ),
      Flag.optional
    ),
    stdin: gone("stdin"),
    directory: gone("directory"),
    umask: gone("umask")
  })
)

// The memory that they share has room for no more, and no machine has a use for them.
const mostWorkers = 64

/** `undefined` for what makes no sense. */
export const countOf = (workers: string): number | undefined => {
  if (workers === "auto") return Math.min(Os.availableParallelism(), mostWorkers)
  return /^[1-9]\d{0,2}$/.test(workers) && Number(workers) <= mostWorkers ? Number(workers) : undefined
}

/** The flags, without those that are no more. */
export const flags = Effect.gen(function*() {
  const given = yield* blackgate
  for (const [name, why] of Object.entries(instead)) {
    if (Option.isSome(given[name as keyof typeof instead])) {
      return yield* failWith(1, `--${name} is not supported any more: ${why}`)
    }
  }
  if (Option.getOrUndefined(given.config) === "") {
    return yield* failWith(1, "-c: expected the name of a file, found nothing")
  }
  const workers = Option.getOrElse(given.workers, () => "1")
  const count = countOf(workers)
  if (count === undefined) {
    return yield* failWith(1, `--workers ${workers}: expected auto, or a whole number from 1 to ${mostWorkers}`)
  }
  return {
    watch: given.watch,
    workers: count,
    config: Option.getOrUndefined(given.config),
    daemon: given.daemon,
    pidfile: Option.getOrUndefined(given.pidfile),
    stdout: Option.getOrElse(given.stdout, () => "/dev/null"),
    stderr: Option.getOrElse(given.stderr, () => "/dev/null"),
    format: Option.getOrUndefined(given["log-format"])
  }
})

/** The config file that is meant. */
export const configFile = Effect.flatMap(flags, ({ config }) => findConfigFile(config))
