/** How a response is written to a client of HTTP/1 with nothing between: not by a stream that is piped, and in one piece if it can be. */
import type { Head, Request } from "@blackgate/http/Transport"
import type * as Http from "node:http"
import { serverResponse } from "./Downstream.ts"

/**
 * Node's response to a request, if such a head, and a body behind it, can be written to it just so. What asks for more than that is
 * left to Effect: responses that have no body, and a request that is not whole, whose rest has to be dealt with; unless the response
 * `streams`, as its upstream may still want the rest, and no client waits to be told whether it does.
 */
export const writable = (request: Request, { status }: Head, streams: boolean): Http.ServerResponse | undefined => {
  const response = serverResponse(request)
  if (response === undefined || response.req.httpVersionMajor !== 1) return undefined
  if (!response.req.complete && (!streams || response.req.headers.expect !== undefined)) return undefined
  const hasBody = request.method !== "HEAD" && response.req.method !== "HEAD" && status !== 204 && status !== 205 &&
    status !== 304
  return hasBody && !response.headersSent && !response.destroyed ? response : undefined
}

/** `false` if Node does not take it. */
export const writeHead = (response: Http.ServerResponse, { headers, status, statusText }: Head): boolean => {
  try {
    if (statusText === undefined) response.writeHead(status, headers as Array<string>)
    else response.writeHead(status, statusText, headers as Array<string>)
    return true
  } catch {
    return false
  }
}

/** More than this is not copied, to be in one piece with the head. */
const mostCopied = 4096

/** The head, and all of its body. */
export const writeWhole = (response: Http.ServerResponse, head: Head, body: Buffer): boolean => {
  if (!writeHead(response, head)) return false
  if (body.length <= mostCopied) response.end(body.toString("latin1"), "latin1")
  else response.end(body)
  return true
}
