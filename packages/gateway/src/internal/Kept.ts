import { Group } from "@blackgate/core"
import type { InvalidOptions } from "@blackgate/core/InvalidOptions"
import { Transport } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import type { GroupPlan } from "./RoutePlan.ts"

/**
 * What a reload keeps: groups with their pools and circuits, transports with their connections. Each is there for as long as one
 * config that runs has it, by everything that its options say.
 */
export interface Kept {
  readonly groups: RcMap.RcMap<string, Group.Group, InvalidOptions>
  readonly transports: RcMap.RcMap<string, Transport.Transport["Service"]>
}

/** Closed with the scope. */
export const makeKept = Effect.gen(function*() {
  return {
    groups: yield* RcMap.make({
      lookup: (key: string) => {
        const { name, options } = parse(key) as GroupPlan
        return Group.make(name, options)
      }
    }),
    transports: yield* RcMap.make({
      lookup: (key: string) =>
        Effect.map(
          Layer.build(Undici.layerWith(parse(key) as Undici.Options)),
          (context) => Context.get(context, Transport.Transport)
        )
    })
  }
})

/** The group of a plan, for the scope. */
export const groupOf = (kept: Kept, { name, options }: GroupPlan) => RcMap.get(kept.groups, keyOf({ name, options }))

/** The transport with these options, for the scope. */
export const transportOf = (kept: Kept, options: Undici.Options) => RcMap.get(kept.transports, keyOf(options))

// JSON has no word for it, and a pool without a limit has it.
const keyOf = (value: unknown): string => JSON.stringify(value, (_, each) => each === Infinity ? "Infinity" : each)
const parse = (key: string): unknown => JSON.parse(key, (_, each) => each === "Infinity" ? Infinity : each)
