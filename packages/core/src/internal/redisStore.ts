import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Circuits, CircuitStore, RedisOptions, Settings } from "../CircuitStore.ts"
import { check, duration, type InvalidOptions, whole } from "../InvalidOptions.ts"
import { CircuitScript, policyOf } from "./circuitScripts.ts"
import { RedisCircuits, remembered } from "./redisCircuits.ts"
import { RedisHealth } from "./redisHealth.ts"
import type { Means, Unavailable } from "./redisMeans.ts"
import { Timers } from "./Timers.ts"
import * as Transitions from "./transitions.ts"

const optionsSchema = Schema.Struct({
  prefix: Schema.optional(Schema.String),
  timeout: Schema.optional(duration),
  onStoreError: Schema.optional(Schema.Literals(["allow", "refuse"])),
  idleTimeToLive: Schema.optional(duration),
  maxPending: Schema.optional(whole(1))
})

const transition = Schema.fromJsonString(Schema.Struct({
  group: Schema.String,
  circuit: Schema.String,
  from: Schema.Literals(["closed", "open", "half-open"]),
  to: Schema.Literals(["closed", "open", "half-open"]),
  forced: Schema.Boolean
}))
const decode = Schema.decodeUnknownOption(transition)

/** Circuits in Redis. */
export const make = (
  options: RedisOptions,
  unavailable: Unavailable
): Effect.Effect<CircuitStore, InvalidOptions, Redis.Redis | Scope.Scope> =>
  Effect.gen(function*() {
    yield* check("CircuitStore.layerRedis", optionsSchema, options)
    const redis = yield* Redis.Redis
    const { onStoreError = "allow", prefix = "blackgate:circuit:" } = options
    const timeout = Duration.toMillis(options.timeout ?? 100)
    const timers = yield* Timers.make
    const health = yield* RedisHealth.make(redis, {
      key: `${prefix}alive`,
      timeout,
      meanwhile: `circuits ${onStoreError} every call`
    }, () => timers.now())
    const store = new Store({
      redis,
      script: new CircuitScript(redis),
      prefix,
      timeout,
      timers,
      health,
      unavailable,
      instead: onStoreError === "allow"
        ? { _tag: "Ticket", settle: () => {} }
        : { _tag: "Refusal", state: "open", retryAfter: 1000 },
      idle: Duration.toMillis(options.idleTimeToLive ?? "1 hour"),
      maxPending: options.maxPending ?? 10_000,
      fork: Effect.runForkWith(yield* Effect.context<never>())
    })
    yield* Effect.timeoutOption(store.listen, remembered)
    return store
  })

class Store implements CircuitStore {
  readonly means: Means
  /** Outcomes that are under way. */
  pending = 0
  private readonly channel: string
  private readonly groups = new Map<string, Set<RedisCircuits>>()

  constructor(means: Means) {
    this.means = means
    this.channel = `${means.prefix}transitions`
  }

  circuits(group: string, settings: Settings): Effect.Effect<Circuits, never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const transitions = yield* Transitions.make
      const policy = policyOf(this.channel, group, this.means.idle, settings)
      const circuits = new RedisCircuits(this, group, policy, settings, transitions)
      const known = this.groups.get(group) ?? new Set()
      this.groups.set(group, known.add(circuits))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          known.delete(circuits)
          // Names may come from data, and go again.
          if (known.size === 0 && this.groups.get(group) === known) this.groups.delete(group)
        })
      )
      return circuits
    })
  }

  // The transitions of all processes, this one's too, in the order in which Redis made them.
  get listen(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const listening = yield* Deferred.make<void>()
      const hear = Effect.gen({ self: this }, function*() {
        const messages = yield* this.means.redis.subscribe(this.channel)
        yield* Deferred.succeed(listening, undefined)
        while (true) {
          const { message } = yield* Queue.take(messages)
          const heard = decode(message)
          if (Option.isNone(heard)) continue
          for (const circuits of this.groups.get(heard.value.group) ?? []) yield* circuits.heard(heard.value)
        }
      })
      // A connection that is lost for good is opened again; what was published meanwhile nobody hears of here.
      yield* Effect.forkScoped(
        hear.pipe(Effect.scoped, Effect.ignoreCause, Effect.andThen(Effect.sleep(remembered)), Effect.forever)
      )
      yield* Deferred.await(listening)
    })
  }
}
