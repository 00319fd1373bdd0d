import { assert, describe, it } from "vitest"
import { halfSipHash, hashed } from "../../packages/core/src/internal/halfSipHash.ts"

const hash = (text: string, key0 = 1, key1 = 2) => {
  halfSipHash(text, key0, key1)
  return `${hashed[0]},${hashed[1]}`
}

interface Variant {
  /** Rounds for each word, and in the end. */
  readonly rounds: readonly [number, number]
  readonly bits: 32 | 64
}

/** HalfSipHash of any rounds, byte for byte as the paper and its reference code describe it, in hexadecimal as they print it. */
const reference = (bytes: Uint8Array, key: Uint8Array, { bits, rounds: [each, last] }: Variant): string => {
  const word = (of: Uint8Array, at: number) => new DataView(of.buffer, of.byteOffset).getUint32(at, true)
  const rotated = (n: number, by: number) => ((n << by) | (n >>> (32 - by))) >>> 0
  const [k0, k1] = [word(key, 0), word(key, 4)]
  let [a, b, c, d] = [k0, k1 ^ (bits === 64 ? 0xee : 0), 0x6c796765 ^ k0, 0x74656462 ^ k1]
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      a = (a + b) >>> 0
      b = rotated(b, 5) ^ a
      a = rotated(a, 16)
      c = (c + d) >>> 0
      d = rotated(d, 8) ^ c
      a = (a + d) >>> 0
      d = rotated(d, 7) ^ a
      c = (c + b) >>> 0
      b = rotated(b, 13) ^ c
      c = rotated(c, 16)
    }
  }
  const padded = new Uint8Array((bytes.length & ~3) + 4)
  padded.set(bytes)
  padded[padded.length - 1] = bytes.length
  for (let at = 0; at < padded.length; at += 4) {
    d ^= word(padded, at)
    rounds(each)
    a ^= word(padded, at)
  }
  const out = new DataView(new ArrayBuffer(bits / 8))
  c ^= bits === 64 ? 0xee : 0xff
  rounds(last)
  out.setUint32(0, b ^ d, true)
  if (bits === 64) {
    b ^= 0xdd
    rounds(last)
    out.setUint32(4, b ^ d, true)
  }
  return Buffer.from(out.buffer).toString("hex")
}

const upTo = (length: number) => Uint8Array.from({ length }, (_, i) => i)
const key = upTo(8)

/** The same bytes that the code units of a text are, the low one first. */
const hashedBytes = (bytes: Uint8Array): string => {
  halfSipHash(Buffer.from(bytes).toString("utf16le"), 0x03020100, 0x07060504)
  const out = Buffer.alloc(8)
  out.writeInt32LE(hashed[0]!, 0)
  out.writeInt32LE(hashed[1]!, 4)
  return out.toString("hex")
}

describe("HalfSipHash", () => {
  // Of the key 00 … 07, for the inputs "", 00, 00 01, …
  it("as it is tested here gives the published vectors: vectors.h of the reference code, and those of Linux's hsiphash", () => {
    const published: ReadonlyArray<readonly [Variant, ReadonlyArray<string>]> = [
      [{ rounds: [2, 4], bits: 32 }, ["a9359f5b", "27475ab8", "fa62a603", "8afee704", "2a6e4689", "c5fab669"]],
      [{ rounds: [2, 4], bits: 64 }, [
        "218d1f59b9b83cc8",
        "be552412f8387315",
        "064f39ef7c50eb57",
        "ce0f1a45f7060679",
        "d5e78a175be52ea1"
      ]],
      // Linux gives them as numbers: 0x5814c896, 0xe7e864ca, …
      [{ rounds: [1, 3], bits: 32 }, ["96c81458", "ca64e8e7", "300e4bbc", "39995301", "a69e057e", "9bd8e388"]]
    ]
    for (const [variant, vectors] of published) {
      assert.deepStrictEqual(vectors.map((_, length) => reference(upTo(length), key, variant)), vectors)
    }
  })

  it("is that of 64 bits with 1 round for each word and 3 in the end, of the code units of a text", () => {
    for (let length = 0; length < 600; length += 2) {
      const bytes = upTo(length)
      assert.strictEqual(hashedBytes(bytes), reference(bytes, key, { rounds: [1, 3], bits: 64 }), `${length} bytes`)
    }
  })
})

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
