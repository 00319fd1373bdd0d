import type { Request } from "@blackgate/http/Transport"
import { IncomingMessage } from "node:http"
import type * as Net from "node:net"
import type { Client } from "./Client.ts"
import { free, isWritten } from "./Written.ts"

/** As much as Node reads at once, and keeps for a reader anyway. */
const most = 64 * 1024

/** Whether a request has a body that can have come with its head. */
export const mayBeWhole = ({ body }: Request): boolean =>
  body._tag === "Incoming" && body.contentLength !== undefined && body.contentLength <= most

/** One that has been read. */
interface Read {
  readonly whole: Buffer
  /** By how many exchanges: each attempt of a request is another one. */
  readers: number
}

const read = new WeakMap<object, Read>()

/** A body that has come as a whole by now, and that nobody has read: a stream costs twice as much, and its garbage outlives it. */
export const wholeOf = ({ body }: Request, client: Client["request"]): Buffer | undefined => {
  if (body._tag !== "Incoming" || !(client instanceof IncomingMessage)) return undefined
  const { contentLength, limit } = body
  if (contentLength === undefined || client.readableFlowing !== null) {
    const before = read.get(client)
    if (before !== undefined) before.readers++
    return before?.whole
  }
  if (client.readableLength !== contentLength || contentLength === 0 || limit?.take(contentLength) === false) {
    return undefined
  }
  // Without a length it answers with the first of several reads only (since Node 26).
  const whole: Buffer = client.read(contentLength)
  read.set(client, { whole, readers: 1 })
  // Its end is still to come, and to be heard.
  client.resume()
  return whole
}

/** Nobody wants it again, for there is an answer: its memory is given back, if it went over this connection alone and is written. */
export const letGo = (client: Client["request"], socket: Net.Socket): void => {
  const known = client && read.get(client)
  if (known?.readers !== 1 || !isWritten(socket)) return
  read.delete(client!)
  free(known.whole)
}

/** Whether somebody else has read of a request's body, so that it is not there any more. */
export const isGone = (client: Client["request"]): boolean => client?.readableDidRead === true && !read.has(client)
