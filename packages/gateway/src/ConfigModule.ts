/**
 * A config that is a program: `blackgate.config.ts` says what a file can say, as data, and what it can't, as an Effect layer and a filter.
 *
 * This is what such a module imports, as `blackgate/config`. It reads nothing and builds nothing: the program imports the module, checks
 * its config as it checks a file's, and builds its layer for as long as that config is the one that runs. `docs/config-module.md` has the
 * whole of it: which routes go first, what a reload imports anew, what becomes of errors.
 *
 * @since 0.1.0
 */
import type { Group } from "@blackgate/core/Group"
import type { Transport } from "@blackgate/http/Transport"
import type { NodeServices } from "@effect/platform-node/NodeServices"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import type * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { ConfigSchema } from "./ConfigSchema.ts"

/**
 * All that a config file may say, as an object: the keys are the same, `docs/config-reference.md` has them.
 *
 * @category models
 * @since 0.1.0
 */
export type Config = typeof ConfigSchema.Encoded

/**
 * A group of a config: its pool, its circuit, its limits.
 *
 * @category models
 * @since 0.1.0
 */
export type GroupConfig = NonNullable<Config["groups"]>[string]

/**
 * What the program provides to the layer and to the filter of a module: a transport over the network, what an `HttpApi` needs, and the
 * groups of the config, by their names. A class that `Group.Service` has made for one of these names is that very group, with the
 * state that it keeps over reloads.
 *
 * @category models
 * @since 0.1.0
 */
export type Provided<Groups extends string = string> =
  | Transport
  | NodeServices
  | HttpPlatform.HttpPlatform
  | Etag.Generator
  | Context.ServiceClass.Shape<Groups, Group>

/**
 * Any routes for Effect's `HttpRouter`: `Proxy.route`, handlers of one's own, an `HttpApi`.
 *
 * **Details**
 *
 * What they need besides the router and what is `Provided` the layer provides to itself. What its handlers fail with is answered as
 * Effect's own server does.
 *
 * @category models
 * @since 0.1.0
 */
export type Routes<Groups extends string = string> = Layer.Layer<
  never,
  unknown,
  | HttpRouter.HttpRouter
  | Provided<Groups>
  | HttpRouter.Request<"Requires", Provided<Groups>>
  | HttpRouter.Request<"GlobalRequires", Provided<Groups>>
  | HttpRouter.Request<"Error", unknown>
  | HttpRouter.Request<"GlobalError", unknown>
>

/**
 * A filter: is handed the effect that answers a request, whatever route it takes, and is the effect that answers it.
 *
 * **Details**
 *
 * It is called once for each config, and the effect that it returns runs for each request. What the answer fails with has become a
 * response by then, a 404 among them.
 *
 * **Gotchas**
 *
 * `request.url` is as the client has spelled it, and many spellings are one path. Who lets in by the path should let in what is known, and
 * not keep out what is: `docs/paths.md`.
 *
 * @category models
 * @since 0.1.0
 */
export type Middleware<Groups extends string = string> = (
  answer: Effect.Effect<HttpServerResponse, never, HttpServerRequest | Scope.Scope>
) => Effect.Effect<HttpServerResponse, unknown, HttpServerRequest | Scope.Scope | Provided<Groups>>

/**
 * What a module says.
 *
 * @category models
 * @since 0.1.0
 */
export interface Definition<Groups extends string = string> {
  /** What a file would say. By default nothing: the gateway listens on port 9654. */
  readonly config?:
    | Omit<Config, "groups"> & { readonly groups?: { readonly [Name in Groups]: GroupConfig } }
    | undefined
  /** Routes in code. They go before those of `config`. */
  readonly routes?: Routes<NoInfer<Groups>> | undefined
  /** Stands around every request. */
  readonly middleware?: Middleware<NoInfer<Groups>> | undefined
}

const TypeId = "~blackgate/ConfigModule"

/**
 * What a module exports as its default.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfigModule {
  readonly [TypeId]: typeof TypeId
  readonly config: unknown
  readonly routes: Layer.Layer<never, unknown, unknown> | undefined
  readonly middleware:
    | ((
      answer: Effect.Effect<HttpServerResponse, never, HttpServerRequest | Scope.Scope>
    ) => Effect.Effect<HttpServerResponse, unknown, unknown>)
    | undefined
}

/**
 * Makes what a config module exports as its default.
 *
 * **Example** (A route in code beside one of the config)
 *
 * ```ts
 * import { Group } from "@blackgate/core"
 * import { Proxy } from "@blackgate/http"
 * import { defineConfig } from "blackgate/config"
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * class Users extends Group.Service<Users>()("users") {}
 *
 * export default defineConfig({
 *   config: {
 *     port: 9654,
 *     groups: { users: { pool: { max_concurrent: 100 } } },
 *     routes: [{ match: { path: "/" }, upstream: "http://127.0.0.1:3000" }]
 *   },
 *   routes: Layer.merge(
 *     Proxy.route("/users/*", { group: Users, upstream: "http://127.0.0.1:3001", timeout: "5 seconds" }),
 *     HttpRouter.add("GET", "/hello", Effect.succeed(HttpServerResponse.text("hello")))
 *   ),
 *   middleware: Effect.map(HttpServerResponse.setHeader("x-gateway", "blackgate"))
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const defineConfig = <Groups extends string = never>(
  { config, middleware, routes, ...others }: Definition<Groups>
): ConfigModule => ({ ...others, [TypeId]: TypeId, config, middleware, routes })

/**
 * Whether something was made by `defineConfig`, of whatever copy of this package.
 *
 * @category guards
 * @since 0.1.0
 */
export const isConfigModule = (u: unknown): u is ConfigModule => Predicate.hasProperty(u, TypeId)
