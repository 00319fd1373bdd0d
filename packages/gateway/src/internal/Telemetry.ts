import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpLogger from "effect/observability/OtlpLogger"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { randomUUID } from "node:crypto"
import type { Config } from "../ConfigSchema.ts"
import { Collector } from "./Collector.ts"
import { time } from "./options.ts"
import type { Listed } from "./RoutePlan.ts"

export type OtlpConfig = NonNullable<NonNullable<Config["telemetry"]>["otlp"]>

/** What is told to a collector. */
export interface Telemetry {
  readonly tracer: Tracer.Tracer | undefined
  readonly logger: Logger.Logger<unknown, void> | undefined
}

// Several processes of one name must not be taken for one whose counters jump.
const instance = randomUUID()

/** Gathers and sends until the scope is closed, and then once more. */
export const makeTelemetry = (config: OtlpConfig): Effect.Effect<Telemetry, never, Scope.Scope> => {
  const { attributes, gzip, headers, interval = "10s", logs, metrics, sample = 1, service, temporality, traces } =
    config
  const url = config.url.replace(/\/+$/, "")
  const collector = new Collector(url)
  const shared = {
    resource: {
      serviceName: service ?? "blackgate",
      attributes: { "service.instance.id": instance, "process.pid": process.pid, ...attributes }
    },
    headers,
    compression: gzip === true ? "gzip" : "none",
    exportInterval: time(interval)!
  } as const
  return Effect.gen(function*() {
    if (metrics !== false) {
      yield* OtlpMetrics.make({ ...shared, url: `${url}/v1/metrics`, temporality })
    }
    const logger = logs === false ? undefined : yield* OtlpLogger.make({ ...shared, url: `${url}/v1/logs` })
    const tracer = traces === false ? undefined : yield* OtlpTracer.make({ ...shared, url: `${url}/v1/traces` })
    return {
      tracer: tracer && sampled(tracer, sample, collector),
      logger: logger && Logger.make((line) => {
        if (collector.listens) logger.log(line)
      })
    }
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        OtlpSerialization.layerJson,
        OtlpExporter.layerFlusher,
        Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, (client) => collector.around(client)))
          .pipe(
            Layer.provide(FetchHttpClient.layer),
            // Nobody else is to get the headers.
            Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "error" }))
          )
      )
    ),
    // What the file says is all that there is.
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({}))
  )
}

/** A tracer of so many of all traces. */
const sampled = (tracer: Tracer.Tracer, share: number, collector: Collector): Tracer.Tracer => {
  let due = 0
  const isDue = (parent: Tracer.AnySpan | undefined): boolean => {
    if (!collector.listens) return false
    if (parent !== undefined) return isIn(parent.traceId, share)
    // Every so many, and not by chance: a share of a thousand is that share.
    due += share
    if (due < 1) return false
    due -= 1
    return true
  }
  return Tracer.make({
    span(options) {
      const parent = options.parent._tag === "Some" ? options.parent.value : undefined
      // What begins inside of a span is sampled as that is.
      const isFirst = parent === undefined || parent._tag === "ExternalSpan"
      return tracer.span(isFirst && options.sampled && !isDue(parent) ? { ...options, sampled: false } : options)
    }
  })
}

// As others decide it that have the same share, by what is random of an id (W3C Trace Context Level 2, section 2.2.1.1).
const isIn = (traceId: string, share: number): boolean => Number.parseInt(traceId.slice(-13), 16) < share * 2 ** 52

/** Answers a request inside of a span. */
export const spanned = <E, R>(
  tracer: Tracer.Tracer,
  request: HttpServerRequest,
  route: Listed | undefined,
  answer: Effect.Effect<HttpServerResponse, E, R | HttpServerRequest>
): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest> => {
  const name = route === undefined ? request.method : `${request.method} ${route.name}`
  const told = route === undefined ? answer : Effect.andThen(
    Effect.annotateCurrentSpan({
      "http.route": route.matches,
      ...(route.target._tag === "proxy" ? { "blackgate.group": route.target.group.name } : {})
    }),
    answer
  )
  return HttpMiddleware.tracer(told).pipe(
    Effect.provideService(HttpMiddleware.SpanNameGenerator, () => name),
    Effect.provideService(Tracer.Tracer, tracer)
  )
}
