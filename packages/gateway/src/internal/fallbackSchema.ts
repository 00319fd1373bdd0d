import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional, required } from "./fields.ts"

const Stale = Schema.Struct({
  max_age: optional(F.duration, "How old an answer may be, from when it came. 1h by default."),
  max_entries: optional(F.whole(1), "How many are kept; the oldest one makes room. 1000 by default."),
  max_bytes: optional(F.whole(1), "How much they are together, in bytes. 16777216 by default, 16 MiB."),
  max_body_size: optional(F.whole(1), "Of one of them, in bytes; a longer one is not kept. 1048576 by default, 1 MiB."),
  ignore_headers: optional(
    Schema.Array(F.fieldName),
    "Headers of requests that make no difference. With any other unusual one, only answers that say public, or vary by it, are kept and given."
  )
})

const Other = Schema.Struct({
  upstream: required(F.name, "Where it goes: a URL, or a name of upstreams."),
  group: optional(F.name, "Whose limits it has there. Without one it has none."),
  timeout: optional(F.duration, "Bounds the time to the head of its answer. That of the route by default.")
})

/** What is answered when there is no answer. */
export const Fallback = Schema.Struct({
  stale: optional(
    Schema.Union([F.flag, Stale]).annotate({ expected: "true, false or a mapping" }),
    "First, the last good answer to the same request, for a GET without credentials. true is all it takes."
  ),
  upstream: optional(
    Schema.Union([F.name, Other]).annotate({ expected: "a name of upstreams, a URL, or a mapping" }),
    "Then another upstream, if the request can still be sent: it has no body, or nobody has asked for it yet."
  ),
  status: optional(F.whole(200, 599), "Then an answer with this status."),
  body: optional(F.text, "Its body. None by default."),
  file: optional(F.file, "A file that is its body. It is read with the config."),
  content_type: optional(
    F.headerValue,
    "Its type. By default what the name of the file says, and text/plain of a body."
  ),
  headers: optional(Schema.Record(F.fieldName, F.headerValue), "Its headers.")
})
