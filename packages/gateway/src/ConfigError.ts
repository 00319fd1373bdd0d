/**
 * What is wrong with a config file: everything at once, each with its place in the file.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { Loaded } from "./Config.ts"
import type { Remainder } from "./internal/remainder.ts"

/**
 * A place in a file; lines and columns count from 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface Place {
  readonly line: number
  readonly column: number
  /** The line, as it is written; what is secret in it is not shown. */
  readonly text: string
  /** How many characters from `column` on are meant. */
  readonly length: number
}

/**
 * One thing that is wrong.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  /** Which value: `["proxies", 0, "name"]`. Empty for the file as a whole. */
  readonly path: ReadonlyArray<string | number>
  /** In words that finish the sentence "expected …"; or a sentence of its own, in `message`. */
  readonly expected?: string | undefined
  readonly found?: string | undefined
  readonly message?: string | undefined
  /** What may have been meant. */
  readonly hint?: string | undefined
  /** `undefined` for what has no place in the file. */
  readonly place: Place | undefined
}

/**
 * A config file that can't be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigError extends Data.TaggedError("ConfigError")<{
  readonly file: string
  readonly problems: ReadonlyArray<Problem>
  /** What can still be looked at for more, by who reads on. */
  readonly rest?: { readonly loaded: Loaded; readonly isDoubtful: Remainder["isDoubtful"] } | undefined
}> {
  override get message(): string {
    const { file, problems } = this
    const count = problems.length === 1 ? "1 error" : `${problems.length} errors`
    return `${problems.map((problem) => render(file, problem)).join("\n\n")}\n\n${count} in ${file}`
  }
}

const plain = /^[A-Za-z_][\w-]*$/

/**
 * A path as it is printed: `proxies[0].name`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatPath = (path: ReadonlyArray<string | number>): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    if (!plain.test(key)) return `${text}[${JSON.stringify(key)}]`
    return text === "" ? key : `${text}.${key}`
  }, "")

// A line of a file that was made by a program can be very long.
const widest = 160

// What a terminal gives two columns (UAX 11), as long as it is one of UTF-16; those that are two have two anyway.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]/g

/** As much room as a text takes. */
const blank = (text: string): string =>
  text.replace(/[\p{M}\u200b-\u200d]/gu, "").replace(wide, "  ").replace(/[^\t]/g, " ")

const render = (file: string, { expected, found, hint, message, path, place }: Problem): string => {
  const where = place === undefined ? file : `${file}:${place.line}:${place.column}`
  const subject = path.length === 0 ? "" : `${formatPath(path)}: `
  const what = message ?? `expected ${expected}${found === undefined ? "" : `, found ${found}`}`
  const lines = [`${where}: ${subject}${what}${hint === undefined ? "" : ` (${hint})`}`]
  if (place !== undefined) {
    const { column, length, line, text } = place
    const from = text.length <= widest ? 0 : Math.max(0, Math.min(column - 1 - 40, text.length - widest))
    const shown = text.slice(from, from + widest)
    const before = shown.slice(0, column - 1 - from)
    const carets = "^".repeat(Math.max(1, Math.min(length, shown.length - before.length)))
    const gutter = String(line).length
    lines.push(`${" ".repeat(gutter)} |`, `${line} | ${shown}`, `${" ".repeat(gutter)} | ${blank(before)}${carets}`)
  }
  return lines.join("\n")
}
