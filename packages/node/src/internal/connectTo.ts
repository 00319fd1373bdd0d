import type { Upstream } from "@blackgate/http/Upstream"
import * as Net from "node:net"
import * as Tls from "node:tls"

/** Too long for a connection to be made. */
class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout"
}

/** Opens a connection of its own to an upstream, which may be half-closed. Within `timeout` milliseconds, TLS included. */
export const connectTo = ({ origin }: Upstream, timeout: number): Net.Socket => {
  const { hostname, port, protocol } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, "")
  const secure = protocol === "https:"
  const options = { host, port: Number(port === "" ? secure ? 443 : 80 : port), allowHalfOpen: true, noDelay: true }
  const servername = Net.isIP(host) === 0 ? host : ""
  const socket = secure ? Tls.connect({ ...options, servername, ALPNProtocols: ["http/1.1"] }) : Net.connect(options)
  return bounded(socket, secure ? "secureConnect" : "connect", timeout)
}

/** A connection that breaks unless it is made in time. */
const bounded = <S extends Net.Socket>(socket: S, made: "connect" | "secureConnect", timeout: number): S => {
  const timer = setTimeout(() => socket.destroy(new ConnectTimeout(`no connection in ${timeout} ms`)), timeout)
  const clear = () => clearTimeout(timer)
  socket.once(made, clear).once("close", clear)
  return socket
}
