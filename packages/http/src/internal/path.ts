/**
 * What a request's path may be spelled like.
 *
 * The router matches leniently: it ignores case and doubled slashes, decodes `%61`, cuts at `;`. Upstreams each read paths in a way
 * of their own. So that a route's rewrite can't be sidestepped by a spelling that means another route to the upstream, a path is
 * forwarded only if the strictest and the most lenient reading of it lead to the same route; otherwise it is a 400.
 * `docs/paths.md` has the table.
 */

import { remembered } from "./remembered.ts"

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

// Most paths have nothing to resolve or to mistake. Each is asked about twice.
const isPlain = remembered((path) => !/[%;\\]|\/\/|\/\.\.?(?:\/|$)/.test(path))

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

// Behind an escaped slash, or before something that the upstream cuts off.
const hidesDots = (segment: string): boolean =>
  decode(segment).split(/[/\\]/).some((part) => /^\.\.?(?:[;?#]|$)/.test(part))

// Byte by byte: what the bytes mean together is not the question.
const decode = (text: string): string =>
  text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** The path as the most lenient upstream would read it; `undefined` where that is the path itself. */
export const lenient = (path: string): string | undefined => {
  if (isPlain(path)) return undefined
  const segments = decode(path).split(/[/\\]/).map((segment) => segment.split(/[;?#]/)[0]!).filter((segment) =>
    segment !== ""
  )
  // Spelled again so that the router takes each character for itself.
  return `/${segments.map((segment) => encodeURIComponent(segment)).join("/")}`
}

// The router registers a route with an optional parameter twice.
const optional = /(\/:[^/()]*?)\?(\/?)/

const anyhow = (): boolean => true

/** Whether the literal parts of a route's path are spelled in a request's path just as they are in the route's. */
export const spelledBy = (pattern: string): (path: string) => boolean => {
  if (pattern === "*" || pattern === "/*") return anyhow
  if (optional.test(pattern)) {
    const [withIt, without] = ["$1$2", "$2"].map((which) => spelledBy(pattern.replace(optional, which)))
    return (path) => withIt!(path) || without!(path)
  }
  const below = pattern.endsWith("/*")
  const wild = pattern.endsWith("*")
  const segments = pattern.slice(1, below ? -2 : undefined).split("/").map((segment) => {
    const unescaped = segment.replaceAll("::", "\u0000")
    const end = unescaped.search(/[:*(]/)
    const literal = (end === -1 ? unescaped : unescaped.slice(0, end)).replaceAll("\u0000", ":")
    return { literal, isWhole: end === -1 }
  })
  if (segments.every(({ isWhole }) => isWhole)) {
    const prefix = `/${segments.map(({ literal }) => literal).join("/")}`
    return below
      ? (path) => path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === 47)
      : (path) => path === prefix
  }
  return (path) => {
    const given = path.slice(1).split("/")
    return (wild ? given.length >= segments.length : given.length === segments.length) &&
      segments.every(({ isWhole, literal }, i) => isWhole ? given[i] === literal : given[i]!.startsWith(literal))
  }
}
