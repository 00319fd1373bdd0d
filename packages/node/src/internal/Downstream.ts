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
  if (response === undefined || response.headersSent || response.destroyed || response.req.httpVersion === "1.0") return
  const fields = HeaderList.remove(HeaderList.ofResponse(received), "content-length")
  try {
    if (isHttp2(response)) response.stream.additionalHeaders({ ...recordOf(fields), ":status": status })
    else if (typeof response.writeInformation === "function") response.writeInformation(status, fields as Array<string>)
    else if (status === 103) (response as Http.ServerResponse).writeEarlyHints(recordOf(fields))
  } catch {
    // Node will not write it. Nobody relies on an interim response.
  }
}

const recordOf = (fields: HeaderList.HeaderList): Record<string, string | Array<string>> =>
  HeaderList.toHeaders(fields) as Record<string, string>

/** Whether there can be fields after the body of a response. */
export const takesTrailers = (request: Request): boolean => {
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
