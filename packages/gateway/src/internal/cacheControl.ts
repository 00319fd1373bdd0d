/** What `Cache-Control` says, by name, in lower case. */
export type Directives = ReadonlyMap<string, string | undefined>

const directive = /([!#$%&'*+.^_`|~0-9a-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/gi

/** RFC 9111, section 5.2. What is in quotes belongs to its directive. */
export const directivesOf = (field: string | undefined): Directives =>
  new Map(
    Array.from((field ?? "").matchAll(directive), ([, name = "", quoted, bare]) => [name.toLowerCase(), quoted ?? bare])
  )

const secondsOf = (directives: Directives, name: string): number | undefined => {
  const value = directives.get(name)
  return value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : undefined
}

/**
 * For how long an answer may be given to others, in milliseconds, from when it was made; `Infinity` if it says nothing of that. One
 * that has to be asked about when it is stale is given only as long as it is fresh (RFC 9111, section 4.2.4), and `stale-if-error` says
 * for how long after that (RFC 5861, section 4).
 */
export const lifetimeOf = (directives: Directives): number => {
  const fresh = secondsOf(directives, "s-maxage") ?? secondsOf(directives, "max-age")
  const mustAsk = ["must-revalidate", "proxy-revalidate", "s-maxage"].some((name) => directives.has(name))
  if (mustAsk) return (fresh ?? 0) * 1000
  const stale = secondsOf(directives, "stale-if-error")
  return stale === undefined ? Infinity : ((fresh ?? 0) + stale) * 1000
}
