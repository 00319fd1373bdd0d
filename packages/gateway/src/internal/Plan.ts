import type { Forwarded } from "@blackgate/http"
import * as Effect from "effect/Effect"
import type { Loaded } from "../Config.ts"
import { ConfigError } from "../ConfigError.ts"
import { adminPlans, forwardedOptions, groupOptions, type ListenerPlan, listenerPlans, rateKeyOf } from "./options.ts"
import { checkApart } from "./overlap.ts"
import { Problems, type ReadFile } from "./Problems.ts"
import { proxyPlans } from "./proxies.ts"
import type { GroupPlan, RoutePlan } from "./RoutePlan.ts"
import { routePlans } from "./routes.ts"
import { Upstreams } from "./upstreams.ts"

/** What is to be built, with everything that it needs at hand. */
export interface Plan {
  readonly loaded: Loaded
  readonly listeners: ReadonlyArray<ListenerPlan>
  /** All groups of the file, those that no route names too. */
  readonly groups: ReadonlyArray<GroupPlan>
  /** By what they match. */
  readonly routes: ReadonlyArray<RoutePlan>
  /** One after the other, when no route matches. */
  readonly proxies: ReadonlyArray<RoutePlan>
  readonly forwarded: Forwarded.Options
}

/** Puts a config to use, but for what needs a network: reads the files that it names, and finds what its names stand for. */
export const planOf = (loaded: Loaded, readFile: ReadFile): Effect.Effect<Plan, ConfigError> =>
  Effect.suspend(() => {
    const { config, file } = loaded
    const problems = new Problems(loaded, readFile)
    const groups = Object.entries(config.groups ?? {}).map(([name, group]): GroupPlan => ({
      name,
      options: groupOptions(group),
      rateKey: rateKeyOf(group),
      path: ["groups", name]
    }))
    const byName = new Map(groups.map((group) => [group.name, group]))
    const listeners = [...listenerPlans(config, byName, problems), ...adminPlans(config, problems)]
    checkApart(listeners, problems)
    const upstreams = new Upstreams(config, problems)
    const routes = routePlans(config, byName, upstreams, problems)
    const proxies = proxyPlans(config, problems)
    const named = new Set(groups.map(({ name }) => name))
    const apart = (route: RoutePlan) => setApart(route, named)
    return problems.all.length > 0
      ? Effect.fail(new ConfigError({ file, problems: problems.all }))
      : Effect.succeed({
        loaded,
        listeners,
        groups,
        routes: routes.map(apart),
        proxies: proxies.map(apart),
        forwarded: forwardedOptions(config.forwarded)
      })
  })

// What has no group has one of its own, which is not to be taken for a group of the file.
const setApart = (route: RoutePlan, named: ReadonlySet<string>): RoutePlan => {
  const { target } = route
  if (target._tag === "redirect" || target.group.path[0] === "groups" || !named.has(target.group.name)) return route
  return { ...route, target: { ...target, group: { ...target.group, name: `${target.group.name} (without a group)` } } }
}
