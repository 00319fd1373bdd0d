/**
 * A circuit breaker: a dependency that keeps failing is left alone for a while, and tried again with care.
 *
 * A group has one circuit for each key: a command's own, a host's, a tenant's. It stands outside of the pool, so that a call that is
 * turned away needs no permit and costs less than one that is let through, and inside of retries, so that each attempt counts.
 *
 * - *Closed*: calls go through, and are counted. When a reason to open is given, it opens.
 * - *Open*: calls are turned away with `CircuitOpen`, for `openFor`.
 * - *Half-open*: from then on the next calls are probes, as many as have to succeed, and no more; others are still turned away. When
 *   all have succeeded it closes; when one fails it opens again. A probe that is interrupted or refused gives its place back, and so
 *   does one that is not heard of for `probeLease`.
 *
 * What counts as a failure: a failure or a defect of the effect, and a deadline that passes while the effect runs, `timeout` and
 * `attemptTimeout` alike. What does not: a refusal by the pool, a rate limit or another circuit, also of a command inside of the
 * effect, a deadline that passes in the queue, an interruption from outside. A call that was let in before a transition changes
 * nothing after it.
 *
 * Where circuits are kept is the `CircuitStore`'s business. A circuit knows no fallback and does not retry.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Stream from "effect/Stream"
import type { Circuits, Standing, State, StoreUnavailable, Transition } from "./CircuitStore.ts"
import type { CircuitOpen } from "./CommandError.ts"
import type * as Group from "./Group.ts"
import { circuit, isRef, withCircuit as internal } from "./internal/CircuitGate.ts"
import type { GroupState } from "./internal/GroupState.ts"

/**
 * When circuits open, and close again. Any of the reasons given opens one.
 *
 * **Details**
 *
 * The window only knows calls that were let through while the circuit was closed, each at its end. One of time moves on in tenths of
 * its length. A probe that is slow counts as a failure where `slowCallRate` is a reason.
 *
 * **Gotchas**
 *
 * `consecutive` counts in the order in which calls end. On its own it never opens for a dependency that fails half of the time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** So many failures in a row. */
  readonly consecutive?: number | undefined
  /** This share of the calls in the window failed: more than 0, at most 1. Without any reason given, 0.5. */
  readonly failureRate?: number | undefined
  /** This share of the calls in the window was slow. Needs `slowerThan`. */
  readonly slowCallRate?: number | undefined
  /** From when on a call is slow: from the start of its effect to its end, or to its answer where that comes before. */
  readonly slowerThan?: Duration.Input | undefined
  /**
   * Which calls the rates are of: the last so many, 10,000 at the most, or those of the last so long, 10 milliseconds at the least.
   * The last 100, by default.
   */
  readonly window?: { readonly calls: number } | { readonly time: Duration.Input } | undefined
  /** How many calls the window has to hold before a rate means anything. 10 by default, or the whole window if that is smaller. */
  readonly minimumCalls?: number | undefined
  /** How long a circuit stays open. 5 seconds by default. */
  readonly openFor?: Duration.Input | undefined
  /** How many calls are let through when it is half-open, all of which have to succeed to close it: 1 by default, 1,000 at the most. */
  readonly probes?: number | undefined
  /** After how long a probe that is not heard of gives its place to another. 30 seconds by default. */
  readonly probeLease?: Duration.Input | undefined
  /**
   * How many keys are kept, 10,000 by default. Beyond that the closed one that was not used for longest is forgotten; if none is
   * closed, an open one; one that is held by an operator last.
   */
  readonly maxKeys?: number | undefined
}

/**
 * What a command says of its circuit.
 *
 * **Example** (A circuit for each host, for which a 404 is an answer)
 *
 * ```ts import.meta.vitest
 * import { Circuit, Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("hosts", { pool: { maxConcurrent: 10 }, circuit: { consecutive: 1 } })
 *   const get = Command.make(
 *     "get",
 *     (_host: string, status: number) => Effect.fail({ _tag: "Status" as const, status }),
 *     {
 *       group,
 *       circuit: { key: (host) => host, isFailure: (failure) => failure.status >= 500 },
 *       fallback: (failure) => Effect.succeed(failure._tag)
 *     }
 *   )
 *   yield* get("a.example", 404)
 *   yield* get("b.example", 503)
 *   return [yield* get("a.example", 404), yield* get("b.example", 503), yield* Circuit.state(group, "b.example")]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["Status", "CircuitOpen", "open"]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface CommandOptions<in Args extends ReadonlyArray<unknown>, in E> {
  /**
   * The key of its circuit, from its arguments. By default all its calls share one, under the command's own key. If it throws, the
   * call dies of it, and no circuit hears of it.
   */
  readonly key?: ((...args: Args) => string) | undefined
  /**
   * Which failures are the dependency's. By default all but the refusals of commands inside of the effect; a 404 is no sick upstream. If
   * it throws, the call has failed.
   */
  readonly isFailure?: ((failure: E) => boolean) | undefined
}

/**
 * Runs an effect if the circuit of a key lets it through, tells that how it ended, and fails with `CircuitOpen` otherwise.
 *
 * **When to use**
 *
 * Use to compose by hand, in an order of your own. A command of a group with circuits passes one by itself.
 *
 * **Details**
 *
 * `key` names the circuit, the group's name by default; it is the one that the group's commands of that key pass. In a group without
 * circuits the effect just runs. It runs on a fiber of its own, as with `Pool.withPermit`.
 *
 * **Gotchas**
 *
 * A deadline around it (`Effect.timeout`) is an interruption, which a circuit doesn't count. Put it inside.
 *
 * **Example** (A circuit around an effect)
 *
 * ```ts import.meta.vitest
 * import { Circuit, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * class Billing extends Group.Service<Billing>()("service.billing") {}
 * const BillingLive = Billing.layer({ pool: { maxConcurrent: 10 }, circuit: { consecutive: 1 } })
 *
 * const pay = Effect.fail("unavailable" as const).pipe(
 *   Circuit.withCircuit(Billing, { key: "pay" }),
 *   Effect.catchTag("CircuitOpen", ({ circuit }) => Effect.succeed(`${circuit} is left alone`))
 * )
 *
 * const program = Effect.all([Effect.flip(pay), pay])
 * await Effect.runPromise(Effect.provide(program, BillingLive)) // => ["unavailable", "pay is left alone"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withCircuit: {
  <Self = never>(
    group: Group.Ref<Self>,
    options?: { readonly key?: string | undefined; readonly isFailure?: ((failure: unknown) => boolean) | undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R | Self>
  <A, E, R, Self = never>(
    self: Effect.Effect<A, E, R>,
    group: Group.Ref<Self>,
    options?: { readonly key?: string | undefined; readonly isFailure?: ((failure: E) => boolean) | undefined }
  ): Effect.Effect<A, E | CircuitOpen, R | Self>
} = dual((args) => args.length > 1 && isRef(args[1]), internal)

const none: Circuits = {
  admit: () => ({ _tag: "Ticket", settle: () => {} }),
  state: () => Effect.succeed("closed"),
  force: () => Effect.void,
  known: () => ({ circuits: [], omitted: 0, shared: false }),
  open: Effect.succeed([]),
  transitions: Stream.empty
}

// The one class that implements it.
const circuitsOf = (group: Group.Group): Circuits => (group as GroupState).shared(circuit)?.circuits ?? none

/**
 * How the circuit of a key stands.
 *
 * **Details**
 *
 * It is what the last transition made it: a circuit stays `"open"` past its time, until a call comes to probe; `open` says which
 * do. A key that was never heard of is `"closed"`, and so is every key of a group that has no circuits.
 *
 * @category getters
 * @since 0.1.0
 */
export const state = (group: Group.Group, key: string): Effect.Effect<State> => circuitsOf(group).state(key)

/**
 * The circuits of a group that are not closed, or that an operator holds; from Redis, up to 1,000 of them.
 *
 * @category getters
 * @since 0.1.0
 */
export const open = (group: Group.Group): Effect.Effect<ReadonlyArray<Standing>> => circuitsOf(group).open

/**
 * Holds the circuit of a key open or closed, whatever happens; `"auto"` lets go of it, closed, with nothing counted.
 *
 * **Details**
 *
 * While it is held closed calls are not counted. Circuits in memory never fail to do it. The store in Redis fails with
 * `StoreUnavailable`, after 5 seconds at the most; what it was asked may still be done when Redis is back.
 *
 * **Example** (Maintenance)
 *
 * ```ts import.meta.vitest
 * import { Circuit, Command, Group } from "@blackgate/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const group = yield* Group.make("billing", { pool: { maxConcurrent: 10 }, circuit: {} })
 *   const pay = Command.make("pay", () => Effect.succeed("paid"), {
 *     group,
 *     fallback: (failure) => Effect.succeed(failure._tag)
 *   })
 *   yield* Circuit.force(group, "pay", "open")
 *   const during = yield* pay()
 *   yield* Circuit.force(group, "pay", "auto")
 *   return [during, yield* pay()]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["CircuitOpen", "paid"]
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const force = (
  group: Group.Group,
  key: string,
  to: "open" | "closed" | "auto"
): Effect.Effect<void, StoreUnavailable> => circuitsOf(group).force(key, to)

/**
 * The transitions of a group's circuits, from now on, until the group is closed.
 *
 * **Details**
 *
 * The log has each of them too, once: opening as a warning. With circuits in Redis they are those of all processes. A reader that
 * is more than 128 of them behind loses the oldest.
 *
 * @category getters
 * @since 0.1.0
 */
export const transitions = (group: Group.Group): Stream.Stream<Transition> => circuitsOf(group).transitions
