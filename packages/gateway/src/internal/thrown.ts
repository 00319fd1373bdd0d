import * as Fs from "node:fs"
import * as Module from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { ConfigError, type Place } from "../ConfigError.ts"
import { masked } from "./show.ts"

/** Where in a program something went wrong. */
interface Where {
  readonly file: string
  readonly line: number
  readonly column: number | undefined
  readonly length: number
}

/** What a module was imported from. */
export interface Imported {
  /** As it was named. */
  readonly file: string
  readonly folder: string
  /** All that was read of the folder, in that order. */
  readonly files: ReadonlySet<string>
}

/** What a program throws, in words; whatever it throws. */
const wordsOf = (thrown: unknown): string => {
  try {
    if (thrown instanceof Error) {
      const { message, name } = thrown
      return message === "" ? name : message
    }
    return typeof thrown === "string" ? thrown : inspect(thrown, { depth: 1, breakLength: Infinity })
  } catch {
    return "something that can't be shown"
  }
}

/** What a module has thrown, as an error of its file, with the line if Node gives one. */
export const thrownBy = (imported: Imported, says: string, thrown: unknown): ConfigError => {
  const where = whereIs(imported, thrown)
  const file = where === undefined || where.file === real(imported.file)
    ? imported.file
    : Path.relative(process.cwd(), where.file)
  const problem = {
    path: [],
    message: `${says}${wordsOf(thrown)}`,
    hint: hintOf(thrown),
    place: where && placeOf(where)
  }
  return new ConfigError({ file, problems: [problem] })
}

const real = (file: string): string => {
  try {
    return Fs.realpathSync(file)
  } catch {
    return Path.resolve(file)
  }
}

const property = (thrown: unknown, key: string): string | undefined => {
  const value: unknown = thrown instanceof Error ? Reflect.get(thrown, key) : undefined
  return typeof value === "string" ? value : undefined
}

const hintOf = (thrown: unknown): string | undefined => {
  const code = property(thrown, "code")
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
    return "Node takes the types away and compiles nothing: no enum, no namespace with code, no parameter properties"
  }
  if (code === "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING") return "in node_modules, Node wants JavaScript"
  if (code === "ERR_MODULE_NOT_FOUND" && /Cannot find package/.test(wordsOf(thrown))) {
    return "a package has to be installed where the module is"
  }
  return undefined
}

// Node puts the file, the line and mostly a caret before the stack of an error of syntax.
const arrow =
  /^(?<file>(?:file:\/\/)?\/[^\n]*?)(?:\?[^\n]*)?:(?<line>\d+)\n(?:(?:[^\n]+\n)*?(?<before> *)(?<carets>\^+)\n)?/
const frame = /(?<file>file:\/\/\/[^\s?)]*|\/[^\s?():]+)(?:\?[^\s:)]*)?:(?<line>\d+):(?<column>\d+)\)?$/gm

const whereIs = ({ files, folder }: Imported, thrown: unknown): Where | undefined => {
  const stack = property(thrown, "stack") ?? ""
  const first = arrowOf(stack)
  if (first !== undefined) return first
  for (const { groups } of stack.matchAll(frame)) {
    const file = pathOf(groups!["file"]!)
    if (file.startsWith(folder + Path.sep) && !file.includes(`${Path.sep}node_modules${Path.sep}`)) {
      return { file, line: Number(groups!["line"]), column: Number(groups!["column"]), length: 1 }
    }
  }
  const last = [...files].at(-1)
  return thrown instanceof SyntaxError && last !== undefined ? parsed(last) : undefined
}

const arrowOf = (stack: string): Where | undefined => {
  const { before, carets = "", file, line } = arrow.exec(stack)?.groups ?? {}
  if (file === undefined) return undefined
  return {
    file: pathOf(file),
    line: Number(line),
    column: before === undefined ? undefined : before.length + 1,
    length: carets.length
  }
}

const pathOf = (file: string): string => file.startsWith("file:") ? fileURLToPath(file) : file

// Of JavaScript, the engine says where in a way that only the console is told. The parser of TypeScript tells.
const parsed = (file: string): Where | undefined => {
  try {
    Module.stripTypeScriptTypes(Fs.readFileSync(file, "utf8"), { sourceUrl: file })
  } catch (cause) {
    return arrowOf(property(cause, "stack") ?? "")
  }
  return undefined
}

const placeOf = ({ column, file, length, line }: Where): Place | undefined => {
  try {
    const text = Fs.readFileSync(file, "utf8").split(/\r?\n/)[line - 1]
    if (text === undefined) return undefined
    const start = text.search(/\S|$/) + 1
    return column === undefined
      ? { line, column: start, text: masked(text), length: text.trimEnd().length - start + 1 }
      : { line, column, text: masked(text), length }
  } catch {
    return undefined
  }
}
