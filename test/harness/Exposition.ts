/**
 * Reads what Prometheus is to read: its text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), and strictly. What most
 * readers let pass is a problem here: a family in two places, a series twice, a counter that can't be one, a histogram that does not add up.
 */

interface Sample {
  readonly line: number
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

interface Family {
  readonly name: string
  type: string | undefined
  help: string | undefined
  readonly samples: Array<Sample>
}

interface Exposition {
  /** What is wrong, each with its line. */
  readonly problems: ReadonlyArray<string>
  /** The value of a series: its labels as JSON, sorted by their names. */
  readonly value: (name: string, labels?: Record<string, string>) => number | undefined
  readonly families: ReadonlyMap<string, Family>
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const number = /^[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|Inf|NaN)$/
const types = new Set(["counter", "gauge", "histogram", "summary", "untyped"])

const valueOf = (text: string): number | undefined =>
  number.test(text) ? Number(text.replace("Inf", "Infinity")) : undefined

const keyOf = (name: string, labels: Iterable<readonly [string, string]>): string =>
  JSON.stringify([name, ...[...labels].toSorted(([a], [b]) => a < b ? -1 : 1)])

/** The labels between braces, and what comes after them; or what is wrong. */
const labelsOf = (text: string): { readonly labels: Map<string, string>; readonly rest: string } | string => {
  const labels = new Map<string, string>()
  let rest = text.slice(1).trimStart()
  while (!rest.startsWith("}")) {
    const [whole, name = "", written = ""] = /^[ \t]*([^={},"\s]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*/.exec(rest) ??
      []
    if (whole === undefined) return `no label can be read at ${rest}`
    if (!labelName.test(name)) return `${name} is no name of a label`
    if (name.startsWith("__")) return `${name} is the name of a label that is Prometheus's own`
    if (labels.has(name)) return `the label ${name} is there twice`
    const wrong = /\\[^\\"n]/.exec(written.replaceAll("\\\\", ""))
    if (wrong !== null) return `${wrong[0]} is no escape`
    labels.set(name, written.replaceAll(/\\(.)/g, (_, char: string) => char === "n" ? "\n" : char))
    rest = rest.slice(whole.length)
    if (rest.startsWith(",")) rest = rest.slice(1).trimStart()
    else if (!rest.startsWith("}")) return `a label ends with ${rest}`
  }
  return { labels, rest: rest.slice(1) }
}

const sampleOf = (text: string, line: number): Sample | string => {
  const name = /^[^\s{]*/.exec(text)![0]
  if (!metricName.test(name)) return `${name} is no name of a metric`
  const after = text.slice(name.length).replace(/^[ \t]+(?=\{)/, "")
  const read = after.startsWith("{") ? labelsOf(after) : { labels: new Map<string, string>(), rest: after }
  if (typeof read === "string") return read
  const [, written = "", stamp] = /^[ \t]*([^ \t]+)(?:[ \t]+([^ \t]+))?[ \t]*$/.exec(read.rest) ?? []
  const value = valueOf(written)
  if (value === undefined) return `${written} is no value`
  if (stamp !== undefined && !/^-?\d+$/.test(stamp)) return `${stamp} is no timestamp`
  return { line, name, labels: read.labels, value }
}

class Reading {
  readonly problems: Array<string> = []
  readonly families = new Map<string, Family>()
  readonly series = new Map<string, number>()
  private current: Family | undefined = undefined

  problem(line: number, what: string): void {
    this.problems.push(`${line}: ${what}`)
  }

  private enter(name: string, line: number): Family {
    const known = this.families.get(name)
    if (known !== undefined && known !== this.current) this.problem(line, `${name} is not in one place`)
    const family = known ?? { name, type: undefined, help: undefined, samples: [] }
    this.families.set(name, family)
    this.current = family
    return family
  }

  private familyOf(sample: string): string {
    const [, base, suffix] = /^(.+)_(bucket|sum|count)$/.exec(sample) ?? []
    const type = base === undefined ? undefined : this.families.get(base)?.type
    return type === "histogram" || (type === "summary" && suffix !== "bucket") ? base! : sample
  }

  comment(text: string, line: number): void {
    const [, kind, name = "", rest = ""] = /^#[ \t]+(HELP|TYPE)(?:[ \t]+([^ \t]*)(?:[ \t](.*))?)?$/.exec(text) ?? []
    if (kind === undefined) return
    if (!metricName.test(name)) return this.problem(line, `${name} is no name of a metric`)
    const family = this.enter(name, line)
    if (family.samples.length > 0) this.problem(line, `${kind} of ${name} comes after its samples`)
    if (kind === "HELP") {
      if (family.help !== undefined) this.problem(line, `HELP of ${name} is there twice`)
      if (/\\[^\\n]|\\$/.test(rest.replaceAll("\\\\", ""))) this.problem(line, `HELP of ${name} has what is no escape`)
      family.help = rest
    } else {
      if (family.type !== undefined) this.problem(line, `TYPE of ${name} is there twice`)
      if (!types.has(rest)) this.problem(line, `${rest} is no type`)
      family.type = rest
    }
  }

  sample(text: string, line: number): void {
    const sample = sampleOf(text, line)
    if (typeof sample === "string") return this.problem(line, sample)
    const family = this.enter(this.familyOf(sample.name), line)
    if (family.type === undefined) this.problem(line, `${sample.name} has no TYPE before it`)
    const key = keyOf(sample.name, sample.labels)
    if (this.series.has(key)) this.problem(line, `${sample.name} is there twice with the same labels`)
    this.series.set(key, sample.value)
    family.samples.push(sample)
  }
}

/** Those of a family that differ in nothing but one label, and in the suffixes of their names. */
const byLabels = (
  { samples }: Family,
  without: string
): ReadonlyArray<ReadonlyArray<Sample>> => [
  ...Map.groupBy(samples, ({ labels }) => keyOf("", [...labels].filter(([name]) => name !== without))).values()
]

const checkCounter = (reading: Reading, { name, samples }: Family) => {
  for (const { line, value } of samples) {
    if (!name.endsWith("_total")) reading.problem(line, `the counter ${name} does not end in _total`)
    if (!(value >= 0)) reading.problem(line, `the counter ${name} is ${value}`)
  }
}

const checkCounts = (reading: Reading, { name }: Family, samples: ReadonlyArray<Sample>): number | undefined => {
  const { line } = samples[0]!
  const count = samples.find((sample) => sample.name === `${name}_count`)?.value
  const sum = samples.find((sample) => sample.name === `${name}_sum`)?.value
  if (count === undefined) reading.problem(line, `${name} has no _count`)
  else if (!Number.isInteger(count) || count < 0) reading.problem(line, `the _count of ${name} is ${count}`)
  if (sum === undefined) reading.problem(line, `${name} has no _sum`)
  else if (Number.isNaN(sum)) reading.problem(line, `the _sum of ${name} is NaN`)
  return count
}

const checkHistogram = (reading: Reading, family: Family) => {
  const { name } = family
  for (const samples of byLabels(family, "le")) {
    const count = checkCounts(reading, family, samples)
    let before = { le: -Infinity, value: 0 }
    for (const { labels, line, name: full, value } of samples) {
      const le = labels.get("le")
      if (full === name) reading.problem(line, `${name} is no name of a histogram's sample`)
      if (full !== `${name}_bucket`) {
        if (le !== undefined) reading.problem(line, `${full} has a label le`)
        continue
      }
      const bound = le === undefined ? undefined : valueOf(le)
      if (bound === undefined || Number.isNaN(bound)) reading.problem(line, `a bucket of ${name} has no bound`)
      else {
        if (bound <= before.le) reading.problem(line, `the bounds of ${name} do not ascend`)
        if (!(value >= before.value) || !Number.isInteger(value)) reading.problem(line, `${name} does not add up`)
        before = { le: bound, value }
      }
    }
    const { line } = samples[0]!
    if (before.le !== Infinity) reading.problem(line, `${name} has no bucket +Inf`)
    else if (before.value !== count) reading.problem(line, `the bucket +Inf of ${name} is not its _count`)
  }
}

const checkSummary = (reading: Reading, family: Family) => {
  const { name } = family
  for (const samples of byLabels(family, "quantile")) {
    checkCounts(reading, family, samples)
    for (const { labels, line, name: full } of samples) {
      const quantile = valueOf(labels.get("quantile") ?? "")
      if (full !== name && labels.has("quantile")) reading.problem(line, `${full} has a label quantile`)
      if (full === name && !(quantile !== undefined && quantile >= 0 && quantile <= 1)) {
        reading.problem(line, `a sample of ${name} has no quantile`)
      }
    }
  }
}

/** Reads it all, and finds all that is wrong. */
export const read = (text: string): Exposition => {
  const reading = new Reading()
  const lines = text.split("\n")
  if (lines.pop() !== "") reading.problem(lines.length + 1, "the last line has no end")
  if (!text.isWellFormed()) reading.problem(1, "it is no UTF-8")
  for (const [i, line] of lines.entries()) {
    if (/^[ \t]*$/.test(line)) continue
    if (line.startsWith("#")) reading.comment(line, i + 1)
    else reading.sample(line, i + 1)
  }
  for (const family of reading.families.values()) {
    if (family.samples.length === 0) reading.problem(lines.length, `${family.name} has no samples`)
    if (family.type === "counter") checkCounter(reading, family)
    if (family.type === "histogram") checkHistogram(reading, family)
    if (family.type === "summary") checkSummary(reading, family)
  }
  return {
    problems: reading.problems,
    families: reading.families,
    value: (name, labels = {}) => reading.series.get(keyOf(name, Object.entries(labels)))
  }
}
