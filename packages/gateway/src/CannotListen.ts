/**
 * An address that can't be listened on, and why not in plain words.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * An address that can't be listened on.
 *
 * @category errors
 * @since 0.1.0
 */
export class CannotListen extends Data.TaggedError("CannotListen")<{
  readonly address: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `can't listen on ${this.address}: ${whyNot(this.cause)}`
  }
}

const whyNot = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const code = "code" in cause ? cause.code : undefined
  if (code === "EADDRINUSE") return "it is in use by another program (EADDRINUSE)"
  if (code === "EACCES") return "it takes more rights than this user has (EACCES)"
  if (code === "EADDRNOTAVAIL") return "this machine does not have that address (EADDRNOTAVAIL)"
  return cause.message
}
