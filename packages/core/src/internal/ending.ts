import type * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"

const nameOf = (error: unknown): string => Predicate.hasProperty(error, "_tag") ? String(error._tag) : String(error)

/** How something ended, in a word: "Success", the tag of its failure, "Die" or "Interrupt"; several are joined by "+". */
export const ending = (exit: Exit.Exit<unknown, unknown>): string =>
  exit._tag === "Success"
    ? "Success"
    : exit.cause.reasons.map((reason) => reason._tag === "Fail" ? nameOf(reason.error) : reason._tag).join("+")
