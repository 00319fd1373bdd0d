/**
 * What a client can be told beside the response itself, which is Effect's to write: on Node's own objects, of HTTP/1 and of HTTP/2.
 */
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Request } from "@blackgate/http/Transport"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type * as Http from "node:http"
import type { Http2ServerResponse } from "node:http2"
import { Readable } from "node:stream"

/** Node's response to a request; `undefined` where the server is another. */
export const serverResponse = ({ source }: Request): Http.ServerResponse | undefined =>
  source.source instanceof Readable ? NodeHttpServerRequest.toServerResponse(source) as Http.ServerResponse : undefined

const isHttp2 = (response: object): response is Http2ServerResponse => "stream" in response

/** Passes an interim response on (RFC 9110, section 15.2). A client of HTTP/1.0 knows none. */
export const inform = (request: Request, status: number, received: HeaderList.HeaderList): void => {
  const response = serverResponse(request)
  if (response === undefined || response.req.httpVersion === "1.0") return
  const fields = HeaderList.remove(HeaderList.ofResponse(received), "content-length")
  beforeHead(response, () => {
    if (isHttp2(response)) response.stream.additionalHeaders({ ...recordOf(fields), ":status": status })
    else if (typeof response.writeInformation === "function") response.writeInformation(status, fields as Array<string>)
    else if (status === 103) (response as Http.ServerResponse).writeEarlyHints(recordOf(fields))
  })
}

/** Tells a client that waits with its body to go on, if it has said that it would wait. */
export const goOn = (request: Request): void => {
  const response = serverResponse(request)
  if (response === undefined || !/^100-continue$/i.test(response.req.headers.expect ?? "")) return
  beforeHead(response, () => response.writeContinue())
}

// What Node is to write of a response that is pipelined behind another, it keeps; and puts the head before that, the interim
// response's among it.
const beforeHead = (response: Http.ServerResponse, write: () => void): void => {
  if (!isHttp2(response) && response.socket === null) response.once("socket", () => writeSafely(response, write))
  else writeSafely(response, write)
}

const writeSafely = (response: Http.ServerResponse, write: () => void): void => {
  if (response.headersSent || response.destroyed) return
  try {
    write()
  } catch {
    // Node will not write it. Nobody can rely on an interim response.
  }
}

/** Fields as Node takes them where it takes no list: of those that it takes one of, the first. */
export const recordOf = (fields: HeaderList.HeaderList): Record<string, string | Array<string>> => {
  const record = HeaderList.toHeaders(fields) as Record<string, string | Array<string>>
  for (const [name, value] of Object.entries(record)) {
    if (typeof value !== "string" && singles.has(name)) record[name] = value[0]!
  }
  return record
}

// Of the fields that may be trailers. For a second one Node throws, unless it is told not to, which only later versions can be; and for
// trailers of HTTP/2 it does so where nobody can catch it.
const singles = new Set([
  "access-control-allow-credentials",
  "access-control-max-age",
  "access-control-request-method",
  "content-language",
  "content-location",
  "content-md5",
  "dnt",
  "etag",
  "from",
  "last-modified",
  "referer",
  "tk",
  "upgrade-insecure-requests",
  "user-agent",
  "x-content-type-options"
])

/** Whether there can be fields after the body of a response: there has to be one. */
export const takesTrailers = (request: Request, status: number): boolean => {
  if (status === 204 || status === 205 || status === 304) return false
  const response = serverResponse(request)
  return response !== undefined && request.method !== "HEAD" && response.req.httpVersion !== "1.0"
}

/** Adds the fields after the body. It has to be done before the response ends. */
export const trail = (response: Http.ServerResponse, fields: HeaderList.HeaderList): void => {
  if (isHttp2(response)) return response.addTrailers(recordOf(fields) as Http.OutgoingHttpHeaders)
  const pairs: Array<[string, string]> = []
  for (let i = 0; i < fields.length; i += 2) pairs.push([fields[i]!, fields[i + 1]!])
  response.addTrailers(pairs)
}

/**
 * A response without a body is all head: its stream of HTTP/2 ends with that, as clients of gRPC want it of one that failed at once.
 * Effect writes a head before it ends a response, so Node would end the stream with a frame of its own.
 */
export const endWithHead = (request: Request): void => {
  const response = serverResponse(request) as Http.ServerResponse | Http2ServerResponse | undefined
  // It may be told so of an answer that was thrown away, and then of the next one.
  if (response === undefined || !isHttp2(response) || Object.hasOwn(response, "writeHead")) return
  const { writeHead } = response
  const postponed = (status: number, headers: Http.OutgoingHttpHeaders) => {
    // Whatever comes of it, a body or the end, writes it.
    response.writeHead = writeHead
    response.statusCode = status
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
    return response
  }
  response.writeHead = postponed as typeof writeHead
}
