// Writes the reference page of the config file from its schema: `node test/gateway/configReference.ts > docs/config-reference.md`.
import { jsonSchema } from "../../packages/gateway/src/internal/jsonSchema.ts"

interface Json {
  readonly type?: string
  readonly description?: string
  readonly properties?: Record<string, Json>
  readonly patternProperties?: Record<string, Json>
  readonly additionalProperties?: boolean | Json
  readonly required?: ReadonlyArray<string>
  readonly items?: Json | false
  readonly prefixItems?: ReadonlyArray<Json>
  readonly anyOf?: ReadonlyArray<Json>
  readonly enum?: ReadonlyArray<unknown>
  readonly pattern?: string
}

// What stands for a value from the environment is the same everywhere.
const isReference = ({ pattern }: Json) => pattern === "\\$\\{"

const shapes = (schema: Json): ReadonlyArray<Json> =>
  schema.anyOf === undefined ? [schema] : schema.anyOf.filter((each) => !isReference(each)).flatMap(shapes)

const elementOf = ({ items, prefixItems }: Json): Json | undefined => prefixItems?.[0] ?? (items || undefined)

const valueOf = (schema: Json): Json | undefined =>
  Object.values(schema.patternProperties ?? {})[0]
    ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined)

const kind = (schema: Json): string =>
  [
    ...new Set(
      shapes(schema).map((shape) => {
        if (shape.enum !== undefined) return shape.enum.map((value) => `\`${String(value)}\``).join(", ")
        if (shape.type === "array") return "list"
        if (shape.type === "object") {
          return shape.properties === undefined ? "by name" : "mapping"
        }
        if (shape.type === "integer") return "whole number"
        return shape.type === "string" ? "text" : shape.type ?? "anything"
      })
    )
  ].join(" or ")

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, i) => Math.max(3, ...rows.map((row) => row[i]!.length)))
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`
  return [line(rows[0]!), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join("\n")
}

const sections = (path: string, schema: Json): ReadonlyArray<string> => {
  const own = shapes(schema).filter(({ properties }) => properties !== undefined)
  const rows = own.flatMap(({ properties = {}, required = [] }) =>
    Object.entries(properties).map(([name, each]) => [
      required.includes(name) && own.length === 1 ? `\`${name}\` (required)` : `\`${name}\``,
      kind(each),
      (each.description ?? "").replaceAll("<", "\\<")
    ])
  )
  const here = rows.length === 0
    ? []
    : [`## ${path === "" ? "The file" : `\`${path}\``}\n\n${table([["key", "", ""], ...rows])}`]
  const below = shapes(schema).flatMap((shape) => [
    ...Object.entries(shape.properties ?? {}).flatMap(([name, each]) =>
      sections(path === "" ? name : `${path}.${name}`, each)
    ),
    ...[elementOf(shape)].flatMap((each) => each === undefined ? [] : sections(`${path}[]`, each)),
    ...[valueOf(shape)].flatMap((each) => each === undefined ? [] : sections(`${path}.<name>`, each))
  ])
  return [...here, ...below]
}

// What may be one or a list of them is told of once.
const once = (all: ReadonlyArray<string>): ReadonlyArray<string> => {
  const key = (section: string) => section.replace(/^## .*$/m, (head) => head.replaceAll("[]", ""))
  return all.filter((section, i) => all.findIndex((other) => key(other) === key(section)) === i)
}

/** The page. */
export const reference = (): string =>
  [
    "# The config file: reference",
    "Made from the schema that checks the file; [the tour](config.md) says how it fits together. A duration has a unit: `500ms`, `5s`,\n"
    + "`1m`, `2h`. Any value may be `${NAME}`, `${NAME:-default}` or `${file:path}`.",
    ...once(sections("", jsonSchema() as Json))
  ].join("\n\n") + "\n"

if (import.meta.main) process.stdout.write(reference())
