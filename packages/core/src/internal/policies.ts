import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Group from "../Group.ts"
import { adaptiveLimit } from "./AdaptiveLimitGate.ts"
import type { Gate, Plan, Work } from "./Call.ts"
import { circuit } from "./CircuitGate.ts"
import { coalesce } from "./CoalesceWrap.ts"
import { attemptTimeout, timeout, total } from "./Deadline.ts"
import { fallback } from "./Fallback.ts"
import type { GroupState } from "./GroupState.ts"
import { hedge } from "./HedgeWrap.ts"
import { pass, passWork } from "./pass.ts"
import type { Between, Fields, Policy, Settings, Spec, Wrap } from "./Policy.ts"
import { pool } from "./PoolState.ts"
import { rateLimit } from "./RateLimitGate.ts"
import { counting } from "./Record.ts"
import { retry } from "./RetryGate.ts"
import { stale } from "./StaleWrap.ts"

/** Every policy, from the outside in. A new one is a module and an entry here. */
const policies: ReadonlyArray<Policy> = [
  fallback,
  stale,
  counting,
  timeout,
  total,
  coalesce,
  retry,
  hedge,
  rateLimit,
  circuit,
  pool,
  adaptiveLimit,
  attemptTimeout
]

/** What is accepted for the options of all policies, less some and with others. */
export const optionsOf = (
  of: "command" | "group",
  without: ReadonlyArray<string> = [],
  others: Fields = {}
): Schema.ConstraintDecoder<unknown> => {
  const fields: Record<string, Schema.ConstraintDecoder<unknown>> = Object.assign(
    {},
    ...policies.map((policy) => policy[of]),
    others
  )
  for (const option of without) delete fields[option]
  // `Fields` knows nothing of the services of its schemas, which are none.
  const options = Schema.Struct(fields)
  if (of === "command") return options
  return options.check(
    // What its fields have let through.
    Schema.makeFilter((options: unknown) =>
      policies.flatMap((policy) => policy.issues?.(options as Group.Options) ?? [])
    )
  )
}

/** Makes what the calls of a group share. */
export const share = (group: GroupState, options: Group.Options): Effect.Effect<void, never, Scope.Scope> =>
  Effect.forEach(policies, (policy) =>
    policy.share === undefined || policy.isOn?.(options) === false
      ? Effect.void
      : Effect.map(policy.share(group, options), (state) => group.share(policy, state)), { discard: true })

/** The policies that a command of this group has, in their order. */
export const list = (spec: Spec, group: GroupState): ReadonlyArray<Settings & { readonly policy: string }> =>
  policies.flatMap((policy) => {
    const settings = policy.settings(spec, group)
    return settings === undefined ? [] : [{ policy: policy.name, ...settings }]
  })

/** What a command does about its calls: gates that stand next to each other are passed in one go. */
export interface Compiled {
  /** Does work once the gates that stand around it have let it in. */
  pass(makeWork: () => Work, args: ReadonlyArray<unknown>): Effect.Effect<unknown, unknown, unknown>
  /** What stands around those, from the inside out. */
  readonly wraps: ReadonlyArray<Wrap>
}

export const compile = (spec: Spec, group: GroupState): Compiled => {
  const detach = spec.detach === true
  const wraps: Array<Wrap> = []
  let innermost: Compiled["pass"] | undefined
  let between: Between | undefined
  let last: { -readonly [K in keyof Plan]: Plan[K] } | undefined
  let gates: Array<Gate> = []
  let measures = false
  const flush = () => {
    const clock = measures ? group.timers : undefined
    const plan = { key: spec.key, gates, detach, encloses: last !== undefined, enclosed: false, clock }
    if (last === undefined) innermost = (makeWork, args) => passWork(plan, args, makeWork)
    else if (gates.length === 0) return
    else {
      last.enclosed = true
      const [inner, works] = [last, between]
      if (works === undefined) wraps.push((inside, args) => pass(plan, args, inside))
      else {
        innermost = (makeWork, args) => passWork(plan, args, () => works(inner, makeWork, args))
        wraps.pop()
      }
    }
    between = undefined
    last = plan
    gates = []
    measures = false
  }
  for (const policy of policies.toReversed()) {
    if (policy.settings(spec, group) === undefined) continue
    if (policy.gate !== undefined) gates.unshift(policy.gate(spec, group))
    measures ||= policy.measuresWork === true
    if (policy.wrap !== undefined) {
      flush()
      between = wraps.length === 0 ? policy.between?.(spec, group) : undefined
      wraps.push(policy.wrap(spec, group))
    }
  }
  flush()
  return { pass: innermost!, wraps }
}
