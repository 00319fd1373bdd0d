import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Body, BodyLimit, Request } from "../Transport.ts"

/** A limit of one body: whoever has set it sees whether it was exceeded. */
export class Limit implements BodyLimit {
  exceeded = false
  readonly max: number
  private taken = 0

  constructor(max: number) {
    this.max = max
  }

  readonly take = (bytes: number): boolean => {
    this.taken += bytes
    this.exceeded ||= this.taken > this.max
    return !this.exceeded
  }
}

/** The body with that limit; `undefined` if it is known to exceed it. One that a rewrite has made has none. */
export const limited = (body: Body, limit: Limit): Body | undefined => {
  if (body._tag !== "Incoming") return body
  return body.contentLength !== undefined && body.contentLength > limit.max ? undefined : { ...body, limit }
}

class BodyTooLong extends Data.TaggedError("BodyTooLong") {}

/** The body as a stream, for the transports that read it as one; it fails when there is too much of it. */
export const streamOf = ({ body, source }: Request) => {
  const limit = body._tag === "Incoming" ? body.limit : undefined
  return limit === undefined ? source.stream : Stream.mapEffect(
    source.stream,
    (chunk) => limit.take(chunk.length) ? Effect.succeed(chunk) : Effect.fail(new BodyTooLong())
  )
}
