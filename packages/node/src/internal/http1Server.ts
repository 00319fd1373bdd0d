import * as Http from "node:http"
import type { ListenerOptions } from "./Listener.ts"

type Limits = Pick<ListenerOptions, "headTimeout" | "keepAlive" | "maxHeaderBytes">

/** A server of HTTP/1 that never listens, and gets its connections from someone who does. */
export const http1Server = (
  limits: Limits,
  tick: number,
  mayUpgrade: (request: Http.IncomingMessage) => boolean
): Http.Server => {
  const server = Http.createServer({
    insecureHTTPParser: false,
    // It would bound uploads and downloads alike.
    requestTimeout: 0,
    // Both are judged with the rest of the head. Node leaves fields away that are too many.
    requireHostHeader: false,
    shouldUpgradeCallback: (request) => !isH2c(request) && mayUpgrade(request)
  })
  server.maxHeadersCount = 0
  server.timeout = 0
  limitHttp1(server, limits, tick)
  return server
}

/** Node reads these as each connection begins, and looks at its timeouts as often as it is told when it says that it listens. */
export const limitHttp1 = (
  server: Http.Server,
  { headTimeout, keepAlive, maxHeaderBytes }: Limits,
  tick: number
): void => {
  Object.assign(server, {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headTimeout,
    keepAliveTimeout: keepAlive,
    connectionsCheckingInterval: tick
  }).emit("listening")
}

// The first step of an upgrade to HTTP/2 in the open (RFC 7540, section 3.2), which is obsolete, and a way past a gateway.
const isH2c = ({ headers }: Http.IncomingMessage): boolean => /^\s*h2c\s*$/i.test(headers.upgrade ?? "")
