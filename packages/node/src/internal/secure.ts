import type { Upstream } from "@blackgate/http/Upstream"
import * as UpstreamTls from "@blackgate/http/UpstreamTls"
import * as Tls from "node:tls"

/** What TLS to an upstream is made of, whoever makes the connection. */
export interface Secure {
  readonly secureContext: Tls.SecureContext
  readonly rejectUnauthorized: boolean
  /** The name that is asked for, if it isn't the upstream's host. */
  readonly servername: string | undefined
}

/** What is said of TLS for all upstreams, and where to tell the log, which is told nothing twice. */
export interface SecureOptions {
  readonly tls: UpstreamTls.Options
  readonly warn: (message: string) => void
}

/** Throws if the options can't be used: no certificate, another's key, a wrong passphrase. */
export const secureOf = (upstream: Upstream, { tls, warn }: SecureOptions): Secure => {
  const { ca, cert, ciphers, key, minVersion, passphrase, serverName, verify } = UpstreamTls.over(tls, upstream.tls)
  if (verify === "off-insecure") {
    warn(`${upstream.origin} is not verified: anybody can take its place, and read and change what is sent there`)
  }
  return {
    secureContext: contextOf({ ca, cert, ciphers, key, minVersion, passphrase }),
    // Said in so many words: an environment variable would turn it off otherwise.
    rejectUnauthorized: verify !== "off-insecure",
    servername: serverName
  }
}

/** Throws as `secureOf` does. */
export const contextOf = (
  { ca, cert, ciphers, key, minVersion = "TLSv1.2", passphrase }: UpstreamTls.Options
): Tls.SecureContext => {
  const options = { cert, ciphers, key, minVersion, passphrase }
  return Tls.createSecureContext(ca === undefined ? options : { ...options, ca: [ca].flat() })
}
