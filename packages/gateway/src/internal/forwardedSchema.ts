import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional } from "./fields.ts"

/** Whom to believe, and what to tell. */
export const Forwarded = Schema.Struct({
  trust: optional(Schema.Array(F.trusted), "Networks and addresses of proxies that are believed. Nobody by default."),
  read: optional(Schema.Literals(["x-forwarded", "forwarded"]), "Which fields they write. x-forwarded by default."),
  send: optional(
    Schema.Literals(["x-forwarded", "forwarded", "both", "none"]),
    "Which fields are sent. x-forwarded by default."
  ),
  via: optional(
    Schema.Union([F.token("a token"), Schema.Literal(false)]).annotate({ expected: "a token, or false" }),
    "What the gateway calls itself in Via: blackgate by default. false for no Via, and no detection of loops."
  ),
  instance: optional(F.token("a token"), "Tells this gateway from others of its name. Random by default."),
  max_passes: optional(F.whole(1), "How often a request may pass this gateway; then it is a 508. 1 by default.")
})
