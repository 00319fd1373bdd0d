import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../harness/eventually.ts"
import * as Frames from "../harness/Frames.ts"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"
import type { Wire } from "../harness/Wire.ts"

const { block, frame, nextOf, request, types, uint32 } = Frames
const { ack, endHeaders, endStream } = Frames.flags

const open = (served: Served.Served, ...settings: ReadonlyArray<readonly [number, number]>) =>
  Effect.gen(function*() {
    const client = yield* served.connect
    client.send(Buffer.concat([Frames.preface, Frames.settings(...settings)]))
    yield* nextOf(client, types.settings)
    client.send(frame(types.settings, ack, 0))
    return client
  })

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const odd = (i: number) => 2 * i + 1
const gone = (client: Wire) => client.until("the end of the session", ({ closed, ended }) => closed || ended)

/** The server serves somebody else, and has not much in memory. */
const lives = (served: Served.Served) =>
  Effect.gen(function*() {
    const other = yield* served.connect
    other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.strictEqual(status(yield* other.message()), 200)
  })

/** What is sent again and again, until the session is gone. */
const floods: ReadonlyArray<readonly [what: string, round: (round: number) => Buffer]> = [
  [
    "rapid reset: streams that are begun and reset (CVE-2023-44487)",
    (round) =>
      Buffer.concat(
        range(100).flatMap((i) => {
          const stream = odd(100 * round + i)
          return [request(stream), frame(types.reset, 0, stream, uint32(8))]
        })
      )
  ],
  [
    "made-you-reset: streams that the server has to reset (CVE-2025-8671)",
    (round) =>
      Buffer.concat(
        range(100).flatMap((i) => {
          const stream = odd(100 * round + i)
          return [request(stream, [], { ends: false, method: "POST" }), frame(types.window, 0, stream, uint32(0))]
        })
      )
  ],
  [
    "CONTINUATION without end (CVE-2024-27316)",
    (round) =>
      round === 0
        ? frame(types.headers, endStream, 1, block([[":method", "GET"]]))
        : Buffer.concat(range(20).map((i) => frame(types.continuation, 0, 1, block([[`x-${round}-${i}`, "y"]]))))
  ],
  [
    "empty CONTINUATION without end",
    (round) =>
      round === 0
        ? frame(types.headers, endStream, 1, block([[":method", "GET"]]))
        : Buffer.concat(range(1000).map(() => frame(types.continuation, 0, 1)))
  ],
  ["settings", () => Buffer.concat(range(100).map(() => Frames.settings([4, 65_535])))],
  ["pings", () => Buffer.concat(range(100).map(() => frame(types.ping, 0, 0, Buffer.alloc(8))))],
  [
    "empty DATA without end (CVE-2019-9518)",
    (round) =>
      round === 0
        ? request(1, [], { ends: false, method: "POST" })
        : Buffer.concat(range(200).map(() => frame(types.data, 0, 1)))
  ],
  [
    "more streams at once than are allowed",
    (round) => Buffer.concat(range(200).map((i) => request(odd(200 * round + i), [], { ends: false, method: "POST" })))
  ],
  ["malformed heads", (round) => Buffer.concat(range(100).map((i) => request(odd(100 * round + i), [["X", "y"]])))],
  ["frames that are none", () => frame(types.data, 0, 0, Buffer.from("x"))],
  ["frames that are larger than allowed", () => frame(types.data, 0, 1, Buffer.alloc(16_385))],
  ["settings that make no sense", () => Frames.settings([4, 0xffff_ffff])],
  ["windows that overflow", () => frame(types.window, 0, 0, uint32(0x7fff_ffff))],
  [
    "HPACK that can't be read",
    () => frame(types.headers, endStream | endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))
  ]
]

describe("29. floods end the session, and nothing else", () => {
  for (const [what, round] of floods) {
    it.live(what, () =>
      Effect.gen(function*() {
        // Each handler hangs, as if at an upstream: what is reset must not pile up.
        const gate = Served.gate()
        const server = yield* Served.answering({}, gate.answer)
        const client = yield* open(server)
        client.discard()
        for (let i = 0; i < 200 && !client.closed && !client.ended; i++) {
          client.send(round(i))
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        yield* gone(client)
        gate.open()
        yield* lives(server)
        yield* eventually("one line at the most", () => server.logs.length <= 1, () => server.logs.join("; "))
      }))
  }

  it.live("pings and settings that keep pace with nothing: the client is told to calm down, and the log says why", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const client = yield* open(server)
      client.send(Buffer.concat(range(150).map(() => frame(types.ping, 0, 0, Buffer.alloc(8)))))
      const { payload } = yield* nextOf(client, types.goaway)
      assert.strictEqual(payload.readUInt32BE(4), 11)
      yield* gone(client)
      assert.lengthOf(yield* server.logged("pings and settings"), 1)
    }))

  it.live("a stream beyond maxConcurrentStreams ends the session of a client that knows of the limit", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const server = yield* Served.answering({ maxConcurrentStreams: 2 }, gate.answer)
      const client = yield* open(server)
      client.send(Buffer.concat([request(1), request(3), request(5)]))
      const { payload } = yield* nextOf(client, types.goaway)
      assert.strictEqual(payload.readUInt32BE(4), 1)
      yield* gone(client)
      gate.open()
    }))

  it.live("a client that keeps its window shut is cut off after stallTimeout: streams are reset, permits are back", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.head,
          Effect.sync(() => {
            wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${1024 * 1024}\r\n\r\n`)
            wire.pour(1024 * 1024)
          })
        )
      )
      const gateway = yield* Served.proxying({ upstream: upstream.url }, { stallTimeout: 300 })
      // SETTINGS_INITIAL_WINDOW_SIZE: 0
      const client = yield* open(gateway, [4, 0])
      client.send(Buffer.concat(range(20).map((i) => request(odd(i)))))
      yield* gateway.becomes("20 active, 0 queued")
      yield* nextOf(client, types.reset)
      yield* gateway.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes, { interrupted: 20 })
      assert.lengthOf(yield* gateway.logged("does not read"), 1)
    }))
})
