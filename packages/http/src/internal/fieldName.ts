/** What is known of the name of a field, however it is spelled. */
export interface FieldName {
  readonly lower: string
  readonly kind: Kind
}

/** What becomes of a field on its way to the other end; `rewritten` are those that the gateway writes anew, of a request. */
type Kind = "pass" | "drop" | "connection" | "te" | "rewritten"

const known = new Map<string, FieldName>()
const know = (kind: Kind, ...names: ReadonlyArray<string>): void => {
  for (const lower of names) known.set(lower, { lower, kind })
}
know("connection", "connection")
know("te", "te")
know("drop", "keep-alive", "trailer", "transfer-encoding", "upgrade", "http2-settings")
// Not hop-by-hop, but a trap: CGI turns it into HTTP_PROXY.
know("drop", "proxy")
// Whom a request is for, whom it is from, and how its body is announced.
know(
  "rewritten",
  "host",
  "expect",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-proto"
)

// Names are the peer's, so what is remembered of their spellings is bounded.
const remembered = 512

export const fieldName = (name: string): FieldName => known.get(name) ?? read(name)

const read = (name: string): FieldName => {
  const lower = name.toLowerCase()
  const field = known.get(lower) ?? { lower, kind: kindOf(lower) }
  // A copy: what was cut out of a head would keep all of that in memory.
  if (known.size < remembered) known.set(Array.from(name).join(""), field)
  return field
}

const kindOf = (lower: string): Kind => {
  // `:path` and its like are HTTP/2's, not fields.
  if (lower.startsWith("proxy-") || lower.startsWith(":")) return "drop"
  // To CGI and its heirs `X_Forwarded_For` is the same as `X-Forwarded-For`, and so is its value.
  return lower.includes("_") && known.get(lower.replaceAll("_", "-"))?.kind === "rewritten" ? "rewritten" : "pass"
}
