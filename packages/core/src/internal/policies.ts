import type { Gate, Plan } from "./Call.ts"
import { attemptTimeout, timeout, total } from "./Deadline.ts"
import { fallback } from "./Fallback.ts"
import type { GroupState } from "./GroupState.ts"
import { pass } from "./pass.ts"
import type { Policy, Settings, Spec, Wrap } from "./Policy.ts"
import { pool } from "./PoolState.ts"
import { counting } from "./Record.ts"

/** Every policy, from the outside in. A new one is a module and an entry here. */
const policies: ReadonlyArray<Policy> = [fallback, counting, timeout, total, pool, attemptTimeout]

/** The policies that a command of this group has, in their order. */
export const list = (spec: Spec, group: GroupState): ReadonlyArray<Settings & { readonly policy: string }> =>
  policies.flatMap((policy) => {
    const settings = policy.settings(spec, group)
    return settings === undefined ? [] : [{ policy: policy.name, ...settings }]
  })

/** What a command does about its calls: gates that stand next to each other are passed in one go. */
export interface Compiled {
  /** The gates that stand around the work. */
  readonly plan: Plan
  /** What stands around those, from the inside out. */
  readonly wraps: ReadonlyArray<Wrap>
}

export const compile = (spec: Spec, group: GroupState): Compiled => {
  const detach = spec.detach === true
  let plan: Plan | undefined
  let gates: Array<Gate> = []
  const wraps: Array<Wrap> = []
  const flush = () => {
    const passed: Plan = { key: spec.key, gates, detach }
    if (plan === undefined) plan = passed
    else if (gates.length > 0) wraps.push((inside) => pass(passed, inside))
    gates = []
  }
  for (const policy of policies.toReversed()) {
    if (policy.settings(spec, group) === undefined) continue
    if (policy.gate !== undefined) gates.unshift(policy.gate(spec, group))
    if (policy.wrap !== undefined) {
      flush()
      wraps.push(policy.wrap(spec, group))
    }
  }
  flush()
  return { plan: plan!, wraps }
}
