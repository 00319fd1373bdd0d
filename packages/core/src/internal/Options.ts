import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as StandardIssue from "effect/SchemaIssue"
import { InvalidOptions } from "../InvalidOptions.ts"

/** A whole number of at least `least`, or `Infinity` for "no limit". */
export const whole = (least: number) =>
  Schema.Number.check(Schema.makeFilter((n: number) =>
    n >= least && (Number.isInteger(n) || n === Infinity)
      ? undefined
      : `expected a whole number of at least ${least} (or Infinity), got ${n}`
  ))

const isPositiveDuration = (u: unknown): u is Duration.Input => {
  const duration = Duration.fromInput(u as Duration.Input)
  return Option.isSome(duration) && Duration.isFinite(duration.value) && Duration.toMillis(duration.value) > 0
}

/** A finite duration longer than zero, in any of Effect's spellings. */
export const duration = Schema.declare(isPositiveDuration, {
  expected: `a duration longer than zero, such as "1 second" or a number of milliseconds`
})

const format = StandardIssue.makeFormatterStandardSchemaV1()

const problem = (issue: SchemaIssue.Issue): string =>
  format(issue).issues.map(({ message, path = [] }) => {
    const option = path.map((key) => String(typeof key === "object" ? key.key : key)).join(".")
    return option === "" ? message : `${option}: ${message}`
  }).join("; ")

/** Refuses what `schema` refuses, and keys that it doesn't know; every problem at once. */
export const check = <A>(
  subject: string,
  schema: Schema.ConstraintDecoder<A>,
  input: unknown
): Result.Result<A, InvalidOptions> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema)(input, { errors: "all", onExcessProperty: "error" }),
    (error) => new InvalidOptions({ subject, problem: problem(error.issue) })
  )

/** The same where there is no effect to fail: a command is made as a module loads. */
export const checkOrThrow = <A>(subject: string, schema: Schema.ConstraintDecoder<A>, input: unknown): A =>
  Result.getOrThrow(check(subject, schema, input))

/** The same as an effect. */
export const checkEffect = <A>(
  subject: string,
  schema: Schema.ConstraintDecoder<A>,
  input: unknown
): Effect.Effect<A, InvalidOptions> => Effect.fromResult(check(subject, schema, input))
