/**
 * HTTP/1.1 as RFC 9112 has it, and no more: whatever is doubtful is invalid. It is the judge of what goes over the wire in tests, so
 * it shares no code with the gateway, with Node, or with the other readers of this folder.
 *
 * Of what the grammar allows it refuses whitespace around chunk extensions ("bad whitespace"), transfer codings other than one
 * `chunked`, fields of framing among trailers, and an empty Host. Of what the grammar does not allow it takes visible ASCII in a
 * target (RFC 3986 has less of it): browsers send that, and no parser stumbles.
 */
import { authority, isDigits, isExtensions, isHex, isHost, isText, isToken, isVisible } from "./StrictSyntax.ts"

export type Fields = ReadonlyArray<readonly [name: string, value: string]>

interface Message {
  readonly version: "1.0" | "1.1"
  readonly fields: Fields
  /** Latin-1, as everything here. */
  readonly body: string
  readonly framing: "none" | "length" | "chunked" | "close"
  readonly trailers: Fields
}

export interface Request extends Message {
  readonly method: string
  readonly target: string
  /** Whether it lacks what it must have, and was tolerated. */
  readonly isFlawed: boolean
}

export interface Response extends Message {
  readonly status: number
  readonly reason: string
  /** The statuses of the interim responses that came before. */
  readonly interim: ReadonlyArray<number>
}

/** What a stream of bytes holds: messages, and then nothing, the beginning of one, or something that is none. */
export interface Reading<A> {
  readonly messages: ReadonlyArray<A>
  readonly rest: "nothing" | "incomplete" | "invalid"
  /** Why the rest is no message. */
  readonly why: string
  /** Where the rest begins. */
  readonly at: number
}

/** What a server, or a client, may overlook without a chance for two readings: none of it is about where a message ends. */
export interface Tolerance {
  /** Empty lines before a start line (RFC 9112, section 2.2), of CRLF, CR or LF. */
  readonly emptyLines?: boolean
  /** More than one space around the target (RFC 9112, section 3). */
  readonly spaces?: boolean
  /** Fields of framing among the trailers, which are dropped (RFC 9110, section 6.5.1). */
  readonly trailers?: boolean
  /** Chunk extensions with an equals sign and no value, which are dropped. */
  readonly extensions?: boolean
  /** No Host in HTTP/1.1: such a request is refused, but what follows it begins where it ends. */
  readonly noHost?: boolean
  /** Other protocols whose messages look like those of HTTP. */
  readonly protocols?: boolean
  /** A status line of another version of HTTP, without the space behind its status, or with a strange reason. */
  readonly statusLines?: boolean
}

/** Why no message was read. */
class Stop {
  readonly rest: "incomplete" | "invalid"
  readonly why: string
  constructor(rest: "incomplete" | "invalid", why: string) {
    this.rest = rest
    this.why = why
  }
}

const invalid = (why: string): never => {
  throw new Stop("invalid", why)
}
const incomplete = (): never => {
  throw new Stop("incomplete", "it is not all there")
}

class Reader {
  at: number
  private readonly text: string
  constructor(text: string, at: number) {
    this.text = text
    this.at = at
  }

  /** Up to a CRLF, which is taken too. */
  line(anyByte = false): string {
    for (let i = this.at; i < this.text.length; i++) {
      const char = this.text[i]
      if (char === "\0" && !anyByte) invalid("NUL")
      if (char === "\n") invalid("a bare LF")
      if (char !== "\r") continue
      if (i + 1 >= this.text.length) break
      if (this.text[i + 1] !== "\n") invalid("a bare CR")
      const line = this.text.slice(this.at, i)
      this.at = i + 2
      return line
    }
    return incomplete()
  }

  take(length: number): string {
    if (this.text.length - this.at < length) return incomplete()
    this.at += length
    return this.text.slice(this.at - length, this.at)
  }

  rest(): string {
    return this.take(this.text.length - this.at)
  }

  skip(text: string): boolean {
    if (!this.text.startsWith(text, this.at)) return false
    this.at += text.length
    return true
  }
}

const readFields = (reader: Reader): Fields => {
  const fields: Array<readonly [string, string]> = []
  for (;;) {
    const line = reader.line()
    if (line === "") return fields
    const colon = line.indexOf(":")
    const name = line.slice(0, colon)
    if (colon < 0 || !isToken(name)) invalid(`no field: ${line}`)
    let [from, to] = [colon + 1, line.length]
    while (from < to && " \t".includes(line[from]!)) from++
    while (to > from && " \t".includes(line[to - 1]!)) to--
    const value = line.slice(from, to)
    if (!isText(value)) invalid(`no value: ${line}`)
    fields.push([name, value])
  }
}

/** All values of a name. */
export const values = (fields: Fields, name: string): ReadonlyArray<string> =>
  fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value)

const notTrailers = ["content-length", "transfer-encoding", "host", "trailer"]

const readChunked = (reader: Reader, tolerance: Tolerance = {}): Pick<Message, "body" | "framing" | "trailers"> => {
  let body = ""
  for (;;) {
    const line = reader.line()
    let digits = 0
    while (digits < line.length && isHex(line[digits]!)) digits++
    const size = Number.parseInt(line.slice(0, digits), 16)
    if (!Number.isSafeInteger(size)) invalid(`no chunk size: ${line}`)
    if (!isExtensions(line.slice(digits), tolerance.extensions)) invalid(`no chunk extension: ${line}`)
    if (size === 0) break
    body += reader.take(size)
    if (reader.line() !== "") invalid("a chunk that is longer than its size")
  }
  const trailers = readFields(reader)
  if (tolerance.trailers !== true && trailers.some(([name]) => notTrailers.includes(name.toLowerCase()))) {
    invalid("framing among trailers")
  }
  return { body, framing: "chunked", trailers }
}

/** The length that the framing fields say (RFC 9112, section 6.3); nothing if they don't. */
const framingOf = (fields: Fields, version: string): number | "chunked" | undefined => {
  const codings = values(fields, "transfer-encoding")
  const lengths = values(fields, "content-length")
  if (codings.length > 0) {
    if (lengths.length > 0) invalid("Content-Length and Transfer-Encoding")
    if (version !== "1.1") invalid("Transfer-Encoding in HTTP/1.0")
    if (codings.length > 1 || codings[0]!.toLowerCase() !== "chunked") {
      invalid(`Transfer-Encoding: ${codings.join("|")}`)
    }
    return "chunked"
  }
  if (lengths.length === 0) return undefined
  const length = Number(lengths[0])
  if (lengths.length > 1 || !isDigits(lengths[0]!) || !Number.isSafeInteger(length)) {
    invalid(`Content-Length: ${lengths.join("|")}`)
  }
  return length
}

/** What Node's parser takes for HTTP. */
const asHttp = (method: string, text: string): string =>
  /^(?:SOURCE ICE|(?:GET|POST|OPTIONS) RTSP)\//.test(`${method} ${text}`) ? text.replace(/^[A-Z]+/, "HTTP") : text

const versionOf = (text: string): "1.0" | "1.1" =>
  text === "HTTP/1.1" ? "1.1" : text === "HTTP/1.0" ? "1.0" : invalid(`the version ${text}`)

const checkTarget = (method: string, target: string): void => {
  if (!isVisible(target)) invalid(`the target ${target}`)
  const host = authority(target)
  const isOne = method === "CONNECT"
    ? isHost(target) && target.includes(":")
    : target === "*"
    ? method === "OPTIONS"
    : host === undefined
    ? target.startsWith("/")
    : isHost(host)
  if (!isOne || target.split("?")[0]!.includes("#")) invalid(`the target ${target}`)
}

const skipEmptyLines = (reader: Reader, { emptyLines }: Tolerance): void => {
  let skips = emptyLines === true
  while (skips) skips = reader.skip("\r") || reader.skip("\n")
}

const readRequest = (reader: Reader, tolerance: Tolerance): Request => {
  skipEmptyLines(reader, tolerance)
  const line = reader.line()
  const parts = (tolerance.spaces === true ? line.replaceAll(/(?<=[^ ]) +(?=[^ ])/g, " ") : line).split(" ")
  const [method, target, last] = parts as [string, string, string]
  if (parts.length !== 3 || !isToken(method)) invalid(`the request line ${line}`)
  const version = versionOf(tolerance.protocols === true ? asHttp(method, last) : last)
  const fields = readFields(reader)
  const hosts = values(fields, "host")
  const isFlawed = version === "1.1" && hosts.length === 0
  if (hosts.length > 1 || (isFlawed && tolerance.noHost !== true)) invalid(`${hosts.length} Hosts`)
  // One that is refused for that is refused whatever its target.
  if (!isFlawed) checkTarget(method, target)
  if (hosts.length === 1 && !isHost(hosts[0]!)) invalid(`Host: ${hosts[0]}`)
  const framing = framingOf(fields, version)
  const head = { method, target, version, fields, isFlawed }
  if (framing === "chunked") return { ...head, ...readChunked(reader, tolerance) }
  return {
    ...head,
    body: reader.take(framing ?? 0),
    framing: framing === undefined ? "none" : "length",
    trailers: []
  }
}

const readResponse = (reader: Reader, method: string, ended: boolean, tolerance: Tolerance): Response => {
  const interim: Array<number> = []
  for (;;) {
    skipEmptyLines(reader, tolerance)
    let line = reader.line(tolerance.statusLines)
    if (tolerance.statusLines === true) {
      line = line.replace(/^HTTP\/\d\.\d(?= )/, "HTTP/1.1").replace(/^(.{9}\d{3})$/, "$1 ")
    }
    const version = versionOf(line.slice(0, 8))
    const code = line.slice(9, 12)
    if (
      line[8] !== " " || line[12] !== " " || !isDigits(code) ||
      (tolerance.statusLines !== true && !isText(line.slice(13)))
    ) {
      invalid(`the status line ${line}`)
    }
    const status = Number(code)
    if (status < 100 || status > 599 || status === 101) invalid(`the status ${status}`)
    const fields = readFields(reader)
    const framing = framingOf(fields, version)
    const head = { version, status, reason: line.slice(13), fields, interim, trailers: [] }
    if (status < 200) {
      if (framing !== undefined) invalid(`a ${status} with framing`)
      interim.push(status)
      continue
    }
    if (status === 204 && framing !== undefined) invalid("a 204 with framing")
    if (status === 204 || status === 304 || method === "HEAD") return { ...head, body: "", framing: "none" }
    if (framing === "chunked") return { ...head, ...readChunked(reader, tolerance) }
    if (framing !== undefined) return { ...head, body: reader.take(framing), framing: "length" }
    if (!ended) return incomplete()
    return { ...head, body: reader.rest(), framing: "close" }
  }
}

const readAll = <A>(bytes: Buffer | string, read: (reader: Reader, index: number) => A | undefined): Reading<A> => {
  const text = typeof bytes === "string" ? bytes : bytes.toString("latin1")
  const messages: Array<A> = []
  let at = 0
  try {
    while (at < text.length) {
      const reader = new Reader(text, at)
      const message = read(reader, messages.length)
      if (message === undefined) return { messages, rest: "invalid", why: "more than was asked for", at }
      messages.push(message)
      at = reader.at
    }
    return { messages, rest: "nothing", why: "", at }
  } catch (reason) {
    if (reason instanceof Stop) return { messages, rest: reason.rest, why: reason.why, at }
    throw reason
  }
}

/** The requests of one direction of a connection. */
export const requests = (bytes: Buffer | string, tolerance: Tolerance = {}): Reading<Request> =>
  readAll(bytes, (reader) => readRequest(reader, tolerance))

/** The responses of the other one, to requests of these methods. `ended` says that the connection has ended in order. */
export const responses = (
  bytes: Buffer | string,
  methods: ReadonlyArray<string>,
  ended: boolean,
  tolerance: Tolerance = {}
): Reading<Response> =>
  readAll(bytes, (reader, index) => {
    const method = methods[index]
    return method === undefined ? undefined : readResponse(reader, method, ended, tolerance)
  })
