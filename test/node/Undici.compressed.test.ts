import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Zlib from "node:zlib"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const text = "all of it, ".repeat(2000)
const gzipped = Zlib.gzipSync(text)

/** Bodies as they are on the wire, and what is said of them. */
const bodies: ReadonlyArray<readonly [coding: string, bytes: Buffer]> = [
  ["gzip", gzipped],
  ["x-gzip", gzipped],
  ["deflate", Zlib.deflateSync(text)],
  ["deflate", Zlib.deflateRawSync(text)],
  ["br", Zlib.brotliCompressSync(text)],
  ["zstd", Zlib.zstdCompressSync(text)],
  ["gzip, br", Zlib.brotliCompressSync(gzipped)],
  ["a, b, c, d, e, f, g, h", Buffer.from("of more codings than anybody would undo")],
  ["unheard-of", Buffer.from("\0\u00ff whatever")],
  ["identity", Buffer.from(text)],
  ["gzip", Buffer.from("no gzip at all")],
  ["gzip", gzipped.subarray(0, gzipped.length / 2)],
  // 64 MiB, in some 64 KiB.
  ["gzip", Zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024))]
]

const framed = {
  "a length": (bytes: Buffer) => Buffer.concat([Buffer.from(`Content-Length: ${bytes.length}\r\n\r\n`), bytes]),
  "chunks": (bytes: Buffer) =>
    Buffer.concat([
      Buffer.from(`Transfer-Encoding: chunked\r\n\r\n3\r\n`),
      bytes.subarray(0, 3),
      Buffer.from(`\r\n${(bytes.length - 3).toString(16)}\r\n`),
      bytes.subarray(3),
      Buffer.from("\r\n0\r\n\r\n")
    ])
}

const between = (answer: (request: HttpMessage) => Buffer | string) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering((request) => answer(request), seen)
    const gateway = yield* Gateway.start({ upstream: upstream.url })
    return { client: yield* gateway.connect, gateway, seen }
  })

const told = ["content-encoding", "etag", "vary", "accept-ranges", "cache-control"] as const

describe("25. a compressed body passes untouched", { timeout: 30_000 }, () => {
  for (const [framing, frame] of Object.entries(framed)) {
    it.live(`of a response, with ${framing}: its bytes, its length, its fields`, () =>
      Effect.forEach(bodies, ([coding, bytes]) =>
        Effect.gen(function*() {
          const { client } = yield* between(() =>
            Buffer.concat([
              Buffer.from(
                [
                  "HTTP/1.1 200 OK",
                  `Content-Encoding: ${coding}`,
                  "ETag: \"a\"",
                  "Vary: Accept-Encoding",
                  "Accept-Ranges: bytes",
                  "Cache-Control: public",
                  ""
                ].join("\r\n")
              ),
              frame(bytes)
            ])
          )
          client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0.5, br\r\n\r\n")
          const got = yield* client.message()
          assert.strictEqual(status(got), 200)
          assert.isTrue(got.body.equals(bytes), coding)
          assert.deepStrictEqual(told.flatMap((name) => values(got, name)), [
            coding,
            "\"a\"",
            "Accept-Encoding",
            "bytes",
            "public"
          ])
          const length = framing === "chunks" ? [] : [String(bytes.length)]
          assert.deepStrictEqual(values(got, "content-length"), length)
        }).pipe(Effect.scoped)))

    it.live(`of a request, with ${framing}`, () =>
      Effect.gen(function*() {
        const { client, seen } = yield* between(() => RawUpstream.response("ok"))
        for (const [coding, bytes] of bodies) {
          client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: ${coding}\r\n`)
          client.send(frame(bytes))
          assert.strictEqual(status(yield* client.message()), 200)
          const got = seen.at(-1)!
          assert.isTrue(got.body.equals(bytes), coding)
          assert.deepStrictEqual(values(got, "content-encoding"), [coding])
        }
      }))
  }

  it.live("nothing is asked for that the client did not ask for", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* between(() => RawUpstream.response("ok"))
      for (const asked of [[], [""], ["identity"], ["gzip, br;q=0.1, *;q=0"], ["gzip", "br"]]) {
        const fields = asked.map((value) => `Accept-Encoding: ${value}\r\n`).join("")
        client.send(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`)
        assert.strictEqual(status(yield* client.message()), 200)
        assert.deepStrictEqual(values(seen.at(-1)!, "accept-encoding"), asked)
      }
    }))

  it.live("a part of one is that part", () =>
    Effect.gen(function*() {
      const part = gzipped.subarray(10, 20)
      const { client, seen } = yield* between(() =>
        Buffer.concat([
          Buffer.from(
            `HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nContent-Range: bytes 10-19/${gzipped.length}\r\n`
          ),
          framed["a length"](part)
        ])
      )
      client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nRange: bytes=10-19\r\nIf-Range: \"a\"\r\n\r\n")
      const got = yield* client.message()
      assert.strictEqual(status(got), 206)
      assert.isTrue(got.body.equals(part))
      assert.deepStrictEqual(values(got, "content-range"), [`bytes 10-19/${gzipped.length}`])
      assert.deepStrictEqual(values(seen[0]!, "range"), ["bytes=10-19"])
      assert.deepStrictEqual(values(seen[0]!, "if-range"), ["\"a\""])
    }))

  it.live("HEAD tells of one, and has none", () =>
    Effect.gen(function*() {
      const { client } = yield* between(() =>
        `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${gzipped.length}\r\n\r\n`
      )
      client.send("HEAD / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
      const got = yield* client.message({ bodiless: true })
      assert.deepStrictEqual(values(got, "content-encoding"), ["gzip"])
      assert.deepStrictEqual(values(got, "content-length"), [String(gzipped.length)])
    }))
})
