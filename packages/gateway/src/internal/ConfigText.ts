import * as Yaml from "yaml"
import type { Place, Problem } from "../ConfigError.ts"
import { isSecretName, masked } from "./show.ts"
import { type Sources, substitute } from "./substitute.ts"

export type Path = ReadonlyArray<string | number>

interface Found {
  readonly key: Yaml.Scalar | undefined
  readonly value: Yaml.Node | undefined
  /** As it was written, where a substitution has made something else of it. */
  readonly written: string | undefined
}

// What aliases may unfold to: more than any config needs, less than what fills the memory.
const mostNodes = 200_000

// Deeper than any config, and less than what the stack bears.
const mostDeep = 100
const tooDeep = "it is nested too deeply"

const isNumber = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i

/** The text of a config file: YAML, and so JSON. It knows where in the text each value stands. */
export class ConfigText {
  readonly problems: Array<Problem> = []
  /** As plain data, with what it refers to in place; `undefined` if it is not even YAML. */
  readonly value: unknown
  private readonly text: string
  private readonly lines = new Yaml.LineCounter()
  private readonly document: Yaml.Document.Parsed
  private readonly sources: Sources
  private readonly found = new Map<string, Found>()
  private readonly secrets: Array<readonly [start: number, end: number]> = []
  private nodes = 0

  constructor(text: string, sources: Sources) {
    this.text = text
    this.sources = sources
    // Not "silent", which says nothing of a second document, and takes the first one for all of it.
    this.document = Yaml.parseDocument(text, { lineCounter: this.lines, prettyErrors: false, logLevel: "error" })
    for (const { code, message, pos: [start, end] } of this.document.errors) {
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
    this.value = this.problems.length > 0 ? undefined : this.read(this.document.contents, [], undefined, [])
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
      const node = (at === "key" || !isWhole ? found.key : undefined) ?? found.value ?? found.key
      if (node?.range) return this.placeOf(node.range[0], isWhole ? node.range[1] : node.range[0] + 1)
    }
    return undefined
  }

  /** The place of a part of a text, if it is written just as it reads. */
  placeIn(path: Path, start: number, length: number): Place | undefined {
    const value = this.found.get(JSON.stringify(path))?.value
    if (!Yaml.isScalar(value) || !value.range || typeof value.value !== "string") return undefined
    const raw = this.text.slice(value.range[0], value.range[1])
    const offset = raw.indexOf(value.value)
    if (offset === -1) return undefined
    const from = value.range[0] + offset + start
    return this.placeOf(from, from + Math.max(1, length))
  }

  /** Keeps a value from being shown. */
  hide(path: Path): void {
    const range = this.found.get(JSON.stringify(path))?.value?.range
    if (range) this.secrets.push([range[0], range[1]])
  }

  private placeOf(start: number, end: number): Place {
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

  private wrong(path: Path, message: string, node: Yaml.Node | undefined): undefined {
    const place = node?.range ? this.placeOf(node.range[0], node.range[1]) : undefined
    this.problems.push({ path, message, place })
    return undefined
  }

  private read(
    node: Yaml.Node | null | undefined,
    path: Path,
    key: Yaml.Scalar | undefined,
    within: ReadonlyArray<Yaml.Node>
  ): unknown {
    const note = (value: Yaml.Node | undefined, written?: string) => {
      this.found.set(JSON.stringify(path), { key, value, written })
    }
    if (++this.nodes > mostNodes) {
      return this.nodes === mostNodes + 1 ? this.wrong(path, "it is too large", node ?? undefined) : undefined
    }
    if (Yaml.isAlias(node)) {
      const target = node.resolve(this.document)
      if (target === undefined) return this.wrong(path, `there is no anchor &${node.source}`, node)
      return this.read(target, path, key, within)
    }
    note(node ?? undefined)
    if (node === null || node === undefined) return undefined
    if (within.includes(node)) return this.wrong(path, "it contains itself", key ?? node)
    if (within.length > mostDeep) return this.wrong([], tooDeep, node)
    if (Yaml.isMap(node)) return this.readMap(node, path, [...within, node])
    if (Yaml.isSeq(node)) {
      return node.items.map((item, i) => this.read(item as Yaml.Node, [...path, i], undefined, [...within, node]))
    }
    if (isSecretName(path.at(-1))) this.hide(path)
    const { type, value } = node as Yaml.Scalar
    // What nothing stands behind is not there: a key whose value is commented out, say.
    if (value === null) return undefined
    if (typeof value !== "string") return value
    const made = substitute(value, this.sources)
    if (made === undefined) return value
    if ("message" in made) {
      this.problems.push({
        path,
        message: made.message,
        place: this.placeIn(path, made.at, made.length) ?? this.placeAt(path, "value")
      })
      return undefined
    }
    note(node, value)
    // In JSON there is no other way to write it.
    return type === "PLAIN" || made.isWhole ? plain(made.text) : made.text
  }

  private readMap(map: Yaml.YAMLMap, path: Path, within: ReadonlyArray<Yaml.Node>): Record<string, unknown> {
    const merged: Record<string, unknown> = {}
    const own: Record<string, unknown> = {}
    for (const pair of map.items) {
      const key = pair.key as Yaml.Node
      const value = pair.value as Yaml.Node | null
      if (!Yaml.isScalar(key) || key.value === null || key.value === "__proto__") {
        this.wrong(path, "expected text for a key", key)
        continue
      }
      if (key.value === "<<" && key.type === "PLAIN") this.merge(merged, value, path, within)
      else {
        const name = String(key.value)
        const read = this.read(value, [...path, name], key, within)
        if (read === undefined) delete merged[name]
        else own[name] = read
      }
    }
    return { ...merged, ...own }
  }

  // YAML 1.1 has merge keys, and so has the YAML of Python.
  private merge(into: Record<string, unknown>, value: Yaml.Node | null, path: Path, within: ReadonlyArray<Yaml.Node>) {
    for (const source of Yaml.isSeq(value) ? (value.items as Array<Yaml.Node>).toReversed() : [value]) {
      const target = Yaml.isAlias(source) ? source.resolve(this.document) : source
      if (!Yaml.isMap(target) || within.includes(target)) {
        this.wrong(path, "expected a mapping to merge", source ?? undefined)
        continue
      }
      Object.assign(into, this.readMap(target, path, [...within, target]))
    }
  }
}

const plain = (text: string): unknown => {
  if (text === "true" || text === "false") return text === "true"
  return isNumber.test(text) ? Number(text) : text
}
