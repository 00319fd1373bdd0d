import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import * as Fs from "node:fs"
import { parse } from "../../packages/gateway/src/Config.ts"
import { planOf } from "../../packages/gateway/src/internal/Plan.ts"

const page = (path: string) => Fs.readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
const texts = [
  page("examples/blackgate.yml"),
  page("packages/gateway/template.yml").replaceAll(/^ *# ?(?=[a-z -])/gm, "")
]

const pieces = [
  "&a ",
  "*a",
  "<<: *a\n",
  "- ",
  ": ",
  "{",
  "}",
  "[",
  "]",
  "\"",
  "'",
  "|\n",
  "\t",
  "\n",
  "  ",
  "!!binary x",
  "? ",
  "---\n",
  "...\n",
  "#",
  "${",
  "${A}",
  "${file:x}",
  "$${",
  "null",
  "~",
  ".inf",
  "1e999",
  "-0",
  "0x1f",
  "\u0000",
  "\u2028",
  "\\u0041",
  "__proto__: 1\n",
  "constructor: {}\n",
  "(?P<a>",
  "\\9",
  "*a\n"
]

/** Text of a config in which something was put, cut or doubled. */
const broken = fc.record({
  text: fc.constantFrom(...texts),
  edits: fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.nat(12),
      put: fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 5 }))
    }),
    { minLength: 1, maxLength: 6 }
  )
}).map(({ edits, text }) =>
  edits.reduce((made, { at, cut, put }) => {
    const from = Math.floor(at * made.length)
    return made.slice(0, from) + put + made.slice(from + cut)
  }, text)
)

const readFile = () => {
  throw new Error("ENOENT")
}

describe("Config", () => {
  it("whatever a file says, it is good, or told where it is wrong", () => {
    fc.assert(
      fc.property(broken, (text) => {
        const read = parse(text, { file: "f", env: { A: "a: b" }, readFile })
        const result = Effect.runSync(Effect.result(Effect.flatMap(read, (loaded) => planOf(loaded, readFile))))
        if (result._tag === "Success") return
        const { message, problems } = result.failure
        assert.isNotEmpty(problems)
        assert.isString(message)
        const lines = text.split("\n")
        for (const { place } of problems) {
          if (place === undefined) continue
          assert.isTrue(place.line >= 1 && place.line <= lines.length + 1 && place.column >= 1)
        }
      }),
      { numRuns: 1000, seed: 9654 }
    )
  }, 120_000)
})
