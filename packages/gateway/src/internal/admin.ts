import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { AdminApi, Explained, Invalid, NotReady, Refused } from "../AdminApi.ts"
import { maxBody, refused } from "./adminGuard.ts"
import type { Answer } from "./Listening.ts"
import { prometheusText } from "./metrics.ts"
import type { Operations } from "./operations.ts"
import type { Plan } from "./Plan.ts"
import { redacted } from "./redact.ts"

/** What the admin API is about. */
export interface Administered {
  readonly isReady: Effect.Effect<boolean>
  readonly plan: () => Plan
  readonly addresses: () => ReadonlyArray<string>
  readonly reload: Effect.Effect<void, { readonly message: string }>
  readonly operations: Operations
}

/**
 * The page about it. Its script and style are in it, so that it takes no network: 16 MB of memory, which nobody has who does not look.
 */
const docs = Effect.map(
  Effect.cached(Effect.gen(function*() {
    const router = yield* HttpRouter.make
    yield* Effect.scoped(
      Layer.build(Layer.provide(HttpApiSwagger.layer(AdminApi), Layer.succeed(HttpRouter.HttpRouter, router)))
    )
    return router.asHttpEffect()
  })),
  Effect.flatten
)

// What can't be read has an answer that says why.
const explained = HttpApiMiddleware.layerSchemaErrorTransform(
  Explained,
  ({ cause }) => Effect.fail(new Invalid({ message: cause.message }))
)

/** The routes of the admin API. */
const adminRoutes = (gateway: Administered) => {
  const { operations: { change, groups, happenings, metrics, routes } } = gateway
  const probes = HttpApiBuilder.group(AdminApi, "probes", (handlers) =>
    Effect.succeed(handlers.handleAll({
      health: () => Effect.succeed({ status: "ok" }),
      ready: () =>
        Effect.flatMap(gateway.isReady, (ready) =>
          ready ? Effect.succeed({ status: "ready" }) : Effect.fail(new NotReady())),
      metrics: () =>
        Effect.map(metrics, prometheusText)
    })))

  const operations = HttpApiBuilder.group(AdminApi, "operations", (handlers) =>
    Effect.succeed(handlers.handleAll({
      groups: () => groups,
      changeGroup: ({ params, payload }) => change(params.id, payload),
      routes: () => routes,
      config: () =>
        Effect.sync(() => {
          const { loaded } = gateway.plan()
          return redacted(loaded.config, loaded.written)
        }),
      reload: () =>
        gateway.reload.pipe(
          Effect.mapError(({ message }) => new Refused({ message })),
          Effect.andThen(Effect.sync(() => ({ listens: gateway.addresses() })))
        )
    })))

  return Layer.mergeAll(
    HttpRouter.use((router) => Effect.flatMap(docs, (page) => router.add("GET", "/docs", page))),
    HttpApiBuilder.layer(AdminApi, { openapiPath: "/openapi.json" }).pipe(
      Layer.provide([probes, operations]),
      Layer.provide(explained)
    ),
    HttpRouter.add("GET", "/api/events", Effect.succeed(eventStream(happenings)))
  )
}

/** What answers operators. */
export const adminAnswer = (gateway: Administered): Answer =>
  HttpRouter.serve(adminRoutes(gateway), {
    disableLogger: true,
    disableListenLog: true,
    middleware: (answer) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        const refusal = refused(gateway.plan().loaded.config.admin?.token, request)
        return refusal === undefined
          ? Effect.provideService(answer, HttpServerRequest.MaxBodySize, ByteSize.fromInputUnsafe(maxBody))
          : Effect.succeed(refusal)
      })
  })

/** A snapshot of each group every second, and what happens in between. */
const eventStream = (happenings: Operations["happenings"]) => {
  const events = Stream.map(
    happenings,
    ({ data, event }) => Sse.encoder.write({ _tag: "Event", event, id: undefined, data: JSON.stringify(data) })
  )
  return HttpServerResponse.stream(Stream.encodeText(events), {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-store" }
  })
}
