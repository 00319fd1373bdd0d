import type { HeaderList } from "../HeaderList.ts"
import { isEndToEnd, namedByConnection } from "./endToEnd.ts"
import { wrongFields } from "./fields.ts"

// What may not come after the body (RFC 9110, section 6.5.1): it says how the message is framed and read, where it goes, whether it
// may, and what becomes of it. Whoever merges trailers into the head would act on it.
const forbidden = new Set([
  // framing and routing
  "content-length",
  "host",
  // controls and conditions of a request
  "cache-control",
  "expect",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "max-forwards",
  "pragma",
  "range",
  // authentication
  "authorization",
  "cookie",
  "set-cookie",
  "www-authenticate",
  // control data of a response
  "age",
  "date",
  "expires",
  "location",
  "retry-after",
  "vary",
  "warning",
  // how the body is read
  "content-encoding",
  "content-range",
  "content-type",
  "via"
])

/** Trailers that may be passed on, of a message with this head. */
export const passedTrailers = (trailers: HeaderList, head: HeaderList): HeaderList => {
  if (trailers.length === 0) return trailers
  const named = namedByConnection(head)
  const passed: Array<string> = []
  for (let i = 0; i < trailers.length; i += 2) {
    const [name, value] = [trailers[i]!, trailers[i + 1]!]
    if (mayTrail(name, named) && wrongFields([name, value]) === undefined) passed.push(name, value)
  }
  return passed
}

const mayTrail = (name: string, named: ReadonlySet<string> | undefined): boolean => {
  const lower = name.toLowerCase()
  return isEndToEnd(lower) && !forbidden.has(lower) && named?.has(lower) !== true
}

/** The `Trailer` field of a message, written anew: the names that are announced and may be passed on; `undefined` if none. */
export const announced = (head: HeaderList): string | undefined => {
  let names: Array<string> | undefined
  for (let i = 0; i < head.length; i += 2) {
    if (head[i]!.length === 7 && head[i]!.toLowerCase() === "trailer") {
      ;(names ??= []).push(...head[i + 1]!.split(",").map((name) => name.trim()))
    }
  }
  if (names === undefined) return undefined
  const named = namedByConnection(head)
  const passed = names.filter((name) => wrongFields([name, ""]) === undefined && mayTrail(name, named))
  return passed.length === 0 ? undefined : passed.join(", ")
}
