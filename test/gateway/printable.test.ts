import { assert, describe, it } from "@effect/vitest"
import { printable, printableJson, quotable } from "../../packages/gateway/src/internal/printable.ts"

const all = Array.from({ length: 0x2100 }, (_, i) => String.fromCharCode(i)).join("")
// oxlint-disable-next-line no-control-regex
const commands = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/

describe("printable", () => {
  it("leaves nothing that a terminal takes for a command, and everything else", () => {
    assert.strictEqual(printable("a\u001b[31mb\u009b1mc\r\u2028"), "a\\x1b[31mb\\x9b1mc\\x0d\\u2028")
    assert.strictEqual(printable("two\nlines\t ünï ☃ 𝒳 \"\\"), "two\nlines\t ünï ☃ 𝒳 \"\\")
    assert.notMatch(printable(all), commands)
  })

  it("of what stands between quotes nothing ends them, or the line", () => {
    assert.strictEqual(quotable("a\"b\\c\nd\te"), "a\\x22b\\x5cc\\x0ad\\x09e")
    assert.notMatch(quotable(all), /["\n\t]/)
  })

  it("JSON is the same value", () => {
    const json = printableJson(JSON.stringify(all))
    assert.notMatch(json, commands)
    assert.strictEqual(JSON.parse(json), all)
  })
})
