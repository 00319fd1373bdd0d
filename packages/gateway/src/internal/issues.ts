import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { Path } from "./ConfigText.ts"
import { secretKey } from "./fields.ts"
import { suggest } from "./suggest.ts"

/** What a schema has found, with the path to it. */
export interface Finding {
  readonly path: Path
  readonly at: "key" | "value"
  readonly expected: string
  readonly kind: "unexpected" | "missing" | "wrong"
  readonly hint?: string | undefined
  readonly isSecret: boolean
}

/** Everything that a schema has found. */
export const findings = (issue: SchemaIssue.Issue): ReadonlyArray<Finding> => {
  const seen = new Set<string>()
  // Two checks of one value may say the same.
  return look(issue, [], undefined).filter(({ expected, kind, path }) => {
    const key = JSON.stringify([path, kind === "wrong" ? expected : kind])
    return !seen.has(key) && seen.add(key)
  })
}

const look = (issue: SchemaIssue.Issue, path: Path, within: SchemaAST.AST | undefined): ReadonlyArray<Finding> => {
  switch (issue._tag) {
    case "Pointer":
      return look(
        issue.issue,
        [...path, ...issue.path.map((key) => typeof key === "symbol" ? String(key) : key)],
        within
      )
    case "Encoding":
      return look(issue.issue, path, within)
    case "Composite": {
      const found = issue.issues.flatMap((inner) => look(inner, path, issue.ast))
      // A key that is misspelt is not missing, too.
      const meant = new Set(
        found.flatMap(({ hint, kind, path }) =>
          kind === "unexpected" && hint !== undefined ? [JSON.stringify([...path.slice(0, -1), hint])] : []
        )
      )
      return found.filter(({ kind, path }) => kind !== "missing" || !meant.has(JSON.stringify(path)))
        .map((finding) => isSecret(issue.ast) ? { ...finding, isSecret: true } : finding)
    }
    case "Filter": {
      const { annotations } = issue.filter
      const inner = issue.issue
      const said = "annotations" in inner ? inner.annotations?.message : undefined
      const expected = typeof said === "string" ? said : annotations?.expected
      return [wrong(path, typeof expected === "string" ? expected : "something else", within)]
    }
    case "AnyOf":
      return nearest(issue, path)
    case "MissingKey": {
      const key = path.at(-1)
      // Of a list that has to have some.
      if (typeof key === "number") return [wrong(path.slice(0, -1), "a list that is not empty", within)]
      const field = signatures(within).find(({ name }) => name === key)
      return [{
        path,
        at: "key",
        kind: "missing",
        expected: field !== undefined ? describe(field.type) : typeof key === "number" ? "at least one" : "it",
        isSecret: false
      }]
    }
    case "UnexpectedKey": {
      const key = String(path.at(-1))
      const known = signatures(issue.ast).map(({ name }) => String(name))
      const hint = suggest(key, known)
      const index = issue.ast._tag === "Objects" ? issue.ast.indexSignatures[0] : undefined
      const expected = index !== undefined
        ? `${describe(index.parameter)} as a key`
        : `one of ${known.join(", ")}`
      return [{ path, at: "key", kind: "unexpected", expected, hint, isSecret: false }]
    }
    case "InvalidType":
      return [wrong(path, describe(issue.ast), issue.ast)]
    default:
      return [wrong(path, "something else", undefined)]
  }
}

const wrong = (path: Path, expected: string, ast: SchemaAST.AST | undefined): Finding => ({
  path,
  at: "value",
  kind: "wrong",
  expected,
  isSecret: isSecret(ast)
})

// Of several shapes that a value may have, the one that it is most like; the union itself if there is no such one.
const nearest = (issue: SchemaIssue.AnyOf, path: Path): ReadonlyArray<Finding> => {
  const branches = issue.issues.map((inner) => look(inner, path, undefined))
  const strangers = (found: ReadonlyArray<Finding>) =>
    found.filter(({ kind, path: at }) => kind !== "wrong" && at.length === path.length + 1).length
  const least = Math.min(...branches.map(strangers))
  const best = branches.filter((found) =>
    strangers(found) === least && found.every(({ path: at }) => at.length > path.length)
  )
  if (best.length === 1) return best[0]!
  const hint = branches.flat().find(({ hint }) => hint !== undefined)?.hint
  return [{ ...wrong(path, describe(issue.ast), issue.ast), hint }]
}

const signatures = (ast: SchemaAST.AST | undefined): ReadonlyArray<SchemaAST.PropertySignature> =>
  ast?._tag === "Objects" ? ast.propertySignatures : []

const isSecret = (ast: SchemaAST.AST | undefined): boolean => ast?.annotations?.[secretKey] === true

/** What a schema expects, in words. */
const describe = (ast: SchemaAST.AST): string => {
  const expected = ast.annotations?.["expected"]
  if (typeof expected === "string") return expected
  switch (ast._tag) {
    case "Objects":
      return "a mapping"
    case "Arrays":
      return "a list"
    case "Literal":
      return String(ast.literal)
    case "Union": {
      const all = [...new Set(ast.types.map(describe))]
      return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} or ${all.at(-1)}`
    }
    default:
      return ast._tag.toLowerCase()
  }
}
