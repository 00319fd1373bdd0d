import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Module from "node:module"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { ConfigError } from "../ConfigError.ts"
import { noQuitting } from "./quitting.ts"
import { claim } from "./strays.ts"
import { type Imported, thrownBy } from "./thrown.ts"

// Node keeps what was imported by its URL, for good: what is to be imported anew gets another one.
const key = "blackgate"
const versionOf = (url: string | undefined): number | undefined => {
  const [, version] = /[?&]blackgate=(\d+)/.exec(url ?? "") ?? []
  return version === undefined ? undefined : Number(version)
}

/**
 * What a module was imported from, so that another thread imports the same, whatever has become of its files: nothing as yet, or the entry and all
 * that it imports of its folder. CommonJS is not among it: Node reads that by itself.
 */
export interface ModuleFiles {
  /** As links lead to it. */
  entry: string | undefined
  readonly sources: Map<string, { readonly format: string; readonly source: Uint8Array }>
}

interface Import extends Imported {
  readonly files: Set<string>
  readonly kept: ModuleFiles
  /** Whether `kept` was there before. */
  readonly isAgain: boolean
}

/** By version: those that are under way, and those that may import something yet. */
const imports = new Map<number, Import>()
let versions = 0
let hooks: Module.ModuleHooks | undefined

// What the program has, a module may import, though it were installed elsewhere.
const ours = /^(?:blackgate|effect|@effect\/platform-node|@blackgate\/[^/]+)(?:\/|$)/

const isBelow = (folder: string, file: string): boolean =>
  file.startsWith(folder.endsWith(Path.sep) ? folder : folder + Path.sep)
  && !file.includes(`${Path.sep}node_modules${Path.sep}`)

const resolve: Module.ResolveHookSync = (specifier, context, next) => {
  const within = versionOf(context.parentURL)
  const version = within ?? versionOf(specifier)
  const importing = version === undefined ? undefined : imports.get(version)
  const again = importing?.isAgain === true ? importedBefore(importing, specifier, context.parentURL) : undefined
  // Node asks for the format later.
  if (again !== undefined) return { url: versioned(again, version!), format: "module", shortCircuit: true }
  // The entry is asked for with its version, by this module.
  if (importing === undefined || within === undefined) return next(specifier, context)
  if (ours.test(specifier)) {
    try {
      return next(specifier, context)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause
      try {
        return next(specifier, { ...context, parentURL: import.meta.url })
      } catch {
        throw cause
      }
    }
  }
  const resolved = next(specifier, context)
  if (!resolved.url.startsWith("file:")) return resolved
  const file = fileURLToPath(resolved.url)
  if (!isBelow(importing.folder, file)) return resolved
  importing.files.add(file)
  return { ...resolved, url: versioned(resolved.url, version!) }
}

const versioned = (url: string, version: number): string =>
  versionOf(url) === version ? url : `${url}${url.includes("?") ? "&" : "?"}${key}=${version}`

/** Its URL, if it is among what was imported the first time; its file may be gone. */
const importedBefore = ({ files, kept: { sources } }: Import, specifier: string, parent: string | undefined) => {
  if (!/^(?:\.{0,2}\/|file:)/.test(specifier)) return undefined
  const url = new URL(specifier, parent)
  const file = fileURLToPath(url)
  if (!sources.has(file)) return undefined
  files.add(file)
  return url.href
}

const load: Module.LoadHookSync = (url, context, next) => {
  const version = url.startsWith("file:") ? versionOf(url) : undefined
  const importing = version === undefined ? undefined : imports.get(version)
  if (importing === undefined) return next(url, context)
  const { isAgain, kept: { sources } } = importing
  const file = fileURLToPath(url)
  const before = isAgain ? sources.get(file) : undefined
  if (before !== undefined) return { ...before, source: Buffer.from(before.source), shortCircuit: true }
  const loaded = next(url, context)
  if (!isAgain && loaded.format !== "commonjs" && loaded.source !== undefined && loaded.source !== null) {
    sources.set(file, { format: loaded.format!, source: new Uint8Array(Buffer.from(loaded.source as Uint8Array)) })
  }
  return loaded
}

class Dangling {
  readonly reason: unknown
  constructor(reason: unknown) {
    this.reason = reason
  }
}

/** Imports it. A promise that it rejects meanwhile, and that nobody awaits, would end the process: it is the import that fails. */
const awaited = async (url: string, version: number): Promise<object> => {
  let dangling: Dangling | undefined
  const disclaim = claim((reason) => {
    const isIts = reason instanceof Error && String(reason.stack).includes(`${key}=${version}`)
    if (isIts) dangling ??= new Dangling(reason)
    return isIts
  })
  try {
    const exports = await import(url) as object
    // Node tells of them when a turn is over.
    await new Promise((resolve) => setImmediate(resolve))
    if (dangling !== undefined) throw dangling
    return exports
  } finally {
    disclaim()
  }
}

// What an import that never ends waits for, nobody knows.
const patience = "30 seconds"

/**
 * Imports a module, and what it imports of its own folder, anew; whatever thread this is. `read` is told of all files of it, whether the
 * import fails or not. It is imported from `kept` if that has it; else that has it from now on.
 */
export const importAnew = (
  file: string,
  read: (files: ReadonlySet<string>) => void,
  kept: ModuleFiles = { entry: undefined, sources: new Map() }
): Effect.Effect<{ readonly exports: object; readonly imported: Imported }, ConfigError> =>
  Effect.suspend(() => {
    const isAgain = kept.entry !== undefined
    const real = kept.entry ??= Fs.realpathSync(file)
    const version = ++versions
    const imported: Import = { file, folder: Path.dirname(real), files: new Set([real]), kept, isAgain }
    imports.set(version, imported)
    hooks ??= Module.registerHooks({ resolve, load })
    const url = pathToFileURL(real)
    url.searchParams.set(key, String(version))
    const importing = Effect.tryPromise({
      try: () => awaited(url.href, version),
      catch: (thrown) =>
        thrown instanceof Dangling
          ? thrownBy(imported, "it rejects a promise that nobody awaits: ", thrown.reason)
          : thrownBy(imported, "it can't be imported: ", thrown)
    })
    return noQuitting(file, "while it was imported", importing).pipe(
      Effect.map((exports) => ({ exports, imported })),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () =>
          Effect.fail(
            new ConfigError({
              file,
              problems: [{
                path: [],
                message: `its import has not ended in ${patience}: what does it await?`,
                place: undefined
              }]
            })
          )
      }),
      Effect.ensuring(Effect.sync(() => read(imported.files)))
    )
  })
