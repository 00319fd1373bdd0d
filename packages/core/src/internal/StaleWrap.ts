import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { duration, whole } from "../InvalidOptions.ts"
import type * as Stale from "../Stale.ts"
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

  /** Remembers what a run answers, and answers instead of one that fails; `served` is called then. */
  around(run: Run, args: ReadonlyArray<unknown>, now: () => number, served: () => void): Run {
    return Effect.matchCauseEffect(run, {
      onSuccess: (value) => {
        this.keep(this.options.key(...args), value, now())
        return Effect.succeed(value)
      },
      // A defect stays one, and an interruption too.
      onFailure: (cause) =>
        Effect.catch(Effect.failCause(cause), (failure) => {
          const { key, when } = this.options
          const kept = this.values.get(key(...args))
          if (kept === undefined) return Effect.failCause(cause)
          const time = now()
          kept.until = Math.min(kept.until, time + this.maxAge) // a clock that is set back makes no value younger than new
          if (when?.(failure) !== false && time < kept.until) {
            served()
            return Effect.as(Effect.annotateCurrentSpan("blackgate.stale", true), kept.value)
          }
          // Too old; or the dependency has answered that it is not so any more.
          this.values.delete(kept)
          return Effect.failCause(cause)
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
  wrap: (spec, group) => {
    const all = group.shared(stale)!
    let lastGood = all.get(spec)
    if (lastGood === undefined) all.set(spec, lastGood = new LastGood(spec["stale"] as Options))
    const values = lastGood
    const record = group.record(spec.key)
    const now = () => group.timers.now()
    const served = () => {
      record.degraded++
    }
    return (inside, args) => values.around(inside, args, now, served)
  }
}
