import type { Path } from "./ConfigText.ts"
import type { Problems } from "./Problems.ts"

// They are between this gateway and its neighbours (RFC 9110, section 7.6.1), or say how long a body is.
const reserved = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

/** A file sets no header that the gateway itself has to be right about. */
export const checkEditable = (headers: object, path: Path, problems: Problems): void => {
  for (const name of Object.keys(headers)) {
    if (reserved.has(name.toLowerCase())) problems.add([...path, name], `${name} is not a header to be edited`)
  }
}
