/**
 * The command line of the `blackgate` program.
 *
 * So far it answers `--help` and `--version`, and refuses anything else by name. It reads no config file and starts no
 * gateway: those will be its subcommands.
 */
import * as CliConfig from "effect/cli/CliConfig"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"

const PackageJson = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

// One folder up is the package's root from `src` in the workspace and from `dist` once packed.
const version = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = yield* path.fromFileUrl(new URL("../package.json", import.meta.url))
  const text = yield* fs.readFileString(file)
  return (yield* Schema.decodeEffect(PackageJson)(text)).version
})

const blackgate = Command.make("blackgate").pipe(
  Command.withDescription(
    "Blackgate, an API gateway. This version prints its help and its version; it cannot run a gateway from a file yet. "
      + "To run one from code, use the packages @blackgate/core, @blackgate/http and @blackgate/node."
  )
)

/**
 * Runs the program with the arguments of the process.
 *
 * **Details**
 *
 * Fails with a `CliError`, after saying what was wrong with the arguments, when they are not understood.
 *
 * @category running
 * @since 0.1.0
 */
export const run = version.pipe(
  Effect.flatMap((version) => Command.run(blackgate, { version })),
  Effect.provideService(
    CliConfig.CliConfig,
    CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })
  )
)
