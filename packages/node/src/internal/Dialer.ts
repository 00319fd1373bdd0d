import type { Upstream } from "@blackgate/http/Upstream"
import * as UpstreamTls from "@blackgate/http/UpstreamTls"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { buildConnector } from "undici"

/** How connections are made, whoever they go to. Times in milliseconds. */
export interface DialOptions {
  readonly connectTimeout: number
  readonly tls: UpstreamTls.Options
  /** Tells the log. What was said once is not said again. */
  readonly warn: (message: string) => void
}

/** Makes connections to one upstream: encrypted as that says, to the name it has, whatever a `Host` header says. */
export class Dialer {
  readonly connect: buildConnector.connector
  private readonly upstream: Upstream

  /** `prefers2`: whether HTTP/2 is offered, before HTTP/1.1. */
  constructor(upstream: Upstream, { connectTimeout: timeout, tls, warn }: DialOptions, prefers2: boolean) {
    this.upstream = upstream
    if (!upstream.origin.startsWith("https:")) {
      const plain = buildConnector({ timeout, allowH2: false })
      this.connect = (to, callback) => plain({ ...to, servername: undefined! }, callback)
      return
    }
    const asked = UpstreamTls.over(tls, upstream.tls)
    if (asked.verify === "off-insecure") {
      warn(`${upstream.origin} is not verified: anybody can take its place, and read and change what is sent there`)
    }
    const secure = secureConnector(asked, { timeout, allowH2: prefers2, preferH2: prefers2 })
    // undici would take the name from the `Host` header.
    const { serverName } = asked
    this.connect = (to, callback) => secure({ ...to, servername: serverName! }, callback)
  }

  /** A connection, and whether HTTP/2 was agreed on for it. */
  dial(callback: (error: Error | null, socket: Net.Socket | null, is2: boolean) => void): void {
    const { host, hostname, port, protocol } = new URL(this.upstream.origin)
    this.connect({ host, hostname, port, protocol }, (error, socket) =>
      error === null
        ? callback(null, socket, "alpnProtocol" in socket && socket.alpnProtocol === "h2")
        : callback(error, null, false))
  }
}

const secureConnector = (
  { ca, cert, ciphers, key, minVersion = "TLSv1.2", passphrase, verify = "on" }: UpstreamTls.Options,
  options: buildConnector.BuildOptions
): buildConnector.connector => {
  let secureContext: Tls.SecureContext
  try {
    secureContext = contextOf({ ca: ca && [ca].flat(), cert, ciphers, key, minVersion, passphrase })
  } catch (cause) {
    const error = new Error("its options for TLS can't be used", { cause })
    return (_, callback) => queueMicrotask(() => callback(error, null))
  }
  // Said in so many words: an environment variable would turn it off otherwise.
  return buildConnector({ ...options, secureContext, rejectUnauthorized: verify !== "off-insecure" })
}

/** Throws if the options can't be used: no certificate, another's key, a wrong passphrase. */
export const contextOf = ({ ca, ...options }: Tls.SecureContextOptions): Tls.SecureContext =>
  Tls.createSecureContext(ca === undefined ? options : { ...options, ca })

/** Whether two upstreams can share connections: they have the same key. */
export const keyOf = ({ connections, http, origin, tls }: Upstream): string =>
  connections === undefined && tls === undefined
    ? `${origin} ${http}`
    : `${origin} ${http} ${connections} ${numberOf(tls)}`

// Options that are not the very same are others, as a certificate is a right to something.
const numbers = new WeakMap<UpstreamTls.Options, number>()
let last = 0

const numberOf = (tls: UpstreamTls.Options | undefined): number => {
  if (tls === undefined) return 0
  let number = numbers.get(tls)
  if (number === undefined) numbers.set(tls, number = ++last)
  return number
}
