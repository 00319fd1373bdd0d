import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type { Config } from "../ConfigSchema.ts"
import { endingOf } from "./Ending.ts"
import type { Lines } from "./Lines.ts"
import { printableJson, quotable } from "./printable.ts"
import type { Listed } from "./RoutePlan.ts"

type Settings = NonNullable<NonNullable<Config["log"]>["access"]>

// A client that has gone before there was an answer, in the words of nginx.
const clientGone = 499

/** What is written of one request. */
interface Entry {
  readonly time: Date
  readonly from: number
  readonly request: HttpServerRequest
  readonly taken: { readonly plan: Listed | undefined } | undefined
  readonly worker: number | undefined
  status: number
  bytes: string | undefined
  headMillis: number | undefined
}

/** A line for each request, or for some of them, when it is over. */
export class AccessLog {
  private readonly sample: number
  private readonly format: (entry: Entry) => string
  private readonly lines: Lines
  private readonly worker: number | undefined
  private due = 0

  /** `worker` is the number of the one that it is kept for, if there are several. */
  constructor({ format = "common", sample = 1 }: Settings, lines: Lines, worker?: number) {
    this.worker = worker
    this.sample = sample
    this.format = format === "json" ? (entry) => printableJson(json(entry)) : common
    this.lines = lines
  }

  /** Answers a request, and writes its line at its end. */
  of<E, R>(
    request: HttpServerRequest,
    taken: { readonly plan: Listed | undefined } | undefined,
    scope: Scope.Scope,
    answer: Effect.Effect<HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse, E, R> {
    // Every so many, and not by chance: a share of a thousand is that share.
    this.due += this.sample
    if (this.due < 1) return answer
    this.due -= 1
    const entry: Entry = {
      time: new Date(),
      from: performance.now(),
      request,
      taken,
      worker: this.worker,
      status: clientGone,
      bytes: undefined,
      headMillis: undefined
    }
    const told = Effect.map(answer, (response) => {
      entry.status = response.status
      entry.bytes = response.headers["content-length"]
      entry.headMillis = performance.now() - entry.from
      return response
    })
    return Effect.andThen(
      Scope.addFinalizer(scope, Effect.sync(() => this.lines.write(this.format(entry)))),
      told
    )
  }
}

// A listener on all addresses sees those of IPv4 inside of IPv6.
const clientOf = ({ remoteAddress }: HttpServerRequest): string =>
  Option.getOrElse(remoteAddress, () => "-").replace(/^::ffff:(?=\d+\.)/, "")

// What Node's requests have, and Effect's do not show.
const versionOf = ({ source }: HttpServerRequest): string =>
  (source as { readonly httpVersion?: string }).httpVersion ?? "1.1"

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const stamp = (time: Date): string => {
  const [date = "", clock = ""] = time.toISOString().split("T")
  const [year, month, day] = date.split("-")
  return `${day}/${months[Number(month) - 1]}/${year}:${clock.slice(0, 8)} +0000`
}

/** The Common Log Format of the NCSA's server. */
const common = ({ bytes, request, status, time }: Entry): string =>
  `${clientOf(request)} - - [${stamp(time)}] "${
    quotable(`${request.method} ${request.url} HTTP/${versionOf(request)}`)
  }" `
  + `${status} ${bytes ?? "-"}`

const groupNameOf = (route: Listed | undefined): string | null => {
  if (route?.target._tag === "code") return route.target.proxy?.group ?? null
  return route?.target._tag === "proxy" ? route.target.group.name : null
}

const rounded = (millis: number | undefined): number | null =>
  millis === undefined ? null : Math.round(millis * 100) / 100

// Its client has gone before there was anything.
const cutShort = (status: number, upstream: string) =>
  status === clientGone ? { outcome: "interrupted", fallback: undefined, upstream } : undefined

const json = ({ bytes, from, headMillis, request, status, taken, time, worker }: Entry): string => {
  const route = taken?.plan
  const ending = route?.target._tag === "proxy" ? endingOf(request) ?? cutShort(status, route.goes) : undefined
  return JSON.stringify({
    time: time.toISOString(),
    id: request.headers["x-request-id"] ?? randomUUID(),
    client: clientOf(request),
    method: request.method,
    host: request.headers["host"] ?? null,
    target: request.url,
    version: versionOf(request),
    status,
    bytes: bytes === undefined ? null : Number(bytes),
    route: route?.name ?? null,
    group: groupNameOf(route),
    upstream: ending?.upstream ?? (route?.target._tag === "code" ? route.target.proxy?.upstream : undefined) ?? null,
    outcome: ending?.outcome ?? null,
    fallback: ending?.fallback ?? null,
    headMillis: rounded(headMillis),
    millis: rounded(performance.now() - from),
    worker
  })
}
