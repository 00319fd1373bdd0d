import * as Fs from "node:fs"
import * as Path from "node:path"

/** A `ts` fence of a doc comment or of a Markdown page. */
export interface DocExample {
  /** The file it stands in, from the root of the repository. */
  readonly file: string
  /** The line of its opening fence, from 1. */
  readonly line: number
  readonly code: string
  /** Whether the fence is marked `import.meta.vitest`. */
  readonly runs: boolean
}

const pages = ["README.md", "docs/**/*.md", "packages/*/README.md"]
const sources = ["packages/*/src/**/*.ts"]

// In a doc comment every line of a fence begins with the comment's asterisk; in Markdown it begins with nothing.
const open = { comment: /^\s*\* ```ts(?: (.*))?$/, page: /^```ts(?: (.*))?$/ }
const close = { comment: /^\s*\* ```$/, page: /^```$/ }

const parse = (file: string, source: string): Array<DocExample> => {
  const kind = file.endsWith(".md") ? "page" : "comment"
  const found: Array<DocExample> = []
  const lines = source.split("\n")
  for (let index = 0; index < lines.length; index++) {
    const info = open[kind].exec(lines[index]!)
    if (info === null) continue
    const end = lines.findIndex((line, at) => at > index && close[kind].test(line))
    if (end < 0) throw new Error(`${file}:${index + 1}: a fence that is never closed`)
    const body = lines.slice(index + 1, end)
    const code = (kind === "page" ? body : body.map((line) => line.replace(/^\s*\* ?/, ""))).join("\n")
    const marks = (info[1] ?? "").split(" ")
    if (!marks.includes("fragment")) {
      found.push({ file, line: index + 1, code, runs: marks.includes("import.meta.vitest") })
    }
    index = end
  }
  return found
}

/**
 * Every `ts` fence of the documentation, except those marked `ts fragment`, which cannot stand alone.
 */
export const find = (root: string): Array<DocExample> =>
  Fs.globSync([...pages, ...sources], { cwd: root, exclude: ["**/node_modules/**"] }).toSorted().flatMap((file) =>
    parse(file, Fs.readFileSync(Path.join(root, file), "utf8"))
  )

const assertion = /^(?<indent>\s*)(?<actual>.+?)\s*\/\/ => (?<expected>.+)$/
const notAnExpression = /^(?:const|let|var|return|yield|[.)\]}])/

/**
 * The example as a program that checks itself: `expression // => value`, on one line, becomes an assertion. Lines keep
 * their numbers.
 */
export const toProgram = ({ code, file, line }: DocExample): string =>
  code.split("\n").map((text, index) => {
    const match = assertion.exec(text)
    if (match === null) return text
    const { actual, expected, indent } = match.groups!
    const at = `${file}:${line + index + 1}`
    if (notAnExpression.test(actual!)) throw new Error(`${at}: \`// =>\` must follow an expression on one line`)
    return `${indent}await $assert("${at}", async () => (${actual}), async () => (${expected}))`
  }).join("\n")
