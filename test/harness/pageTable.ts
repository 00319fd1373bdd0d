import * as Fs from "node:fs"
import * as Path from "node:path"

const docs = Path.resolve(import.meta.dirname, "../../docs")

/** The cells of the first table under a heading of a page of `docs/`, without the table's own head. */
export const pageTable = (page: string, heading: string): Array<Array<string>> => {
  const lines = Fs.readFileSync(Path.join(docs, page), "utf8").split("\n")
  const from = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === heading)
  if (from < 0) throw new Error(`${page} has no heading "${heading}"`)
  const isRow = (line: string) => line.startsWith("|")
  const first = lines.findIndex((line, at) => at > from && isRow(line))
  const after = lines.findIndex((line, at) => at > first && !isRow(line))
  return lines.slice(first + 2, after).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
}
