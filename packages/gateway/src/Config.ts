/**
 * Reads a config file: YAML or JSON, with `${NAME}`, `${NAME:-default}` and `${file:path}` in place, checked by `ConfigSchema`.
 *
 * It fails with everything that is wrong at once. It builds nothing: whether an upstream is there, or a certificate fits its key, is
 * not its question.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ConfigError, type Place, type Problem } from "./ConfigError.ts"
import type { ConfigModule } from "./ConfigModule.ts"
import { type Config, ConfigSchema } from "./ConfigSchema.ts"
import { byPlace } from "./internal/byPlace.ts"
import { ConfigText, type Path } from "./internal/ConfigText.ts"
import { type Finding, findings } from "./internal/issues.ts"
import { plainData } from "./internal/plainData.ts"
import { remainderOf } from "./internal/remainder.ts"
import { isSecretAt, show } from "./internal/show.ts"
import type { Sources } from "./internal/substitute.ts"

/**
 * A config that makes sense by itself, and the places that its values come from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Loaded {
  readonly file: string
  readonly config: Config
  /** Where a value or its key stands, for what is only found out later. */
  readonly place: (path: Path, at?: "key" | "value") => Place | undefined
  /** How a value is written, if a substitution has made something else of it. */
  readonly written: (path: Path) => string | undefined
  /** The place of a part of a text. */
  readonly placeIn: (path: Path, start: number, length: number) => Place | undefined
  /** What the config has in code, if it comes from a module. */
  readonly code?: Pick<ConfigModule, "middleware" | "routes"> | undefined
}

/**
 * Where a config's text comes from, and what it may refer to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Sources {
  /** What it is called in errors. */
  readonly file: string
}

/**
 * Reads the text of a config file.
 *
 * **Example** (Two errors at once)
 *
 * ```ts fragment
 * import { parse } from "./Config.ts"
 *
 * parse("prot: 80\nproxies: 1", { file: "blackgate.yml", env: {}, readFile: () => "" })
 * ```
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string, options: Options): Effect.Effect<Loaded, ConfigError> =>
  Effect.suspend(() => {
    const { file } = options
    const read = new ConfigText(text.replace(/^\uFEFF/, ""), options)
    if (read.value === undefined && read.problems.length === 0) {
      const problem = { path: [], expected: "a mapping with proxies or routes", found: "nothing", place: undefined }
      return Effect.fail(new ConfigError({ file, problems: [problem] }))
    }
    return check(file, read.value, read.problems, read, {
      place: (path, at = "value") => read.placeAt(path, at),
      written: (path) => read.writtenAt(path),
      placeIn: (path, start, length) => read.placeIn(path, start, length)
    })
  })

/**
 * Checks a config that is an object already. It has no lines: errors have the path of what is wrong, and no place.
 *
 * @category parsing
 * @since 0.1.0
 */
export const fromData = (given: unknown, file: string): Effect.Effect<Loaded, ConfigError> =>
  Effect.suspend(() => {
    const { problems, value = {} } = plainData(given)
    const nowhere = () => undefined
    const data = { value, placeAt: nowhere, writtenAt: nowhere, hide: nowhere }
    return check(file, value, problems, data, { place: nowhere, written: nowhere, placeIn: nowhere })
  })

/** What there is to say of a config's data; `unread` has been said already. */
const check = (
  file: string,
  value: unknown,
  unread: ReadonlyArray<Problem>,
  text: Pick<ConfigText, "hide" | "placeAt" | "value" | "writtenAt">,
  places: Pick<Loaded, "place" | "placeIn" | "written">
): Effect.Effect<Loaded, ConfigError> => {
  if (value === undefined) return Effect.fail(new ConfigError({ file, problems: unread.toSorted(byPlace) }))
  const decoded = Schema.decodeUnknownResult(ConfigSchema)(value, { errors: "all", onExcessProperty: "error" })
  if (unread.length === 0 && Result.isSuccess(decoded)) {
    return Effect.succeed({ file, config: decoded.success, ...places })
  }
  const found = Result.isFailure(decoded) ? findings(decoded.failure.issue) : []
  for (const { isSecret, path } of found) if (isSecret) text.hide(path)
  // What could not be read is not there, and has been told of.
  const known = new Set(unread.map(({ path }) => JSON.stringify(path)))
  const more = found.filter(({ path }) => !known.has(JSON.stringify(path))).map((finding) => problemOf(finding, text))
  const remainder = remainderOf(value, found, unread)
  const rest = remainder && {
    loaded: { file, config: remainder.config, ...places },
    isDoubtful: remainder.isDoubtful
  }
  return Effect.fail(new ConfigError({ file, problems: [...unread, ...more].toSorted(byPlace), rest }))
}

const problemOf = (
  { at, expected, hint, isSecret, kind, path }: Finding,
  text: Pick<ConfigText, "placeAt" | "value" | "writtenAt">
): Problem => {
  const place = text.placeAt(path, at)
  const guess = hint === undefined ? undefined : `did you mean ${hint}?`
  if (kind === "missing") return { path, message: `it is missing: expected ${expected}`, place }
  if (kind === "unexpected") {
    return { path, expected, found: JSON.stringify(path.at(-1)), hint: guess, place }
  }
  const written = text.writtenAt(path)
  const found = isSecret || isSecretAt(path) ? "something else, which is not shown" : written === undefined
    ? show(valueAt(text.value, path))
    : `what ${written} stands for`
  return { path, expected, found, hint: guess, place }
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, key) => at instanceof Object ? Reflect.get(at, key) : undefined, value)
