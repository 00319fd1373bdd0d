/**
 * Where circuits are kept: in memory by default, so that each process has its own; or shared.
 *
 * A store decides by itself whether a call is let through, and what its outcome changes: it keeps the state of each key, and fences.
 * A circuit's policy is handed to it as data, and never knows which store it is.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { memory } from "./internal/memoryCircuits.ts"
import * as redisStore from "./internal/redisStore.ts"
import type { InvalidOptions } from "./InvalidOptions.ts"

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
 * A circuit that is worth a look: one that is not closed, or that an operator holds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Standing {
  /** The circuit's key. */
  readonly circuit: string
  readonly state: State
  /** Whether an operator holds it. */
  readonly forced: boolean
  /** In milliseconds: how long calls are still turned away. An open circuit with 0 lets the next call probe. */
  readonly retryAfter: number
}

/**
 * What a process knows of the circuits of a group without asking anyone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Known {
  /** Those that an operator holds and those that are not closed come first, then closed ones, if they are known. */
  readonly circuits: ReadonlyArray<Standing>
  /** How many more are known. */
  readonly omitted: number
  /** Whether they are kept elsewhere, so that this is what was heard of them last. */
  readonly shared: boolean
}

/**
 * What a call says of its dependency. `"ignored"`: nothing.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "success" | "failure" | "ignored"

/**
 * A call may go through.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticket {
  readonly _tag: "Ticket"
  /** Told once what became of the call. */
  readonly settle: (outcome: Outcome, slow: boolean) => void
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
  readonly force: (key: string, to: "open" | "closed" | "auto") => Effect.Effect<void, StoreUnavailable>
  /** So many circuits at the most, as this process knows them by now. */
  readonly known: (most: number) => Known
  /** The circuits that are not closed, or held. */
  readonly open: Effect.Effect<ReadonlyArray<Standing>>
  /** Those from now on. */
  readonly transitions: Stream.Stream<Transition>
}

/**
 * The store could not be reached, and what was asked of it was not done.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreUnavailable extends Data.TaggedError("StoreUnavailable")<{
  /** The circuit that it was about. */
  readonly circuit: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the circuit store does not answer: nothing is known of ${this.circuit}`
  }
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

/**
 * How circuits are kept in Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions {
  /** What the names of all keys and of the channel begin with. `"blackgate:circuit:"` by default. */
  readonly prefix?: string | undefined
  /** How long a call may wait for the answer that lets it in. 100 milliseconds by default. */
  readonly timeout?: Duration.Input | undefined
  /** What becomes of calls while Redis does not answer: they are let in, by default, or turned away. */
  readonly onStoreError?: "allow" | "refuse" | undefined
  /** How long a circuit is kept that no outcome is heard of; one that is open, that long past its time. 1 hour by default. */
  readonly idleTimeToLive?: Duration.Input | undefined
  /** How many outcomes may be under way to Redis at once; what comes on top is dropped. 10,000 by default. */
  readonly maxPending?: number | undefined
}

/**
 * Keeps circuits in Redis, so that every process sees the same ones.
 *
 * **When to use**
 *
 * Use where many processes call one dependency, and what one of them has learned should spare the others.
 *
 * **Details**
 *
 * Each admission is one round trip; an open circuit is remembered for a second at the most, so that turning calls away costs Redis
 * nothing. Outcomes are sent behind the end of the call, in their order. A script decides, on Redis' own clock. A transition is
 * published once to all processes, and logged by the one whose call made it.
 *
 * While Redis is down, paused or too slow, `onStoreError` holds for every call at once, after the first few that waited for
 * `timeout`; outcomes are dropped. The log says so once when it begins and once when it ends. Nothing has to be restarted.
 *
 * Options that make no sense end the building of the layer with `InvalidOptions`, as a defect.
 *
 * **Gotchas**
 *
 * Groups of one name and one prefix share their circuits, so give them the same options. A process that crashes takes the outcomes
 * that were under way with it; a probe of its own comes back with its lease. Redis 5 or later.
 *
 * **Example** (Circuits of all processes)
 *
 * ```ts
 * import { CircuitStore, Group } from "@blackgate/core"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * class Billing extends Group.Service<Billing>()("service.billing") {}
 *
 * export const BillingLive = Billing.layer({ pool: { maxConcurrent: 10 }, circuit: { consecutive: 5 } }).pipe(
 *   Layer.provide(CircuitStore.layerRedis({ onStoreError: "allow" })),
 *   Layer.provide(NodeRedis.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options: RedisOptions = {}): Layer.Layer<never, never, Redis.Redis> =>
  Layer.effect(CircuitStore, Effect.orDie(makeRedis(options)))

/**
 * The same with its options from `Config`. Where Redis itself is comes from the layer that it needs, such as `NodeRedis.layerConfig`.
 *
 * **Example** (All of it from the environment)
 *
 * ```ts
 * import { CircuitStore } from "@blackgate/core"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Config, Layer } from "effect"
 *
 * export const Circuits = CircuitStore.layerRedisConfig({
 *   prefix: Config.String("CIRCUIT_PREFIX").pipe(Config.withDefault("blackgate:circuit:"))
 * }).pipe(Layer.provide(NodeRedis.layerConfig({ url: Config.String("REDIS_URL") })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedisConfig = (
  options: Config.Wrap<RedisOptions>
): Layer.Layer<never, Config.ConfigError | InvalidOptions, Redis.Redis> =>
  Layer.effect(CircuitStore, Effect.flatMap(Config.unwrap(options), makeRedis))

const makeRedis = (options: RedisOptions) =>
  redisStore.make(options, (circuit, cause) => new StoreUnavailable({ circuit, cause }))
