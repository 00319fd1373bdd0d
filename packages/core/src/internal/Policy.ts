import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Pool from "../Pool.ts"
import type { Gate } from "./Call.ts"
import type { GroupState } from "./GroupState.ts"

/** What a command says of its own behaviour. */
export interface Spec {
  readonly key: string
  readonly timeout?: Duration.Input | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly total?: Duration.Input | undefined
  readonly priority?: Pool.Priority | undefined
  readonly detach?: boolean | undefined
  readonly fallback?: Fallback | undefined
}

type Fallback = (failure: unknown, ...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown, unknown>

/** The settings of a policy, as a command lists them. */
export interface Settings {
  readonly [setting: string]: unknown
}

/**
 * One thing that can be done about a call. It is a gate, which all calls of a command pass, or a wrap around what stands inside of
 * it, effect to effect; either way it knows no other policy.
 */
export interface Policy {
  readonly name: string
  /** Its settings for a command of a group; `undefined` where it does nothing. */
  settings(spec: Spec, group: GroupState): Settings | undefined
  gate?(spec: Spec, group: GroupState): Gate
  wrap?(spec: Spec, group: GroupState): Wrap
}

export type Wrap = (
  inside: Effect.Effect<unknown, unknown, unknown>,
  args: ReadonlyArray<unknown>
) => Effect.Effect<unknown, unknown, unknown>
