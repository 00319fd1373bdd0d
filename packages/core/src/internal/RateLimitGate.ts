import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { RateLimited } from "../CommandError.ts"
import { duration, InvalidOptions, whole } from "../InvalidOptions.ts"
import type * as RateLimit from "../RateLimit.ts"
import type { Call } from "./Call.ts"
import type { Admission, Gate } from "./Gate.ts"
import { type Answer, type Limiter, longest, makeLimiter, type Settings } from "./Limiter.ts"
import type { Policy } from "./Policy.ts"
import type { SharedPermits } from "./SharedPermits.ts"
import { waitFor } from "./waitFor.ts"

export const RateLimitTypeId = "~@blackgate/core/RateLimit"

/** What the calls of a group share. */
export interface Shared extends RateLimit.RateLimit {
  readonly settings: Settings
  readonly limiter: Limiter
}

const finite = Schema.makeFilter((n: number) =>
  n === Infinity ? "expected a limit: without one, leave the option out" : undefined
)

/** What a limit can be made with. */
export const rateLimitOptions = Schema.Struct({
  limit: whole(1).check(finite),
  window: duration,
  algorithm: Schema.optional(Schema.Literals(["token-bucket", "fixed-window"])),
  maxKeys: Schema.optional(whole(1)),
  onStoreError: Schema.optional(Schema.Literals(["allow", "refuse"])),
  storeTimeout: Schema.optional(duration)
})

/** What a command can say of it. */
export const rateLimitCommandOptions = Schema.Struct({
  key: Schema.optional(Schema.Unknown),
  tokens: Schema.optional(whole(1).check(finite))
})

export const shareOf = (name: string, options: RateLimit.Options, permits?: SharedPermits): Effect.Effect<Shared> => {
  const settings: Settings = {
    limit: options.limit,
    window: Duration.toMillis(options.window),
    algorithm: options.algorithm ?? "token-bucket",
    maxKeys: options.maxKeys ?? 100_000,
    onStoreError: options.onStoreError ?? "allow",
    storeTimeout: Duration.toMillis(options.storeTimeout ?? "100 millis")
  }
  return Effect.map(
    makeLimiter(name, settings, permits),
    (limiter) => ({ [RateLimitTypeId]: RateLimitTypeId, name, settings, limiter })
  )
}

type CommandOptions = RateLimit.CommandOptions<Array<never>>

/** A call takes tokens of its key. Outside of circuit and pool, so that a call that is turned away needs neither. */
export const rateLimit: Policy<Shared> = {
  name: "rateLimit",
  group: { rateLimit: Schema.optional(rateLimitOptions) },
  command: { rateLimit: Schema.optional(rateLimitCommandOptions) },
  isOn: ({ rateLimit }) => rateLimit !== undefined,
  share: (group, options) => shareOf(group.name, options.rateLimit!, group.pool.shared),
  settings: (spec, group) => {
    const shared = group.shared(rateLimit)
    if (shared === undefined) return undefined
    const { key, tokens = 1 } = spec["rateLimit"] as CommandOptions | undefined ?? {}
    const { algorithm, limit, window } = shared.settings
    return {
      limit,
      window: Duration.millis(window),
      algorithm,
      tokens,
      of: key === undefined ? "the group" : "each key"
    }
  },
  gate: (spec, group) =>
    new RateLimitGate(group.shared(rateLimit)!, spec.key, spec["rateLimit"] as CommandOptions | undefined ?? {})
}

/** The gate of a command. What it lets in holds nothing: the tokens are spent. */
export class RateLimitGate implements Gate, Admission {
  private readonly shared: Shared
  private readonly keyOf: ((...args: Array<never>) => string) | undefined
  private readonly tokens: number

  constructor(shared: Shared, subject: string, { key, tokens = 1 }: CommandOptions) {
    const { name, settings: { limit } } = shared
    if (tokens > limit) {
      const problem = `rateLimit.tokens: expected at most the limit of ${name}, which is ${limit}, got ${tokens}`
      throw new InvalidOptions({ subject, problem })
    }
    this.shared = shared
    this.keyOf = key
    this.tokens = tokens
  }

  enter(call: Call): Admission | undefined {
    const key = this.keyOf?.(...call.args as Array<never>)
    const { limiter } = this.shared
    const said = limiter.take(key, this.tokens, call.now(limiter))
    return typeof said === "object" ? this.ask(call, key, said) : this.hear(call, key, said)
  }

  leave(): void {}

  private hear(call: Call, key: string | undefined, said: Answer): Admission | undefined {
    if (said === 0) return this
    const { name, settings } = this.shared
    if (said !== "unavailable") {
      // Whoever sleeps for so long sleeps in whole milliseconds.
      return call.refuse(new RateLimited(name, call.plan.key, key, settings.limit, Math.ceil(said), false))
    }
    if (settings.onStoreError === "allow") return this
    return call.refuse(new RateLimited(name, call.plan.key, key, settings.limit, longest, true))
  }

  // The limiter is elsewhere: the call waits for its answer. One that leaves meanwhile may have spent its tokens.
  private ask(call: Call, key: string | undefined, said: Effect.Effect<Answer>): undefined {
    return waitFor(call, Effect.runForkWith(call.context)(said), (exit) => {
      if (exit._tag === "Failure") return call.end(exit)
      const admission = this.hear(call, key, exit.value)
      if (admission !== undefined) call.admit(admission)
    })
  }
}
