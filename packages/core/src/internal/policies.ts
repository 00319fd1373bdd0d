import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Group from "../Group.ts"
import { adaptiveLimit } from "./AdaptiveLimitGate.ts"
import { circuit } from "./CircuitGate.ts"
import { coalesce } from "./CoalesceWork.ts"
import { attemptTimeout, timeout, total } from "./Deadline.ts"
import { fallback } from "./Fallback.ts"
import type { Gate, Plan, Settle, Work } from "./Gate.ts"
import type { GroupState } from "./GroupState.ts"
import { hedge } from "./HedgeWork.ts"
import { stale } from "./LastGood.ts"
import type { Fields, Policy, Settings, Spec } from "./Policy.ts"
import { pool } from "./PoolGate.ts"
import { rateLimit } from "./RateLimitGate.ts"
import { counting } from "./Record.ts"
import { retry } from "./RetryGate.ts"

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

/** What all calls of a command have in common: gates that stand next to each other are passed in one go. */
export const compile = (spec: Spec, group: GroupState): Plan => {
  let gates: Array<Gate> = []
  let measures = false
  let work: Work | undefined
  let settle: Settle | undefined
  const plan = (): Plan => ({
    key: spec.key,
    gates,
    keeps: gates.some(({ keeps }) => keeps === true),
    detach: spec.detach === true,
    clock: measures ? group.timers : undefined,
    work,
    settle
  })
  for (const policy of policies.toReversed()) {
    if (policy.settings(spec, group) === undefined) continue
    if (policy.gate !== undefined) gates.unshift(policy.gate(spec, group))
    measures ||= policy.measuresWork?.(spec, group) === true
    if (policy.between !== undefined) {
      work = policy.between(spec, group, plan())
      gates = []
      measures = false
    }
    if (policy.settle !== undefined) settle = inTurn(settle, policy.settle(spec, group))
  }
  return plan()
}

const inTurn = (first: Settle | undefined, second: Settle): Settle =>
  first === undefined ? second : (exit, call) => {
    const said = first(exit, call)
    if (Exit.isExit(said)) return second(said, call)
    return Effect.matchCauseEffect(said, {
      onSuccess: (value) => second(Exit.succeed(value), call),
      onFailure: (cause) => second(Exit.failCause(cause), call)
    })
  }
