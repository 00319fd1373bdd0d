import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { settled } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const MiB = 1024 * 1024
/** What is sent, if somebody takes it. */
const total = 96 * MiB
/** What the gateway may have taken by then, and the kernel, whose buffers for two connections are the larger part. */
const bound = 32 * MiB

const between = (script: RawUpstream.Script) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Gateway.start({ upstream: upstream.url })
    return { upstream, gateway, client: yield* gateway.connect }
  })

const framings: ReadonlyArray<readonly [name: string, field: string, chunked: boolean]> = [
  ["a length", `Content-Length: ${total}`, false],
  ["chunks", "Transfer-Encoding: chunked", true]
]

describe("16. backpressure", { timeout: 60_000 }, () => {
  for (const [name, field, chunked] of framings) {
    it.live(`a slow client bounds what is read from the upstream, of a body framed by ${name}`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) =>
          Effect.map(wire.message(), () => {
            wire.send(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`)
            wire.pour(total, chunked)
          })
        )
        client.stopReading()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        const wire = yield* upstream.wire(0)
        yield* wire.until("it to begin", ({ poured }) => poured > 0)
        const taken = yield* settled("what the upstream could send", () => wire.poured)
        assert.isBelow(taken, bound)
        client.discard()
        client.readOn()
        yield* client.until("the rest", ({ discarded }) => discarded >= total)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
      }))

    it.live(`a slow upstream bounds what is read from the client, of a body framed by ${name}`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) => Effect.sync(() => wire.stopReading()))
        client.send(`POST / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`)
        client.pour(total, chunked)
        const wire = yield* upstream.wire(0)
        const taken = yield* settled("what the client could send", () => client.poured)
        assert.isBelow(taken, bound)
        wire.discard()
        wire.readOn()
        yield* wire.until("the rest", ({ discarded }) => discarded >= total)
        wire.send(response("ok"))
        assert.strictEqual(status(yield* client.message()), 200)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
      }))
  }

  it.live("both ways at once: both are bounded, and both go on", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) =>
        Effect.map(wire.head, () => {
          wire.stopReading()
          wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total + 1}\r\n\r\n`)
          wire.pour(total)
        })
      )
      client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`)
      client.stopReading()
      client.pour(total)
      const wire = yield* upstream.wire(0)
      yield* wire.until("it to begin", ({ poured }) => poured > 0)
      assert.isBelow(yield* settled("what the client could send", () => client.poured), bound)
      assert.isBelow(yield* settled("what the upstream could send", () => wire.poured), bound)
      for (const end of [client, wire]) {
        end.discard()
        end.readOn()
      }
      yield* wire.until("the rest of the request", ({ discarded }) => discarded >= total)
      // undici gives the request up when its response has ended before it.
      wire.send("x")
      yield* client.until("the rest of the response", ({ discarded }) => discarded > total)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))
})
