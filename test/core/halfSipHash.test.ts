import { assert, describe, it } from "vitest"
import { halfSipHash, hashed } from "../../packages/core/src/internal/halfSipHash.ts"

const hash = (text: string, key0 = 1, key1 = 2) => {
  halfSipHash(text, key0, key1)
  return `${hashed[0]},${hashed[1]}`
}

describe("a keyed hash", () => {
  it("is another one for each text, however alike, and for each key", () => {
    const texts = [
      "",
      "\0",
      "\0\0",
      "a",
      "b",
      "ab",
      "ba",
      "a\0",
      "\0a",
      "abc",
      "ab\0",
      "a".repeat(128),
      "a".repeat(129),
      "ä",
      "a\u0100"
    ]
    assert.strictEqual(new Set(texts.map((text) => hash(text))).size, texts.length)
    assert.strictEqual(hash("abc"), hash("abc"))
    assert.notStrictEqual(hash("abc", 1, 2), hash("abc", 1, 3))
    assert.notStrictEqual(hash("abc", 1, 2), hash("abc", 3, 2))
  })

  it("spreads keys that count up over all places", () => {
    const places = new Int32Array(64)
    for (let i = 0; i < 64_000; i++) {
      halfSipHash(`user ${i}`, 3, 4)
      places[(hashed[0]! >>> 0) % 64]!++
    }
    assert.isAbove(Math.min(...places), 850)
    assert.isBelow(Math.max(...places), 1150)
  })
})
