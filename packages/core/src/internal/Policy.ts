import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Group from "../Group.ts"
import type * as Pool from "../Pool.ts"
import type { Gate, Plan, Settle, Work } from "./Gate.ts"
import type { GroupState } from "./GroupState.ts"

/** What a command says of its own behaviour: each policy reads what is its own. */
export interface Spec {
  readonly key: string
  readonly timeout?: Duration.Input | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly total?: Duration.Input | undefined
  readonly priority?: Pool.Priority | undefined
  readonly detach?: boolean | undefined
  readonly fallback?: Fallback | undefined
  readonly [option: string]: unknown
}

type Fallback = (failure: unknown, ...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown, unknown>

/** The settings of a policy, as a command lists them. */
export interface Settings {
  readonly [setting: string]: unknown
}

/** Options by name, with what is accepted for each. None of them needs a service to decode. */
export type Fields = Schema.Struct.Fields

/**
 * One thing that can be done about a call: a gate, which all calls of a command pass; work that stands between two sets of gates and is
 * done by calls of the inner one; or what is made of an ending for the caller. Either way it knows no other policy.
 */
export interface Policy<State = unknown> {
  readonly name: string
  /** Those of a command's options that are its own. */
  readonly command?: Fields
  /** Those of a group's options that are its own. */
  readonly group?: Fields
  /** What of a group's options does not suit the others. */
  issues?(options: Group.Options): ReadonlyArray<Schema.FilterIssue>
  /** Whether a group has it, by its options; without this, every group has. */
  isOn?(options: Group.Options): boolean
  /** Makes what the calls of a group that has it share, with the group's layer; `group.shared(policy)` has it then. */
  share?(group: GroupState, options: Group.Options): Effect.Effect<State, never, Scope.Scope>
  /** Its settings for a command of a group; `undefined` where it does nothing. */
  settings(spec: Spec, group: GroupState): Settings | undefined
  gate?(spec: Spec, group: GroupState): Gate
  /** Work that is done by calls of the inner plan. */
  between?(spec: Spec, group: GroupState, inner: Plan): Work
  /** Those that have one stand outside of all gates: what they answer is neither counted nor bounded. */
  settle?(spec: Spec, group: GroupState): Settle
  /** Whether its gate asks when the work started. */
  measuresWork?(spec: Spec, group: GroupState): boolean
}
