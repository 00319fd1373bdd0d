import { Circuit, type Group, GroupEvents, GroupSnapshot, Pool } from "@blackgate/core"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Stream from "effect/Stream"
import { createHash, timingSafeEqual } from "node:crypto"
import { AdminApi, NoSuchGroup, NotReady, Refused } from "../AdminApi.ts"
import { formatPath } from "../ConfigError.ts"
import type { CodeRoutes } from "./CodeRoutes.ts"
import { policies } from "./explain.ts"
import { isLoopback } from "./loopback.ts"
import type { Plan } from "./Plan.ts"
import { redacted } from "./redact.ts"
import { hostOf } from "./RouteIndex.ts"

/** What the admin API is about. */
export interface Administered {
  readonly isReady: Effect.Effect<boolean>
  readonly plan: () => Plan
  /** Those of a config module. */
  readonly code: () => CodeRoutes | undefined
  readonly groups: () => ReadonlyArray<Group.Group>
  readonly addresses: () => ReadonlyArray<string>
  readonly reload: Effect.Effect<void, { readonly message: string }>
}

/** The routes of the admin API. */
export const adminRoutes = (gateway: Administered) => {
  const groupNamed = (name: string) =>
    Effect.suspend(() => {
      const group = gateway.groups().find((group) => group.name === name)
      return group === undefined ? Effect.fail(new NoSuchGroup({ group: name })) : Effect.succeed(group)
    })

  const probes = HttpApiBuilder.group(AdminApi, "probes", (handlers) =>
    Effect.succeed(handlers.handleAll({
      health: () => Effect.succeed({ status: "ok" }),
      ready: () =>
        Effect.flatMap(gateway.isReady, (ready) =>
          ready ? Effect.succeed({ status: "ready" }) : Effect.fail(new NotReady())),
      metrics: () =>
        PrometheusMetrics.format()
    })))

  const operations = HttpApiBuilder.group(AdminApi, "operations", (handlers) =>
    Effect.succeed(handlers.handleAll({
      groups: () => Effect.forEach(gateway.groups(), (group) => GroupSnapshot.take(group)),
      changeGroup: ({ params, payload: { circuit, pool } }) =>
        Effect.gen(function*() {
          const group = yield* groupNamed(params.id)
          if (circuit !== undefined && (yield* GroupSnapshot.take(group)).circuits === null) {
            return yield* new Refused({ message: `the group ${group.name} has no circuits` })
          }
          if (pool !== undefined) {
            const { max_concurrent: maxConcurrent, max_queued: maxQueued } = pool
            yield* Effect.mapError(
              Pool.resize(group.pool, {
                ...(maxConcurrent === undefined ? {} : { maxConcurrent }),
                ...(maxQueued === undefined ? {} : { maxQueued })
              }),
              ({ problem }) => new Refused({ message: problem })
            )
          }
          if (circuit !== undefined) {
            yield* Effect.mapError(
              Circuit.force(group, circuit.key, circuit.to),
              () => new Refused({ message: "the store of the circuits does not answer" })
            )
          }
          return yield* GroupSnapshot.take(group)
        }),
      routes: () =>
        Effect.sync(() => {
          const { proxies, routes } = gateway.plan()
          return [...gateway.code()?.all ?? [], ...routes, ...proxies].map(({ goes, matches, name, path, target }) => ({
            at: formatPath(path),
            name,
            matches,
            goes,
            group: target._tag === "proxy" && target.group.path[0] === "groups" ? target.group.name : null,
            policies: target._tag === "proxy" ? policies(target) : []
          }))
        }),
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
    // Its script and style are in the page: it takes no network.
    HttpApiSwagger.layer(AdminApi),
    HttpApiBuilder.layer(AdminApi, { openapiPath: "/openapi.json" }).pipe(Layer.provide([probes, operations])),
    HttpRouter.add("GET", "/api/events", Effect.sync(() => events(gateway)))
  )
}

const sse = (event: string, data: unknown) =>
  Sse.encoder.write({ _tag: "Event", event, id: undefined, data: JSON.stringify(data) })

/** A snapshot of each group every second, and what happens in between. */
const events = (gateway: Administered) => {
  const of = (group: Group.Group) =>
    Stream.merge(
      Stream.map(GroupSnapshot.every(group, "1 second"), (snapshot) => sse("snapshot", snapshot)),
      Stream.map(GroupEvents.stream(group), (event) => sse("event", event))
    )
  const all = Stream.flatMap(Stream.fromIterable(gateway.groups()), of, { concurrency: "unbounded" })
  return HttpServerResponse.stream(Stream.encodeText(all), {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-store" }
  })
}

const refusal = (code: number, message: string) =>
  HttpServerResponse.jsonUnsafe({ code, message, errors: [] }, { status: code })

const digest = (text: string) => createHash("sha256").update(text).digest()

/**
 * Lets in who has the token, if there is one; the probes need none. Without one, whoever is on this machine: a page in a browser there is
 * not, nor is one whose name was made to point here.
 */
export const guarded = <E, R>(
  token: string | undefined,
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, url }) => {
    if (token !== undefined) {
      const given = /^Bearer (.*)$/i.exec(headers["authorization"] ?? "")?.[1] ?? ""
      const isIn = /^\/(?:health|ready)$/.test(url) || timingSafeEqual(digest(given), digest(token))
      return isIn ? answer : Effect.succeed(refusal(401, "unauthorized"))
    }
    const isIn = isLoopback(hostOf(headers["host"] ?? "")) && headers["origin"] === undefined
    return isIn ? answer : Effect.succeed(refusal(403, "forbidden"))
  })
