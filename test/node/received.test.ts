import { assert, describe, it } from "@effect/vitest"
import { fieldsOf } from "../../packages/node/src/internal/received.ts"

const text = "HTTP/1.1 200 OK\r\nX-One: 1\r\nx-two:  caf\u00e9 and more than that\r\nX-One:\r\n\r\n"
const chunk = Buffer.from(text, "latin1")

/** A part of the chunk, as undici cuts them. */
const cut = (part: string, after = 0): Buffer => {
  const start = chunk.indexOf(part, after, "latin1")
  return Buffer.from(chunk.buffer, chunk.byteOffset + start, part.length)
}
const parts = () => [
  cut("X-One"),
  cut("1", 17),
  cut("x-two"),
  cut("caf\u00e9 and more than that"),
  cut("X-One", 30),
  cut("", 0)
]
const fields = ["X-One", "1", "x-two", "caf\u00e9 and more than that", "X-One", ""]

describe("the fields of a head that came in one chunk", () => {
  it("are those that are read part by part", () => {
    const last = parts().slice(0, 4)
    assert.deepStrictEqual(fieldsOf(last, {}, chunk), fields.slice(0, 4))
    assert.deepStrictEqual(fieldsOf(last, {}, chunk), fieldsOf(last, {}))
  })

  it("are read part by part where the last one is empty, and stands nowhere", () =>
    assert.deepStrictEqual(fieldsOf(parts(), {}, chunk), fields))

  it("are none where there are none", () => assert.deepStrictEqual(fieldsOf([], {}, chunk), []))

  it("are read part by part where one was put together from several, which stands in another place", () => {
    const [name, value, next] = parts()
    const folded = Buffer.concat([value!, Buffer.from(" folded")])
    assert.deepStrictEqual(fieldsOf([name!, folded, next!, value!], {}, chunk), ["X-One", "1 folded", "x-two", "1"])
    assert.deepStrictEqual(fieldsOf([name!, folded], {}, chunk), ["X-One", "1 folded"])
    assert.deepStrictEqual(fieldsOf([folded, name!], {}, chunk), ["1 folded", "X-One"])
  })

  it("are read part by part where they are in another chunk", () => {
    const other = Buffer.from(text, "latin1")
    assert.deepStrictEqual(fieldsOf(parts().slice(0, 4), {}, other), fields.slice(0, 4))
    const beyond = chunk.subarray(0, chunk.indexOf("that"))
    assert.deepStrictEqual(fieldsOf(parts().slice(0, 4), {}, beyond), fields.slice(0, 4))
  })

  it("may have more names than are remembered", () => {
    for (let i = 100; i < 200; i++) {
      const head = Buffer.from(`X-${i}: ${i}`)
      const pair = [head.subarray(0, 5), head.subarray(7)]
      assert.deepStrictEqual(fieldsOf(pair, {}, head), [`X-${i}`, `${i}`])
    }
  })

  it("may have names longer than are remembered", () => {
    const name = "x".repeat(100)
    const head = Buffer.from(`${name}: 1`)
    assert.deepStrictEqual(fieldsOf([head.subarray(0, 100), head.subarray(102)], {}, head), [name, "1"])
  })
})
