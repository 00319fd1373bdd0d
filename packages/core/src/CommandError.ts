/**
 * The failures of the machinery: what can happen to a call apart from what its own effect can fail with.
 *
 * A closed union of tagged errors, so that a fallback sees exactly what can happen, and `Effect.catchTag` takes out one. They are
 * `Error`s by prototype alone: no stack is captured, because a rejection has to cost less than the call that it refuses.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import { Rejection } from "./internal/Rejection.ts"

/**
 * The pool of the group is full: as many calls run and wait as may. A call that waited can hear of it too, if its place went to one
 * that is more critical (`shed`).
 *
 * @category errors
 * @since 0.1.0
 */
export class PoolFull extends Rejection {
  declare readonly _tag: "PoolFull"
  /** Calls that held a permit. */
  readonly active: number
  /** Calls that waited for one. */
  readonly queued: number
  /** The limit of `active`. */
  readonly maxConcurrent: number
  /** The limit of `queued`. */
  readonly maxQueued: number
  /** Whether the call had a place in the line, and lost it to one that is more critical. */
  readonly shed: boolean
  constructor(
    group: string,
    key: string,
    pool: {
      readonly active: number
      readonly queued: number
      readonly maxConcurrent: number
      readonly maxQueued: number
    },
    shed = false
  ) {
    super(group, key)
    this.active = pool.active
    this.queued = pool.queued
    this.maxConcurrent = pool.maxConcurrent
    this.maxQueued = pool.maxQueued
    this.shed = shed
  }
  get message(): string {
    return `the pool of ${this.group} is full: ${this.active} of ${this.maxConcurrent} active, ` +
      `${this.queued} of ${this.maxQueued} queued${this.shed ? "; its place went to a call that is more critical" : ""}`
  }
}
PoolFull.define("PoolFull", "rejected")

/**
 * The call waited longer for a permit than the pool's `queueTimeout`; its effect never started.
 *
 * @category errors
 * @since 0.1.0
 */
export class QueueTimeout extends Rejection {
  declare readonly _tag: "QueueTimeout"
  /** The bound on the wait. */
  readonly queueTimeout: Duration.Duration
  constructor(group: string, key: string, queueTimeout: Duration.Duration) {
    super(group, key)
    this.queueTimeout = queueTimeout
  }
  get message(): string {
    return `${this.key} waited longer than ${Duration.format(this.queueTimeout)} for the pool of ${this.group}`
  }
}
QueueTimeout.define("QueueTimeout", "rejected")

/**
 * The call came from inside a call that holds a permit of the same pool. With every permit held by such a caller both would wait
 * for ever, so it is refused whether or not there is room (`reentrant: true` allows it).
 *
 * @category errors
 * @since 0.1.0
 */
export class PoolReentered extends Rejection {
  declare readonly _tag: "PoolReentered"
  /** The key of the call that holds the permit. */
  readonly heldBy: string
  constructor(group: string, key: string, heldBy: string) {
    super(group, key)
    this.heldBy = heldBy
  }
  get message(): string {
    return `${this.key} called into the pool of ${this.group} from inside ${this.heldBy}, which holds a permit of it`
  }
}
PoolReentered.define("PoolReentered", "rejected")

/**
 * The circuit is open: its dependency has been failing, and is left alone for a while.
 *
 * @category errors
 * @since 0.1.0
 */
export class CircuitOpen extends Rejection {
  declare readonly _tag: "CircuitOpen"
  /** The circuit's key: the command's, unless it says otherwise. */
  readonly circuit: string
  /** `half-open` if as many calls probe the dependency as may. */
  readonly state: "open" | "half-open"
  private readonly retryAfterMillis: number
  constructor(group: string, key: string, circuit: string, state: "open" | "half-open", retryAfterMillis: number) {
    super(group, key)
    this.circuit = circuit
    this.state = state
    this.retryAfterMillis = retryAfterMillis
  }
  /** When it may be worth another try. */
  get retryAfter(): Duration.Duration {
    return Duration.millis(this.retryAfterMillis)
  }
  get message(): string {
    return `the circuit ${this.circuit} of ${this.group} is ${this.state}`
  }
}
CircuitOpen.define("CircuitOpen", "short-circuited")

/**
 * The rate limit is used up: the group's, or that of one key of it. The call used nothing, and says nothing of the dependency.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimited extends Rejection {
  declare readonly _tag: "RateLimited"
  /** The key that is limited; `undefined` if it is the group as a whole. */
  readonly limitKey: string | undefined
  /** How many tokens a window has. */
  readonly limit: number
  /** Whether the limiter did not answer, and is set to refuse calls then. */
  readonly unavailable: boolean
  private readonly retryAfterMillis: number
  constructor(
    group: string,
    key: string,
    limitKey: string | undefined,
    limit: number,
    retryAfterMillis: number,
    unavailable: boolean
  ) {
    super(group, key)
    this.limitKey = limitKey
    this.limit = limit
    this.unavailable = unavailable
    this.retryAfterMillis = retryAfterMillis
  }
  /** When the call could have the tokens that it needs, if no other takes them. */
  get retryAfter(): Duration.Duration {
    return Duration.millis(this.retryAfterMillis)
  }
  get message(): string {
    const limited = this.limitKey === undefined ? this.group : `${this.limitKey} in ${this.group}`
    return this.unavailable
      ? `the rate limiter of ${this.group} is unavailable`
      : `the rate limit of ${limited}, ${this.limit}, is used up for ${Duration.format(this.retryAfter)}`
  }
}
RateLimited.define("RateLimited", "rate-limited")

/**
 * A deadline passed: the command's (`timeout`), or one attempt's (`attemptTimeout`).
 *
 * @category errors
 * @since 0.1.0
 */
export class CommandTimeout extends Rejection {
  declare readonly _tag: "CommandTimeout"
  /** Which option set the bound. */
  readonly option: "timeout" | "attemptTimeout" | "total"
  /** The bound. */
  readonly timeout: Duration.Duration
  /** Whether the command's effect had started; otherwise the time went by in the queue. */
  readonly started: boolean
  constructor(
    group: string,
    key: string,
    option: "timeout" | "attemptTimeout" | "total",
    timeout: Duration.Duration,
    started: boolean
  ) {
    super(group, key)
    this.option = option
    this.timeout = timeout
    this.started = started
  }
  get message(): string {
    return `${this.key} took longer than ${Duration.format(this.timeout)} (${this.option}` +
      `${this.started ? "" : ", all of it in the queue"})`
  }
}
CommandTimeout.define("CommandTimeout", "timeout")

/**
 * What a pool can refuse a call with.
 *
 * @category models
 * @since 0.1.0
 */
export type PoolError = PoolFull | QueueTimeout | PoolReentered

/**
 * What a group can refuse a command's call with, whatever the command's own options.
 *
 * @category models
 * @since 0.1.0
 */
export type GroupError = PoolError | CircuitOpen | RateLimited

/**
 * Everything that the machinery can fail a call with.
 *
 * @category models
 * @since 0.1.0
 */
export type CommandError = GroupError | CommandTimeout

/**
 * Whether something is a failure of the machinery, whatever the command.
 *
 * **Example** (Telling a rejection from a failure)
 *
 * ```ts import.meta.vitest
 * import { CommandError } from "@blackgate/core"
 *
 * CommandError.isCommandError(new CommandError.PoolReentered("service.session", "inner", "outer")) // => true
 * CommandError.isCommandError(new Error("a failure of its own")) // => false
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isCommandError = (u: unknown): u is CommandError => u instanceof Rejection && Predicate.isString(u._tag)
