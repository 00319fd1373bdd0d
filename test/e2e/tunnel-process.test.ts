import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { connect } from "../harness/Wire.ts"
import { printed, start } from "./process.ts"

const webSocket = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

const tunnel = (drain: number) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make((wire) =>
      Effect.andThen(
        wire.head,
        Effect.sync(() => wire.send("HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
      )
    )
    const gateway = yield* start("../test/e2e/tunnel-process.ts", { UPSTREAM: `${upstream.port}`, DRAIN: `${drain}` })
    const [, port] = yield* printed(gateway, /port (\d+)/)
    const client = yield* connect(Number(port))
    client.send(webSocket)
    assert.strictEqual(status(yield* client.head), 101)
    return { gateway, client, server: yield* upstream.wire(0) }
  })

describe("30. SIGTERM", { concurrent: false, timeout: 60_000 }, () => {
  it.live("a tunnel that ends by itself is waited for: nothing of it is lost, and the process ends then", () =>
    Effect.gen(function*() {
      const { client, gateway, server } = yield* tunnel(60_000)
      yield* gateway.signal("SIGTERM")
      client.send("last words")
      yield* server.until("what was said", ({ text }) => text === "last words")
      server.send("answer")
      server.end()
      yield* client.until("the answer, and the end", ({ endedInOrder, text }) => endedInOrder && text === "answer")
      assert.isFalse(gateway.hasEnded())
      client.end()
      yield* gateway.ended
    }))

  it.live("one that does not is ended on both sides when the drain time is up, and the process ends", () =>
    Effect.gen(function*() {
      const { client, gateway, server } = yield* tunnel(300)
      yield* gateway.signal("SIGTERM")
      client.send("still there")
      yield* server.until("what was said", ({ text }) => text === "still there")
      yield* client.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* server.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* gateway.ended
    }))
})
