import { X509Certificate } from "node:crypto"
import * as Tls from "node:tls"
import type * as Server from "../Server.ts"

// Names compare without case, and a wildcard stands for one label, the first (RFC 6125, section 6.4.3).
const parentOf = (name: string): string => `*${name.slice(name.indexOf("."))}`

/** The names that a certificate is for (RFC 6125, section 6.4): not its common name, unless it has no other. */
const namesOf = (pem: string): ReadonlyArray<string> => {
  const { subject, subjectAltName = "" } = new X509Certificate(pem)
  const names = Array.from(subjectAltName.matchAll(/DNS:([^,\s"]+)/g), ([, name]) => name!)
  const common = /^CN=(.+)$/m.exec(subject)?.[1]
  return names.length === 0 && common !== undefined ? [common] : names
}

/**
 * What makes TLS of connections. It never listens: each set of certificates has a server of its own, so that a new set has nothing of
 * the old one, session tickets included, and connections of the old one go on. Throws if the options make no sense.
 */
export const tlsServer = (
  { certificates, ciphers, client, minVersion = "TLSv1.2" }: Server.Tls,
  handshakeTimeout: number,
  protocols: ReadonlyArray<string>
): Tls.Server => {
  const shared: Tls.SecureContextOptions = { minVersion, ciphers, ca: client && [client.ca].flat() }
  const contexts = new Map<string, Tls.SecureContext>()
  for (const { cert, key, passphrase } of certificates) {
    const context = Tls.createSecureContext({ ...shared, cert, key, passphrase })
    // Of several certificates for one name, the first is meant.
    for (const name of namesOf(cert)) {
      if (!contexts.has(name.toLowerCase())) contexts.set(name.toLowerCase(), context)
    }
  }
  const [{ cert, key, passphrase }] = certificates
  return Tls.createServer({
    ...shared,
    cert,
    key,
    passphrase,
    handshakeTimeout,
    ALPNProtocols: Array.from(protocols),
    requestCert: client !== undefined,
    rejectUnauthorized: client !== undefined && client.mode !== "optional",
    SNICallback: (name, done) => {
      const lower = name.toLowerCase()
      done(null, contexts.get(lower) ?? contexts.get(parentOf(lower)))
    }
  })
}

/** Why the certificate that a client has shown is not trusted. One that has shown none may be here. */
export const distrust = (socket: Tls.TLSSocket): string | undefined =>
  socket.authorized || socket.getPeerX509Certificate() === undefined
    ? undefined
    : `its certificate is not trusted: ${String(socket.authorizationError)}`

/** What there is to say of a handshake that failed; nothing, if it is only that the client is gone. */
export const handshakeFailure = (error: NodeJS.ErrnoException, socket: Tls.TLSSocket): string | undefined => {
  // Node destroys a connection whose certificate it does not trust, and calls that a disconnection.
  if (typeof socket.authorizationError === "string") {
    return `its certificate is not trusted: ${socket.authorizationError}`
  }
  switch (error.code) {
    case "ECONNRESET":
    case "EPIPE":
      return undefined
    case "ERR_TLS_HANDSHAKE_TIMEOUT":
      return "its TLS handshake took too long"
  }
  return `its TLS handshake failed: ${(error as { readonly reason?: string }).reason ?? error.message}`
}
