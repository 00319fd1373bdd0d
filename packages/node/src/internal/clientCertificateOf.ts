import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Http from "node:http"
import { Http2ServerRequest } from "node:http2"
import * as Tls from "node:tls"
import type { ClientCertificate } from "../Server.ts"

// The socket of HTTP/2 is a proxy that is no instance of anything.
const socketOf = (source: object): Partial<Tls.TLSSocket> | undefined => {
  if (source instanceof Http.IncomingMessage) return source.socket instanceof Tls.TLSSocket ? source.socket : undefined
  return source instanceof Http2ServerRequest ? source.stream.session?.socket as Tls.TLSSocket : undefined
}

/** What Node says of the certificate of the client of a request, if that was verified. */
export const clientCertificateOf = ({ source }: HttpServerRequest): ClientCertificate | undefined => {
  const socket = socketOf(source)
  const certificate = socket?.authorized === true ? socket.getPeerX509Certificate?.() : undefined
  return certificate && {
    subject: certificate.subject.replaceAll("\n", ", "),
    issuer: certificate.issuer.replaceAll("\n", ", "),
    subjectAltName: certificate.subjectAltName,
    serialNumber: certificate.serialNumber,
    fingerprint: certificate.fingerprint256,
    validTo: certificate.validToDate
  }
}
