import { Group } from "@blackgate/core"
import { Proxy, type RequestPath } from "@blackgate/http"
import * as Effect from "effect/Effect"
import * as FindMyWay from "effect/http/FindMyWay"
import * as HttpRouter from "effect/http/HttpRouter"
import type { Coded, Listed } from "./RoutePlan.ts"

/** What is the readings of a path to another route. */
export type Found = Listed | "ambiguous" | undefined

/**
 * The routes of a config module's router, to ask which of them a request takes before it does, in each reading of its path: Effect's
 * router can't be asked, and what it has no route for goes on to those of the config.
 */
export class CodeRoutes {
  readonly all: Array<Listed> = []
  // As Effect's router reads: it ignores case and doubled slashes, decodes what is escaped, and cuts at a semicolon.
  private readonly asRouted = FindMyWay.make<Listed>()
  // As it is spelled.
  private readonly strict = FindMyWay.make<Listed>({
    caseSensitive: true,
    ignoreDuplicateSlashes: false,
    maxParamLength: Infinity
  })
  // As the most lenient server would; how long a parameter may be is the router's own business.
  private readonly lenient = FindMyWay.make<Listed>({ maxParamLength: Infinity })

  add(method: string, path: HttpRouter.PathInput, handler: unknown): void {
    const name = method === "*" ? path : `${method} ${path}`
    const proxy = proxyOf(handler)
    const route: Listed = {
      name,
      path: ["module", this.all.length],
      matches: name,
      goes: proxy?.upstream ?? "code",
      target: { _tag: "code", proxy }
    }
    this.all.push(route)
    const paths = path.endsWith("/*") ? [path, path.slice(0, -2)] : [path]
    for (const each of paths as ReadonlyArray<HttpRouter.PathInput>) {
      for (const table of [this.asRouted, this.strict, this.lenient]) {
        if (method === "*") table.all(each, route)
        else table.on(method, each, route)
      }
    }
  }

  /** What takes a request as it is spelled; `ambiguous` if the router would take it for something else. */
  find(method: string, url: string, { path }: RequestPath.RequestPath): Found {
    const found = findIn(this.asRouted, method, url)
    return findIn(this.strict, method, literal(path)) === found ? found : "ambiguous"
  }

  /** What takes the most lenient reading of a path. */
  findLenient(method: string, path: string): Listed | undefined {
    return findIn(this.lenient, method, path.split("/").map((each) => encodeURIComponent(utf8(each))).join("/"))
  }
}

const proxyOf = (handler: unknown): Coded["proxy"] => {
  const destination = Effect.isEffect(handler) ? Proxy.destinationOf(handler) : undefined
  if (destination === undefined) return undefined
  const { group, upstream: { basePath, origin } } = destination
  return { group: Group.isGroup(group) ? group.name : group.key, upstream: origin + basePath }
}

const findIn = (table: FindMyWay.Router<Listed>, method: string, url: string): Listed | undefined =>
  // What answers a GET says by HEAD what it would.
  (table.find(method, url) ?? (method === "HEAD" ? table.find("GET", url) : undefined))?.handler

// What a path can hold without an escape; the others have no other spelling.
const needless = /%(?!20|22|3c|3e|5e|60|7b|7c|7d|[89a-f])/gi

// So that the table takes it as it is spelled: it decodes, and cuts.
const literal = (path: string): string =>
  path.includes("%") || path.includes(";") ? path.replaceAll(needless, "%25").replaceAll(";", "%3B") : path

// Of what has a byte in each character.
const utf8 = (bytes: string): string =>
  /[\u0080-\u00ff]/.test(bytes) ? Buffer.from(bytes, "latin1").toString("utf8") : bytes

/** A router that is told of by what is added to it, with the middleware that is for all of it apart. */
export interface Recorded {
  readonly router: HttpRouter.HttpRouter
  readonly routes: CodeRoutes
  /** In the order in which it was added. */
  readonly middleware: Set<HttpRouter.middleware.Fn>
}

/** Records what is added to a router. */
export const record: Effect.Effect<Recorded> = Effect.map(HttpRouter.make, (base) => {
  const routes = new CodeRoutes()
  const middleware = new Set<HttpRouter.middleware.Fn>()
  const under = (inner: HttpRouter.HttpRouter, prefix: string): HttpRouter.HttpRouter => {
    const full = (path: HttpRouter.PathInput) =>
      (prefix === "" ? path : HttpRouter.prefixPath(path, prefix)) as HttpRouter.PathInput
    return {
      ...inner,
      prefixed: (more) => {
        const whole = full(HttpRouter.prefixPath("/", more) as HttpRouter.PathInput)
        return under(base.prefixed(whole), whole)
      },
      add: (method, path, handler, options) =>
        Effect.andThen(
          inner.add(method, path, handler, options),
          Effect.sync(() => routes.add(method, full(path), handler))
        ),
      addAll: (added) =>
        Effect.andThen(
          inner.addAll(added),
          Effect.sync(() => {
            for (const { handler, method, path } of added) routes.add(method, full(path), handler)
          })
        ),
      addGlobalMiddleware: (fn) => Effect.sync(() => void middleware.add(fn as HttpRouter.middleware.Fn))
    }
  }
  return { router: under(base, ""), routes, middleware }
})
