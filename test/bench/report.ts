/** What a benchmark found: one row for each thing measured. */
export interface Row {
  readonly [column: string]: string | number
}

export interface Report {
  readonly bench: string
  readonly node: string
  readonly rounds: number
  /** Tables, by what they show. */
  readonly tables: Record<string, ReadonlyArray<Row>>
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** A quarter of the values is below the first, and a quarter above the second. */
export const quartiles = (values: ReadonlyArray<number>): readonly [number, number] => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!
  return [at(0.25), at(0.75)]
}

/** Three digits that count; more of them would be noise. */
export const rounded = (value: number): number => Number(value.toPrecision(3))

const cell = (value: string | number | undefined): string =>
  typeof value === "number" ? value.toLocaleString("en-US", { maximumFractionDigits: 3 }) : value ?? ""

/** Columns in the order in which rows name them; numbers to the right. */
const table = (rows: ReadonlyArray<Row>): string => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  const isNumber = columns.map((column) => rows.every((row) => typeof (row[column] ?? 0) === "number"))
  const show = (line: ReadonlyArray<string>) =>
    line.map((text, i) => isNumber[i] ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)).join("  ").trimEnd()
  const [head, ...body] = lines.map(show)
  return [head, "-".repeat(head!.length), ...body].join("\n")
}

export const print = ({ bench, node, rounds, tables }: Report): void => {
  console.log(`\n${bench}: medians of ${rounds} interleaved rounds, Node ${node}`)
  for (const [name, rows] of Object.entries(tables)) console.log(`\n${name}\n${table(rows)}`)
}
