import { InvalidOptions } from "@blackgate/core/InvalidOptions"
import * as RequestPath from "../RequestPath.ts"

/** A route, and those of other methods that have the same path. */
interface Entry<T> {
  readonly method: string
  readonly value: T
  /** Its path as it is spelled, without the `/*` of one that takes in what is below it. */
  readonly literal: string
  readonly isPrefix: boolean
  readonly next: Entry<T> | undefined
}

const isOf = (method: string, entry: Entry<unknown>): boolean =>
  entry.method === "*" || entry.method === method || (method === "HEAD" && entry.method === "GET")

const firstOf = <T>(entry: Entry<T> | undefined, method: string): Entry<T> | undefined => {
  for (let each = entry; each !== undefined; each = each.next) if (isOf(method, each)) return each
  return undefined
}

// As Effect's router finds routes. Whether the path was spelled so is another question. No expression: for one that is anchored at the end
// alone, a client's path of nothing but slashes takes time by the square of its length.
const keyOf = (path: string): string => {
  let end = path.length
  while (path.charCodeAt(end - 1) === 47) end--
  return path.slice(0, end).toLowerCase()
}

/** Routes by one reading of their paths. */
class Index<T> {
  private readonly exact = new Map<string, Entry<T>>()
  private readonly prefix = new Map<string, Entry<T>>()
  /** How many slashes the longest prefix has. */
  private deepest = 0

  /** `false` if there is one that takes requests of this method and path. */
  add(key: string, entry: Omit<Entry<T>, "next">): boolean {
    const entries = entry.isPrefix ? this.prefix : this.exact
    const next = entries.get(key)
    for (let each = next; each !== undefined; each = each.next) {
      if (each.method === entry.method || each.method === "*" || entry.method === "*") return false
    }
    entries.set(key, { ...entry, next })
    if (entry.isPrefix) this.deepest = Math.max(this.deepest, key.split("/").length - 1)
    return true
  }

  /** The path itself, then from the longest prefix to the shortest. */
  find(method: string, path: string): Entry<T> | undefined {
    const key = keyOf(path)
    const exact = this.exact.size === 0 ? undefined : firstOf(this.exact.get(key), method)
    if (exact !== undefined) return exact
    for (let at = this.cut(key); at > 0; at = key.lastIndexOf("/", at - 1)) {
      const found = firstOf(this.prefix.get(key.slice(0, at)), method)
      if (found !== undefined) return found
    }
    return firstOf(this.prefix.get(""), method)
  }

  /** How much of a path can be a prefix at the most. */
  private cut(key: string): number {
    let at = -1
    for (let depth = 0; depth <= this.deepest; depth++) {
      at = key.indexOf("/", at + 1)
      if (at === -1) return key.length
    }
    return at
  }
}

/**
 * Routes with literal paths, however many, by a look or two at a map: in a tree of ten thousand each step is to memory that no cache has.
 *
 * As with Effect's router and `Proxy.route` together, case and a slash at the end make no other route, but a path that is spelled
 * differently from its route's, or that a lenient upstream could take for another route's, is ambiguous.
 */
export class PathTable<T extends object> {
  private readonly strict = new Index<T>()
  private readonly lenient = new Index<T>()
  /** What all its paths begin with. */
  private readonly base: string

  /** Below a path that ends with a wildcard. One that makes no sense is thrown. */
  constructor(path: string) {
    this.base = path.replace(/\/?\*$/, "")
    if (this.base === path || notLiteral.test(this.base)) throw wrong(path, "expected a path such as /* or /api/*")
  }

  /** Adds a route. Options that make no sense are thrown. */
  add(method: string, path: string, value: T): void {
    const isPrefix = path.endsWith("/*")
    const literal = isPrefix ? path.slice(0, -2) : path
    const { base } = this
    if (notLiteral.test(literal)) throw wrong(path, "expected a literal path, with or without /* at its end")
    if (literal !== base && !literal.startsWith(`${base}/`)) throw wrong(path, `expected a path below ${base || "/"}`)
    const entry = { method, value, literal, isPrefix }
    const isNew = this.strict.add(keyOf(literal), entry)
    if (!isNew || !this.lenient.add(keyOf(RequestPath.lenientOf(literal)), entry)) {
      throw wrong(path, "there is another route of this path and method")
    }
  }

  find(method: string, { lenient, path }: RequestPath.RequestPath): T | "ambiguous" | undefined {
    const found = this.strict.find(method, path)
    if (found === undefined) return undefined
    if (!isSpelled(found, path)) return "ambiguous"
    return lenient === undefined || this.lenient.find(method, lenient)?.value === found.value
      ? found.value
      : "ambiguous"
  }
}

const notLiteral = /[:*(?#]/

const isSpelled = ({ isPrefix, literal }: Entry<unknown>, path: string): boolean =>
  isPrefix
    ? path.startsWith(literal) && (path.length === literal.length || path.charCodeAt(literal.length) === 47)
    : path === literal

const wrong = (path: string, problem: string): InvalidOptions => new InvalidOptions({ subject: path, problem })
