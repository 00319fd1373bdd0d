import * as Duration from "effect/Duration"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Mime from "effect/http/Mime"
import * as Option from "effect/Option"
import type { Config } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import { checkEditable } from "./editableHeaders.ts"
import { time } from "./options.ts"
import type { Problems } from "./Problems.ts"
import { type FallbackPlan, type GroupPlan, type Target, unlimited } from "./RoutePlan.ts"
import type { StaleOptions } from "./StaleAnswers.ts"
import type { UpstreamPlan } from "./upstreams.ts"

type RouteConfig = NonNullable<Config["routes"]>[number]
type FallbackConfig = NonNullable<RouteConfig["fallback"]>
type RouteOptions = Extract<Target, { _tag: "proxy" }>["options"]

/** What a name stands for. */
export interface Names {
  readonly group: (path: Path, name: string) => GroupPlan | undefined
  readonly upstream: (path: Path, name: string) => UpstreamPlan | undefined
}

/** The `fallback` of a route. */
export const fallbackPlan = (
  route: RouteConfig,
  options: RouteOptions,
  path: Path,
  names: Names,
  problems: Problems
): FallbackPlan | undefined => {
  const { fallback } = route
  if (fallback === undefined) return undefined
  if (Object.values(fallback).every((each) => each === undefined || each === false)) {
    return problems.add(path, "expected at least one of stale, upstream and status")
  }
  const stale = staleOptions(fallback.stale)
  const other = fallback.upstream === undefined
    ? undefined
    : otherPlan(fallback.upstream, options, [...path, "upstream"], names)
  const answer = answerOf(fallback, path, problems)
  const to = typeof fallback.upstream === "object" ? fallback.upstream.upstream : fallback.upstream
  const words = [
    ...(stale === undefined ? [] : [`the last good answer for ${Duration.format(Duration.millis(stale.maxAge))}`]),
    ...(to === undefined ? [] : [to]),
    ...(fallback.status === undefined
      ? []
      : [`${fallback.status}${fallback.file === undefined ? "" : ` with ${fallback.file}`}`])
  ]
  return {
    // What is kept of a route is that of another one as soon as there is anything else about it.
    stale: stale && { key: JSON.stringify([route, options.upstream]), options: stale },
    other,
    answer,
    words: words.join(", then ")
  }
}

const staleOptions = (stale: FallbackConfig["stale"]): StaleOptions | undefined => {
  if (stale === undefined || stale === false) return undefined
  const { ignore_headers = [], max_age = "1h", max_body_size, max_bytes = 16 * 1024 * 1024, max_entries = 1000 } =
    stale === true
      ? {}
      : stale
  return {
    maxAge: time(max_age)!,
    maxEntries: max_entries,
    maxBytes: max_bytes,
    maxBodySize: Math.min(max_body_size ?? 1024 * 1024, max_bytes),
    ignoreHeaders: ignore_headers
  }
}

const otherPlan = (
  config: NonNullable<FallbackConfig["upstream"]>,
  options: RouteOptions,
  path: Path,
  names: Names
): FallbackPlan["other"] => {
  const { group, timeout, upstream } = typeof config === "string" ? { upstream: config } : config
  const to = names.upstream(typeof config === "string" ? path : [...path, "upstream"], upstream)
  const limits = group === undefined
    ? unlimited(`${options.key} (fallback)`, path)
    : names.group([...path, "group"], group)
  if (to === undefined || limits === undefined) return undefined
  return {
    goes: upstream,
    group: limits,
    transport: to.transport,
    options: {
      ...options,
      upstream: to.upstream,
      // What retries, limits and circuits the route has were for its own upstream.
      retry: undefined,
      attemptTimeout: undefined,
      circuit: undefined,
      timeout: time(timeout) ?? options.timeout,
      rateLimit: limits.rateKey && { key: limits.rateKey.key },
      // What is believed of the request holds already.
      callContext: options.callContext && { send: options.callContext.send }
    }
  }
}

// RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
const hasNoBody = new Set([204, 205, 304])

const answerOf = (
  config: FallbackConfig,
  path: Path,
  problems: Problems
): HttpServerResponse.HttpServerResponse | undefined => {
  const { body, content_type: given, file, headers = {}, status } = config
  if (body !== undefined && file !== undefined) problems.add([...path, "file"], "expected body or file, found both")
  checkEditable(headers, [...path, "headers"], problems)
  const key = body === undefined ? "file" : "body"
  if (status !== undefined && hasNoBody.has(status) && config[key] !== undefined) {
    problems.add([...path, key], `an answer with the status ${status} has no body`)
  }
  const header = typeOf(headers)
  if (given !== undefined && header !== undefined) {
    problems.add([...path, "content_type"], "expected it here or in headers, found both")
  }
  if (given !== undefined && body === undefined && file === undefined) {
    problems.add([...path, "content_type"], "there is no body for it to be the type of")
  }
  if (status === undefined) {
    for (const [key, value] of Object.entries({ body, file, headers: config.headers })) {
      if (value !== undefined) problems.add([...path, key], "expected a status beside it")
    }
    return undefined
  }
  const type = given ?? header
  if (file !== undefined) {
    const bytes = problems.readBytes([...path, "file"], file)
    return HttpServerResponse.uint8Array(bytes, { status, headers, contentType: type ?? typeOfFile(file) })
  }
  if (body === undefined) return HttpServerResponse.empty({ status, headers })
  return HttpServerResponse.text(body, { status, headers, contentType: type ?? "text/plain; charset=utf-8" })
}

const typeOf = (headers: { readonly [name: string]: string }): string | undefined =>
  Object.entries(headers).find(([name]) => name.toLowerCase() === "content-type")?.[1]

// Text is UTF-8, as the config file is.
const typeOfFile = (file: string): string => {
  const type = Option.getOrElse(Mime.getType(file), () => "application/octet-stream")
  return type.startsWith("text/") ? `${type}; charset=utf-8` : type
}
