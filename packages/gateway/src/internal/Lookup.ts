import type { RequestPath } from "@blackgate/http"
import type { CodeRoutes } from "./CodeRoutes.ts"
import type { Plan } from "./Plan.ts"
import { type Asked, hostOf, RouteIndex } from "./RouteIndex.ts"
import type { Listed, RoutePlan } from "./RoutePlan.ts"

/**
 * Which route a request takes: one in code, the most specific one of the config, the first of its proxies. The readings of a path have to
 * agree, across all of them.
 */
export class Lookup<T> {
  private readonly strict: RouteIndex<T>
  private readonly lenient: RouteIndex<T>
  private readonly proxies: ReadonlyArray<readonly [RoutePlan, T]>
  private readonly code: CodeRoutes | undefined
  private readonly ofCode: (route: Listed) => T

  constructor(plan: Plan, make: (route: Listed) => T, code?: CodeRoutes) {
    const routes = plan.routes.map((route) => [route.matching, make(route)] as const)
    this.strict = new RouteIndex(routes, false)
    this.lenient = new RouteIndex(routes, true)
    this.proxies = plan.proxies.map((route) => [route, make(route)] as const)
    this.code = code?.all.length === 0 ? undefined : code
    const made = new Map(code?.all.map((route) => [route, make(route)]))
    this.ofCode = (route) => made.get(route)!
  }

  /** `url` is the target as the router in code reads it. `ambiguous` if the upstream could take it for a request of another route. */
  find(
    read: RequestPath.RequestPath,
    method: string,
    header: (name: string) => string | undefined,
    url = read.path + read.query
  ): T | "ambiguous" | undefined {
    const inCode = this.code?.find(method, url, read)
    if (inCode === "ambiguous") return inCode
    const asked = { host: hostOf(header("host") ?? ""), path: read.path, query: read.query, method, header }
    const found = inCode === undefined ? this.findIn(this.strict, asked) : this.ofCode(inCode)
    if (found === undefined || read.lenient === undefined) return found
    // Where only doubled slashes and parameters are gone, the one at the end has its meaning still.
    const path = read.path.endsWith("/") && !read.lenient.endsWith("/") ? `${read.lenient}/` : read.lenient
    const lenientInCode = this.code?.findLenient(method, path)
    const lenient = lenientInCode === undefined
      ? this.findIn(this.lenient, { ...asked, path })
      : this.ofCode(lenientInCode)
    return lenient === found ? found : "ambiguous"
  }

  private findIn(index: RouteIndex<T>, asked: Asked): T | undefined {
    const found = index.find(asked)
    if (found !== undefined) return found
    for (const [{ matching: { path } }, value] of this.proxies) {
      if (path._tag === "regex" && path.pattern.matches(asked.path)) return value
    }
    return undefined
  }
}
