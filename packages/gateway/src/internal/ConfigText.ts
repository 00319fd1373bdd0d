import * as Yaml from "yaml"
import type { Place, Problem } from "../ConfigError.ts"
import { isSecretAt, masked } from "./show.ts"
import type { Sources } from "./substitute.ts"
import { type Found, type Range, tooDeep, YamlReading } from "./YamlReading.ts"

export type Path = ReadonlyArray<string | number>

/** The text of a config file: YAML, and so JSON. It knows where in the text each value stands. */
export class ConfigText {
  readonly problems: Array<Problem> = []
  /** As plain data, with what it refers to in place; `undefined` if it is not even YAML. */
  readonly value: unknown
  private readonly text: string
  private readonly lines = new Yaml.LineCounter()
  private readonly found = new Map<string, Found>()
  private readonly secrets: Array<Range> = []

  constructor(text: string, sources: Sources) {
    this.text = text
    // Not "silent", which says nothing of a second document, and takes the first one for all of it.
    const document = Yaml.parseDocument(text, { lineCounter: this.lines, prettyErrors: false, logLevel: "error" })
    for (const { code, message, pos: [start, end] } of document.errors) {
      const hint = this.text[start - 1] === "$" ? "within { } and [ ], what has a ${ has to be in quotes" : undefined
      const said = code === "MULTIPLE_DOCS"
        ? "expected one document, found another one: nothing may stand behind ---"
        : message.startsWith("Maximum call stack")
        ? tooDeep
        : message.split("\n")[0]!
      this.problems.push({ path: [], message: said, hint, place: this.placeOf(start, end) })
      // What follows on one mistake of syntax are no mistakes of whoever wrote it.
      if (code !== "DUPLICATE_KEY") break
    }
    this.value = this.problems.length > 0
      ? undefined
      : new YamlReading(document, sources, this, text.includes("&")).value
  }

  /** How a value is written, if a substitution has made something else of it. */
  writtenAt(path: Path): string | undefined {
    return this.found.get(JSON.stringify(path))?.written
  }

  /** The place of a value or of its key; of what it would stand in, if it is not there. */
  placeAt(path: Path, at: "key" | "value"): Place | undefined {
    for (let length = path.length; length >= 0; length--) {
      const found = this.found.get(JSON.stringify(path.slice(0, length)))
      if (found === undefined) continue
      const isWhole = length === path.length
      const range = (at === "key" || !isWhole ? found.key : undefined) ?? found.value ?? found.key
      if (range !== undefined) return this.placeOf(range[0], isWhole ? range[1] : range[0] + 1)
    }
    return undefined
  }

  /** The place of a part of a text, if it is written just as it reads. */
  placeIn(path: Path, start: number, length: number): Place | undefined {
    const { text, value } = this.found.get(JSON.stringify(path)) ?? {}
    if (text === undefined || value === undefined) return undefined
    const offset = this.text.slice(value[0], value[1]).indexOf(text)
    if (offset === -1) return undefined
    const from = value[0] + offset + start
    return this.placeOf(from, from + Math.max(1, length))
  }

  /** Keeps a value from being shown. */
  hide(path: Path): void {
    const range = this.found.get(JSON.stringify(path))?.value
    if (range !== undefined) this.secrets.push(range)
  }

  /** Notes where a value stands. */
  note(path: Path, found: Found, isScalar: boolean): void {
    this.found.set(JSON.stringify(path), found)
    if (isScalar && isSecretAt(path)) this.hide(path)
  }

  placeOf(start: number, end: number): Place {
    const { col, line } = this.lines.linePos(Math.min(start, this.text.length))
    const from = this.lines.lineStarts[line - 1] ?? 0
    const newline = this.text.indexOf("\n", from)
    const till = newline === -1 ? this.text.length : newline
    let shown = this.text.slice(from, till)
    for (const [start, end] of this.secrets) {
      if (end <= from || start >= till) continue
      const [a, b] = [Math.max(start, from) - from, Math.min(end, till) - from]
      shown = shown.slice(0, a) + "*".repeat(b - a) + shown.slice(b)
    }
    return {
      line,
      column: col,
      text: masked(shown.replace(/\r$/, "")),
      length: Math.max(1, Math.min(end, till) - start)
    }
  }
}
