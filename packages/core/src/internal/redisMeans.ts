import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Redis from "effect/persistence/Redis"
import type { Refusal, StoreUnavailable, Ticket } from "../CircuitStore.ts"
import type { CircuitScript } from "./circuitScripts.ts"
import type { RedisHealth } from "./redisHealth.ts"
import type { Timers } from "./Timers.ts"

export type Unavailable = (circuit: string, cause: unknown) => StoreUnavailable

/** What all circuits of a store in Redis work with. */
export interface Means {
  readonly redis: Redis.Redis["Service"]
  readonly script: CircuitScript
  readonly prefix: string
  readonly timeout: number
  readonly timers: Timers
  readonly health: RedisHealth
  readonly unavailable: Unavailable
  /** What is said of every call while Redis does not answer. */
  readonly instead: Ticket | Refusal
  readonly idle: number
  readonly maxPending: number
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}
