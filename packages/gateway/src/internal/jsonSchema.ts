import * as Schema from "effect/Schema"
import { ConfigSchema } from "../ConfigSchema.ts"

type Json = { readonly [key: string]: unknown }

/** The JSON Schema of a config file, for editors. */
export const jsonSchema = (): Json => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(ConfigSchema)
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Blackgate",
    ...(rewrite(schema) as Json),
    ...(Object.keys(definitions).length === 0 ? {} : { $defs: rewrite(definitions) })
  }
}

const rewrite = (node: unknown): unknown => {
  if (Array.isArray(node)) return node.map(rewrite)
  if (!(node instanceof Object)) return node
  const { allOf, ...given } = node as Json
  const rest: Record<string, unknown> = given
  const others: Array<Json> = []
  // Where all that there is to say besides is a description, editors show it only at the value itself.
  for (const each of (allOf ?? []) as ReadonlyArray<Json>) {
    if (Object.keys(each).every((key) => key === "description")) Object.assign(rest, each)
    else others.push(each)
  }
  const made: Record<string, unknown> = Object.fromEntries(
    Object.entries(others.length === 0 ? rest : { ...rest, allOf: others }).map(([key, value]) => [
      key,
      key === "properties" || key === "patternProperties"
        ? Object.fromEntries(Object.entries(value as Json).map(([name, each]) => [name, rewrite(each)]))
        : rewrite(value)
    ])
  )
  // What is not known is refused, and a key without a value is none.
  if (made["type"] === "object" && made["properties"] !== undefined) made["additionalProperties"] = false
  return substitutable(made)
}

const reference = { type: "string", pattern: "\\$\\{" }

/** A value may come from the environment, whatever it is. */
const substitutable = (schema: Record<string, unknown>): Json => {
  const { description, ...rest } = schema
  const isPlain = rest["type"] === "string" && Object.keys(rest).length === 1
  if (isPlain || !/^(?:string|number|integer|boolean)$/.test(String(rest["type"]))) return schema
  return { ...(description === undefined ? {} : { description }), anyOf: [rest, reference] }
}
