/**
 * An option that makes no sense, named.
 *
 * Not a failure of a call: it ends the building of a layer, a group or a route, before anything runs.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

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
