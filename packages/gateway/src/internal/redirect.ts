import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Config } from "../ConfigSchema.ts"

type RedirectConfig = NonNullable<NonNullable<Config["routes"]>[number]["redirect"]>

/** Sends clients elsewhere (RFC 9110, section 15.4). The query goes with them. */
export const redirectTo = (
  { host, path: whole, port, scheme, status = 302 }: RedirectConfig,
  rewrite: ((path: string) => string) | undefined
) =>
(request: HttpServerRequest, path: string, query: string): HttpServerResponse.HttpServerResponse => {
  const made = whole ?? rewrite?.(path) ?? path
  // Two slashes would begin a host.
  const target = made.replace(/^\/{2,}/, "/") + query
  const location = host === undefined && port === undefined && scheme === undefined
    ? target
    : origin(request, scheme, host, port) + target
  return HttpServerResponse.empty({ status, headers: { location } })
}

const origin = (
  request: HttpServerRequest,
  scheme: "http" | "https" | undefined,
  host: string | undefined,
  port: number | undefined
): string => {
  const [, asked = "", ownPort] = /^(.*?)(?::(\d+))?$/.exec(request.headers["host"] ?? "") ?? []
  const to = scheme ?? (isEncrypted(request) ? "https" : "http")
  // The port of another scheme, or of another host, is another one.
  const at = port ?? (scheme === undefined && host === undefined && ownPort !== undefined ? Number(ownPort) : undefined)
  const isUsual = at === undefined || at === (to === "https" ? 443 : 80)
  return `${to}://${host ?? asked}${isUsual ? "" : `:${at}`}`
}

// What Node's requests have, and Effect's do not show.
const isEncrypted = ({ source }: HttpServerRequest): boolean =>
  (source as { readonly socket?: { readonly encrypted?: boolean } }).socket?.encrypted === true
