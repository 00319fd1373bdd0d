// Of a URL, or of what was meant to be one.
const userinfo = /(\/\/)[^/\s"']*@/g

/** A text without the passwords that URLs in it have; as long as it was. */
export const masked = (text: string): string =>
  text.replaceAll(userinfo, (whole) => `//${"*".repeat(whole.length - 3)}@`)

const secretNames = /^(?:dsn|passphrase|(?:proxy-)?authorization|(?:set-)?cookie)$|secret|password|token|api[-_]?key/i

/** Whether what stands under a key is nobody's business. */
const isSecretName = (key: string | number | undefined): boolean => typeof key === "string" && secretNames.test(key)

// Whoever names a header, or a variable, may use more words.
export const secretWords = /auth|cookie|secret|passw|token|key|credential|session|signature|assertion|jwt/i
const lists = new Set<unknown>(["add", "headers", "query", "set"])

/** Whether what stands at a path is nobody's business; the expression for a secret header is a secret, too. */
export const isSecretAt = (path: ReadonlyArray<string | number>): boolean => {
  let last = path.length - 1
  while (typeof path[last] === "number") last--
  if (path[last] === "regex") last--
  const name = path[last]
  return isSecretName(name) || (lists.has(path[last - 1]) && secretWords.test(String(name)))
}

/** Whether a text, as it is written, stands for what comes from a file, or from a variable that is called a secret. */
export const isSecretlyWritten = (written: string | undefined): boolean =>
  written !== undefined &&
  Array.from(written.matchAll(/(\$?)\$\{([^}:]*)/g)).some(([, escape, name = ""]) =>
    escape === "" && (name === "file" || secretWords.test(name))
  )

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
