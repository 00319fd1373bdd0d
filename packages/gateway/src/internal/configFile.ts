import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fromData, type Loaded, parse } from "../Config.ts"
import { ConfigError } from "../ConfigError.ts"
import { type ConfigModule, isConfigModule } from "../ConfigModule.ts"
import { byPlace } from "./byPlace.ts"
import { importAnew, type ModuleFiles } from "./ModuleImport.ts"
import { type Plan, planOf } from "./Plan.ts"
import type { ReadFile } from "./Problems.ts"
import { fromDisk, type Read } from "./Read.ts"
import { thrownBy } from "./thrown.ts"
import { wrongGroups } from "./wrongOptions.ts"

/** Where a config file is looked for if none is named: where the Python program looks, and for a module. */
const places = (): ReadonlyArray<string> => [
  "./blackgate.yml",
  "./blackgate.config.ts",
  Path.join(Os.homedir(), ".blackgate.yml"),
  "/usr/local/etc/blackgate/blackgate.yml",
  "/etc/blackgate/blackgate.yml"
]

const isFile = (path: string): boolean => Fs.statSync(path, { throwIfNoEntry: false })?.isFile() === true

const refuse = (file: string, message: string): ConfigError =>
  new ConfigError({ file, problems: [{ path: [], message, place: undefined }] })

/** The file that was named, or the first one that is there, seen from a folder. */
export const findConfigFile = (named: string | undefined, cwd?: string): Effect.Effect<string, ConfigError> =>
  Effect.suspend(() => {
    const seen = (path: string) => cwd === undefined ? path : Path.resolve(cwd, path)
    const found = named === undefined ? places().map(seen).find(isFile) : seen(named)
    return found === undefined
      ? Effect.fail(refuse("blackgate.yml", `there is none; looked for ${places().join(", ")}. Name one by -c`))
      : Effect.succeed(found)
  })

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** Files that a config names are relative to it. */
const readFrom = (file: string, read: Read) => (path: string, encoding: "utf8" | "latin1" = "utf8"): string =>
  read(Path.resolve(Path.dirname(file), path)).toString(encoding)

const readText = (file: string, read: Read): Effect.Effect<Loaded, ConfigError> =>
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
    // A file of some other kind, or of some other encoding.
    if (text.includes("\0")) return Effect.fail(refuse(file, "it is not text"))
    return parse(text, { file, env: process.env, readFile: readFrom(file, read) })
  })

const keys = new Set(["config", "middleware", "routes"])

/** By name, all files that a config was read from, whether it could be used or not. */
const filesRead = new Map<string, Set<string>>()

/** The files that a config file consists of, as far as they have been read: itself, and what a module imports of its own folder. */
export const filesOf = (file: string): ReadonlySet<string> => new Set([file, ...filesRead.get(file) ?? []])

/** What a module defines, or what is wrong with it. */
const definitionIn = (exports: object): Pick<ConfigModule, "config" | "middleware" | "routes"> | string => {
  // Node gives those of CommonJS that name.
  if ("module.exports" in exports) {
    return "it is CommonJS, and has to be an ES module: export default defineConfig({ … })"
  }
  if (!("default" in exports)) return "it has no default export: expected export default defineConfig({ … })"
  const defined = exports.default
  if (!isConfigModule(defined)) {
    return "its default export is not what defineConfig of blackgate/config returns: export default defineConfig({ … })"
  }
  const { config, middleware, routes } = defined
  const strange = Object.keys(defined).filter((key) => !key.startsWith("~") && !keys.has(key))
  if (strange.length > 0) return `defineConfig takes ${[...keys].join(", ")}, and not ${strange.join(", ")}`
  if (routes !== undefined && !Layer.isLayer(routes)) {
    return "routes is not a layer: expected Proxy.route(…), HttpRouter.add(…), or several, merged"
  }
  if (middleware !== undefined && typeof middleware !== "function") {
    return "middleware is not a function: expected (answer) => an effect"
  }
  return { config, middleware, routes }
}

const readModule = (file: string, kept: ModuleFiles | undefined): Effect.Effect<Loaded, ConfigError> =>
  Effect.gen(function*() {
    try {
      if (kept?.entry === undefined) Fs.accessSync(file, Fs.constants.R_OK)
    } catch (cause) {
      return yield* refuse(file, `it can't be read: ${(cause as Error).message}`)
    }
    const read = (files: ReadonlySet<string>) => {
      filesRead.set(file, new Set([...filesRead.get(file) ?? [], ...files]))
    }
    const { exports, imported } = yield* importAnew(file, read, kept)
    // What is exported may throw as soon as somebody looks at it.
    const defined = yield* Effect.try({
      try: () => definitionIn(exports),
      catch: (thrown) => thrownBy(imported, "its default export can't be read: ", thrown)
    })
    if (typeof defined === "string") return yield* refuse(file, defined)
    const { config, middleware, routes } = defined
    const loaded = yield* fromData(config, file)
    return { ...loaded, code: { routes, middleware } }
  })

const modules = /\.m?[jt]s$/i

const readConfigFile = (
  file: string,
  read: Read,
  kept: ModuleFiles | undefined
): Effect.Effect<Loaded, ConfigError> => {
  if (modules.test(file)) return readModule(file, kept)
  return /\.c[jt]s$/i.test(file)
    ? Effect.fail(refuse(file, "a config module is an ES module: .ts, .mts, .js or .mjs"))
    : readText(file, read)
}

/** The file's config, with the files that it names. Each thread that runs a module imports it by itself, from what another one has kept of it. */
export const loadPlan = (file: string, read: Read = fromDisk, kept?: ModuleFiles): Effect.Effect<Plan, ConfigError> =>
  readConfigFile(file, read, kept).pipe(
    Effect.flatMap((loaded) => planOf(loaded, readFrom(file, read))),
    Effect.catchTag("ConfigError", (error) => withRest(error, readFrom(file, read)))
  )

/** What is wrong, and what is wrong besides with the parts that make sense. */
const withRest = (error: ConfigError, readFile: ReadFile): Effect.Effect<never, ConfigError> => {
  const { file, problems, rest } = error
  if (rest === undefined) return Effect.fail(error)
  return planOf(rest.loaded, readFile).pipe(
    Effect.match({
      onSuccess: ({ groups }) => wrongGroups(groups, rest.loaded),
      onFailure: (more) => more.problems
    }),
    Effect.flatMap((more) => {
      const certain = more.filter(({ path }) => !rest.isDoubtful(path))
      return Effect.fail(new ConfigError({ file, problems: [...problems, ...certain].toSorted(byPlace) }))
    })
  )
}
