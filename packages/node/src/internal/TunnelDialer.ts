import type { Upstream } from "@blackgate/http/Upstream"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { DialOptions } from "./Dialer.ts"
import { type Secure, secureOf } from "./secure.ts"

/** Too long for a connection to be made. */
export class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout"
}

/** Makes connections that one tunnel has for itself, and that may be half-closed. */
export class TunnelDialer {
  private readonly options: DialOptions
  private readonly known = new WeakMap<Upstream, Secure>()

  constructor(options: DialOptions) {
    this.options = options
  }

  /** One that breaks unless it is made in time, TLS included. Throws if the options for TLS can't be used. */
  dial(upstream: Upstream): Net.Socket {
    const { hostname, port, protocol } = new URL(upstream.origin)
    const host = hostname.replace(/^\[|\]$/g, "")
    const isSecure = protocol === "https:"
    const to = { host, port: Number(port === "" ? isSecure ? 443 : 80 : port), allowHalfOpen: true, noDelay: true }
    if (!isSecure) return this.bounded(Net.connect(to), "connect")
    const { servername = Net.isIP(host) === 0 ? host : "", ...context } = this.secureOf(upstream)
    return this.bounded(Tls.connect({ ...to, ...context, servername, ALPNProtocols: ["http/1.1"] }), "secureConnect")
  }

  private secureOf(upstream: Upstream): Secure {
    let secure = this.known.get(upstream)
    if (secure === undefined) this.known.set(upstream, secure = secureOf(upstream, this.options))
    return secure
  }

  private bounded(socket: Net.Socket, made: "connect" | "secureConnect"): Net.Socket {
    const { connectTimeout } = this.options
    const late = () => socket.destroy(new ConnectTimeout(`no connection in ${connectTimeout} ms`))
    const timer = setTimeout(late, connectTimeout)
    const clear = () => clearTimeout(timer)
    return socket.once(made, clear).once("close", clear)
  }
}
