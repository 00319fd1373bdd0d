import { RequestPath } from "@blackgate/http"
import type { Path } from "./ConfigText.ts"
import type { Problems } from "./Problems.ts"

/**
 * A path of a file, as a request spells it. It stands for itself: what others have for wildcards and parameters would be taken as it is
 * written, and one that no request can have would match nothing, or fail every request that it is put into.
 */
export const writtenPath = (
  text: string,
  path: Path,
  problems: Problems,
  kind: "exact" | "prefix" | "replacement"
): string => {
  // What is not ASCII is escaped, and what is escaped stays so.
  const spelled = text.replaceAll(/[^\u0021-\u007e]+/gu, (text) => encodeURIComponent(text))
  const found = `found ${JSON.stringify(text)}`
  if (text.includes("*") || text.search(parameter) !== -1) {
    const what = text.includes("*") ? "wildcards" : "parameters"
    const hint = kind === "replacement" ? undefined : `did you mean ${meant(text, kind)}`
    problems.add(path, `a path has no ${what}, ${found}`, hint)
    return spelled
  }
  const read = RequestPath.parse(spelled)
  if (read === undefined) problems.add(path, `expected a path that a request can have, ${found}`)
  else if (read.path !== spelled) {
    problems.add(path, `expected a path without dots to resolve, ${found}`, `did you mean ${read.path}?`)
  }
  return spelled
}

const parameter = /\/(?::[a-z_]\w*|\{[^/]*\})(?=\/|$)/gi

const meant = (text: string, kind: "exact" | "prefix"): string => {
  const below = text.replace(/\/\*{1,2}$/, "")
  if (below !== text && !below.includes("*") && below.search(parameter) === -1) {
    return `${kind === "exact" ? "prefix: " : ""}${below === "" ? "/" : below}? It takes what is below it`
  }
  const regex = text.replaceAll(parameter, "/*").replaceAll(/[.+?^$()[\]{}|\\]/g, "\\$&")
    .replaceAll(/(?<=\/)\*(?=\/)|(?<=\/)\*$/g, "[^/]+")
    .replaceAll(/(?<!\])\*+/g, ".*")
  return `regex: ${regex}${kind === "exact" || regex.endsWith("*") ? "" : "(/.*)?"}?`
}
