import { RequestPath } from "@blackgate/http"
import type { Pattern } from "./Pattern.ts"

/** Whether the value of a header, or of a query, will do; `undefined` is none. */
export type Test = (value: string | undefined) => boolean

/** Which requests take a route. */
export interface Matching {
  /** Lower case, without a port; `*.` before one for what is below it. None for every host. */
  readonly hosts: ReadonlyArray<string>
  readonly path:
    | { readonly _tag: "exact" | "prefix"; readonly path: string }
    | { readonly _tag: "regex"; readonly pattern: Pattern }
  readonly methods: ReadonlyArray<string>
  readonly headers: ReadonlyArray<readonly [name: string, test: Test]>
  readonly query: ReadonlyArray<readonly [name: string, test: Test]>
}

/** What is asked of a request. */
export interface Asked {
  readonly host: string
  readonly path: string
  readonly query: string
  readonly method: string
  readonly header: (name: string) => string | undefined
}

/** A route, and those after it that have the same path. An object each, with what most lookups ask for: of many routes, memory is slow. */
interface Entry<T> {
  readonly value: T
  /** Whether its path and its host say all. */
  readonly takesAll: boolean
  readonly matching: Matching
  readonly next: Entry<T> | undefined
}

const firstOf = <T>(entry: Entry<T> | undefined, asked: Asked): T | undefined => {
  for (let each = entry; each !== undefined; each = each.next) {
    if (each.takesAll || accepts(each.matching, asked)) return each.value
  }
  return undefined
}

/** Those of one host. */
class Bucket<T> {
  private readonly exact = new Map<string, Entry<T>>()
  private readonly prefix = new Map<string, Entry<T>>()
  private readonly regex: Array<Entry<T> & { readonly pattern: Pattern }> = []
  /** How many segments the longest prefix has. */
  private deepest = 0

  /** Puts a route before those that are there. */
  unshift(matching: Matching, value: T, lenient: boolean): void {
    const { headers, methods, path, query } = matching
    const takesAll = methods.length + headers.length + query.length === 0
    if (path._tag === "regex") {
      this.regex.push({ value, takesAll, matching, next: undefined, pattern: path.pattern })
      return
    }
    const read = lenient ? RequestPath.lenientOf(path.path) : path.path
    const key = path._tag === "exact" ? read : read.replace(/\/+$/, "")
    if (path._tag === "prefix") this.deepest = Math.max(this.deepest, key.split("/").length - 1)
    this[path._tag].set(key, { value, takesAll, matching, next: this[path._tag].get(key) })
  }

  find(asked: Asked): T | undefined {
    const { path } = asked
    const exact = this.exact.size === 0 ? undefined : firstOf(this.exact.get(path), asked)
    if (exact !== undefined) return exact
    for (let i = this.regex.length - 1; i >= 0; i--) {
      const entry = this.regex[i]!
      if (entry.pattern.matches(path) && firstOf(entry, asked) !== undefined) return entry.value
    }
    // From the longest prefix to the shortest.
    for (let at = this.cut(path); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const found = firstOf(this.prefix.get(path.slice(0, at)), asked)
      if (found !== undefined) return found
    }
    return firstOf(this.prefix.get(""), asked)
  }

  /** How much of a path can be a prefix at the most. */
  private cut(path: string): number {
    let at = -1
    for (let depth = 0; depth <= this.deepest; depth++) {
      at = path.indexOf("/", at + 1)
      if (at === -1) return path.length
    }
    return at
  }
}

/**
 * The routes, by what they match. Of several that match a request the most specific one takes it: the host that is spelled out, then the
 * longest wildcard, then none; an exact path, then a regular expression, then the longest prefix; a method; more headers; more of the query;
 * and the first one in the file. That is the Gateway API's order (HTTPRouteRule), which leaves open where regular expressions stand.
 */
export class RouteIndex<T> {
  private readonly hosts = new Map<string, Bucket<T>>()
  private readonly wildcards = new Map<string, Bucket<T>>()
  private readonly every = new Bucket<T>()

  /** `lenient` for one that is asked with the most lenient reading of a path. */
  constructor(routes: ReadonlyArray<readonly [Matching, T]>, lenient: boolean) {
    for (const [matching, value] of routes.toSorted(([a], [b]) => bySpecificity(a, b)).toReversed()) {
      const { hosts } = matching
      const buckets = hosts.length === 0 ? [this.every] : hosts.map((host) =>
        host.startsWith("*.")
          ? getOrMake(this.wildcards, host.slice(2), () => new Bucket<T>())
          : getOrMake(this.hosts, host, () => new Bucket<T>())
      )
      for (const bucket of buckets) bucket.unshift(matching, value, lenient)
    }
  }

  find(asked: Asked): T | undefined {
    const { host } = asked
    const found = this.hosts.get(host)?.find(asked)
    if (found !== undefined) return found
    if (this.wildcards.size > 0) {
      for (let dot = host.indexOf("."); dot !== -1; dot = host.indexOf(".", dot + 1)) {
        const below = this.wildcards.get(host.slice(dot + 1))?.find(asked)
        if (below !== undefined) return below
      }
    }
    return this.every.find(asked)
  }
}

// `toSorted` keeps the order of the file among equals.
const bySpecificity = (a: Matching, b: Matching): number =>
  Number(b.methods.length > 0) - Number(a.methods.length > 0)
  || b.headers.length - a.headers.length
  || b.query.length - a.query.length

const accepts = ({ headers, methods, query }: Matching, asked: Asked): boolean => {
  if (methods.length > 0 && !methods.includes(asked.method)) {
    // What answers a GET says by HEAD what it would (RFC 9110, section 9.3.2).
    if (asked.method !== "HEAD" || !methods.includes("GET")) return false
  }
  if (!headers.every(([name, test]) => test(asked.header(name)))) return false
  if (query.length === 0) return true
  const given = new URLSearchParams(asked.query)
  return query.every(([name, test]) => test(given.get(name) ?? undefined))
}

const getOrMake = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  let value = map.get(key)
  if (value === undefined) map.set(key, value = make())
  return value
}

/** A host as it is looked for: lower case, without its port and the dot of the root. */
export const hostOf = (host: string): string => host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "")
