/**
 * What a request's path may be spelled like.
 *
 * The router matches leniently: it ignores case and doubled slashes, decodes `%61`, cuts at `;`. Upstreams each read paths in a way
 * of their own. So that a route's rewrite can't be sidestepped by a spelling that means another route to the upstream, a path is
 * forwarded only if the strictest and the most lenient reading of it lead to the same route; otherwise it is a 400.
 * `docs/paths.md` has the table.
 */

/** The path and the query of a request target in origin form. */
export interface Target {
  /** As it is forwarded: the bytes received, dot segments resolved. */
  readonly path: string
  /** With its question mark, or empty. Its bytes are never touched. */
  readonly query: string
}

/** Splits a target at the first question mark; `undefined` if it can't be one. */
export const split = (url: string): Target | undefined => {
  const question = url.indexOf("?")
  const path = question === -1 ? url : url.slice(0, question)
  if (path.charCodeAt(0) !== 47 || path.includes("#")) return undefined
  return { path, query: question === -1 ? "" : url.slice(question) }
}

// Most paths have nothing to resolve or to mistake.
const isPlain = (path: string): boolean => !/[%;\\]|\/\/|\/\.\.?(?:\/|$)/.test(path)

const badEscape = /%(?![0-9a-f]{2})/i
const control = /%(?:[01][0-9a-f]|7f)/i
const dot = /^(?:\.|%2e)$/i
const dots = /^(?:\.|%2e){2}$/i

/**
 * Resolves dot segments, escaped ones too. `undefined` for a path that leaves its root, hides dots behind an escaped slash or a
 * parameter, or can't be read at all.
 */
export const resolve = (path: string): string | undefined => {
  if (isPlain(path)) return path
  if (path.includes("\\") || badEscape.test(path) || control.test(path)) return undefined
  const segments: Array<string> = []
  const given = path.slice(1).split("/")
  for (const [i, segment] of given.entries()) {
    const last = i === given.length - 1
    if (dots.test(segment)) {
      if (segments.pop() === undefined) return undefined
      if (last) segments.push("")
    } else if (dot.test(segment)) {
      if (last) segments.push("")
    } else segments.push(segment)
  }
  return segments.some(hidesDots) ? undefined : `/${segments.join("/")}`
}

// Behind an escaped slash, or before a parameter that the upstream cuts off.
const hidesDots = (segment: string): boolean =>
  decode(segment).split(/[/\\]/).some((part) => /^\.\.?(?:;|$)/.test(part))

// Byte by byte: what the bytes mean together is not the question.
const decode = (text: string): string =>
  text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** The path as the most lenient upstream would read it; `undefined` where that is the path itself. */
export const lenient = (path: string): string | undefined => {
  if (isPlain(path)) return undefined
  const segments = decode(path).split(/[/\\]/).map((segment) => segment.split(";")[0]!).filter((segment) =>
    segment !== ""
  )
  // Spelled again so that the router takes each character for itself.
  return `/${segments.map((segment) => encodeURIComponent(segment)).join("/")}`
}

/** Whether the literal segments of a route's path are spelled in a request's path just as they are in the route's. */
export const spelledBy = (pattern: string): (path: string) => boolean => {
  const wild = pattern === "*" || pattern.endsWith("/*")
  const segments = pattern.slice(1, wild ? -2 : undefined).split("/").map((segment) => {
    const unescaped = segment.replaceAll("::", "\u0000")
    return /[:*(]/.test(unescaped) ? undefined : unescaped.replaceAll("\u0000", ":")
  })
  if (pattern === "*" || pattern === "/*") return () => true
  const prefix = segments.every((segment) => segment !== undefined) ? `/${segments.join("/")}` : undefined
  if (prefix !== undefined) {
    return wild
      ? (path) => path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === 47)
      : (path) => path === prefix
  }
  return (path) => {
    const given = path.slice(1).split("/")
    return (wild ? given.length >= segments.length : given.length === segments.length) &&
      segments.every((segment, i) => segment === undefined || segment === given[i])
  }
}
