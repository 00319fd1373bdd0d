import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { duration, whole } from "../InvalidOptions.ts"

/** What a pool can be made with. */
export const poolOptions = Schema.Struct({
  maxConcurrent: whole(1),
  maxQueued: Schema.optional(whole(0)),
  queueTimeout: Schema.optional(duration),
  reentrant: Schema.optional(Schema.Boolean)
})

/** For limits that something else needs to know. */
export const finite = Schema.makeFilter((n: number) => n === Infinity ? "expected a finite number" : undefined)

const isDuration = Schema.is(duration)
const isForever = (u: unknown): boolean =>
  u === Infinity || (Duration.isDuration(u) && Duration.toMillis(u) === Infinity)

/** What of it can change. Leaving an option out keeps it as it is, so that there is a word for taking it away. */
export const poolLimits = Schema.Struct({
  maxConcurrent: Schema.optional(whole(1)),
  maxQueued: Schema.optional(whole(0)),
  queueTimeout: Schema.optional(
    Schema.declare((u): u is Duration.Input => isDuration(u) || isForever(u), {
      expected: `a duration longer than zero, such as "1 second" or a number of milliseconds, or Infinity for none`
    })
  )
})

/** The same where the limit moves by itself, below a ceiling. */
export const poolLimitsDriven = Schema.Struct({
  ...poolLimits.fields,
  maxConcurrent: Schema.optional(whole(1).check(finite))
})
