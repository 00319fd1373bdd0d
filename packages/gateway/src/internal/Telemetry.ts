import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpLogger from "effect/observability/OtlpLogger"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { randomUUID } from "node:crypto"
import type { Config } from "../ConfigSchema.ts"
import { Collector } from "./Collector.ts"
import { time } from "./options.ts"
import { secretWords } from "./show.ts"
import type { Taken } from "./Taken.ts"

export type OtlpConfig = NonNullable<NonNullable<Config["telemetry"]>["otlp"]>

/** What is told to a collector. */
export interface Telemetry {
  readonly tracing: Tracing | undefined
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
      tracing: tracer && new Tracing(tracer, new Sampler(sample, collector)),
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

/** Which traces are kept: so many of all. */
class Sampler {
  private readonly share: number
  private readonly collector: Collector
  private due = 0

  constructor(share: number, collector: Collector) {
    this.share = share
    this.collector = collector
  }

  /** Whether the next one is, which may be part of one that others have begun. */
  takes(parent: Tracer.AnySpan | undefined): boolean {
    if (parent?.sampled === false || !this.collector.listens) return false
    if (parent !== undefined) return isIn(parent.traceId, this.share)
    // Every so many, and not by chance: a share of a thousand is that share.
    this.due += this.share
    if (this.due < 1) return false
    this.due -= 1
    return true
  }
}

// As others decide it that have the same share, by what is random of an id (W3C Trace Context Level 2, section 2.2.1.1).
const isIn = (traceId: string, share: number): boolean => Number.parseInt(traceId.slice(-13), 16) < share * 2 ** 52

/** Of a request whose trace is not kept: upstreams are told so, under an id that is made up for them. */
class Untraced implements Tracer.ExternalSpan {
  readonly _tag = "ExternalSpan"
  readonly sampled = false
  readonly annotations = Context.empty()
  private readonly parent: Tracer.AnySpan | undefined
  private trace: string | undefined = undefined
  private span: string | undefined = undefined

  constructor(parent: Tracer.AnySpan | undefined) {
    this.parent = parent
  }

  get traceId(): string {
    return this.parent?.traceId ?? (this.trace ??= randomUUID().replaceAll("-", ""))
  }

  // Where nothing is changed the one before passes on; who changes the flag has an id of its own (W3C Trace Context, section 3.4).
  get spanId(): string {
    return this.parent?.sampled === false
      ? this.parent.spanId
      : this.span ??= randomUUID().replaceAll("-", "").slice(-16)
  }
}

/** Answers requests inside of spans. */
class Tracing {
  private readonly sampler: Sampler
  private readonly tracer: Tracer.Tracer

  constructor(tracer: Tracer.Tracer, sampler: Sampler) {
    this.sampler = sampler
    this.tracer = Tracer.make({
      span(options) {
        const parent = Option.getOrUndefined(options.parent)
        // What begins inside of a span is sampled as that is; of a request that has one it is decided already.
        const isDecided = parent?._tag === "Span" || options.kind === "server" || !options.sampled
        return tracer.span(isDecided || sampler.takes(parent) ? options : { ...options, sampled: false })
      }
    })
  }

  /** `taken` says which route the request has taken, or will. */
  around<E, R>(
    request: HttpServerRequest,
    taken: Taken["Service"],
    answer: Effect.Effect<HttpServerResponse, E, R | HttpServerRequest>
  ): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest> {
    const parent = Option.getOrUndefined(HttpTraceContext.fromHeaders(request.headers))
    if (!this.sampler.takes(parent)) {
      return Effect.updateContext(answer, (context: Context.Context<R | HttpServerRequest>) =>
        context.pipe(
          Context.add(Tracer.Tracer, this.tracer),
          Context.add(Tracer.ParentSpan, new Untraced(parent))
        ))
    }
    const told = Effect.withFiber<HttpServerResponse, E, R | HttpServerRequest>((fiber) => {
      const { span } = fiber.cache
      if (span?._tag === "Span") {
        named(span, request.method)
        taken.tell = (route) => {
          named(span, `${request.method} ${route.name}`)
          span.attribute("http.route", route.matches)
          if (route.target._tag === "proxy") span.attribute("blackgate.group", route.target.group.name)
        }
        if (taken.plan !== undefined) taken.tell(taken.plan)
      }
      return answer
    })
    const spanned = HttpMiddleware.tracer(told).pipe(Effect.provideService(Tracer.Tracer, this.tracer))
    return request.url.includes("?")
      ? Effect.provideService(spanned, UrlParams.CurrentRedactedNames, redactedNames)
      : spanned
  }
}

// A span has its name when it begins, and which route a request takes turns out behind a filter.
const named = (span: Tracer.Span, name: string): void => void ((span as { name: string }).name = name)

// What stands in a query under such a name is nobody's business.
const redactedNames = [...UrlParams.CurrentRedactedNames.defaultValue(), secretWords, /^code$/i]
