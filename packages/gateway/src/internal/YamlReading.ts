import * as Yaml from "yaml"
import type { Place, Problem } from "../ConfigError.ts"
import { type Sources, substitute } from "./substitute.ts"

type Path = ReadonlyArray<string | number>

export type Range = readonly [start: number, end: number]

/** Where a value stands, and its key. Not their nodes: a config is there for as long as it runs, and those are many times as large. */
export interface Found {
  readonly key: Range | undefined
  readonly value: Range | undefined
  /** What a text reads, before a substitution. */
  readonly text: string | undefined
  /** The same, where a substitution has made something else of it. */
  readonly written: string | undefined
}

/** The text that a document is of. */
interface Text {
  readonly problems: Array<Problem>
  readonly note: (path: Path, found: Found, isScalar: boolean) => void
  readonly placeOf: (start: number, end: number) => Place
  readonly placeIn: (path: Path, start: number, length: number) => Place | undefined
}

export const tooDeep = "it is nested too deeply"

// What aliases and merges may unfold to: more than any config needs, less than what fills the memory.
const mostNodes = 200_000

// Deeper than any config, and less than what the stack bears.
const mostDeep = 100

const isNumber = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i

/** Makes plain data of a document, and tells its text where everything stands and what is wrong. */
export class YamlReading {
  readonly value: unknown
  private readonly sources: Sources
  private readonly text: Text
  private readonly targets: ReadonlyMap<Yaml.Alias, Yaml.Node | undefined>
  private nodes = 0
  private wasTooDeep = false

  /** `hasAnchors` if there may be one. */
  constructor(document: Yaml.Document.Parsed, sources: Sources, text: Text, hasAnchors: boolean) {
    this.sources = sources
    this.text = text
    this.targets = hasAnchors ? targetsIn(document) : new Map()
    this.value = this.read(document.contents, [], undefined, [])
  }

  private wrong(path: Path, message: string, node: Yaml.Node | undefined): undefined {
    const place = node?.range ? this.text.placeOf(node.range[0], node.range[1]) : undefined
    this.text.problems.push({ path, message, place })
    return undefined
  }

  /** Counts one more, and says whether that is too many: once. */
  private isTooMany(node: Yaml.Node | null | undefined): boolean {
    if (++this.nodes <= mostNodes) return false
    if (this.nodes === mostNodes + 1) this.wrong([], "it is too large", node ?? undefined)
    return true
  }

  private isTooDeep(node: Yaml.Node, within: ReadonlyArray<Yaml.Node>): boolean {
    if (within.length <= mostDeep) return false
    if (!this.wasTooDeep) this.wrong([], tooDeep, node)
    return this.wasTooDeep = true
  }

  private read(
    node: Yaml.Node | null | undefined,
    path: Path,
    key: Yaml.Scalar | undefined,
    within: ReadonlyArray<Yaml.Node>
  ): unknown {
    if (this.isTooMany(node)) return undefined
    if (Yaml.isAlias(node)) {
      const target = this.targets.get(node)
      if (target === undefined) return this.wrong(path, `there is no anchor &${node.source}`, node)
      return this.read(target, path, key, within)
    }
    const text = Yaml.isScalar(node) && typeof node.value === "string" ? node.value : undefined
    const found = { key: rangeOf(key), value: rangeOf(node), text, written: undefined }
    this.text.note(path, found, Yaml.isScalar(node))
    if (node === null || node === undefined) return undefined
    if (within.includes(node)) return this.wrong(path, "it contains itself", key ?? node)
    if (this.isTooDeep(node, within)) return undefined
    if (Yaml.isMap(node)) return this.readMap(node, path, [...within, node])
    if (Yaml.isSeq(node)) {
      return node.items.map((item, i) => this.read(item as Yaml.Node, [...path, i], undefined, [...within, node]))
    }
    const { type, value } = node as Yaml.Scalar
    // What nothing stands behind is not there: a key whose value is commented out, say.
    if (value === null) return undefined
    if (typeof value !== "string") return value
    const made = substitute(value, this.sources)
    if (made === undefined) return value
    if ("message" in made) {
      const place = this.text.placeIn(path, made.at, made.length)
        ?? (found.value && this.text.placeOf(found.value[0], found.value[1]))
      this.text.problems.push({ path, message: made.message, place })
      return undefined
    }
    this.text.note(path, { ...found, written: value }, false)
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
        // To YAML, a number and the text of it are two keys.
        if (Object.hasOwn(own, name)) this.wrong(path, `there is another key that reads ${JSON.stringify(name)}`, key)
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
      if (this.isTooMany(source)) return
      const target = Yaml.isAlias(source) ? this.targets.get(source) : source
      if (!Yaml.isMap(target) || within.includes(target)) {
        this.wrong(path, "expected a mapping to merge", source ?? undefined)
        continue
      }
      if (this.isTooDeep(target, within)) return
      Object.assign(into, this.readMap(target, path, [...within, target]))
    }
  }
}

const rangeOf = (node: Yaml.Node | null | undefined) =>
  node?.range ? [node.range[0], node.range[1]] as const : undefined

/** What aliases stand for, found in one walk: the last anchor of their name before them. */
const targetsIn = (document: Yaml.Document.Parsed): ReadonlyMap<Yaml.Alias, Yaml.Node | undefined> => {
  const targets = new Map<Yaml.Alias, Yaml.Node | undefined>()
  const anchors = new Map<string, Yaml.Node>()
  Yaml.visit(document, {
    Node: (_, node) => {
      if (Yaml.isAlias(node)) targets.set(node, anchors.get(node.source))
      else if (node.anchor !== undefined) anchors.set(node.anchor, node)
    }
  })
  return targets
}

const plain = (text: string): unknown => {
  if (text === "true" || text === "false") return text === "true"
  return isNumber.test(text) ? Number(text) : text
}
