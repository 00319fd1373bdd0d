import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Problem } from "../ConfigError.ts"
import { type Config, ConfigSchema } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import type { Finding } from "./issues.ts"

/** What a config that is wrong would be without what is wrong with it: to be looked at for more mistakes, and not to be run. */
export interface Remainder {
  readonly config: Config
  /** Whether what is found there may only be there because something has been taken out. */
  readonly isDoubtful: (path: Path) => boolean
}

// Whoever made a file with more of them than this will not read them one by one.
const most = 200

type Values = Record<string | number, unknown>

/** What stands in for something that makes no sense at all; other things may refer to it, or count what is before them. */
const standIns: Record<string, () => unknown> = {
  groups: () => ({ pool: { max_concurrent: 1 } }),
  upstreams: () => ({ url: "http://localhost" }),
  routes: () => ({ upstream: "http://localhost" }),
  proxies: () => ({ name: "it", upstream_url: "http://localhost" }),
  listen: () => ({ port: 0 })
}

const isNamed = new Set<string | number | undefined>(["groups", "upstreams"])

/** Takes out of a config what its schema has found; `undefined` if it takes more than that. */
export const remainderOf = (
  value: unknown,
  found: ReadonlyArray<Finding>,
  unread: ReadonlyArray<Problem>
): Remainder | undefined => {
  if (found.length + unread.length > most || !(value instanceof Object)) return undefined
  const rest = structuredClone(value) as Values
  const taken = unread.map(({ path }) => path)
  for (const each of found) taken.push(takeOut(rest, each))
  // Without them, whatever names one of them would be wrong.
  if (taken.some(({ length, 0: name }) => length === 1 && isNamed.has(name) && rest[name!] === undefined)) {
    return undefined
  }
  let decoded = decode(rest)
  if (Result.isFailure(decoded)) {
    for (const path of taken) standIn(rest, path)
    decoded = decode(rest)
  }
  if (Result.isFailure(decoded)) return undefined
  const isOf = (name: string) => taken.some((path) => path[0] === name)
  return {
    config: decoded.success,
    isDoubtful: (path) =>
      // A circuit, or a rate limit, that a group has if it is read right.
      isOf("groups") && (path[2] === "circuit" || path[2] === "rate_limit_tokens")
      || taken.some((each) => startsWith(path, whole(each)) || startsWith(each, path))
  }
}

const decode = (value: unknown) =>
  Schema.decodeUnknownResult(ConfigSchema)(value, { errors: "first", onExcessProperty: "error" })

const startsWith = (path: Path, start: Path): boolean => start.every((key, i) => path[i] === key)

/** A key of a route can be looked at by itself; of everything else, the keys hang together. */
const whole = (path: Path): Path =>
  path[0] === "routes" ? path.slice(0, 3) : path.slice(0, path[0] !== undefined && path[0] in standIns ? 2 : 1)

/** Takes out a key, or a whole one of a route; one that is misspelt is spelled right. Returns what is not as it was. */
const takeOut = (rest: Values, { hint, kind, path }: Finding): Path => {
  const at = kind === "unexpected" ? path : whole(path)
  if (at.length < 3 && kind !== "unexpected") {
    standIn(rest, at)
    return at
  }
  const holder = valueAt(rest, at.slice(0, -1))
  const key = at.at(-1)!
  if (holder === undefined) return path
  const value = holder[key]
  delete holder[key]
  if (kind !== "unexpected" || hint === undefined || hint in holder) return at
  holder[hint] = value
  return [...at.slice(0, -1), hint]
}

const standIn = (rest: Values, [name, key]: Path): void => {
  if (name === undefined) return
  const make = standIns[name]
  const holder = valueAt(rest, [name])
  if (make === undefined || key === undefined || holder === undefined) delete rest[name]
  // Who counts what is in a list goes on counting.
  else if (Array.isArray(holder) || isNamed.has(name)) holder[key] = make()
  else rest[name] = make()
}

const valueAt = (value: unknown, path: Path): Values | undefined => {
  let at = value
  for (const key of path) at = at instanceof Object && Object.hasOwn(at, key) ? (at as Values)[key] : undefined
  return at instanceof Object ? at as Values : undefined
}
