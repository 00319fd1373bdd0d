import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import { remembered } from "./remembered.ts"

/** Who a proxy says that it got a request from. */
export interface Node {
  /** As it stands in `X-Forwarded-For`: an address, with brackets only before a port; `unknown`, or a name that hides one. */
  readonly text: string
  /** Its address, if it is known; of IPv4 inside of IPv6 the former. */
  readonly address: NetAddress.IpAddress | undefined
}

const port = "(:(?:\\d{1,5}|_[\\w.-]+))?"
const bracketed = new RegExp(`^\\[([0-9a-f.]*:[0-9a-f:.]+)(?:%[\\w.~-]+)?\\]${port}$`, "i")
const dotted = new RegExp(`^(\\d[\\d.]+)${port}$`)
const bare = /^([0-9a-f.]*:[0-9a-f:.]*)(?:%[\w.~-]+)?$/i
// RFC 7239, sections 6.2 and 6.3.
const hidden = new RegExp(`^(?:unknown|_[\\w.-]+)${port}$`, "i")

/**
 * Reads a node (RFC 7239, section 6), also as `X-Forwarded-For` has it, which is without brackets or with a port. A zone is of use to
 * the machine alone that it is a zone of, and is left away. `undefined` for what is malformed.
 */
export const nodeOf = (text: string): Node | undefined => {
  if (hidden.test(text)) return { text, address: undefined }
  const [, ip, suffix = ""] = bracketed.exec(text) ?? dotted.exec(text) ?? bare.exec(text) ?? []
  if (ip === undefined || (/^:\d/.test(suffix) && Number(suffix.slice(1)) > 65_535)) return undefined
  const parsed = NetAddress.ipFromString(ip)
  if (Result.isFailure(parsed)) return undefined
  return {
    text: suffix === "" ? ip : ip.includes(":") ? `[${ip}]${suffix}` : ip + suffix,
    address: NetAddress.toCanonical(parsed.success)
  }
}

/** The text of a node as a `Forwarded` field has it: IPv6 is always in brackets. */
export const bracket = (text: string): string => bare.test(text) ? `[${text}]` : text

const mapped = /^::ffff:(?=\d+\.)/i

/** The address of a peer as it is told to others: IPv4 for what a socket of IPv6 says of it, and no zone. */
export const peerOf = (address: string): string =>
  address.includes(":") ? address.replace(mapped, "").replace(/%.*$/, "") : address

const authority = /^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+;=%-]+)(?::\d{0,5})?$/i
const scheme = /^[a-z][a-z0-9+.-]*$/i
const number = /^\d{1,5}$/
const prefix = /^\/[\w.~!$&'()*+;=:@%/-]*$/

/** Whether it may stand for a host, with a port or without, in a list of them. */
export const isHost = remembered((text) => authority.test(text))
export const isScheme = (text: string): boolean => scheme.test(text)
export const isPort = (text: string): boolean => number.test(text) && Number(text) <= 65_535
// One that begins with two slashes would name another host where it is put before a path.
export const isPrefix = (text: string): boolean =>
  prefix.test(text) && !text.startsWith("//") && !/(?:^|\/)\.\.?(?:\/|$)/.test(text)

/** The port that a host names, or its scheme implies. */
export const portOf = (host: string, proto: string): string =>
  /:(\d+)$/.exec(host)?.[1] ?? (proto === "https" ? "443" : "80")
