import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import * as Path from "node:path"

/** What is used of `@sentry/node`. */
interface Sdk {
  readonly init: (options: { readonly dsn: string }) => unknown
  readonly captureException: (error: unknown) => unknown
}

// Only who wants it installs it: beside the program, or where it is started.
const load = (): Sdk | Error => {
  let missing: unknown
  for (const from of [import.meta.url, Path.resolve("package.json")]) {
    try {
      return createRequire(from)("@sentry/node") as Sdk
    } catch (cause) {
      missing = cause
    }
  }
  return missing as Error
}

const begun = (dsn: string): Sdk | Error => {
  const sdk = load()
  if (sdk instanceof Error) return sdk
  try {
    sdk.init({ dsn })
    return sdk
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(String(cause))
  }
}

/** Reports defects to Sentry, if a config asks for it and its package is installed. */
export class Sentry {
  private sdk: Sdk | undefined = undefined
  private dsn: string | undefined = undefined

  /** From now on there, or nowhere. */
  use(dsn: string | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (dsn === this.dsn) return Effect.void
      this.dsn = dsn
      this.sdk = undefined
      if (dsn === undefined || dsn === "") return Effect.void
      const sdk = begun(dsn)
      if (sdk instanceof Error) {
        const why = sdk.message.split("\n")[0]
        return Effect.logWarning(
          `sentry.dsn is set, but the package @sentry/node can't be used, so nothing is reported: ${why}`
        )
      }
      this.sdk = sdk
      return Effect.void
    })
  }

  /** It is in the log already, whatever the package makes of it. */
  report(error: unknown): void {
    try {
      this.sdk?.captureException(error)
    } catch {}
  }
}
