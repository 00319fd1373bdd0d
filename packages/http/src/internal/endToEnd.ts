import type { HeaderList } from "../HeaderList.ts"

type Kind = "pass" | "drop" | "connection" | "te" | "rewritten"

const kinds = new Map<string, Kind>([
  ["connection", "connection"],
  ["te", "te"],
  ["keep-alive", "drop"],
  ["trailer", "drop"],
  ["transfer-encoding", "drop"],
  ["upgrade", "drop"],
  ["http2-settings", "drop"],
  // Not hop-by-hop, but a trap: CGI turns it into HTTP_PROXY.
  ["proxy", "drop"],
  // Of a request, these are written anew: whom it is for, whom it is from, and how its body is announced.
  ["host", "rewritten"],
  ["expect", "rewritten"],
  ["forwarded", "rewritten"],
  ["x-forwarded-for", "rewritten"],
  ["x-forwarded-host", "rewritten"],
  ["x-forwarded-port", "rewritten"],
  ["x-forwarded-prefix", "rewritten"],
  ["x-forwarded-proto", "rewritten"]
])

// Names are the peer's, so what is remembered of their spellings is bounded.
const remembered = 512

const kindOf = (name: string): Kind => {
  const known = kinds.get(name)
  if (known !== undefined) return known
  const lower = name.toLowerCase()
  // `:path` and its like are HTTP/2's, not fields.
  const kind = lower.startsWith("proxy-") || lower.startsWith(":") ? "drop" : kinds.get(lower) ?? kindOfCgi(lower)
  if (kinds.size < remembered) kinds.set(name, kind)
  return kind
}

// To CGI and its heirs `X_Forwarded_For` is the same as `X-Forwarded-For`, and so is its value.
const kindOfCgi = (lower: string): Kind =>
  lower.includes("_") && kinds.get(lower.replaceAll("_", "-")) === "rewritten" ? "rewritten" : "pass"

// What Connection may not take away: the framing of the message, whom it is for, and where it has been.
const kept = new Set(["content-length", "host", "transfer-encoding", "via"])

/**
 * The fields that are meant for the other end (RFC 9110, section 7.6.1): without the hop-by-hop ones and those that `Connection`
 * names. `TE: trailers` survives, although `Connection` has to name it. Of a request those that the gateway writes itself go too.
 */
export const endToEnd = (list: HeaderList, of: "request" | "response"): Array<string> => {
  const fields: Array<string> = []
  let named: Set<string> | undefined
  let trailers = false
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!
    const value = list[i + 1]!
    switch (kindOf(name)) {
      case "pass":
        fields.push(name, value)
        break
      case "rewritten":
        if (of === "response") fields.push(name, value)
        break
      case "connection":
        if (value !== "keep-alive" && value !== "close") named = namedBy(value, named)
        break
      case "te":
        trailers ||= /(?:^|,)\s*trailers\s*(?:;|,|$)/i.test(value)
        break
    }
  }
  const passed = named === undefined ? fields : without(fields, named)
  if (trailers) passed.push("te", "trailers")
  return passed
}

/** Whether a field is meant for the other end, as far as its name says, and not written anew by the gateway. In lower case. */
export const isEndToEnd = (name: string): boolean => kindOf(name) === "pass"

/** What `Connection` names, in lower case. */
export const namedByConnection = (list: HeaderList): ReadonlySet<string> | undefined => {
  let named: Set<string> | undefined
  for (let i = 0; i < list.length; i += 2) if (kindOf(list[i]!) === "connection") named = namedBy(list[i + 1]!, named)
  return named
}

const namedBy = (value: string, named: Set<string> | undefined): Set<string> | undefined => {
  for (const token of value.split(",")) {
    const name = token.trim().toLowerCase()
    if (name !== "" && !kept.has(name)) (named ??= new Set()).add(name)
  }
  return named
}

const without = (fields: ReadonlyArray<string>, named: ReadonlySet<string>): Array<string> => {
  const rest: Array<string> = []
  for (let i = 0; i < fields.length; i += 2) {
    if (!named.has(fields[i]!.toLowerCase())) rest.push(fields[i]!, fields[i + 1]!)
  }
  return rest
}
