/** Where the values come from that a config file names. */
export interface Sources {
  readonly env: { readonly [name: string]: string | undefined }
  /** The text of a file; throws if it can't be read. */
  readonly readFile: (path: string) => string
}

/** Text with its substitutions made, or what is wrong with one of them. */
export type Substituted =
  | { readonly text: string; readonly isWhole: boolean }
  | { readonly at: number; readonly length: number; readonly message: string }

const reference = /\$\$\{|\$\{([^}]*)\}?/g
const variable = /^([A-Za-z_]\w*)(?::-(.*))?$/s

/** `undefined` if there is nothing to substitute. `$${` stands for `${`. */
export const substitute = (text: string, { env, readFile }: Sources): Substituted | undefined => {
  if (!text.includes("${")) return undefined
  let result = ""
  let end = 0
  for (const match of text.matchAll(reference)) {
    const [whole, inner] = match
    const wrong = (message: string) => ({ at: match.index, length: whole.length, message })
    result += text.slice(end, match.index)
    end = match.index + whole.length
    if (inner === undefined) {
      result += "${"
      continue
    }
    if (!whole.endsWith("}")) return wrong(`expected a "}" at the end of ${whole}`)
    if (inner.startsWith("file:")) {
      try {
        result += readFile(inner.slice(5)).replace(/\r?\n$/, "")
      } catch (cause) {
        return wrong(`${inner.slice(5)} can't be read: ${(cause as Error).message}`)
      }
      continue
    }
    const [, name, otherwise] = variable.exec(inner) ?? []
    if (otherwise?.includes("${") === true) return wrong("a default can't refer to anything, found " + whole)
    if (name === undefined) return wrong("expected ${NAME}, ${NAME:-default} or ${file:path}, found " + whole)
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    // As in a shell, a default stands for what is empty, too.
    if (otherwise !== undefined) result += value === undefined || value === "" ? otherwise : value
    else if (value !== undefined) result += value
    else return wrong(`the environment variable ${name} is not set, and there is no default: \${${name}:-default}`)
  }
  return { text: result + text.slice(end), isWhole: /^\$\{[^}]*\}$/.test(text) }
}
