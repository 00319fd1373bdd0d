import type { Upstream } from "@blackgate/http/Upstream"
import type * as UpstreamTls from "@blackgate/http/UpstreamTls"
import type * as Net from "node:net"
import { buildConnector } from "undici"
import { onread } from "./ReadBlock.ts"
import { type Secure, secureOf, type SecureOptions } from "./secure.ts"

/** How connections are made, whoever they go to. */
export interface DialOptions extends SecureOptions {
  /** In milliseconds. */
  readonly connectTimeout: number
}

/** Makes connections to one upstream: encrypted as that says, to the name it has, whatever a `Host` header says. */
export class Dialer {
  readonly connect: buildConnector.connector
  private readonly upstream: Upstream

  /** `prefers2`: whether HTTP/2 is offered, before HTTP/1.1. */
  constructor(upstream: Upstream, options: DialOptions, prefers2: boolean) {
    const { connectTimeout: timeout } = options
    this.upstream = upstream
    this.connect = upstream.origin.startsWith("https:")
      ? secureConnector(upstream, options, prefers2)
      : named(buildConnector(prefers2 ? { timeout, allowH2: false } : { timeout, allowH2: false, onread }), undefined)
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

const secureConnector = (upstream: Upstream, options: DialOptions, prefers2: boolean): buildConnector.connector => {
  let secure: Secure
  try {
    secure = secureOf(upstream, options)
  } catch (cause) {
    const error = new Error("its options for TLS can't be used", { cause })
    return (_, callback) => queueMicrotask(() => callback(error, null))
  }
  const { servername, ...context } = secure
  const { connectTimeout: timeout } = options
  return named(buildConnector({ ...context, timeout, allowH2: prefers2, preferH2: prefers2 }), servername)
}

// undici would take the name from the `Host` header.
const named =
  (connect: buildConnector.connector, servername: string | undefined): buildConnector.connector => (to, callback) =>
    connect({ ...to, servername: servername! }, callback)

/** Whether two upstreams can share connections: they have the same key. */
export const keyOf = (upstream: Upstream): string => {
  let key = keys.get(upstream)
  if (key === undefined) {
    const { connections, http, origin, tls } = upstream
    keys.set(upstream, key = `${origin} ${http} ${connections} ${numberOf(tls)}`)
  }
  return key
}

const keys = new WeakMap<Upstream, string>()

// Options that are not the very same are others, as a certificate is a right to something.
const numbers = new WeakMap<UpstreamTls.Options, number>()
let last = 0

const numberOf = (tls: UpstreamTls.Options | undefined): number => {
  if (tls === undefined) return 0
  let number = numbers.get(tls)
  if (number === undefined) numbers.set(tls, number = ++last)
  return number
}
