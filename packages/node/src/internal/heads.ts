/**
 * What a request head must be like, beyond what Node's parsers see to.
 *
 * @see RFC 9112, sections 3.2 and 6; RFC 9113, section 8.3.1
 */
import type { IncomingMessage } from "node:http"
import type { Http2ServerRequest } from "node:http2"
import { type Refusal, refusal } from "./refusals.ts"

export interface HeadLimits {
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly maxUri: number
}

// A host and perhaps a port (RFC 3986, section 3.2): no userinfo, no path, and not nothing.
// A comma is allowed there, and is what two Hosts become.
const authority = /^(?:\[[0-9a-f:.]{2,}\]|(?:[-\w.~!$&'()*+;=]|%[0-9a-f]{2})+)(?::\d{0,5})?$/i
const absolute = /^https?:\/\/([^/?#]*)/i
const digits = /^\d{1,15}$/

/** What is wrong with a head of HTTP/1. */
export const wrongHead = (request: IncomingMessage, { maxHeaders, maxUri }: HeadLimits): Refusal | undefined => {
  const { httpVersionMajor, httpVersionMinor, rawHeaders, url = "" } = request
  if (httpVersionMajor === 0) return refusal(400, "it speaks HTTP/0.9")
  if (httpVersionMajor !== 1) return refusal(505, `it speaks HTTP/${httpVersionMajor} in the form of HTTP/1`)
  if (url.length > maxUri) return refusal(414, `its request target is longer than ${maxUri} bytes`)
  if (rawHeaders.length > 2 * maxHeaders) return refusal(431, `its request has more than ${maxHeaders} header fields`)

  let hosts = 0
  let host = ""
  let length: string | undefined
  let coding: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    // By its length, most names are none of these.
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== "host") break
        hosts++
        host = rawHeaders[i + 1]!
        break
      case 14:
        if (name.toLowerCase() !== "content-length") break
        if (length !== undefined) return refusal(400, "its request has more than one Content-Length")
        length = rawHeaders[i + 1]!
        break
      case 17:
        if (name.toLowerCase() !== "transfer-encoding") break
        if (coding !== undefined) return refusal(400, "its request has more than one Transfer-Encoding")
        coding = rawHeaders[i + 1]!
        break
    }
  }
  if (length !== undefined && !digits.test(length)) {
    return refusal(400, "the Content-Length of its request is no number")
  }
  if (coding !== undefined) {
    if (length !== undefined) return refusal(400, "its request has a Content-Length and a Transfer-Encoding")
    if (coding.toLowerCase() !== "chunked") {
      return refusal(400, "the Transfer-Encoding of its request is something else than chunked")
    }
    if (httpVersionMinor === 0) return refusal(400, "its request of HTTP/1.0 has a Transfer-Encoding")
  }
  if (hosts > 1) return refusal(400, "its request has more than one Host")
  if (hosts === 0 ? httpVersionMinor > 0 : !authority.test(host)) {
    return refusal(400, hosts === 0 ? "its request has no Host" : "the Host of its request is no host")
  }
  return url.charCodeAt(0) === 47 ? undefined : wrongTarget(url, request.method)
}

// Absolute form, or the asterisk (RFC 9112, section 3.2); that of CONNECT is judged by whoever serves it.
const wrongTarget = (url: string, method: string | undefined): Refusal | undefined => {
  if (method === "CONNECT" || (url === "*" && method === "OPTIONS")) return undefined
  const host = absolute.exec(url)?.[1]
  return host !== undefined && authority.test(host) ? undefined : refusal(400, "its request target is none")
}

/** The same of HTTP/2, whose parser sees to the framing. */
export const wrongHead2 = (request: Http2ServerRequest, limits: HeadLimits): Refusal | undefined => {
  const { headers, rawHeaders } = request
  const { ":authority": target, ":method": method, ":path": path = "", host } = headers
  if (path.length > limits.maxUri) return refusal(414, `its request target is longer than ${limits.maxUri} bytes`)
  // nghttp2 sees to that only where the scheme is one of HTTP's.
  if (path.charCodeAt(0) !== 47 && !(path === "*" && method === "OPTIONS")) {
    return refusal(400, "its request target is none")
  }
  if (rawHeaders.length > 2 * limits.maxHeaders) {
    return refusal(431, `its request has more than ${limits.maxHeaders} header fields`)
  }
  let bytes = 0
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    bytes += name.length + rawHeaders[i + 1]!.length
    if (name === "host") hosts++
  }
  if (bytes > limits.maxHeaderBytes) {
    return refusal(431, `its request head is longer than ${limits.maxHeaderBytes} bytes`)
  }
  if (hosts > 1) return refusal(400, "its request has more than one Host")
  if (target !== undefined && host !== undefined && target !== host) {
    return refusal(400, "the Host of its request is not its :authority")
  }
  const either = target ?? host
  if (either === undefined) return refusal(400, "its request has no Host")
  return authority.test(either) ? undefined : refusal(400, "the Host of its request is no host")
}
