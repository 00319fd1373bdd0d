/**
 * An option that makes no sense, named.
 *
 * Not a failure of a call: it ends the building of a layer, a group or a route, before anything runs.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/**
 * Options that were refused: which thing they were for, and what is wrong with which option.
 *
 * **Details**
 *
 * `Group.make` and every `decode` fail with it; a `layer` made from options in code dies with it, because there it is a
 * mistake in the program.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOptions extends Data.TaggedError("InvalidOptions")<{
  /** What the options were for: a group's name, a command's key, a route's path. */
  readonly subject: string
  /** The option and what was expected, one line each. */
  readonly problem: string
}> {
  override get message(): string {
    return `${this.subject}: ${this.problem}`
  }
}

/**
 * A whole number of at least `least`, or `Infinity` for "no limit".
 *
 * @category schemas
 * @since 0.1.0
 */
export const whole = (least: number) =>
  Schema.Number.check(Schema.makeFilter((n: number) =>
    n >= least && (Number.isInteger(n) || n === Infinity)
      ? undefined
      : `expected a whole number of at least ${least} (or Infinity), got ${n}`
  ))

/**
 * A share of something: more than 0, and 1 at the most.
 *
 * @category schemas
 * @since 0.1.0
 */
export const fraction = Schema.Number.check(
  Schema.makeFilter((n: number) =>
    n > 0 && n <= 1 ? undefined : `expected a number of more than 0 and at most 1, got ${n}`
  )
)

const isPositiveDuration = (u: unknown): u is Duration.Input => {
  // What is not given is no duration, and to find that out there would cost an error with its stack.
  if (u === undefined || u === null) return false
  const duration = Duration.fromInput(u as Duration.Input)
  return Option.isSome(duration) && Duration.isFinite(duration.value) && Duration.toMillis(duration.value) > 0
}

/**
 * A finite duration longer than zero, in any of Effect's spellings.
 *
 * @category schemas
 * @since 0.1.0
 */
export const duration = Schema.declare(isPositiveDuration, {
  expected: `a duration longer than zero, such as "1 second" or a number of milliseconds`
})

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const problem = (issue: SchemaIssue.Issue): string =>
  format(issue).issues.map(({ message, path = [] }) => {
    const option = path.map((key) => String(typeof key === "object" ? key.key : key)).join(".")
    return option === "" ? message : `${option}: ${message}`
  }).join("; ")

/**
 * Refuses what a schema refuses, and keys that it doesn't know; every problem at once.
 *
 * **Example** (Naming what is wrong)
 *
 * ```ts import.meta.vitest
 * import { InvalidOptions } from "@blackgate/core"
 * import { Effect, Schema } from "effect"
 *
 * const schema = Schema.Struct({ size: InvalidOptions.whole(1) })
 * const checked = Effect.flip(InvalidOptions.check("printer", schema, { size: 0 }))
 *
 * Effect.runSync(checked).message // => "printer: size: expected a whole number of at least 1 (or Infinity), got 0"
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const check = <A>(
  subject: string,
  schema: Schema.ConstraintDecoder<A>,
  input: unknown
): Effect.Effect<A, InvalidOptions> => Effect.fromResult(decode(subject, schema, input))

/**
 * The same, for what is made as a module loads, where there is no effect that could fail: it throws.
 *
 * @category validation
 * @since 0.1.0
 */
export const checkUnsafe = <A>(subject: string, schema: Schema.ConstraintDecoder<A>, input: unknown): A =>
  Result.getOrThrow(decode(subject, schema, input))

const decode = <A>(
  subject: string,
  schema: Schema.ConstraintDecoder<A>,
  input: unknown
): Result.Result<A, InvalidOptions> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema)(input, { errors: "all", onExcessProperty: "error" }),
    (error) => new InvalidOptions({ subject, problem: problem(error.issue) })
  )
