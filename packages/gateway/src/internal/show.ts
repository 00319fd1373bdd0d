// Of a URL, or of what was meant to be one.
const userinfo = /(\/\/)[^/\s"']*@/g

/** A text without the passwords that URLs in it have; as long as it was. */
export const masked = (text: string): string =>
  text.replaceAll(userinfo, (whole) => `//${"*".repeat(whole.length - 3)}@`)

const secretNames = /^(?:dsn|passphrase|(?:proxy-)?authorization|(?:set-)?cookie)$|secret|password|token|api[-_]?key/i

/** Whether what stands under a key is nobody's business. */
export const isSecretName = (key: string | number | undefined): boolean =>
  typeof key === "string" && secretNames.test(key)

/** Whether what stands at a path is nobody's business; the expression for a secret header is a secret, too. */
export const isSecretAt = (path: ReadonlyArray<string | number>): boolean =>
  isSecretName(path.at(path.at(-1) === "regex" ? -2 : -1))

/** A value of a config file, as it is shown in an error. */
export const show = (value: unknown): string => {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (value instanceof Object) {
    const keys = Object.keys(value)
    return keys.length === 0 ? "an empty mapping" : `a mapping of ${keys.slice(0, 5).join(", ")}`
  }
  if (value === undefined) return "nothing"
  const text = masked(JSON.stringify(value) ?? String(value))
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
