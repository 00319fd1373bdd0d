/** Between fields of HTTP/1.1, as they travel inside, and those of HTTP/2 (RFC 9113, section 8). */
import type { HeaderList } from "@blackgate/http/HeaderList"
import type { Request } from "@blackgate/http/Transport"

// Of a connection, and HTTP/2 has other words for them (RFC 9113, section 8.2.2).
const connectionSpecific = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade"
])

/** The head of a request, names in lower case. */
export const headOf = ({ headers, method, target, upstream }: Request): Array<string> => {
  let { authority } = upstream
  const fields: Array<string> = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    const value = headers[i + 1]!
    if (name === "host") authority = value
    else if (name === "te" ? value.toLowerCase() === "trailers" : !connectionSpecific.has(name)) {
      fields.push(name, value)
    }
  }
  const scheme = upstream.origin.startsWith("https:") ? "https" : "http"
  return [":method", method, ":scheme", scheme, ":authority", authority, ":path", target, ...fields]
}

/** What came, without what is no field. */
export const fieldsFrom = (raw: HeaderList): HeaderList => {
  const fields: Array<string> = []
  for (let i = 0; i < raw.length; i += 2) if (!raw[i]!.startsWith(":")) fields.push(raw[i]!, raw[i + 1]!)
  return fields
}
