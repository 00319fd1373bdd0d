/** One hop of a `Forwarded` field: its parameters, names in lower case. */
export type Element = Readonly<Record<string, string>>

const tokenChars = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
// Space around a semicolon is not in the grammar, but in the wild; around the equals sign it is an error.
const pair = new RegExp(
  `[ \\t]*(${tokenChars})=(?:(${tokenChars})|"((?:[\\t !#-\\[\\]-~\\u0080-\\u00ff]|\\\\[\\t -~\\u0080-\\u00ff])*)")[ \\t]*`,
  "y"
)
const separator = /[ \t]*[,;]?/y
const isToken = new RegExp(`^${tokenChars}$`)

/** Reads one field value (RFC 7239, section 4): its elements that are not empty, or `undefined` for what is malformed. */
export const parse = (value: string): Array<Element> | undefined => {
  const elements: Array<Element> = []
  let element: Record<string, string> | undefined
  let expectsPair = true
  for (let at = 0; at < value.length;) {
    pair.lastIndex = at
    const found = expectsPair ? pair.exec(value) : null
    if (found !== null) {
      const name = found[1]!.toLowerCase()
      element ??= Object.create(null) as Record<string, string>
      if (name in element) return undefined // section 4: each parameter once
      element[name] = found[2] ?? found[3]!.replaceAll(/\\(.)/gs, "$1")
      expectsPair = false
      at = pair.lastIndex
      continue
    }
    separator.lastIndex = at
    const mark = separator.exec(value)![0]
    at = separator.lastIndex
    if (mark.endsWith(",")) {
      if (element !== undefined) elements.push(element)
      element = undefined
    } else if (!mark.endsWith(";") && at < value.length) return undefined
    expectsPair = true
  }
  if (element !== undefined) elements.push(element)
  return elements
}

/** Writes elements as one field value. What is no token is quoted. */
export const format = (elements: ReadonlyArray<Element>): string =>
  elements.map((element) =>
    Object.entries(element).map(([name, value]) =>
      `${name}=${isToken.test(value) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`}`
    ).join(";")
  ).join(", ")
