import type { Request } from "@blackgate/http/Transport"
import { IncomingMessage } from "node:http"
import type { Client } from "./Client.ts"

/** As much as Node reads at once, and keeps for a reader anyway. */
const most = 64 * 1024

/** Whether a request has a body that can have come with its head. */
export const mayBeWhole = ({ body }: Request): boolean =>
  body._tag === "Incoming" && body.contentLength !== undefined && body.contentLength <= most

/** Those that have been read, for another attempt of their request. */
const read = new WeakMap<IncomingMessage, Buffer>()

/** A body that has come as a whole by now, and that nobody has read: a stream costs twice as much, and its garbage outlives it. */
export const wholeOf = ({ body }: Request, client: Client["request"]): Buffer | undefined => {
  if (body._tag !== "Incoming" || !(client instanceof IncomingMessage)) return undefined
  const { contentLength, limit } = body
  if (contentLength === undefined || client.readableFlowing !== null) return read.get(client)
  if (client.readableLength !== contentLength || contentLength === 0 || limit?.take(contentLength) === false) {
    return undefined
  }
  // Without a length it answers with the first of several reads only (since Node 26).
  const whole: Buffer = client.read(contentLength)
  read.set(client, whole)
  // Its end is still to come, and to be heard.
  client.resume()
  return whole
}
