import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { createHash, timingSafeEqual } from "node:crypto"
import { failure } from "./failure.ts"
import { isLoopback } from "./loopback.ts"
import { hostOf } from "./RouteIndex.ts"

/** Bytes: more than any change of a group takes. */
export const maxBody = 64 * 1024

const digest = (text: string) => createHash("sha256").update(text).digest()

// A listener on all addresses sees those of IPv4 inside of IPv6.
const isHere = (address: string): boolean => isLoopback(address.replace(/^::ffff:(?=\d+\.)/, ""))

/**
 * Why a request is not answered, if it is not. Who has the token is let in, if there is one; the probes need none. Without one it is whoever
 * is on this machine: a page in a browser there is not, nor is one whose name was made to point here. A reload may take the token away
 * while there are connections of the listener that needed it, so they have to be from here, too.
 */
export const refused = (
  token: string | undefined,
  { headers, remoteAddress, url }: Pick<HttpServerRequest, "headers" | "remoteAddress" | "url">
): HttpServerResponse.HttpServerResponse | undefined => {
  if (Number(headers["content-length"] ?? 0) > maxBody) return failure(413, "payload too large")
  // An empty one is that of a variable which is not set.
  if (token !== undefined && token !== "") {
    const given = /^Bearer (.*)$/i.exec(headers["authorization"] ?? "")?.[1] ?? ""
    const isIn = /^\/(?:health|ready)$/.test(url) || timingSafeEqual(digest(given), digest(token))
    return isIn ? undefined : failure(401, "unauthorized")
  }
  const isIn = isLoopback(hostOf(headers["host"] ?? "")) && headers["origin"] === undefined &&
    Option.exists(remoteAddress, isHere)
  return isIn ? undefined : failure(403, "forbidden")
}
