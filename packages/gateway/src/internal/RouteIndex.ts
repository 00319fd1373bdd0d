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

interface Entry<T> {
  readonly matching: Matching
  readonly value: T
}

/** Those of one host. */
class Bucket<T> {
  readonly exact = new Map<string, Array<Entry<T>>>()
  readonly prefix = new Map<string, Array<Entry<T>>>()
  readonly regex: Array<Entry<T>> = []

  find(asked: Asked): T | undefined {
    const { path } = asked
    const takes = ({ matching }: Entry<T>) => accepts(matching, asked)
    const found = this.exact.get(path)?.find(takes)
      ?? this.regex.find((entry) => (entry.matching.path as { pattern: Pattern }).pattern.matches(path) && takes(entry))
    if (found !== undefined) return found.value
    // From the longest prefix to the shortest.
    for (let at = path.length; at > 0; at = path.lastIndexOf("/", at - 1)) {
      const entry = this.prefix.get(path.slice(0, at))?.find(takes)
      if (entry !== undefined) return entry.value
    }
    return this.prefix.get("")?.find(takes)?.value
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
    const entries = routes.map(([matching, value]): Entry<T> => ({ matching, value })).toSorted(bySpecificity)
    for (const entry of entries) {
      const { hosts, path } = entry.matching
      const buckets = hosts.length === 0 ? [this.every] : hosts.map((host) =>
        host.startsWith("*.")
          ? getOrMake(this.wildcards, host.slice(2), () => new Bucket<T>())
          : getOrMake(this.hosts, host, () => new Bucket<T>())
      )
      for (const bucket of buckets) {
        if (path._tag === "regex") bucket.regex.push(entry)
        else {
          const read = lenient ? RequestPath.lenientOf(path.path) : path.path
          const key = path._tag === "exact" ? read : read.replace(/\/+$/, "")
          getOrMake(bucket[path._tag], key, () => [] as Array<Entry<T>>).push(entry)
        }
      }
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
const bySpecificity = (a: Entry<unknown>, b: Entry<unknown>): number =>
  Number(b.matching.methods.length > 0) - Number(a.matching.methods.length > 0)
  || b.matching.headers.length - a.matching.headers.length
  || b.matching.query.length - a.matching.query.length

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
