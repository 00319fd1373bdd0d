import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { parse } from "../../packages/gateway/src/Config.ts"

const read = (text: string) => parse(text, { file: "blackgate.yml", env: {}, readFile: () => "" })

const problems = (text: string) => Effect.map(Effect.flip(read(text)), ({ problems }) => problems)

const lines = (count: number, line: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n")

describe("what unfolds to more than a config has", () => {
  const bombs = {
    aliases: `a0: &a0 x\n${lines(20, (i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(", ")}]`)}`,
    // Of empty mappings, so that there is never anything to be read.
    merges: `a0: &a0 {}\n${lines(60, (i) => `a${i + 1}: &a${i + 1} { <<: [*a${i}, *a${i}] }`)}`
  }
  for (const [name, text] of Object.entries(bombs)) {
    it.effect(`${name} are too large, once`, () =>
      Effect.map(
        problems(text),
        (found) => assert.deepStrictEqual(found.flatMap(({ message = [] }) => message), ["it is too large"])
      ))
  }

  it.effect("a chain of merges is too deep, once", () =>
    Effect.map(
      problems(`a0: &a0 {}\n${lines(1500, (i) => `a${i + 1}: &a${i + 1} { <<: *a${i} }`)}`),
      (found) => assert.deepStrictEqual(found.flatMap(({ message = [] }) => message), ["it is nested too deeply"])
    ))

  it.effect("thirty thousand aliases are read in one walk, not one each", () =>
    Effect.gen(function*() {
      const proxy = "&p { name: a, upstream_url: http://a }"
      const { config } = yield* read(`proxies: [${proxy}, ${Array(30_000).fill("*p").join(", ")}]`)
      assert.strictEqual(config.proxies?.length, 30_001)
    }), 10_000)
})

describe("anchors", () => {
  it.effect("an alias is of the last one of its name before it", () =>
    Effect.gen(function*() {
      const proxy = (name: string, anchor: string) => `${anchor}{ name: ${name}, upstream_url: http://a }`
      const { config } = yield* read(`proxies: [${proxy("a", "&p ")}, *p, ${proxy("b", "&p ")}, *p]`)
      assert.deepStrictEqual(config.proxies?.map(({ name }) => name), ["a", "a", "b", "b"])
    }))

  it.effect("one that comes later is not there", () =>
    Effect.map(
      problems("groups: { a: *b }\nproxies: &b []"),
      ([first]) => assert.strictEqual(first?.message, "there is no anchor &b")
    ))

  it.effect("what is in itself is refused", () =>
    Effect.map(problems("groups: &a { b: *a }"), ([first]) => assert.strictEqual(first?.message, "it contains itself")))
})

describe("keys", () => {
  for (const key of ["__proto__", "\"__proto__\"", "? [a]\n", "? { a: 1 }\n", "null"]) {
    it.effect(`${JSON.stringify(key)} is none`, () =>
      Effect.map(
        problems(`groups:\n  ${key}: { pool: { max_concurrent: 1 } }`),
        (found) => {
          assert.strictEqual(found[0]?.message, "expected text for a key")
          assert.isUndefined(Reflect.get({}, "pool"))
        }
      ))
  }

  it.effect("what every object has is a name like any other", () =>
    Effect.gen(function*() {
      const { config } = yield* read(
        "groups: { constructor: { pool: { max_concurrent: 1 } }, toString: { pool: { max_concurrent: 2 } } }"
      )
      assert.deepStrictEqual(Object.keys(config.groups!), ["constructor", "toString"])
    }))

  it.effect("two that read the same are one too many, however they are written", () =>
    Effect.map(
      problems("groups:\n  1: { pool: { max_concurrent: 1 } }\n  \"1\": { pool: { max_concurrent: 2 } }"),
      (found) => assert.strictEqual(found[0]?.message, "it is there already, in line 2")
    ))
})

describe("tags", () => {
  it.effect("that mean something to another program are refused, and what they stand at is not taken as text", () =>
    Effect.gen(function*() {
      const found = yield* problems(
        "admin: { token: !secret admin_token }\nport: !ENV X\nroutes: !!js/function []\nlog: !!map { level: !!str info }\n"
      )
      assert.deepStrictEqual(found.map(({ message, path }) => [path.join("."), message?.split(":")[0]]), [
        ["admin.token", "the tag !secret means nothing here"],
        ["port", "the tag !ENV means nothing here"],
        ["routes", "the tag !!js/function means nothing here"]
      ])
    }))
})
