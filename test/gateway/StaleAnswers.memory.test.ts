import { assert, describe, it } from "@effect/vitest"
import type { HttpBody } from "effect/http"
import { PassThrough, type Readable } from "node:stream"
import { finished } from "node:stream/promises"
import { answering, asking, clocked } from "./staleAnswers.ts"

describe("room", () => {
  const at = (i: number) => asking({}, { url: `/${i}` })

  it("beyond so many, the oldest makes room", () => {
    const { answers, found } = clocked({ maxEntries: 2 })
    for (const i of [1, 2, 1, 3]) answers.keep(answering(`a${i}`), at(i))
    assert.deepStrictEqual([1, 2, 3].map((i) => found(at(i))), ["a1", undefined, "a3"])
  })

  it("beyond so many bytes, too", () => {
    const { answers, found } = clocked({ maxBytes: 1000 })
    for (const i of [1, 2, 3]) answers.keep(answering(String(i).repeat(400)), at(i))
    assert.deepStrictEqual([1, 2, 3].map((i) => found(at(i))?.[0]), [undefined, "2", "3"])
  })

  it("of one URL there are no more than 32, however its answers vary", () => {
    const { answers, found } = clocked()
    const as = (i: number) => asking({ "user-agent": String(i) })
    for (let i = 0; i < 33; i++) answers.keep(answering(String(i), { vary: "user-agent" }), as(i))
    assert.deepStrictEqual([0, 1, 32].map((i) => found(as(i))), [undefined, "1", "32"])
  })

  it("what a client has sent of what Vary names is counted, too", () => {
    const { answers, found } = clocked()
    const as = (i: number) => asking({ "user-agent": String(i).repeat(20_000) }, { url: `/${i}` })
    for (const i of [1, 2, 3]) answers.keep(answering("x", { vary: "user-agent" }), as(i))
    assert.deepStrictEqual([1, 2, 3].map((i) => found(as(i))), [undefined, "x", "x"])
  })

  it("one keeps no more memory than its own bytes, however it came", async () => {
    const { answers } = clocked()
    const bodies = [Buffer.from("pooled"), Buffer.concat([Buffer.from("a"), Buffer.from("b")])]
    for (const [i, chunk] of bodies.entries()) {
      const stream = new PassThrough()
      const kept = answers.keep(answering(stream), asking({}, { url: `/${i}` }))
      stream.end(chunk)
      await finished((kept.body as unknown as { readonly body: Readable }).body.resume())
      const found = answers.find(asking({}, { url: `/${i}` }))
      const { body } = found!.body as unknown as { readonly body: Uint8Array }
      assert.deepStrictEqual([body.buffer.byteLength, Buffer.from(body)], [chunk.length, chunk])
    }
  })

  it("one that is too long is not kept", () => {
    const { answers, found } = clocked({ maxBodySize: 3 })
    answers.keep(answering("abcd"), at(1))
    assert.isUndefined(found(at(1)))
  })

  it("what is still coming counts, and what broke off does not any more", async () => {
    const { answers, found } = clocked({ maxBytes: 1000, maxBodySize: 1000 })
    const streamed = (i: number) => {
      const source = new PassThrough()
      const { body } = answers.keep(answering(source), at(i))
      const tapped = (body as HttpBody.Raw).body as Readable
      const read: Array<Buffer> = []
      tapped.on("data", (chunk: Buffer) => read.push(chunk)).on("error", () => {})
      return { source, tapped, read }
    }
    const first = streamed(1)
    first.source.write("x".repeat(600))
    await new Promise(setImmediate)
    const second = streamed(2)
    second.source.end("y".repeat(600))
    await finished(second.tapped)
    // It came whole, although there was no room to keep it.
    assert.deepStrictEqual([Buffer.concat(second.read).length, found(at(2))], [600, undefined])
    first.source.destroy(new Error("it broke off"))
    await new Promise(setImmediate)
    const third = streamed(3)
    third.source.end("z".repeat(600))
    await finished(third.tapped)
    assert.deepStrictEqual([found(at(1)), found(at(3))?.length], [undefined, 600])
  })
})
