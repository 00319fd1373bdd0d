import { RequestPath } from "@blackgate/http"
import * as Duration from "effect/Duration"
import { formatPath } from "../ConfigError.ts"
import { describeCallContext } from "./callContexts.ts"
import type { CodeRoutes } from "./CodeRoutes.ts"
import { Lookup } from "./Lookup.ts"
import type { Plan } from "./Plan.ts"
import { describeRetry } from "./retries.ts"
import type { Listed, Target } from "./RoutePlan.ts"

/** Rows under a head, as wide as they need to be. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd()).join("\n")
}

/** All routes, those in code first, as they stand in the file. */
export const routeTable = (plan: Plan, code: CodeRoutes | undefined): string => {
  const rows = [...code?.all ?? [], ...plan.routes, ...plan.proxies].map((route) => [
    formatPath(route.path),
    route.name,
    route.matches,
    route.goes,
    groupOf(route) ?? "-"
  ])
  return table([["at", "name", "matches", "goes to", "group"], ...rows])
}

/** The name of the group that a route shares with others; `undefined` for one without. */
export const groupOf = ({ target }: Listed): string | undefined => {
  if (target._tag === "code") return target.proxy?.group
  return target._tag === "proxy" && target.group.path[0] === "groups" ? target.group.name : undefined
}

/** What becomes of one request. */
export const explain = (
  plan: Plan,
  method: string,
  url: string,
  code?: CodeRoutes
): { readonly text: string; readonly isRouted: boolean } => {
  const [, authority = "", target = "/"] = /^(?:[a-z]+:\/\/)?([^/?#]*)([/?][^#]*)?$/i.exec(url) ?? []
  const received = target.startsWith("?") ? `/${target}` : target
  const read = RequestPath.parse(received)
  if (read === undefined) return { text: "400: the path can't be read", isRouted: false }
  const headers: Record<string, string> = { host: authority }
  const lookup = new Lookup(plan, (route) => route, code)
  const route = lookup.find(read, method.toUpperCase(), (name) => headers[name], received)
  if (route === undefined) return { text: "404: no route matches", isRouted: false }
  if (route === "ambiguous") {
    return { text: "400: the path could mean another route to the upstream (docs/paths.md)", isRouted: false }
  }
  return { text: table(rowsOf(plan, route, read)), isRouted: true }
}

const rowsOf = (
  plan: Plan,
  route: Listed,
  read: RequestPath.RequestPath
): ReadonlyArray<ReadonlyArray<string>> => {
  const place = plan.loaded.place(route.path)
  const at = place === undefined ? "" : `, ${plan.loaded.file}:${place.line}`
  const rows = [["route", `${route.name} (${formatPath(route.path)}${at})`], ["matches", route.matches]]
  const { target } = route
  if (target._tag === "code") {
    const { proxy } = target
    if (proxy === undefined) return [...rows, ["answer", "a handler in code"]]
    return [...rows, ["upstream", `${proxy.upstream}, by a handler in code`], ["group", proxy.group]]
  }
  if (target._tag === "redirect") return [...rows, ["answer", "a redirect"]]
  return [
    ...rows,
    ["upstream", upstreamUrl(target, read)],
    ["group", groupOf(route) ?? "none: no limits, no circuit"],
    ["policies", policies(target).join(", ") || "none"],
    ...telemetryRows(plan)
  ]
}

const telemetryRows = ({ loaded: { config: { telemetry } } }: Plan): ReadonlyArray<ReadonlyArray<string>> => {
  const { sample = 1, traces = true, url } = telemetry?.otlp ?? {}
  return url === undefined || !traces ? [] : [["traces", `${sample === 1 ? "all" : `a share of ${sample}`}, to ${url}`]]
}

const upstreamUrl = (
  { options: { upstream }, rewrite }: Extract<Target, { _tag: "proxy" }>,
  read: RequestPath.RequestPath
) => {
  const { basePath, origin } = upstream as { readonly basePath: string; readonly origin: string }
  return `${origin}${basePath}${rewrite(read.path)}${read.query}`
}

/** From the outside in. */
export const policies = (
  { circuit: shared, fallback, group, options, tunnels }: Extract<Target, { _tag: "proxy" }>
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const add = (name: string, value: Duration.Input | undefined) => {
    if (value !== undefined) found.push(`${name} ${Duration.format(Duration.fromInputUnsafe(value))}`)
  }
  if (fallback !== undefined) found.push(`fallback (${fallback.words})`)
  const context = options.callContext && describeCallContext(options.callContext)
  if (context !== undefined) found.push(context)
  if (options.criticality !== undefined) found.push(`criticality ${options.criticality}`)
  add("timeout", options.timeout)
  add("total", options.total)
  if (options.retry !== undefined) found.push(`retries (${describeRetry(options.retry)})`)
  const { adaptiveLimit, circuit, pool, rateLimit } = group.options
  if (rateLimit !== undefined) {
    const window = Duration.format(Duration.fromInputUnsafe(rateLimit.window))
    const { rateKey } = group
    const { tokens = 1 } = options.rateLimit ?? {}
    const taken = tokens === 1 ? "" : `, of which a request takes ${tokens}`
    found.push(
      `rate limit ${rateLimit.limit} in ${window}${rateKey === undefined ? "" : ` for each ${rateKey.of}`}${taken}`
    )
  }
  if (circuit !== undefined) found.push(shared === undefined ? "circuit" : `circuit ${shared}`)
  if (pool.maxConcurrent !== Infinity) found.push(`pool ${pool.maxConcurrent} and ${pool.maxQueued ?? 0} waiting`)
  if (adaptiveLimit !== undefined) found.push("adaptive limit")
  add("attempt timeout", options.attemptTimeout)
  add("head timeout", options.headTimeout)
  add("idle", options.idle)
  if (tunnels !== undefined) found.push(`tunnels in group ${tunnels.name}`)
  return found
}
