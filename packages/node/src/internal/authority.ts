import * as Net from "node:net"

/** Whom a CONNECT is for (RFC 9110, section 9.3.6). */
export interface Authority {
  /** A name in lower case, or an address, without brackets. */
  readonly host: string
  readonly port: number
}

const form = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)):([0-9]{1,5})$/i

/** The target of a CONNECT; `undefined` if it is none, or spelled so that a resolver may take it for an address that it doesn't look like. */
export const authority = (target: string): Authority | undefined => {
  const parts = form.exec(target)
  if (parts === null) return undefined
  const [, address, name, digits] = parts
  const host = hostOf(address, name)
  const port = Number(digits)
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

const hostOf = (address: string | undefined, name: string | undefined): string | undefined => {
  if (address !== undefined) return Net.isIPv6(address) ? canonical(address) : undefined
  const host = name!.toLowerCase()
  if (host.includes("..")) return undefined
  // `127.1`, `0x7f000001` and `2130706433` are addresses to most resolvers.
  return /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/.test(host) && !Net.isIPv4(host) ? undefined : host
}

const canonical = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1)

/** Whether an authority is among those of a pattern, and whether that names it outright. */
export interface Pattern {
  readonly matches: (authority: Authority) => boolean
  readonly isExact: boolean
}

/** `host:port`, where the host may be `*` or begin with `*.`, and the port be `*`; `undefined` for anything else. */
export const pattern = (text: string): Pattern | undefined => {
  const colon = text.lastIndexOf(":")
  const port = text.slice(colon + 1)
  const anyHost = text.startsWith("*:")
  const below = text.startsWith("*.")
  const host = below ? text.slice(2, colon) : text.slice(0, colon)
  const wanted = authority(`${anyHost ? "any" : host}:${port === "*" ? "1" : port}`)
  if (colon < 0 || wanted === undefined || (below && Net.isIP(wanted.host) !== 0)) return undefined
  const suffix = `.${wanted.host}`
  const isHost = anyHost
    ? () => true
    : below
    ? ({ host }: Authority) => host.endsWith(suffix)
    : ({ host }: Authority) => host === wanted.host
  return { matches: (one) => isHost(one) && (port === "*" || one.port === wanted.port), isExact: !anyHost && !below }
}
