import { Rewrite } from "@blackgate/http"
import type { Config } from "../ConfigSchema.ts"
import type { Path } from "./ConfigText.ts"
import { Pattern } from "./Pattern.ts"
import type { Problems } from "./Problems.ts"
import { type RoutePlan, unlimited } from "./RoutePlan.ts"
import { upstreamAt } from "./upstreams.ts"

type ProxyConfig = NonNullable<Config["proxies"]>[number]

const everything = new Pattern("(?s).*")

/** The `proxies` of the Python program. */
export const proxyPlans = ({ proxies = [] }: Config, problems: Problems): ReadonlyArray<RoutePlan> =>
  proxies.flatMap((proxy, i) => planOf(proxy, ["proxies", i], problems) ?? [])

const planOf = (proxy: ProxyConfig, path: Path, problems: Problems): RoutePlan | undefined => {
  const { name, request_path_regex: regex, request_path_sub: sub, upstream_url: url } = proxy
  if (sub !== undefined && regex === undefined) {
    return problems.add([...path, "request_path_sub"], "there is no request_path_regex to substitute")
  }
  const { base, origin } = split(url)
  const upstream = upstreamAt([...path, "upstream_url"], origin, {}, problems)
  const pattern = regex === undefined ? everything : problems.pattern([...path, "request_path_regex"], regex)
  const at = [...path, "request_path_sub"]
  const replacement = sub === undefined ? undefined : problems.within(at, () => pattern?.replacement(sub))
  if (upstream === undefined || pattern === undefined) return undefined
  const rewrite = (path: string) => {
    const made = base + (replacement === undefined ? path : pattern.sub(path, replacement))
    // Where the Python program would make a host of it.
    return made.startsWith("/") ? made : `/${made}`
  }
  return {
    name,
    path,
    matches: regex ?? "everything",
    goes: `${url}${sub ?? ""}`,
    matching: { hosts: [], path: { _tag: "regex", pattern }, methods: [], headers: [], query: [] },
    target: {
      _tag: "proxy",
      group: unlimited(name, path),
      transport: { connectTimeout: inMillis(proxy.connect_timeout_seconds) },
      rewrite,
      options: {
        key: name,
        upstream,
        rewrite: Rewrite.mapPath(rewrite),
        total: inMillis(proxy.request_timeout_seconds)
      }
    }
  }
}

const inMillis = (seconds: number | undefined): number | undefined => seconds === undefined ? undefined : seconds * 1000

/** The origin of a URL, and what the path is put behind as it is written there. */
const split = (url: string): { readonly origin: string; readonly base: string } => {
  const [, origin = url, base = ""] = /^([a-z]+:\/\/[^/]*)(.*)$/i.exec(url) ?? []
  return { origin, base }
}
