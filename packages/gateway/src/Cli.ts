/**
 * The command line of the `blackgate` program.
 *
 * The flags, the places where a config file is looked for, and the words `start`, `stop`, `restart` and `status` are those of the
 * Python program. Flags stand before the command or after it.
 *
 * @since 0.1.0
 */
import * as CliConfig from "effect/cli/CliConfig"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { completions } from "./internal/completions.ts"
import { check, init, routes, schema } from "./internal/configCommands.ts"
import { blackgate } from "./internal/flags.ts"
import { reload, restart, start, status, stop } from "./internal/processCommands.ts"

const PackageJson = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

// One folder up is the package's root from `src` in the workspace and from `dist` once packed.
const version = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = yield* path.fromFileUrl(new URL("../package.json", import.meta.url))
  const text = yield* fs.readFileString(file)
  return (yield* Schema.decodeEffect(PackageJson)(text)).version
})

const program = blackgate.pipe(
  Command.withSubcommands([start, stop, restart, status, reload, check, routes, schema, init])
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
  Effect.flatMap((version) => Command.run(program, { version })),
  Effect.provideService(
    CliConfig.CliConfig,
    CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions] })
  )
)
