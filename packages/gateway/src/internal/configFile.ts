import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { type Loaded, parse } from "../Config.ts"
import { ConfigError } from "../ConfigError.ts"
import { type Plan, planOf } from "./Plan.ts"
import { readRegularFile } from "./readRegularFile.ts"

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
const readFrom = (file: string) => (path: string): string =>
  readRegularFile(Path.resolve(Path.dirname(file), path)).toString("utf8")

const readConfigFile = (file: string): Effect.Effect<Loaded, ConfigError> =>
  Effect.suspend(() => {
    let bytes: Buffer
    try {
      bytes = readRegularFile(file)
    } catch (cause) {
      return Effect.fail(refuse(file, `it can't be read: ${(cause as Error).message}`))
    }
    let text: string
    try {
      text = utf8.decode(bytes)
    } catch {
      return Effect.fail(refuse(file, "it is not UTF-8"))
    }
    // A file of some other kind, or of some other encoding.
    if (text.includes("\0")) return Effect.fail(refuse(file, "it is not text"))
    return parse(text, { file, env: process.env, readFile: readFrom(file) })
  })

/** The file's config, with the files that it names. */
export const loadPlan = (file: string): Effect.Effect<Plan, ConfigError> =>
  Effect.flatMap(readConfigFile(file), (loaded) => planOf(loaded, readFrom(file)))
