import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { FieldsByName } from "./fieldsByName.ts"
import { remembered } from "./remembered.ts"

// What Node's requests have that Effect's doesn't show. Those of HTTP/2 have a `stream`.
interface Source {
  readonly rawHeaders?: ReadonlyArray<string>
  readonly httpVersion?: string
  readonly url?: string
  readonly stream?: unknown
  readonly socket?: object | null
}

// A host and a port (RFC 9110, section 7.2; RFC 3986, section 3.2.2). A comma is allowed there, and is what two Hosts become.
const hostAndPort = /^(?:\[[0-9a-f:.]{2,}\]|(?:[-\w.~!$&'()*+;=]|%[0-9a-f]{2})+)(?::\d*)?$/i

/** Whether it names a host, and nothing besides: no user, no path. */
const isAuthority = remembered((text) => hostAndPort.test(text))

// Node reads on after the answer that ends a connection, and calls what it finds requests.
const doubted = new WeakSet<object>()

/**
 * Why a request is refused, if it is. Whatever follows a refused one on its connection is, too, since where it begins is in doubt;
 * that is not worth a word, so the reason is empty.
 */
export const refusal = (source: HttpServerRequest.HttpServerRequest, fields: FieldsByName): string | undefined => {
  const { socket, stream } = source.source as Source
  const connection = stream === undefined ? socket ?? undefined : undefined
  if (connection !== undefined && doubted.has(connection)) return ""
  const reason = malformed(source, fields)
  if (reason !== undefined && connection !== undefined) doubted.add(connection)
  return reason
}

const absolute = /^https?:\/\/([^/?#]*)/i

/** The scheme and the authority of a target in absolute form (RFC 9112, section 3.2.2), if it is in it. */
export const originOf = (url: string): string | undefined => {
  const [origin, authority] = absolute.exec(url) ?? []
  return origin !== undefined && isAuthority(authority!) && URL.canParse(origin) ? origin : undefined
}

// In origin form or in absolute form; a fragment is the client's own.
const isTarget = (url: string): boolean => {
  if (url.charCodeAt(0) !== 47 && originOf(url) === undefined) return false
  const fragment = url.indexOf("#")
  return fragment === -1 || url.lastIndexOf("?", fragment) !== -1
}

/** For the log, without a password. */
const shown = (text: string): string => JSON.stringify(text.replace(/^((?:[^/]*\/\/)?[^/:]*:)[^/]*@/, "$1...@"))

/** The same of a target, whose query and fragment may be secrets too. */
const shownTarget = (url: string): string => shown(url.replace(/([?#]).+$/s, "$1..."))

/**
 * What is wrong with the head of a request that a server has let through, and that others could read in another way. Node takes any
 * coding in front of `chunked`, several Hosts or a strange one, and HTTP/0.9.
 */
const malformed = (source: HttpServerRequest.HttpServerRequest, fields: FieldsByName): string | undefined => {
  const { httpVersion, rawHeaders, stream, url } = source.source as Source
  const { host, "transfer-encoding": coding } = fields
  const version = stream === undefined ? httpVersion : undefined
  if (version !== undefined && version !== "1.1" && version !== "1.0") return `it is of HTTP/${version}`
  // RFC 9112, section 6.1: in HTTP/1.0 it is a fault, and here nothing else than chunks can be read.
  if (coding !== undefined && (version === "1.0" || coding.toLowerCase() !== "chunked")) {
    return `its Transfer-Encoding is ${JSON.stringify(coding)}`
  }
  if (rawHeaders !== undefined && url !== undefined && !isTarget(url)) return `its target is ${shownTarget(url)}`
  const received = rawHeaders === undefined ? undefined : hostOf(rawHeaders)
  // Node asks for one, but not where a connection is to be upgraded.
  if (received === undefined && rawHeaders !== undefined && version === "1.1") return "it has no Host"
  if (received === null) return "it has more than one Host"
  if (received !== undefined && !isAuthority(received)) return `its Host is ${shown(received)}`
  // A target in absolute form, or HTTP/2, says it elsewhere.
  return host === undefined || host === received || isAuthority(host)
    ? undefined
    : `its host is ${shown(host)}`
}

/** The value of `Host`; `null` if there are several. */
const hostOf = (rawHeaders: ReadonlyArray<string>): string | undefined | null => {
  let host: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length !== 4 || (name !== "Host" && name.toLowerCase() !== "host")) continue
    if (host !== undefined) return null
    host = rawHeaders[i + 1]
  }
  return host
}
