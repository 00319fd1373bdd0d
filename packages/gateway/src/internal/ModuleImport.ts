import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Module from "node:module"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { ConfigError } from "../ConfigError.ts"
import { noQuitting } from "./quitting.ts"
import { type Imported, thrownBy } from "./thrown.ts"

// Node keeps what was imported by its URL, for good: what is to be imported anew gets another one.
const key = "blackgate"
const versionOf = (url: string | undefined): number | undefined => {
  const [, version] = /[?&]blackgate=(\d+)/.exec(url ?? "") ?? []
  return version === undefined ? undefined : Number(version)
}

interface Import extends Imported {
  readonly files: Set<string>
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
  const version = versionOf(context.parentURL)
  const importing = version === undefined ? undefined : imports.get(version)
  if (importing === undefined) return next(specifier, context)
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
  return { ...resolved, url: `${resolved.url}${resolved.url.includes("?") ? "&" : "?"}${key}=${version}` }
}

// What an import that never ends waits for, nobody knows.
const patience = "30 seconds"

/**
 * Imports a module, and what it imports of its own folder, anew; whatever thread this is. `read` is told of all files of it, whether the
 * import fails or not.
 */
export const importAnew = (
  file: string,
  read: (files: ReadonlySet<string>) => void
): Effect.Effect<{ readonly exports: object; readonly imported: Imported }, ConfigError> =>
  Effect.suspend(() => {
    const real = Fs.realpathSync(file)
    const version = ++versions
    const imported: Import = { file, folder: Path.dirname(real), files: new Set([real]) }
    imports.set(version, imported)
    hooks ??= Module.registerHooks({ resolve })
    const url = pathToFileURL(real)
    url.searchParams.set(key, String(version))
    const importing = Effect.tryPromise({
      try: () => import(url.href) as Promise<object>,
      catch: (thrown) => thrownBy(imported, "it can't be imported: ", thrown)
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
