/**
 * Where circuits are kept: in memory by default, so that each process has its own; or shared.
 *
 * A store decides by itself whether a call is let through, and what its outcome changes: it keeps the state of each key, and fences.
 * A circuit's policy is handed to it as data, and never knows which store it is.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { memory } from "./internal/memoryCircuits.ts"

/**
 * A circuit's policy, as data: options with their defaults, times in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** So many failures in a row open it; `Infinity` if that is no reason. */
  readonly consecutive: number
  /** Of the calls in the window, the share of failures that opens it; `Infinity` if that is no reason. */
  readonly failureRate: number
  /** Of the calls in the window, the share of slow ones that opens it; `Infinity` if that is no reason. */
  readonly slowCallRate: number
  /** The window: the last so many calls, or those of the last so many milliseconds. */
  readonly window: { readonly calls: number } | { readonly millis: number }
  /** How many calls the window has to hold before a rate means anything. */
  readonly minimumCalls: number
  /** How long it stays open. */
  readonly openFor: number
  /** How many calls probe at once when it is half-open, and how many have to succeed to close it. */
  readonly probes: number
  /** After how long a probe that is not heard of gives its place to another. */
  readonly probeLease: number
  /** How many keys are kept. */
  readonly maxKeys: number
}

/**
 * How a circuit stands.
 *
 * @category models
 * @since 0.1.0
 */
export type State = "closed" | "open" | "half-open"

/**
 * A circuit went from one state to another.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transition {
  readonly group: string
  /** The circuit's key. */
  readonly circuit: string
  readonly from: State
  readonly to: State
  /** Whether an operator did it. */
  readonly forced: boolean
}

/**
 * What was said of a call: what its outcome is told to, once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticket {
  readonly _tag: "Ticket"
  /** `"ignored"`: nothing is known of the dependency from it. */
  readonly settle: (outcome: "success" | "failure" | "ignored", slow: boolean) => void
}

/**
 * The circuit lets no call through just now.
 *
 * @category models
 * @since 0.1.0
 */
export interface Refusal {
  readonly _tag: "Refusal"
  readonly state: "open" | "half-open"
  /** In milliseconds: when it may be worth another try. */
  readonly retryAfter: number
}

/**
 * The circuits of one group.
 *
 * @category models
 * @since 0.1.0
 */
export interface Circuits {
  /** Whether a call may go through. At once where the store can say so; an effect otherwise. */
  readonly admit: (key: string) => Ticket | Refusal | Effect.Effect<Ticket | Refusal>
  readonly state: (key: string) => Effect.Effect<State>
  /** Holds a circuit open or closed, whatever happens; `"auto"` lets go of it, closed. */
  readonly force: (key: string, to: "open" | "closed" | "auto") => Effect.Effect<void>
  /** The circuits that are not closed. */
  readonly open: Effect.Effect<ReadonlyArray<{ readonly circuit: string; readonly state: State }>>
  /** Those from now on. */
  readonly transitions: Stream.Stream<Transition>
}

/**
 * Keeps circuits.
 *
 * @category services
 * @since 0.1.0
 */
export interface CircuitStore {
  readonly circuits: (group: string, settings: Settings) => Effect.Effect<Circuits, never, Scope.Scope>
}

/**
 * The store that groups use: the one in memory, unless another is provided to their layers.
 *
 * @category references
 * @since 0.1.0
 */
export const CircuitStore: Context.Reference<CircuitStore> = Context.Reference<CircuitStore>(
  "@blackgate/core/CircuitStore",
  { defaultValue: () => memory }
)
