/**
 * Regular expressions from a config file, in the spelling of Python, on an engine that takes time in proportion to the path (RE2): no
 * expression and no path can hang the process. What RE2 can't do in such a time, look-around and back-references, is refused.
 */
import { RE2JS } from "re2js"

/** What is wrong with an expression, and where in it. */
export class PatternError extends Error {
  readonly at: number
  readonly length: number

  constructor(message: string, at: number, length: number) {
    super(message)
    this.at = at
    this.length = length
  }
}

type Replacement = ReadonlyArray<string | number>

export class Pattern {
  private readonly regex: RE2JS

  constructor(source: string) {
    const translated = translate(source)
    try {
      this.regex = RE2JS.compile(translated)
    } catch (cause) {
      throw located(source, cause as Error)
    }
  }

  /** Whether all of the text matches. */
  matches(text: string): boolean {
    return this.regex.matches(text)
  }

  /** What stands for each match, from `\1`, `\g<1>`, `\g<name>`; the parts in their order. */
  replacement(template: string): Replacement {
    return replacementOf(template, this.regex.groupCount(), new Map(Object.entries(this.regex.namedGroups())))
  }

  /** Every match replaced, as Python's `re.sub` does: an empty match right after another one, too. */
  sub(text: string, replacement: Replacement): string {
    const matcher = this.regex.matcher(text)
    let result = ""
    let end = 0
    while (matcher.find()) {
      result += text.slice(end, matcher.start())
      for (const part of replacement) result += typeof part === "string" ? part : matcher.group(part) ?? ""
      end = matcher.end()
    }
    return result + text.slice(end)
  }
}

// What Python has, and RE2 has not.
const refused: ReadonlyArray<readonly [RegExp, string]> = [
  [/^\(\?<?[=!]/, "look-around can't be done in linear time"],
  [/^\(\?P=/, "a back-reference can't be done in linear time"],
  [/^\(\?\(/, "a conditional can't be done in linear time"],
  [/^\(\?>/, "an atomic group is not supported"],
  [/^\(\?#/, "a comment is not supported"],
  [/^\(\?[a-z]*[xauL]/, "the flags x, a, u and L are not supported"]
]

/** A Python expression as RE2 spells it. */
const translate = (source: string): string => {
  let result = ""
  let inClass = false
  for (let i = 0; i < source.length; i++) {
    const char = source[i]!
    const rest = source.slice(i)
    if (char === "\\") {
      const next = source[i + 1]
      if (next === undefined) throw new PatternError("there is nothing behind the \\ at its end", i, 1)
      if (!inClass && /[1-9]/.test(next)) {
        throw new PatternError("a back-reference can't be done in linear time", i, 2)
      }
      if (!inClass && next === "Z") result += "\\z"
      else if (/[CQEpP]/.test(next)) throw new PatternError(`\\${next} is not an escape of Python`, i, 2)
      else result += char + next
      i++
    } else if (inClass) {
      inClass = char !== "]" || /\[\^?$/.test(result)
      result += char === "[" ? "\\[" : char
    } else if (char === "[") {
      inClass = true
      result += char
      if (source[i + 1] === "^") result += source[++i]
      // A bracket that stands first means itself.
      if (source[i + 1] === "]") result += `\\${source[++i]}`
    } else if (char === "(" && source[i + 1] === "?") {
      for (const [pattern, message] of refused) {
        const found = pattern.exec(rest)
        if (found !== null) throw new PatternError(message, i, found[0].length)
      }
      result += char
    } else if (char === "{" && /^\{,\d+\}/.test(rest)) {
      result += "{0"
    } else if (/^[*+?}]\+/.test(rest)) {
      throw new PatternError("a possessive quantifier is not supported", i, 2)
    } else result += char
  }
  return result
}

// RE2 says which part it did not understand.
const located = (source: string, cause: Error): PatternError => {
  const message = cause.message.replace(/^error parsing regexp: /, "")
  const part = /`(.*)`\s*$/s.exec(message)?.[1]
  const at = part === undefined ? -1 : source.indexOf(part)
  return at === -1 ? new PatternError(message, 0, source.length) : new PatternError(message, at, part!.length)
}

const escapes: Record<string, string> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\"
}

const replacementOf = (template: string, groups: number, names: ReadonlyMap<string, number>): Replacement => {
  const parts: Array<string | number> = []
  let text = ""
  const group = (number: number, at: number, length: number) => {
    if (number > groups) {
      throw new PatternError(`there is no group ${number}: the expression has ${groups}`, at, length)
    }
    parts.push(text, number)
    text = ""
  }
  for (let i = 0; i < template.length; i++) {
    const char = template[i]!
    const rest = template.slice(i)
    if (char !== "\\") {
      text += char
      continue
    }
    const named = /^\\g<([^>]*)>/.exec(rest)
    const numbered = /^\\([1-9]\d?)/.exec(rest)
    if (numbered !== null) group(Number(numbered[1]), i, numbered[0].length)
    else if (named !== null) {
      const name = named[1]!
      const number = /^\d+$/.test(name) ? Number(name) : names.get(name)
      if (number === undefined) throw new PatternError(`there is no group named ${name}`, i, named[0].length)
      group(number, i, named[0].length)
    } else {
      const escaped = escapes[template[i + 1] ?? ""]
      // Python refuses unknown escapes of letters, and leaves others as they are.
      if (escaped === undefined && /^\\(?:[A-Za-z0]|$)/.test(rest)) {
        throw new PatternError(`${rest.slice(0, 2)} is not an escape that can be used here`, i, 2)
      }
      text += escaped ?? rest.slice(0, 2)
      i += 1
      continue
    }
    i += (numbered ?? named)![0].length - 1
  }
  return [...parts, text]
}
