import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"

/** How long after an outage has begun Redis is asked again, and, at the most, how long after it was asked last. */
const first = 100
const most = 1000

/** So many late answers in a row are an outage too. */
const tolerated = 10

/** For how long an answer is waited for that comes too late to end the outage, but would say that the next may not. */
const patience = Duration.seconds(5)

/**
 * Whether Redis answers, and answers in time. A failure begins an outage, and so does silence, and being late for ten in a row; during
 * an outage nothing more is asked of it than whether it is back: one small write at a time, since it must be able to do that too.
 */
export class RedisHealth {
  isDown = false
  /** Outcomes that were not sent since the last outage began. */
  dropped = 0
  /** How often it has answered: whoever waits in vain knows from this whether it answers others. */
  answers = 0
  private late = 0
  private readonly redis: Redis.Redis["Service"]
  private readonly key: string
  private readonly timeout: number
  private readonly now: () => number
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly meanwhile: string
  private recovery: Fiber.Fiber<void> | undefined
  private pause = first
  private endedAt = -Infinity
  private closed = false

  private constructor(
    redis: Redis.Redis["Service"],
    options: { readonly key: string; readonly timeout: number; readonly meanwhile: string },
    now: () => number,
    fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  ) {
    this.redis = redis
    this.key = options.key
    this.timeout = options.timeout
    this.meanwhile = options.meanwhile
    this.now = now
    this.fork = fork
  }

  static make(
    redis: Redis.Redis["Service"],
    options: { readonly key: string; readonly timeout: number; readonly meanwhile: string },
    now: () => number
  ): Effect.Effect<RedisHealth, never, Scope.Scope> {
    return Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const make = Effect.sync(() => new RedisHealth(redis, options, now, Effect.runForkWith(context)))
      return yield* Effect.acquireRelease(make, (health) => Effect.sync(() => health.close()))
    })
  }

  /** It has answered somebody who still waited. */
  answered(): void {
    this.answers++
    this.late = 0
  }

  /** Somebody has waited for long enough, since it had answered so often. */
  overdue(answers: number): void {
    if (this.answers === answers || ++this.late >= tolerated) this.failed(Cause.fail(`no answer in ${this.timeout} ms`))
  }

  /** Something could not be done. */
  failed(cause: Cause.Cause<unknown>): void {
    if (this.isDown || this.closed) return
    this.isDown = true
    // One that comes back just to go away again is asked less often.
    if (this.now() - this.endedAt > 10 * most) this.pause = first
    this.recovery = this.fork(this.recover(cause))
  }

  private recover(cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const since = this.now()
      yield* Effect.logWarning(`Redis does not answer in time: until it does, ${this.meanwhile}`, cause)
      do {
        yield* Effect.sleep(this.pause)
        this.pause = Math.min(this.pause * 2, most)
      } while (!(yield* this.isBack))
      this.isDown = false
      this.late = 0
      this.endedAt = this.now()
      const { dropped } = this
      this.dropped = 0
      const after = Duration.format(Duration.millis(Math.round(this.endedAt - since)))
      yield* Effect.logInfo(`Redis answers again after ${after}; ${dropped} outcomes were not sent to it`)
    })
  }

  private get isBack(): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const asked = this.now()
      return this.redis.send("SET", this.key, "1", "PX", "1000").pipe(
        Effect.timeout(patience),
        Effect.match({ onFailure: () => false, onSuccess: () => this.now() - asked <= this.timeout })
      )
    })
  }

  private close(): void {
    this.closed = true
    this.recovery?.interruptUnsafe()
  }
}
