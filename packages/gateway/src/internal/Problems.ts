import { createSecureContext, type SecureContextOptions } from "node:tls"
import type { Loaded } from "../Config.ts"
import type { Problem } from "../ConfigError.ts"
import type { Path } from "./ConfigText.ts"
import { Pattern, PatternError } from "./Pattern.ts"
import { suggest } from "./suggest.ts"

/** The text of a file, or each of its bytes as a character. */
export type ReadFile = (path: string, encoding?: "utf8" | "latin1") => string

// A file that a program has made may be wrong in thousands of places, and a gateway that reloads it serves meanwhile.
const mostNames = 20
const mostGuesses = 100

/** What turns out to be wrong with a config as it is put to use. */
export class Problems {
  readonly all: Array<Problem> = []
  readonly loaded: Loaded
  private readonly read: ReadFile
  private readonly bytes = new Map<string, Uint8Array>()

  constructor(loaded: Loaded, readFile: ReadFile) {
    this.loaded = loaded
    this.read = readFile
  }

  add(path: Path, message: string, hint?: string): undefined {
    this.all.push({ path, message, hint, place: this.loaded.place(path) })
    return undefined
  }

  /** The text of a file that the config names. */
  readFile(path: Path, file: string): string {
    return this.readAs(path, file, "utf8")
  }

  /** What is in a file that the config names, whatever that is. Who names the same file gets the same bytes. */
  readBytes(path: Path, file: string): Uint8Array {
    let bytes = this.bytes.get(file)
    if (bytes !== undefined) return bytes
    const before = this.all.length
    bytes = Buffer.from(this.readAs(path, file, "latin1"), "latin1")
    if (this.all.length === before) this.bytes.set(file, bytes)
    return bytes
  }

  private readAs(path: Path, file: string, encoding: "utf8" | "latin1"): string {
    try {
      return this.read(file, encoding)
    } catch (cause) {
      this.add(path, `${file} can't be read: ${(cause as Error).message}`)
      return ""
    }
  }

  /** One of the things that have a name; `what` says what they are. */
  named<A>(path: Path, name: string, what: string, all: ReadonlyMap<string, A>): A | undefined {
    if (all.has(name)) return all.get(name)
    const names = Array.from(all.keys())
    const isAddress = what === "upstreams" && /^[\w.-]+:\d+(?:\/|$)/.test(name)
    const guess = isAddress ? `http://${name}` : this.all.length < mostGuesses ? suggest(name, names) : undefined
    const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : ""
    const known = names.length === 0
      ? `there are no ${what}`
      : `expected one of ${what}: ${names.slice(0, mostNames).join(", ")}${more}`
    return this.add(path, `${known}, found ${JSON.stringify(name)}`, guess && `did you mean ${guess}?`)
  }

  pattern(path: Path, source: string): Pattern | undefined {
    return this.within(path, () => new Pattern(source))
  }

  /** What may throw a `PatternError` about the text at a path. */
  within<A>(path: Path, make: () => A): A | undefined {
    try {
      return make()
    } catch (cause) {
      if (!(cause instanceof PatternError)) throw cause
      const place = this.loaded.placeIn(path, cause.at, cause.length) ?? this.loaded.place(path)
      this.all.push({ path, message: cause.message, place })
      return undefined
    }
  }

  /** What only OpenSSL can tell. */
  tls(path: Path, options: SecureContextOptions): void {
    try {
      createSecureContext(options)
    } catch (cause) {
      this.add(path, `TLS can't use this: ${(cause as Error).message}`)
    }
  }
}
