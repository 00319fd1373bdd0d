import { Group, Pool } from "@blackgate/core"
import type { InvalidOptions } from "@blackgate/core/InvalidOptions"
import { Transport } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"
import { Reachability } from "./Reachability.ts"
import type { GroupPlan } from "./RoutePlan.ts"
import { StaleAnswers, type StaleOptions } from "./StaleAnswers.ts"
import { makeTelemetry, type OtlpConfig, type Telemetry } from "./Telemetry.ts"

/**
 * What a reload keeps: groups with their pools and circuits, transports with their connections. Each is there for as long as one
 * config that runs has it, by what its options say; a pool of another size is still the same one.
 */
export interface Kept {
  readonly groups: RcMap.RcMap<string, Group.Group, InvalidOptions>
  readonly transports: RcMap.RcMap<string, Transport.Transport["Service"]>
  /** By what is said of a collector. */
  readonly telemetry: RcMap.RcMap<string, Telemetry>
  /** The last good answers of routes. */
  readonly answers: RcMap.RcMap<string, StaleAnswers>
  /** Who of all upstreams is reached. */
  readonly reachability: Reachability
  /** By the keys of groups that are being built, the size that their pools begin with. */
  readonly sizes: Map<string, Size>
  /** The size that a config has given to a group's pool last. */
  readonly said: WeakMap<Group.Group, Size>
  /** What is there from the beginning: the log, say. */
  readonly context: Context.Context<never>
}

interface Size {
  readonly maxConcurrent: number
  readonly maxQueued: number
}

/** Where groups share their limits with others: where they don't. */
export const Alone = Context.Reference<Context.Context<never> | undefined>("blackgate/internal/Kept/Alone", {
  defaultValue: () => undefined
})

/** Closed with the scope. */
export const makeKept = Effect.gen(function*() {
  const sizes = new Map<string, Size>()
  const alone = yield* Alone
  const context = yield* Effect.context<never>()
  const reachability = new Reachability(Effect.runForkWith(context))
  return {
    sizes,
    said: new WeakMap(),
    context,
    reachability,
    groups: yield* RcMap.make({
      lookup: (key: string) => {
        const { name, options } = parse(key) as GroupPlan
        const size = sizes.get(key)!
        const group = Group.make(name, { ...options, pool: { ...options.pool, ...size } })
        // A route without a group has no limit, and nobody can give it one: there is nothing to share, and there may be many.
        if (alone === undefined || size.maxConcurrent !== Infinity || options.rateLimit !== undefined) return group
        return Effect.updateContext(
          group,
          (context: Context.Context<Scope.Scope>) => Context.add(alone, Scope.Scope, Context.get(context, Scope.Scope))
        )
      }
    }),
    telemetry: yield* RcMap.make({ lookup: (key: string) => makeTelemetry(JSON.parse(key) as OtlpConfig) }),
    answers: yield* RcMap.make({
      lookup: (key: string) =>
        Effect.sync(() => new StaleAnswers((JSON.parse(key) as { readonly options: StaleOptions }).options))
    }),
    transports: yield* RcMap.make({
      lookup: (key: string) =>
        Effect.map(
          Layer.build(Undici.layerWith(parse(key) as Undici.Options)),
          (context) => reachability.around(Context.get(context, Transport.Transport))
        )
    })
  }
})

/**
 * The group of a plan, for the scope; and what gives its pool the size of the plan, if that has changed. A group that is new to those who use it
 * is told in any case: where workers have one limit for all that of the group before it still holds.
 */
export const groupOf = ({ groups, said, sizes }: Kept, { name, options }: GroupPlan) => {
  const { maxConcurrent, maxQueued = 0, ...pool } = options.pool
  // What an adaptive limit may be depends on its ceiling: with another one it is another limit.
  const fixed = options.adaptiveLimit === undefined ? pool : { ...pool, maxConcurrent }
  const key = keyOf({ name, options: { ...options, pool: fixed } })
  const size = { maxConcurrent, maxQueued }
  return Effect.gen(function*() {
    const isThere = yield* RcMap.has(groups, key)
    if (!isThere) sizes.set(key, size)
    const group = yield* Effect.ensuring(RcMap.get(groups, key), Effect.sync(() => sizes.delete(key)))
    if (!isThere) said.set(group, size)
    // An operator's resizing stays, unless the file says something new.
    const resize = (isNew: boolean) =>
      Effect.suspend(() => {
        const last = said.get(group)
        if (!isNew && last?.maxConcurrent === maxConcurrent && last.maxQueued === maxQueued) return Effect.void
        said.set(group, size)
        return Effect.orDie(Pool.resize(group.pool, size))
      })
    return { group, resize }
  })
}

/** The transport with these options, for the scope. */
export const transportOf = (kept: Kept, options: Undici.Options) => RcMap.get(kept.transports, keyOf(options))

/** What is told to a collector, for the scope. */
export const telemetryOf = (kept: Kept, config: OtlpConfig) => RcMap.get(kept.telemetry, JSON.stringify(config))

// JSON has no word for it, and a pool without a limit has it.
const keyOf = (value: unknown): string => JSON.stringify(value, (_, each) => each === Infinity ? "Infinity" : each)
const parse = (key: string): unknown => JSON.parse(key, (_, each) => each === "Infinity" ? Infinity : each)
