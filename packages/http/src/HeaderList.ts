/**
 * Header fields as they came over the wire: in order, duplicates kept, names spelled as received.
 *
 * A list is flat, as Node and undici have it: name, value, name, value. Bytes above ASCII are Latin-1. Effect's `Headers` keeps one
 * string per name, which loses cookies and order; `toHeaders` and `fromHeaders` are the one place where the two meet.
 *
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import * as Headers from "effect/http/Headers"
import { endToEnd } from "./internal/endToEnd.ts"
import { fieldName } from "./internal/fieldName.ts"
import { is, valueOf } from "./internal/named.ts"
import { passedTrailers } from "./internal/trailers.ts"

/**
 * Names and values, one after the other.
 *
 * @category models
 * @since 0.1.0
 */
export type HeaderList = ReadonlyArray<string>

/**
 * No fields.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: HeaderList = []

/**
 * A list from names and values.
 *
 * **Example** (Two fields of one name)
 *
 * ```ts import.meta.vitest
 * import { HeaderList } from "@blackgate/http"
 *
 * HeaderList.make(["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]) // => ["Set-Cookie", "a=1", "Set-Cookie", "b=2"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (...fields: ReadonlyArray<readonly [name: string, value: string]>): HeaderList => fields.flat()

/**
 * All values of a name, in their order.
 *
 * @category getters
 * @since 0.1.0
 */
export const getAll: {
  (name: string): (self: HeaderList) => ReadonlyArray<string>
  (self: HeaderList, name: string): ReadonlyArray<string>
} = dual(2, (self: HeaderList, name: string): ReadonlyArray<string> => {
  const wanted = name.toLowerCase()
  const values: Array<string> = []
  for (let i = 0; i < self.length; i += 2) if (is(self[i]!, wanted)) values.push(self[i + 1]!)
  return values
})

/**
 * The first value of a name.
 *
 * **Example** (Names have no case)
 *
 * ```ts import.meta.vitest
 * import { HeaderList } from "@blackgate/http"
 *
 * HeaderList.get(["Content-Type", "text/plain"], "content-type") // => "text/plain"
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const get: {
  (name: string): (self: HeaderList) => string | undefined
  (self: HeaderList, name: string): string | undefined
} = dual(2, (self: HeaderList, name: string): string | undefined => {
  return valueOf(self, name.toLowerCase())
})

/**
 * The list without a name.
 *
 * @category combinators
 * @since 0.1.0
 */
export const remove: {
  (name: string): (self: HeaderList) => HeaderList
  (self: HeaderList, name: string): HeaderList
} = dual(2, (self: HeaderList, name: string): HeaderList => {
  const wanted = name.toLowerCase()
  const fields: Array<string> = []
  for (let i = 0; i < self.length; i += 2) if (!is(self[i]!, wanted)) fields.push(self[i]!, self[i + 1]!)
  return fields
})

/**
 * The list with one more field, at its end.
 *
 * @category combinators
 * @since 0.1.0
 */
export const append: {
  (name: string, value: string): (self: HeaderList) => HeaderList
  (self: HeaderList, name: string, value: string): HeaderList
} = dual(3, (self: HeaderList, name: string, value: string): HeaderList => [...self, name, value])

/**
 * The list with one field of that name, at its end.
 *
 * **Example** (Replacing a header)
 *
 * ```ts import.meta.vitest
 * import { HeaderList } from "@blackgate/http"
 *
 * HeaderList.set(["Accept", "a", "accept", "b"], "accept", "c") // => ["accept", "c"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const set: {
  (name: string, value: string): (self: HeaderList) => HeaderList
  (self: HeaderList, name: string, value: string): HeaderList
} = dual(3, (self: HeaderList, name: string, value: string): HeaderList => append(remove(self, name), name, value))

/**
 * What of a response is meant for the client: without the hop-by-hop fields, and those that `Connection` names.
 *
 * **When to use**
 *
 * Use in a transport, for interim responses. The head of the final response is filtered by the route.
 *
 * @category forwarding
 * @since 0.1.0
 */
export const ofResponse = (self: HeaderList): HeaderList => endToEnd(self, "response")

/**
 * What of the fields after a body may be passed on, of a message with this head.
 *
 * **Details**
 *
 * Dropped are hop-by-hop fields and those that the head's `Connection` names; what says how the message is framed, where it goes, who
 * asks, or how it is to be read (RFC 9110, section 6.5.1), since a recipient may merge trailers into the head; what the gateway writes
 * itself; and what can't be sent.
 *
 * **Example** (A trailer that would change the length)
 *
 * ```ts import.meta.vitest
 * import { HeaderList } from "@blackgate/http"
 *
 * HeaderList.trailers(["Digest", "abc", "Content-Length", "1"], []) // => ["Digest", "abc"]
 * ```
 *
 * @category forwarding
 * @since 0.1.0
 */
export const trailers: {
  (head: HeaderList): (self: HeaderList) => HeaderList
  (self: HeaderList, head: HeaderList): HeaderList
} = dual(2, passedTrailers)

// Fields that Effect's middleware reads as one string. Joining a list is what HTTP says of them (RFC 9110, section 5.3).
const joined = new Set([
  "accept-ranges",
  "allow",
  "cache-control",
  "content-encoding",
  "content-type",
  "etag",
  "vary"
])

// What `Headers.fromRecordUnsafe` gives a record, which is then slow to read for good. It has no names that a field could have.
const prototype: object = Object.getPrototypeOf(Headers.empty)

/**
 * As Effect has it, for a response.
 *
 * **Details**
 *
 * Names become lower case. Fields that came more than once are an array, which Node writes as they came (`Set-Cookie` above all),
 * although the type says `string`; those that Effect's own middleware reads are joined.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toHeaders = (self: HeaderList): Headers.Headers => {
  const fields: { [name: string]: string | Array<string> } = Object.create(prototype)
  for (let i = 0; i < self.length; i += 2) {
    const name = fieldName(self[i]!).lower
    const value = self[i + 1]!
    const before = fields[name]
    if (before === undefined) fields[name] = value
    else if (Array.isArray(before)) before.push(value)
    else fields[name] = joined.has(name) ? `${before}, ${value}` : [before, value]
  }
  // Effect's type knows one string per name; its Node server passes arrays on to Node, which is the only way for several cookies.
  return fields as object as Headers.Headers
}

/**
 * From Effect's headers: what they still know.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromHeaders = (headers: Headers.Headers): HeaderList => {
  const list: Array<string> = []
  for (const [name, value] of Object.entries<string | ReadonlyArray<string>>(headers)) {
    if (typeof value === "string") list.push(name, value)
    else for (const one of value) list.push(name, one)
  }
  return list
}
