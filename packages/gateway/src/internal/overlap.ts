import { formatPath } from "../ConfigError.ts"
import type { ListenerPlan } from "./options.ts"
import type { Problems } from "./Problems.ts"

/** Where somebody listens; without a host on all addresses. */
export interface Address {
  readonly host?: string | undefined
  readonly port?: number | undefined
}

/** Whether two can't be listened on at once: the same, or one of them takes in the other. What a name stands for is not asked. */
export const overlap = (one: Address, other: Address): boolean => {
  if (one.port === 0 || one.port !== other.port) return false
  const [a, b] = [spelled(one.host), spelled(other.host)]
  return a === b || takesIn(a, b) || takesIn(b, a)
}

// Listening on all of IPv6 is listening on all of IPv4, too, and not the other way round.
const takesIn = (wide: string, host: string): boolean =>
  wide === "::" || (wide === "0.0.0.0" && !(host.includes(":") && host !== "::"))

const mapped = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/

/** One spelling for each address. */
const spelled = (host: string | undefined = "::"): string => {
  const name = host.toLowerCase()
  const read = URL.parse(`http://${name.includes(":") ? `[${name}]` : name}/`)?.hostname.replaceAll(/[[\]]/g, "") ??
    name
  const [, high, low] = mapped.exec(read) ?? []
  if (high === undefined) return read
  const bytes = [high, low!].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255])
  return bytes.join(".")
}

/** What an address is called in errors. */
export const named = ({ host, port }: Address): string => host === undefined ? `port ${port}` : `${host}:${port}`

/** No two of them may listen on one address: the second one in the file is what is wrong. */
export const checkApart = (plans: ReadonlyArray<ListenerPlan>, problems: Problems): void => {
  const lineOf = ({ path }: ListenerPlan) => problems.loaded.place(path, "key")?.line ?? 0
  const inOrder = plans.toSorted((a, b) => lineOf(a) - lineOf(b))
  for (const [i, { options, path, portPath = path }] of inOrder.entries()) {
    const other = inOrder.slice(0, i).find((other) => overlap(other.options, options))
    if (other === undefined) continue
    const [here, there] = [options.host, other.options.host].map(spelled)
    const how = here === there
      ? ", too"
      : takesIn(there!, here!)
      ? `, which takes in ${named(options)}`
      : `, which ${named(options)} takes in`
    problems.add(
      portPath,
      `expected an address of its own: ${formatPath(other.path)} listens on ${named(other.options)}${how}`
    )
  }
}
