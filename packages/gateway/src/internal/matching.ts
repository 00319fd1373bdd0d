import type { Config } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import { list } from "./options.ts"
import type { Problems } from "./Problems.ts"
import { hostOf, type Matching, type Test } from "./RouteIndex.ts"

type MatchConfig = NonNullable<NonNullable<Config["routes"]>[number]["match"]>
type Wanted = NonNullable<MatchConfig["headers"]>[string]

/** What a route's `match` says; `undefined` if a regular expression in it is none. */
export const matchingOf = (match: MatchConfig = {}, path: Path, problems: Problems): Matching | undefined => {
  const found = pathOf(match.path ?? "/", [...path, "path"], problems)
  const headers = testsOf(match.headers, [...path, "headers"], problems)
  const query = testsOf(match.query, [...path, "query"], problems)
  const hosts = list(match.host).map((host, i) => {
    if (!/^(?:\*\.)?[^*/:\s]+$/.test(host) && !/^\[[0-9a-f:.]+\]$/i.test(host)) {
      const at = Array.isArray(match.host) ? [...path, "host", i] : [...path, "host"]
      problems.add(at, `expected a host, without a port, or *. and a host, found ${JSON.stringify(host)}`)
    }
    return hostOf(host)
  })
  return found && {
    hosts,
    path: found,
    methods: list(match.method).map((method) => method.toUpperCase()),
    headers: headers.map(([name, test]) => [name.toLowerCase(), test] as const),
    query
  }
}

const pathOf = (
  config: NonNullable<MatchConfig["path"]>,
  path: Path,
  problems: Problems
): Matching["path"] | undefined => {
  if (typeof config === "string") return { _tag: "prefix", path: asSent(config) }
  if ("exact" in config) return { _tag: "exact", path: asSent(config.exact) }
  if ("prefix" in config) return { _tag: "prefix", path: asSent(config.prefix) }
  const pattern = problems.pattern([...path, "regex"], config.regex)
  return pattern && { _tag: "regex", pattern }
}

// As a client spells it: what is not ASCII is escaped, and what is escaped stays so.
const asSent = (path: string): string => path.replaceAll(/[^\u0021-\u007e]+/gu, (text) => encodeURIComponent(text))

const testsOf = (
  config: { readonly [name: string]: Wanted } | undefined,
  path: Path,
  problems: Problems
): ReadonlyArray<readonly [string, Test]> =>
  Object.entries(config ?? {}).flatMap(([name, wanted]) => {
    const test = testOf(wanted, [...path, name], problems)
    return test === undefined ? [] : [[name, test] as const]
  })

const testOf = (wanted: Wanted, path: Path, problems: Problems): Test | undefined => {
  if (typeof wanted === "string") return (value) => value === wanted
  if ("present" in wanted) return (value) => (value !== undefined) === wanted.present
  const pattern = problems.pattern([...path, "regex"], wanted.regex)
  return pattern && ((value) => value !== undefined && pattern.matches(value))
}

/** A `match` in a few words, for tables and names. */
export const describeMatching = ({ headers, host, method, path = "/", query }: MatchConfig = {}): string => {
  const where = typeof path === "string"
    ? path
    : "exact" in path
    ? `= ${path.exact}`
    : "prefix" in path
    ? path.prefix
    : `~ ${path.regex}`
  const more = [...Object.keys(headers ?? {}), ...Object.keys(query ?? {}).map((name) => `?${name}`)]
  return [...list(method), `${list(host).join(",")}${where}`, ...more].join(" ")
}
