/**
 * A circuit breaker: a dependency that keeps failing is left alone for a while, and tried again with care.
 *
 * A group has one circuit for each key: a command's own, a host's, a tenant's. It stands outside of the pool, so that a call that is
 * turned away needs no permit and costs less than one that is let through. Where circuits are kept is the `CircuitStore`'s business.
 *
 * Rejections by the pool are not failures of the dependency; a deadline that passes while the effect runs is one. An outcome from
 * before a transition changes nothing after it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Circuits, State, Transition } from "./CircuitStore.ts"
import type * as Group from "./Group.ts"
import { circuit } from "./internal/CircuitGate.ts"
import type { GroupState } from "./internal/GroupState.ts"

/**
 * When circuits open, and close again. Any of the reasons given opens one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** So many failures in a row. */
  readonly consecutive?: number | undefined
  /** This share of the calls in the window failed: more than 0, at most 1. Without any reason given, 0.5. */
  readonly failureRate?: number | undefined
  /** This share of the calls in the window was slow. */
  readonly slowCallRate?: number | undefined
  /** From when on a call is slow, from the start of its effect. */
  readonly slowerThan?: Duration.Input | undefined
  /** Which calls the rates are of: the last so many, or those of the last so long. The last 100, by default. */
  readonly window?: { readonly calls: number } | { readonly time: Duration.Input } | undefined
  /** How many calls the window has to hold before a rate means anything. 10 by default. */
  readonly minimumCalls?: number | undefined
  /** How long a circuit stays open. 5 seconds by default. */
  readonly openFor?: Duration.Input | undefined
  /** How many calls probe at once when it is half-open, and how many have to succeed to close it. 1 by default. */
  readonly probes?: number | undefined
  /** After how long a probe that is not heard of gives its place to another. 30 seconds by default. */
  readonly probeLease?: Duration.Input | undefined
  /** How many keys are kept; beyond that the one that was not used for longest is forgotten, an open one last. 10,000 by default. */
  readonly maxKeys?: number | undefined
}

/**
 * What a command says of its circuit.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommandOptions<in Args extends ReadonlyArray<unknown>, in E> {
  /** The key of its circuit, from its arguments. By default all its calls share one, under the command's own key. */
  readonly key?: ((...args: Args) => string) | undefined
  /** Which failures are the dependency's. By default all: but a 404 is not a sick upstream. */
  readonly isFailure?: ((failure: E) => boolean) | undefined
}

const none: Circuits = {
  admit: () => ({ _tag: "Ticket", settle: () => {} }),
  state: () => Effect.succeed("closed"),
  force: () => Effect.void,
  open: Effect.succeed([]),
  transitions: Stream.empty
}

const circuitsOf = (group: Group.Group): Circuits => (group as GroupState).shared(circuit)?.circuits ?? none

/**
 * How the circuit of a key stands.
 *
 * @category getters
 * @since 0.1.0
 */
export const state = (group: Group.Group, key: string): Effect.Effect<State> => circuitsOf(group).state(key)

/**
 * The circuits of a group that are not closed.
 *
 * @category getters
 * @since 0.1.0
 */
export const open = (
  group: Group.Group
): Effect.Effect<ReadonlyArray<{ readonly circuit: string; readonly state: State }>> => circuitsOf(group).open

/**
 * Holds the circuit of a key open or closed, whatever happens; `"auto"` lets go of it, closed.
 *
 * @category operations
 * @since 0.1.0
 */
export const force = (group: Group.Group, key: string, to: "open" | "closed" | "auto"): Effect.Effect<void> =>
  circuitsOf(group).force(key, to)

/**
 * The transitions of a group's circuits, from now on. The log has each of them too.
 *
 * @category getters
 * @since 0.1.0
 */
export const transitions = (group: Group.Group): Stream.Stream<Transition> => circuitsOf(group).transitions
