import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { type Loaded, parse } from "../Config.ts"
import { ConfigError } from "../ConfigError.ts"
import { type Plan, planOf } from "./Plan.ts"
import { fromDisk, type Read } from "./Read.ts"

/** Where a config file is looked for if none is named: where the Python program looks. */
const places = (): ReadonlyArray<string> => [
  "./blackgate.yml",
  Path.join(Os.homedir(), ".blackgate.yml"),
  "/usr/local/etc/blackgate/blackgate.yml",
  "/etc/blackgate/blackgate.yml"
]

const isFile = (path: string): boolean => Fs.statSync(path, { throwIfNoEntry: false })?.isFile() === true

const refuse = (file: string, message: string): ConfigError =>
  new ConfigError({ file, problems: [{ path: [], message, place: undefined }] })

/** The file that was named, or the first one that is there. */
export const findConfigFile = (named: string | undefined): Effect.Effect<string, ConfigError> =>
  Effect.suspend(() => {
    const found = named ?? places().find(isFile)
    return found === undefined
      ? Effect.fail(refuse("blackgate.yml", `there is none; looked for ${places().join(", ")}. Name one by -c`))
      : Effect.succeed(found)
  })

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** Files that a config names are relative to it. */
const readFrom = (file: string, read: Read) => (path: string): string =>
  read(Path.resolve(Path.dirname(file), path)).toString("utf8")

const readConfigFile = (file: string, read: Read): Effect.Effect<Loaded, ConfigError> =>
  Effect.suspend(() => {
    let bytes: Buffer
    try {
      bytes = read(Path.resolve(file))
    } catch (cause) {
      return Effect.fail(refuse(file, `it can't be read: ${(cause as Error).message}`))
    }
    let text: string
    try {
      text = utf8.decode(bytes)
    } catch {
      return Effect.fail(refuse(file, "it is not UTF-8"))
    }
    return parse(text, { file, env: process.env, readFile: readFrom(file, read) })
  })

/** The file's config, with the files that it names. */
export const loadPlan = (file: string, read: Read = fromDisk): Effect.Effect<Plan, ConfigError> =>
  Effect.flatMap(readConfigFile(file, read), (loaded) => planOf(loaded, readFrom(file, read)))
