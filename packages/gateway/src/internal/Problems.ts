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

// What OpenSSL says, for who does not know it.
const words: ReadonlyArray<readonly [said: RegExp, means: string]> = [
  [/key values mismatch|key type mismatch/, "the key is not that of the certificate"],
  [/no start line|bad end line|bad base64 decode/, "a file of it is not PEM"],
  [/bad decrypt|bad password read|interrupted or cancelled/, "the passphrase does not open the key, or there is none"]
]

const inWords = (said: string): string => {
  const means = words.find(([pattern]) => pattern.test(said))?.[1]
  return means === undefined ? said : `${means} (${said})`
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, key) => at instanceof Object ? Reflect.get(at, key) : undefined, value)

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
    const inPlace = this.inPlaceOf(path)
    const value = JSON.stringify(valueAt(this.loaded.config, path))
    const told = inPlace === undefined
      ? { message, hint }
      : {
        message: message.replaceAll(value, () => inPlace).replaceAll(/https?:\/\/\S*/g, () => inPlace),
        hint: undefined
      }
    this.all.push({ path, ...told, place: this.loaded.place(path) })
    return undefined
  }

  /** What is said in place of a value that a substitution has made: it may be a secret. */
  private inPlaceOf(path: Path): string | undefined {
    const written = this.loaded.written(path)
    return written && `what ${written} stands for`
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
      const { message } = cause as Error
      const inPlace = this.inPlaceOf(path)
      this.add(
        path,
        inPlace === undefined
          ? `${file} can't be read: ${message}`
          // Without the name of the file.
          : `${inPlace} can't be read: ${message.replace(/, \w+ '[^]*$/, "")}`
      )
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
      const inPlace = this.inPlaceOf(path)
      const message = inPlace === undefined
        ? cause.message
        : cause.message.replace(/`[^]*`|(?<=named )[^]*$/, () => inPlace)
      this.all.push({ path, message, place })
      return undefined
    }
  }

  /** What only OpenSSL can tell. */
  tls(path: Path, options: SecureContextOptions): void {
    try {
      createSecureContext(options)
    } catch (cause) {
      this.add(path, `TLS can't use this: ${inWords((cause as Error).message)}`)
    }
  }
}
