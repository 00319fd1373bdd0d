import { types } from "node:util"
import type { Problem } from "../ConfigError.ts"
import type { Path } from "./ConfigText.ts"

// As in a text: more than any config needs.
const mostNodes = 200_000

/**
 * An object of a program as a file could have said it: what has no value is not there. What no file can hold is told of, and so is what
 * throws when it is looked at.
 */
export const plainData = (given: unknown): { readonly value: unknown; readonly problems: ReadonlyArray<Problem> } => {
  const problems: Array<Problem> = []
  const seen = new Set<string>()
  let nodes = 0

  const wrong = (path: Path, message: string): undefined => {
    const key = JSON.stringify([path, message])
    if (!seen.has(key)) problems.push({ path, message, place: undefined })
    seen.add(key)
    return undefined
  }

  const read = (value: unknown, path: Path, within: ReadonlyArray<object>): unknown => {
    if (++nodes > mostNodes) return wrong([], "it is too large")
    if (value === null || value === undefined) return undefined
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value
    if (typeof value !== "object") return wrong(path, `expected plain data, found a ${typeof value}`)
    if (within.includes(value)) return wrong(path, "it contains itself")
    const inner = [...within, value]
    try {
      if (Array.isArray(value)) return value.map((each, i) => read(each, [...path, i], inner))
      const prototype: unknown = Object.getPrototypeOf(value)
      // What another realm has made has another prototype.
      const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null
      if (!isPlain || types.isPromise(value)) {
        return wrong(path, `expected plain data, found ${types.isPromise(value) ? "a promise" : nameOf(value)}`)
      }
      const made: Array<readonly [string, unknown]> = []
      for (const [key, each] of Object.entries(value)) {
        if (key === "__proto__") {
          wrong(path, "__proto__ is no key")
          continue
        }
        const plain = read(each, [...path, key], inner)
        if (plain !== undefined) made.push([key, plain])
      }
      return Object.fromEntries(made)
    } catch (cause) {
      return wrong(path, `it can't be read: ${cause instanceof Error ? cause.message : "it throws"}`)
    }
  }

  return { value: read(given, [], []), problems }
}

const nameOf = (value: object): string => {
  const name: unknown = value.constructor?.name
  return typeof name === "string" && name !== "" ? `an object of ${name}` : "an object of a class"
}
