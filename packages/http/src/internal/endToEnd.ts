import type { HeaderList } from "../HeaderList.ts"
import { fieldName } from "./fieldName.ts"

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
    switch (fieldName(name).kind) {
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
export const isEndToEnd = (name: string): boolean => fieldName(name).kind === "pass"

/** What `Connection` names, in lower case. */
export const namedByConnection = (list: HeaderList): ReadonlySet<string> | undefined => {
  let named: Set<string> | undefined
  for (let i = 0; i < list.length; i += 2) {
    if (fieldName(list[i]!).kind === "connection") named = namedBy(list[i + 1]!, named)
  }
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
