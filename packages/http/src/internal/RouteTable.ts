import * as FindMyWay from "effect/http/FindMyWay"
import type { HttpRouter } from "effect/http/HttpRouter"
import type { PathInput } from "effect/http/HttpRouter"
import { lenient } from "./path.ts"

/**
 * The proxy routes of a router, to ask which of them another reading of a path would lead to. Effect's router can't be asked.
 */
export class RouteTable {
  private static readonly tables = new WeakMap<HttpRouter, RouteTable>()

  /** The one of a router. */
  static of(router: HttpRouter): RouteTable {
    let table = RouteTable.tables.get(router)
    if (table === undefined) RouteTable.tables.set(router, table = new RouteTable())
    return table
  }

  private readonly routes = FindMyWay.make<object>({
    caseSensitive: false,
    ignoreDuplicateSlashes: true,
    ignoreTrailingSlash: true,
    maxParamLength: Infinity
  })

  // Where it takes one to be too long, the router looks for another route. How long that is it does not tell.
  private hasParameters = false

  add(method: string, path: PathInput, route: object): void {
    this.hasParameters ||= path.includes(":")
    const paths = path.endsWith("/*") ? [path, path.slice(0, -2) || "/"] : [path]
    for (const each of paths as ReadonlyArray<PathInput>) {
      if (method === "*") this.routes.all(each, route)
      else this.routes.on(method, each, route)
    }
  }

  /**
   * Whether every reading of a path leads to the same route. The router has read it as it was received, which is not how it is
   * forwarded if it had dot segments, and with a limit to parameters that the upstream knows nothing of.
   */
  agrees(method: string, path: string, hadDots: boolean, route: object): boolean {
    const read = lenient(path)
    const asSpelled = hadDots || this.hasParameters ? this.find(method, path) : route
    return asSpelled === route && (read === undefined || this.find(method, read) === route)
  }

  private find(method: string, path: string): object | undefined {
    const found = this.routes.find(method, path) ?? (method === "HEAD" ? this.routes.find("GET", path) : undefined)
    return found?.handler
  }
}
