import { HeaderList, type Proxy, Rewrite } from "@blackgate/http"
import type { Config } from "../ConfigSchema.ts"
import { callContextOptions } from "./callContexts.ts"
import type { Path } from "./ConfigText.ts"
import { checkEditable } from "./editableHeaders.ts"
import { fallbackPlan, type Names } from "./fallbackPlan.ts"
import { describeMatching, matchingOf } from "./matching.ts"
import { forwardedOptions, time } from "./options.ts"
import type { Problems } from "./Problems.ts"
import { redirectTo } from "./redirect.ts"
import { retryOptions } from "./retries.ts"
import type { Matching } from "./RouteIndex.ts"
import { type GroupPlan, type RoutePlan, type Target, unlimited } from "./RoutePlan.ts"
import type { Upstreams } from "./upstreams.ts"
import { writtenPath } from "./writtenPath.ts"

type RouteConfig = NonNullable<Config["routes"]>[number]
type Edits = NonNullable<RouteConfig["request_headers"]>

/** The `routes` of a config. */
export const routePlans = (
  { routes = [] }: Config,
  groups: ReadonlyMap<string, GroupPlan>,
  upstreams: Upstreams,
  problems: Problems
): ReadonlyArray<RoutePlan> =>
  namesOf(routes, problems).flatMap(({ matches, name, route }, i) => {
    const path = ["routes", i]
    const matching = matchingOf(route.match, [...path, "match"], problems)
    const target = route.redirect === undefined
      ? proxy(route, name, matching, path, groups, upstreams, problems)
      : redirect(route, matching, path, problems)
    if (matching === undefined || target === undefined) return []
    const goes = route.redirect === undefined ? route.upstream! : "a redirect"
    return [{ name, path, matches, goes, matching, target }]
  })

// Metrics, logs and circuits know a route by its name: each has one of its own.
const namesOf = (routes: ReadonlyArray<RouteConfig>, problems: Problems) => {
  const taken = new Map<string, number>()
  for (const [i, { name }] of routes.entries()) {
    const first = name === undefined ? undefined : taken.get(name)
    if (first !== undefined) {
      const line = problems.loaded.place(["routes", first, "name"])?.line
      problems.add(
        ["routes", i, "name"],
        `expected a name that no other route has, found ${JSON.stringify(name)}: routes[${first}] has it`
          + (line === undefined ? "" : `, in line ${line}`)
      )
    } else if (name !== undefined) taken.set(name, i)
  }
  const seen = new Map<string, number>()
  return routes.map((route, i) => {
    const matches = describeMatching(route.match)
    if (route.name !== undefined) return { route, matches, name: route.name }
    let nth = (seen.get(matches) ?? 0) + 1
    const nameOf = () => nth === 1 ? matches : `${matches} (${nth})`
    while (taken.has(nameOf())) nth++
    seen.set(matches, nth)
    taken.set(nameOf(), i)
    return { route, matches, name: nameOf() }
  })
}

// What makes no sense where nothing is forwarded.
const forwarding = [
  "upstream",
  "rewrite",
  "request_headers",
  "response_headers",
  "group",
  "timeout",
  "retries",
  "head_timeout",
  "idle",
  "total",
  "fallback",
  "priority",
  "criticality",
  "call_context",
  "circuit",
  "rate_limit_tokens",
  "upgrade",
  "max_body_size",
  "preserve_host",
  "forwarded"
] as const

const redirect = (
  route: RouteConfig,
  matching: Matching | undefined,
  path: Path,
  problems: Problems
): Target | undefined => {
  for (const key of forwarding) {
    if (route[key] !== undefined) problems.add([...path, key], "a route with a redirect forwards nothing")
  }
  const { path: whole, prefix } = route.redirect!
  if (whole !== undefined && prefix !== undefined) {
    problems.add([...path, "redirect", "prefix"], "expected path or prefix, found both")
  }
  const from = prefixOf(matching, prefix, [...path, "redirect", "prefix"], problems)
  const to = whole && writtenPath(whole, [...path, "redirect", "path"], problems, "replacement")
  return {
    _tag: "redirect",
    answer: redirectTo({ ...route.redirect!, ...(to === undefined ? {} : { path: to }) }, from)
  }
}

const proxy = (
  route: RouteConfig,
  name: string,
  matching: Matching | undefined,
  path: Path,
  groups: ReadonlyMap<string, GroupPlan>,
  upstreams: Upstreams,
  problems: Problems
): Target | undefined => {
  if (route.upstream === undefined) return problems.add(path, "expected an upstream or a redirect, found neither")
  const names: Names = {
    group: (path, name) => problems.named(path, name, "groups", groups),
    upstream: (path, name) => upstreams.of(path, name)
  }
  const to = names.upstream([...path, "upstream"], route.upstream)
  const group = route.group === undefined ? unlimited(name, path) : names.group([...path, "group"], route.group)
  const rewritten = pathRewrite(route.rewrite, matching, [...path, "rewrite"], problems)
  const editRequest = edits(route.request_headers, [...path, "request_headers"], problems)
  const editResponse = edits(route.response_headers, [...path, "response_headers"], problems)
  if (to === undefined || group === undefined) return undefined
  checkShared(route, group, path, problems)
  const host = route.rewrite?.host
  const steps: Array<Rewrite.Sync> = []
  if (rewritten !== undefined) steps.push(Rewrite.mapPath(rewritten))
  if (host !== undefined) steps.push(Rewrite.setHeader("host", host))
  if (editRequest !== undefined) steps.push((request) => ({ ...request, headers: editRequest(request.headers) }))
  const tunnels = typeof route.upgrade === "object" && route.upgrade.group !== undefined
    ? names.group([...path, "upgrade", "group"], route.upgrade.group)
    : undefined
  const options: Extract<Target, { _tag: "proxy" }>["options"] = {
    key: name,
    upstream: to.upstream,
    rewrite: steps.length === 0 ? undefined : (request) => steps.reduce((made, step) => step(made), request),
    rewriteResponse: editResponse === undefined
      ? undefined
      : (response) => ({ ...response, headers: editResponse(response.headers) }),
    timeout: time(route.timeout),
    ...retryOptions(route.retries),
    circuit: route.circuit === undefined ? undefined : { key: () => route.circuit! },
    rateLimit: group.rateKey === undefined && route.rate_limit_tokens === undefined
      ? undefined
      : { key: group.rateKey?.key, tokens: route.rate_limit_tokens },
    headTimeout: time(route.head_timeout),
    idle: time(route.idle),
    total: time(route.total),
    priority: route.priority,
    criticality: route.criticality,
    callContext: callContextOptions(route.call_context),
    upgrade: upgradeOptions(route.upgrade),
    maxBodySize: route.max_body_size,
    preserveHost: route.preserve_host,
    forwarded: route.forwarded && forwardedOptions(route.forwarded)
  }
  return {
    _tag: "proxy",
    group,
    tunnels,
    circuit: route.circuit,
    transport: to.transport,
    rewrite: rewritten ?? ((path) => path),
    options,
    fallback: fallbackPlan(route, options, [...path, "fallback"], names, problems)
  }
}

const checkShared = (route: RouteConfig, { options }: GroupPlan, path: Path, problems: Problems) => {
  if (route.circuit !== undefined && options.circuit === undefined) {
    problems.add([...path, "circuit"], "expected a group with a circuit")
  }
  const tokens = route.rate_limit_tokens
  if (tokens === undefined) return
  const at = [...path, "rate_limit_tokens"]
  if (options.rateLimit === undefined) problems.add(at, "expected a group with a rate limit")
  else if (tokens > options.rateLimit.limit) {
    problems.add(at, `expected no more than the limit, ${options.rateLimit.limit}, found ${tokens}`)
  }
}

const upgradeOptions = (upgrade: RouteConfig["upgrade"]): Proxy.Options["upgrade"] =>
  typeof upgrade !== "object"
    ? upgrade
    : { origins: upgrade.origins, idle: time(upgrade.idle), total: time(upgrade.total) }

const prefixOf = (
  matching: Matching | undefined,
  prefix: string | undefined,
  path: Path,
  problems: Problems
): ((path: string) => string) | undefined => {
  if (prefix === undefined || matching === undefined) return undefined
  if (matching.path._tag !== "prefix") return problems.add(path, "expected a route that matches a prefix of the path")
  const strip = Rewrite.stripPrefix(matching.path.path)
  const start = writtenPath(prefix, path, problems, "replacement").replace(/\/+$/, "")
  return (path) => start + (strip({ path } as Rewrite.ProxyRequest).path)
}

const pathRewrite = (
  rewrite: RouteConfig["rewrite"],
  matching: Matching | undefined,
  path: Path,
  problems: Problems
): ((path: string) => string) | undefined => {
  if (rewrite?.path !== undefined) {
    const { path: whole, prefix } = rewrite
    if (prefix !== undefined) problems.add([...path, "prefix"], "expected path or prefix, found both")
    const spelled = writtenPath(whole, [...path, "path"], problems, "replacement")
    return () => spelled
  }
  return prefixOf(matching, rewrite?.prefix, [...path, "prefix"], problems)
}

const edits = (
  config: Edits | undefined,
  path: Path,
  problems: Problems
): ((headers: HeaderList.HeaderList) => HeaderList.HeaderList) | undefined => {
  if (config === undefined) return undefined
  const { add = {}, remove = [], set = {} } = config
  checkEditable(set, [...path, "set"], problems)
  checkEditable(add, [...path, "add"], problems)
  return (headers) => {
    let edited = headers
    for (const name of remove) edited = HeaderList.remove(edited, name)
    for (const [name, value] of Object.entries(set)) edited = HeaderList.set(edited, name, value)
    for (const [name, value] of Object.entries(add)) edited = HeaderList.append(edited, name, value)
    return edited
  }
}
