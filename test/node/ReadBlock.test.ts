import { Proxy } from "@blackgate/http"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import * as Http from "node:http"
import { pipeline, Readable } from "node:stream"
import { ReadBlock } from "../../packages/node/src/internal/ReadBlock.ts"
import { counted, digestOf, MiB } from "../harness/counted.ts"
import * as Gateway from "../harness/Gateway.ts"
import * as HttpUpstream from "../harness/HttpUpstream.ts"

/** Those that have come back, and are taken out again so that one test does not see another's. */
const waiting = (): ReadonlyArray<ReadBlock> => Array.from({ length: ReadBlock.free }, () => ReadBlock.take())
afterEach(() => void waiting())

const comesBack = (block: ReadBlock): boolean => waiting().includes(block)

describe("a block is used again when nobody has to do with it any more", () => {
  it("not while a part of it is being written, not before the last part has come, and once", () => {
    const block = ReadBlock.take()
    block.begin()
    block.begin()
    block.end(false)
    assert.isFalse(comesBack(block), "the second write is under way")
    block.leave()
    assert.isFalse(comesBack(block), "it still is")
    block.end(false)
    assert.isTrue(comesBack(block))
    const other = ReadBlock.take()
    other.begin()
    other.end(false)
    assert.isFalse(comesBack(other), "there may be more of it")
    other.leave()
    other.leave()
    assert.deepStrictEqual(waiting(), [other])
  })

  it("never after a write that has failed", () => {
    const block = ReadBlock.take()
    block.begin()
    block.begin()
    block.end(true)
    block.leave()
    block.end(false)
    assert.isFalse(comesBack(block))
  })

  it("never while somebody listens to undici, who is shown it", () => {
    const listener = () => {}
    subscribe("undici:request:bodyChunkReceived", listener)
    const block = ReadBlock.take()
    block.leave()
    unsubscribe("undici:request:bodyChunkReceived", listener)
    assert.isFalse(comesBack(block))
  })

  it("no more than 4 MiB wait", () => {
    for (const block of Array.from({ length: 100 }, () => new ReadBlock())) block.leave()
    assert.strictEqual(ReadBlock.free, 64)
  })

  it("what is sliced from one is as long as it was asked for, and apart", () => {
    assert.strictEqual(ReadBlock.take().slice(0, 10).byteLength, 10)
    assert.notInstanceOf(ReadBlock.take().slice(), ReadBlock)
  })
})

/** An upstream that counts from what the path says: with a length, or in chunks. */
const counting = (bytes: number) =>
  HttpUpstream.make(({ url = "/" }, response) => {
    const [, from = "0", how] = url.split("/")
    if (how === "length") response.setHeader("content-length", bytes)
    pipeline(Readable.from(counted(Number(from), bytes)), response, () => {})
  })

/** Reads a body as fast as it can, or so that what it has not taken piles up before it; or breaks off in its midst. */
const read = (port: number, path: string, how: "at once" | "slowly" | "in part") =>
  Effect.callback<string>((resume) => {
    Http.get({ port, host: "127.0.0.1", path, agent: false }, (response) => {
      const hash = createHash("sha256")
      let seen = 0
      response.on("data", (chunk: Buffer) => {
        hash.update(chunk)
        seen += chunk.length
        if (how === "in part" && seen > 3 * MiB) {
          response.destroy()
          resume(Effect.succeed("broken off"))
        } else if (how === "slowly") {
          response.pause()
          setImmediate(() => response.resume())
        }
      })
      response.on("end", () => resume(Effect.succeed(hash.digest("hex"))))
      response.on("error", () => resume(Effect.succeed("broken off")))
    })
  })

describe("12. bodies that stream through one set of blocks keep apart", { timeout: 60_000 }, () => {
  for (const framing of ["length", "chunks"]) {
    it.live(`with a ${framing === "length" ? "length" : "body in chunks"}: fast readers, slow ones, and such as break off`, () =>
      Effect.gen(function*() {
        const bytes = 8 * MiB
        const upstream = yield* counting(bytes)
        const gateway = yield* Gateway.withRoutes((group) => Proxy.route("/*", { group, upstream }))
        const readers = Array.from({ length: 12 }, (_, i) => i)
        const digests = yield* Effect.forEach(
          readers,
          (i) => read(gateway.port, `/${i}/${framing}`, (["at once", "slowly", "in part"] as const)[i % 3]!),
          { concurrency: "unbounded" }
        )
        for (const i of readers) {
          assert.strictEqual(digests[i], i % 3 === 2 ? "broken off" : digestOf(i, bytes), `reader ${i}`)
        }
        yield* gateway.quiet
      }))
  }

  it.live("what is written straight to a client gives its blocks back", () =>
    Effect.gen(function*() {
      const upstream = yield* counting(8 * MiB)
      const gateway = yield* Gateway.withRoutes((group) => Proxy.route("/*", { group, upstream }))
      // How much comes in one read is the kernel's to say: a stream of short ones has no blocks.
      yield* Effect.repeat(read(gateway.port, "/0/length", "at once"), { until: () => ReadBlock.free > 0, times: 20 })
      assert.isAbove(ReadBlock.free, 0)
    }))
})
