import { domainToASCII } from "node:url"
import type { Config } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import { list } from "./options.ts"
import type { Problems } from "./Problems.ts"
import { hostOf, type Matching, type Test } from "./RouteIndex.ts"
import { writtenPath } from "./writtenPath.ts"

type MatchConfig = NonNullable<NonNullable<Config["routes"]>[number]["match"]>
type Wanted = NonNullable<MatchConfig["headers"]>[string]

/** What a route's `match` says; `undefined` if a regular expression in it is none. */
export const matchingOf = (match: MatchConfig = {}, path: Path, problems: Problems): Matching | undefined => {
  const found = pathOf(match.path ?? "/", [...path, "path"], problems)
  const headers = testsOf(match.headers, [...path, "headers"], problems)
  const query = testsOf(match.query, [...path, "query"], problems)
  const hosts = list(match.host).map((host, i) => {
    if (!named.test(host) && !/^\[[0-9a-f:.]+\]$/i.test(host)) {
      const at = Array.isArray(match.host) ? [...path, "host", i] : [...path, "host"]
      problems.add(
        at,
        `expected a host, without a port, or *. and a host, found ${JSON.stringify(host)}`,
        hintOfHost(host)
      )
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
  if (typeof config === "string") return { _tag: "prefix", path: writtenPath(config, path, problems, "prefix") }
  if ("exact" in config) {
    return { _tag: "exact", path: writtenPath(config.exact, [...path, "exact"], problems, "exact") }
  }
  if ("prefix" in config) {
    return { _tag: "prefix", path: writtenPath(config.prefix, [...path, "prefix"], problems, "prefix") }
  }
  const pattern = problems.pattern([...path, "regex"], config.regex)
  return pattern && { _tag: "regex", pattern }
}

// `*.` stands before a host and nowhere else.
const named = /^(?:\*\.)?[\w~!$&'()+,;=%-]+(?:\.[\w~!$&'()+,;=%-]+)*\.?$/

const hintOfHost = (host: string): string | undefined => {
  // As browsers send it.
  const ascii = domainToASCII(host)
  if (named.test(ascii) && ascii !== host.toLowerCase()) return `did you mean ${ascii}?`
  if (host === "*") return "did you mean to leave it out? A route without one takes every host"
  const [, wildcard, name] = /^(?:[a-z]+:\/\/)?(\*?\.|\*)?([^*/:\s]+)(?::\d*)?\/*$/i.exec(host) ?? []
  return name === undefined ? undefined : `did you mean ${wildcard === undefined ? "" : "*."}${name}?`
}

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
