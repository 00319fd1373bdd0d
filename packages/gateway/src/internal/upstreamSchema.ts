import * as Schema from "effect/Schema"
import * as F from "./fields.ts"
import { optional, required } from "./fields.ts"

const UpstreamTls = Schema.Struct({
  ca: optional(F.oneOrMore(F.file), "The files of who vouches for it, in PEM, in place of those that Node trusts."),
  cert: optional(F.file, "The file of the gateway's own certificate, if it is asked for one."),
  key: optional(F.file, "The file of its key."),
  passphrase: optional(F.secret, "Of the key, if it is encrypted."),
  server_name: optional(F.name, "The name that is asked for and verified. The host of the URL by default."),
  min_version: optional(F.tlsVersion, "The least version that is spoken. TLSv1.2 by default."),
  ciphers: optional(F.text, "OpenSSL's list of ciphers. Node's own by default."),
  verify: optional(
    Schema.Literals(["on", "off-insecure"]),
    "off-insecure: anybody can take the upstream's place. on by default."
  )
})

/** One of the `upstreams`. */
export const Upstream = Schema.Struct({
  url: required(F.url, "An http or https URL; its path stands before that of requests."),
  http: optional(
    Schema.Literals(["1.1", "2", "auto", 1.1, 2]),
    "Which version of HTTP is spoken. 1.1 by default; 2 for gRPC; auto is what it prefers."
  ),
  connections: optional(F.whole(1), "How many there may be. By default one for each request under way."),
  connect_timeout: optional(F.duration, "How long a connection may take to be made, TLS included. 10s by default."),
  keep_alive: optional(F.duration, "How long an idle connection is kept, if the upstream doesn't say. 4s by default."),
  http2: optional(
    Schema.Struct({
      keep_alive: optional(F.duration, "How long a connection is kept on which nothing is under way. 1m by default."),
      ping: optional(
        F.duration,
        "After how long a silence, with requests under way, it is asked whether it is there. By default only when a request was given up; servers of gRPC have to allow more."
      )
    }),
    "How connections of HTTP/2 are kept."
  ),
  tls: optional(UpstreamTls, "For an https URL.")
})
