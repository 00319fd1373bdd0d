import { Group, type InvalidOptions } from "@blackgate/core"
import * as Effect from "effect/Effect"
import type { Loaded } from "../Config.ts"
import type { Problem } from "../ConfigError.ts"
import type { Path } from "./ConfigText.ts"
import type { GroupPlan } from "./RoutePlan.ts"
import { inSnakeCase } from "./snakeCase.ts"

/** What a library says of options that make no sense, for the part of the config that they come from. */
export const problemsOf = (
  { problem }: InvalidOptions.InvalidOptions,
  path: Path,
  { place }: Pick<Loaded, "place">
): ReadonlyArray<Problem> =>
  inSnakeCase(problem).split("; ").map((each) => {
    const [, option, message = each] = /^([a-z_.\d]+): (.*)$/s.exec(each) ?? []
    const at = option === undefined
      ? path
      : [...path, ...option.split(".").map((key) => /^\d+$/.test(key) ? Number(key) : key)]
    return { path: at, message, place: place(at, "key") }
  })

/** What is wrong with groups that will not be built, since something else is wrong. */
export const wrongGroups = (groups: ReadonlyArray<GroupPlan>, loaded: Loaded): ReadonlyArray<Problem> =>
  groups.flatMap(({ name, options, path }) =>
    Effect.runSync(Effect.scoped(Effect.match(Group.make(name, options), {
      onSuccess: () => [],
      onFailure: (error) => problemsOf(error, path, loaded)
    })))
  )
