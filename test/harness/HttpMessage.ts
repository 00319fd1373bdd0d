type Fields = ReadonlyArray<readonly [name: string, value: string]>

/** What stands on the wire, as it stands there: nothing is joined, decoded or put right. Text is Latin-1. */
export interface HttpMessage {
  readonly startLine: string
  /** Names and values in their order, spelled as sent. */
  readonly fields: Fields
  readonly body: Buffer
  /** What says where the body ends. */
  readonly framing: "none" | "length" | "chunked" | "close"
  /** The fields after a body in chunks. */
  readonly trailers: Fields
  /** How many bytes it took up. */
  readonly length: number
}

export interface Head extends Omit<HttpMessage, "body" | "framing" | "trailers"> {}

const blank = Buffer.from("\r\n\r\n")

/** The head, once all of it is there. */
export const parseHead = (bytes: Buffer): Head | undefined => {
  const end = bytes.indexOf(blank)
  if (end < 0) return undefined
  const [startLine, ...lines] = bytes.toString("latin1", 0, end).split("\r\n")
  return { startLine: startLine!, fields: lines.map(fieldOf), length: end + blank.length }
}

const fieldOf = (line: string): Fields[number] => {
  const colon = line.indexOf(":")
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+/, "")]
}

/** All values of a name, whatever its case. */
export const values = ({ fields }: Pick<Head, "fields">, name: string): Array<string> =>
  fields.filter(([each]) => each.toLowerCase() === name.toLowerCase()).map(([, value]) => value)

/** The status of a response. */
export const status = ({ startLine }: Pick<Head, "startLine">): number => Number(startLine.split(" ")[1])

const chunks = (
  bytes: Buffer
): { readonly body: Buffer; readonly trailers: Fields; readonly length: number } | undefined => {
  const parts: Array<Buffer> = []
  for (let at = 0;;) {
    const line = bytes.indexOf("\r\n", at)
    if (line < 0) return undefined
    const size = Number.parseInt(bytes.toString("latin1", at, line), 16)
    if (!(size >= 0)) throw new Error(`no chunk size: ${JSON.stringify(bytes.toString("latin1", at, line))}`)
    const start = line + 2
    if (size === 0) {
      // The line of the last chunk ends as the one before a blank line does.
      const end = bytes.indexOf(blank, line)
      if (end < 0) return undefined
      const trailers = end === line ? [] : bytes.toString("latin1", start, end).split("\r\n").map(fieldOf)
      return { body: Buffer.concat(parts), trailers, length: end + blank.length }
    }
    if (bytes.length < start + size + 2) return undefined
    parts.push(bytes.subarray(start, start + size))
    at = start + size + 2
  }
}

/** The whole message, once all of it is there. One that ends with its connection is there when that has ended in order. */
export const parse = (
  bytes: Buffer,
  options: { readonly ended: boolean; readonly bodiless?: boolean | undefined }
): HttpMessage | undefined => {
  const head = parseHead(bytes)
  if (head === undefined) return undefined
  const rest = bytes.subarray(head.length)
  const is = (
    framing: HttpMessage["framing"],
    body: Buffer,
    length: number,
    trailers: Fields = []
  ): HttpMessage => ({
    ...head,
    framing,
    body,
    trailers,
    length: head.length + length
  })
  const response = head.startLine.startsWith("HTTP/")
  const code = response ? status(head) : 0
  if (options.bodiless === true || (response && (code < 200 || code === 204 || code === 304))) {
    return is("none", Buffer.alloc(0), 0)
  }
  if (values(head, "transfer-encoding").length > 0) {
    const found = chunks(rest)
    return found && is("chunked", found.body, found.length, found.trailers)
  }
  const [length] = values(head, "content-length")
  if (length !== undefined) {
    const size = Number(length)
    return rest.length < size ? undefined : is("length", rest.subarray(0, size), size)
  }
  if (!response) return is("none", Buffer.alloc(0), 0)
  return options.ended ? is("close", rest, rest.length) : undefined
}
