/** Of each length; and no longer names. Upstreams that make up names must not fill the memory. */
const most = 8
const longest = 63

const known: Array<Array<string> | undefined> = []

/**
 * The name that stands at a place of a text, as it was first met: one and the same string for all responses, which nobody has to hash
 * again to look it up.
 */
export const nameAt = (text: string, start: number, end: number): string => {
  const names = known[end - start]
  if (names !== undefined) {
    for (const name of names) if (text.startsWith(name, start)) return name
  }
  return meet(text.slice(start, end))
}

const meet = (name: string): string => {
  if (name.length > longest) return name
  const names = known[name.length] ??= []
  if (names.length === most) return name
  // A copy: what was cut out of a text would keep all of that in memory.
  const copy = Buffer.from(name, "latin1").toString("latin1")
  names.push(copy)
  return copy
}
