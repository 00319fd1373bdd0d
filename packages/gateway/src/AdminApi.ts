/**
 * What an operator asks of a running gateway, and tells it: an `HttpApi`, with an OpenAPI description at `/openapi.json`.
 *
 * It says what is asked, and what is answered. It stands on an address of its own, off unless the config file has `admin`.
 *
 * @since 0.1.0
 */
import { GroupSnapshot } from "@blackgate/core"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"

/**
 * It takes no requests: not yet, or not any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", {}, { httpApiStatus: 503 }) {}

/**
 * There is no group of that name.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoSuchGroup extends Schema.TaggedError<NoSuchGroup>()(
  "NoSuchGroup",
  { group: Schema.String },
  { httpApiStatus: 404 }
) {}

/**
 * What was asked for can't be done; nothing has changed.
 *
 * @category errors
 * @since 0.1.0
 */
export class Refused extends Schema.TaggedError<Refused>()(
  "Refused",
  { message: Schema.String },
  { httpApiStatus: 422 }
) {}

/**
 * What was asked can't be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class Invalid extends Schema.TaggedError<Invalid>()(
  "Invalid",
  { message: Schema.String },
  { httpApiStatus: 400 }
) {}

/**
 * Says what can't be read.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Explained extends HttpApiMiddleware.Service<Explained>()("blackgate/AdminApi/Explained", {
  error: Invalid
}) {}

/**
 * A route, as `blackgate routes` prints it.
 *
 * @category models
 * @since 0.1.0
 */
export const Route = Schema.Struct({
  at: Schema.String,
  name: Schema.String,
  matches: Schema.String,
  goes: Schema.String,
  /** `null` for one without limits. */
  group: Schema.NullOr(Schema.String),
  /** From the outside in, as `blackgate routes --explain` says them. */
  policies: Schema.Array(Schema.String)
})

/**
 * What can be changed of a group while it runs, until the next reload that changes it.
 *
 * @category models
 * @since 0.1.0
 */
export const GroupChange = Schema.Struct({
  pool: Schema.optionalKey(Schema.Struct({
    max_concurrent: Schema.optionalKey(Schema.Int),
    max_queued: Schema.optionalKey(Schema.Int)
  })),
  circuit: Schema.optionalKey(Schema.Struct({
    /** Which of its circuits: the name of a route. */
    key: Schema.String,
    to: Schema.Literals(["open", "closed", "auto"])
  }))
})

const probes = HttpApiGroup.make("probes", { topLevel: true }).add(
  HttpApiEndpoint.get("health", "/health", { success: Schema.Struct({ status: Schema.Literal("ok") }) }),
  HttpApiEndpoint.get("ready", "/ready", {
    success: Schema.Struct({ status: Schema.Literal("ready") }),
    error: NotReady
  }),
  HttpApiEndpoint.get("metrics", "/metrics", {
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
  })
)

const operations = HttpApiGroup.make("operations", { topLevel: true }).add(
  HttpApiEndpoint.get("groups", "/groups", { success: Schema.Array(GroupSnapshot.GroupSnapshot) }),
  HttpApiEndpoint.post("changeGroup", "/groups/:id", {
    params: { id: Schema.String },
    payload: GroupChange,
    success: GroupSnapshot.GroupSnapshot,
    error: [NoSuchGroup, Refused]
  }).annotate(HttpApi.PayloadParseOptions, { errors: "all", onExcessProperty: "error" }),
  HttpApiEndpoint.get("routes", "/routes", { success: Schema.Array(Route) }),
  HttpApiEndpoint.get("config", "/config", { success: Schema.Unknown }),
  HttpApiEndpoint.post("reload", "/reload", {
    success: Schema.Struct({ listens: Schema.Array(Schema.String) }),
    error: Refused
  })
).middleware(Explained).prefix("/api")

/**
 * The whole of it.
 *
 * @category api
 * @since 0.1.0
 */
export class AdminApi extends HttpApi.make("blackgate-admin").add(probes).add(operations).annotateMerge(
  OpenApi.annotations({ title: "Blackgate", description: "What an operator asks of a running gateway." })
) {}
