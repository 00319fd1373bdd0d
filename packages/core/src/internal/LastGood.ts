import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { duration, whole } from "../InvalidOptions.ts"
import type * as Stale from "../Stale.ts"
import { asLeft, failedWith } from "./failed.ts"
import type { Asked, Ending } from "./Gate.ts"
import type { Policy, Spec } from "./Policy.ts"
import { Entry, Recent } from "./Recent.ts"

/** What can be said of it. */
export const staleOptions = Schema.Struct({
  key: Schema.Unknown,
  maxAge: duration,
  maxKeys: Schema.optional(whole(1)),
  when: Schema.optional(Schema.Unknown)
})

// `any`: arguments and failures are those of the run, which these are handed back to.
type Options = Stale.Options<any, any>
interface Clock {
  now(): number
}

type Run = Effect.Effect<unknown, unknown, unknown>

class Value extends Entry {
  value: unknown = undefined
}

/** The last good value of each key. */
export class LastGood {
  private readonly options: Options
  private readonly maxAge: number
  private readonly values: Recent<Value>

  constructor(options: Options) {
    this.options = options
    this.maxAge = Duration.toMillis(options.maxAge)
    this.values = new Recent(options.maxKeys ?? 1000)
  }

  /** How many keys it keeps. */
  get size(): number {
    return this.values.size
  }

  /** Remembers what a run has answered, and answers instead of one that has failed; `served` is called then. */
  settle(exit: Ending, call: Asked, clock: Clock, served: () => void): Effect.Effect<unknown, unknown> {
    const { key, when } = this.options
    if (exit._tag === "Success") {
      this.keep(key(...call.args), exit.value, call.now(clock))
      return exit
    }
    // A defect stays one, and an interruption too.
    const failed = failedWith(exit)
    const kept = failed === undefined ? undefined : this.values.get(key(...call.args))
    if (failed === undefined || kept === undefined) return asLeft(exit)
    const now = call.now(clock)
    kept.until = Math.min(kept.until, now + this.maxAge) // a clock that is set back makes no value younger than new
    if (when?.(failed.error) !== false && now < kept.until) {
      served()
      if (call.span?._tag === "Span") call.span.attribute("blackgate.stale", true)
      return Exit.succeed(kept.value)
    }
    // Too old; or the dependency has answered that it is not so any more.
    this.values.delete(kept)
    return exit
  }

  /** The same around an effect that stands alone. */
  around(run: Run, args: ReadonlyArray<unknown>, clock: Clock): Run {
    return Effect.withFiber(({ cache }) => {
      const call: Asked = { args, span: cache.span, now: (clock) => clock.now() }
      const settle = (exit: Ending) => this.settle(exit, call, clock, () => {})
      return Effect.matchCauseEffect(run, {
        onSuccess: (value) => settle(Exit.succeed(value)),
        onFailure: (cause) => settle(Exit.failCause(cause))
      })
    })
  }

  private keep(key: string, value: unknown, now: number): void {
    let kept = this.values.get(key)
    if (kept === undefined) this.values.add(kept = new Value(key), now)
    else this.values.touch(kept)
    kept.value = value
    kept.until = now + this.maxAge
  }
}

/** The values of a group's commands. By the command itself, not by its name: two of one name may answer different things. */
type Shared = WeakMap<Spec, LastGood>

/** A fallback that the command finds by itself: the last good value. */
export const stale: Policy<Shared> = {
  name: "stale",
  command: { stale: Schema.optional(staleOptions) },
  share: () => Effect.succeed(new WeakMap()),
  settings: (spec) => {
    const options = spec["stale"] as Options | undefined
    if (options === undefined) return undefined
    return { maxAge: Duration.fromInputUnsafe(options.maxAge), maxKeys: options.maxKeys ?? 1000 }
  },
  settle: (spec, group) => {
    const all = group.shared(stale)!
    let lastGood = all.get(spec)
    if (lastGood === undefined) all.set(spec, lastGood = new LastGood(spec["stale"] as Options))
    const values = lastGood
    const record = group.record(spec.key)
    const served = () => record.degraded()
    return (exit, call) => values.settle(exit, call, group.timers, served)
  }
}
