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
export const wordsOf = (thrown: unknown): string => {
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

// Node puts the file, the line and a caret before the stack of an error of syntax.
const arrow =
  /^(?<file>(?:file:\/\/)?\/[^\n]*?)(?:\?[^\n]*)?:(?<line>\d+)\n(?<text>[^\n]*\n(?:[^\n]*\n)?)?(?<caret> *)\^/
const frame = /(?<file>file:\/\/\/[^\s?)]*|\/[^\s?():]+)(?:\?[^\s:)]*)?:(?<line>\d+):(?<column>\d+)\)?$/gm

const whereIs = ({ files, folder }: Imported, thrown: unknown): Where | undefined => {
  const stack = property(thrown, "stack") ?? ""
  const first = arrow.exec(stack)?.groups
  if (first !== undefined) {
    return { file: pathOf(first["file"]!), line: Number(first["line"]), column: undefined }
  }
  for (const { groups } of stack.matchAll(frame)) {
    const file = pathOf(groups!["file"]!)
    if (file.startsWith(folder + Path.sep) && !file.includes(`${Path.sep}node_modules${Path.sep}`)) {
      return { file, line: Number(groups!["line"]), column: Number(groups!["column"]) }
    }
  }
  const last = [...files].at(-1)
  return thrown instanceof SyntaxError && last !== undefined ? parsed(last) : undefined
}

const pathOf = (file: string): string => file.startsWith("file:") ? fileURLToPath(file) : file

// Of JavaScript, the engine says where in a way that only the console is told. The parser of TypeScript tells.
const parsed = (file: string): Where | undefined => {
  try {
    Module.stripTypeScriptTypes(Fs.readFileSync(file, "utf8"), { sourceUrl: file })
  } catch (cause) {
    const line = arrow.exec(property(cause, "stack") ?? "")?.groups?.["line"]
    if (line !== undefined) return { file, line: Number(line), column: undefined }
  }
  return undefined
}

const placeOf = ({ column, file, line }: Where): Place | undefined => {
  try {
    const text = Fs.readFileSync(file, "utf8").split(/\r?\n/)[line - 1]
    if (text === undefined) return undefined
    const start = text.search(/\S|$/) + 1
    return {
      line,
      column: column ?? start,
      text: masked(text),
      length: column === undefined ? text.trimEnd().length - start + 1 : 1
    }
  } catch {
    return undefined
  }
}
