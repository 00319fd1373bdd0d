import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { atConnect, blackHole, freeze, inBody, none, strike } from "../harness/Fault.ts"
import * as FaultyNetwork from "../harness/FaultyNetwork.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { wellAfter } from "../harness/wellAfter.ts"

const size = 16 * 1024 * 1024

describe("24. silence is bounded, whoever keeps it", () => {
  it.live("an upstream that stops reading in the middle of a large request is a 504, after the timeout", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const network = yield* FaultyNetwork.make(upstream.port)
      const gateway = yield* Gateway.start({ upstream: network.url, timeout: "1 second" })
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* gateway.connect
        yield* network.set(strike("request", inBody(1024 * 1024), freeze))
        client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
        client.pour(size)
        assert.strictEqual(status(yield* client.message()), 504)
        assert.isBelow(client.poured, size, "nothing held it up")
      }))
      yield* network.set(none)
      yield* wellAfter(gateway, network, "/", "ok")
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1, success: 1 })
    }))

  it.live("an upstream that stops reading in the middle of a large request is a 504, after idle", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const network = yield* FaultyNetwork.make(upstream.port)
      const gateway = yield* Gateway.start({ upstream: network.url, idle: "1 second" })
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* gateway.connect
        yield* network.set(strike("request", inBody(1024 * 1024), freeze))
        client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
        client.pour(size)
        assert.strictEqual(status(yield* client.message()), 504)
      }))
      yield* network.set(none)
      yield* wellAfter(gateway, network, "/", "ok")
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1, success: 1 })
    }))

  it.live("a second request on a connection that has met with silence is served on another", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const network = yield* FaultyNetwork.make(upstream.port)
      const gateway = yield* Gateway.start({ upstream: network.url, timeout: "1 second" })
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* gateway.connect
        const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        yield* network.set(atConnect(blackHole))
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 504)
        yield* network.set(none)
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 200)
        assert.strictEqual(network.connections, 2)
      }))
      yield* wellAfter(gateway, network, "/", "ok")
    }))
})
