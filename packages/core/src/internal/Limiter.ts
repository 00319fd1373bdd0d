import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RateLimiter from "effect/persistence/RateLimiter"
import { monotonicMillis } from "./monotonic.ts"
import { Entry, Recent } from "./Recent.ts"
import { SharedLimiter } from "./SharedLimiter.ts"
import type { SharedPermits } from "./SharedPermits.ts"
import { type Limit, TokenRule, type Tokens } from "./TokenRule.ts"

/** Options with their defaults, times in milliseconds. */
export interface Settings extends Limit {
  readonly maxKeys: number
  readonly onStoreError: "allow" | "refuse"
  readonly storeTimeout: number
}

/** 0 if the tokens were taken, or in how many milliseconds they could be; or nobody is there to say. */
export type Answer = number | "unavailable"

/** Hands out the tokens of each key; without a key, those that all share who have none. */
export interface Limiter {
  /** How many tokens those have left that all share; `undefined` where only someone else knows. */
  readonly left: number | undefined
  /** In milliseconds of its clock. */
  now(): number
  take(key: string | undefined, tokens: number, now?: number): Answer | Effect.Effect<Answer>
}

/** What is known of one key: nothing, from `until` on. */
class Bucket extends Entry implements Tokens {
  taken = 0
}

/** In memory, so that each process has limits of its own: in step with Effect's limiter, but bounded in keys and without an effect. */
export class MemoryLimiter implements Limiter {
  private readonly rule: TokenRule
  private readonly clock: Clock.Clock
  private readonly startedAt: number
  private readonly common = new Bucket("")
  private readonly buckets: Recent<Bucket>

  constructor(settings: Settings, clock: Clock.Clock) {
    this.rule = new TokenRule(settings)
    this.clock = clock
    this.buckets = new Recent(settings.maxKeys)
    this.startedAt = monotonicMillis(clock)
  }

  /** How many keys it keeps. */
  get size(): number {
    return this.buckets.size
  }

  get left(): number {
    return this.rule.left(this.common, this.now() - this.startedAt)
  }

  now(): number {
    return monotonicMillis(this.clock)
  }

  take(key: string | undefined, tokens: number, instant: number = this.now()): number {
    const now = instant - this.startedAt // counted from the start, for the sake of precision
    if (key === undefined) return this.rule.take(this.common, tokens, now)
    let bucket = this.buckets.get(key)
    if (bucket === undefined) this.buckets.add(bucket = new Bucket(key), now)
    else this.buckets.touch(bucket)
    return this.rule.take(bucket, tokens, now)
  }
}

/** How long a limiter that does not answer is left alone, in milliseconds: at first, and at the most. */
const shortest = 100
export const longest = 1000

/** Effect's limiter, wherever that keeps its buckets. While it does not answer, one call at a time asks it, and no other waits. */
export class ServiceLimiter implements Limiter {
  readonly left = undefined
  private readonly group: string
  private readonly settings: Settings
  private readonly limiter: RateLimiter.RateLimiter
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private isAway = false
  private pause = shortest
  private asksAgainAt = 0

  constructor(
    group: string,
    settings: Settings,
    limiter: RateLimiter.RateLimiter,
    clock: Clock.Clock,
    context: Context.Context<never>
  ) {
    this.group = group
    this.settings = settings
    this.limiter = limiter
    this.clock = steady(clock)
    this.context = Context.add(context, Clock.Clock, this.clock)
  }

  now(): number {
    return monotonicMillis(this.clock)
  }

  take(key: string | undefined, tokens: number): Answer | Effect.Effect<Answer> {
    const { algorithm, limit, storeTimeout, window } = this.settings
    const wasAway = this.isAway
    if (wasAway) {
      const now = monotonicMillis(this.clock)
      if (now < this.asksAgainAt) return "unavailable"
      this.asksAgainAt = now + storeTimeout // should this one leave before it has heard
    }
    const name = key === undefined ? escape(this.group) : `${escape(this.group)}:${escape(key)}`
    return this.limiter.consume({ key: name, tokens, limit, window, algorithm, onExceeded: "fail" }).pipe(
      Effect.as(0),
      Effect.catch(({ reason }) =>
        reason._tag === "RateLimitExceeded"
          ? Effect.succeed(Math.max(1, Duration.toMillis(reason.retryAfter)))
          : Effect.fail(reason)
      ),
      Effect.timeout(storeTimeout),
      Effect.tap(() => wasAway ? this.back : Effect.void),
      Effect.catch((why) => Effect.as(this.away(why, wasAway), "unavailable" as const)),
      Effect.provideContext(this.context)
    )
  }

  private away(why: unknown, wasAway: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      // What was asked before the first silence tells nothing new.
      if (this.isAway && !wasAway) return Effect.void
      this.asksAgainAt = monotonicMillis(this.clock) + this.pause
      this.pause = Math.min(2 * this.pause, longest)
      if (this.isAway) return Effect.void
      this.isAway = true
      const calls = this.settings.onStoreError === "allow" ? "let in" : "refused"
      return Effect.logWarning(`the rate limiter of ${this.group} is unavailable: calls are ${calls} meanwhile`, why)
    })
  }

  private readonly back = Effect.suspend(() => {
    if (!this.isAway) return Effect.void
    this.isAway = false
    this.pause = shortest
    return Effect.logInfo(`the rate limiter of ${this.group} is back`)
  })
}

/** The limiter of the context, or one in memory, which all threads share or not. */
export const makeLimiter = (
  group: string,
  settings: Settings,
  shared: SharedPermits | undefined
): Effect.Effect<Limiter> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const limiter = yield* Effect.serviceOption(RateLimiter.RateLimiter)
    if (Option.isNone(limiter)) {
      return shared === undefined
        ? new MemoryLimiter(settings, clock)
        : new SharedLimiter(shared.region, settings, clock)
    }
    return new ServiceLimiter(group, settings, limiter.value, clock, yield* Effect.context<never>())
  })

// A store may make names of its own from a key, as Effect's does in Redis (`<key>:refill`): none must be another key's.
const escape = (key: string): string => key.replace(/[%:]/g, (char) => char === ":" ? "%3A" : "%25")

/** The wall clock as it was, carried on by the monotonic one: set back, it would keep Effect's bucket in Redis from being refilled. */
const steady = (clock: Clock.Clock): Clock.Clock => {
  const offset = BigInt(clock.currentTimeMillisUnsafe()) * 1_000_000n - clock.monotonicTimeNanosUnsafe()
  const nanos = () => clock.monotonicTimeNanosUnsafe() + offset
  const currentTimeMillisUnsafe = () => Number(nanos() / 1_000_000n)
  return {
    currentTimeMillisUnsafe,
    currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}
