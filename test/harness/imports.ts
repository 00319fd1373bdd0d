import * as Fs from "node:fs"
import * as Path from "node:path"
import { parseAst } from "vitest/node"

const isNode = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/**
 * Every module that the source text names: in imports and exports, of values and of types, static and dynamic.
 */
export const specifiers = (source: string): ReadonlyArray<string> => {
  const found = new Set<string>()
  const visit = (node: unknown): void => {
    if (!isNode(node)) return
    if (
      ["ImportDeclaration", "ExportNamedDeclaration", "ExportAllDeclaration", "ImportExpression", "TSImportType"]
        .includes(node["type"] as string)
    ) {
      const literal = node["source"]
      if (isNode(literal)) found.add(typeof literal["value"] === "string" ? literal["value"] : "<computed>")
    }
    for (const child of Object.values(node)) {
      if (Array.isArray(child)) child.forEach(visit)
      else visit(child)
    }
  }
  visit(parseAst(source, { lang: "ts" }))
  return [...found].toSorted()
}

/**
 * The imports of every source file of a package that leave the package, as `file -> specifier` pairs. A relative import
 * that leaves it counts.
 */
export const foreignImports = (folder: string): ReadonlyArray<readonly [file: string, specifier: string]> => {
  const src = Path.join(folder, "src")
  return Fs.globSync("**/*.ts", { cwd: src }).toSorted().flatMap((file) =>
    specifiers(Fs.readFileSync(Path.join(src, file), "utf8"))
      .filter((specifier) =>
        !specifier.startsWith(".") ||
        Path.relative(src, Path.resolve(src, Path.dirname(file), specifier)).startsWith("..")
      )
      .map((specifier) => [file, specifier] as const)
  )
}
