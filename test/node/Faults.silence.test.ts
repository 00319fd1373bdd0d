import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { atConnect, blackHole, delay, freeze, inBody, none, strike } from "../harness/Fault.ts"
import * as FaultyNetwork from "../harness/FaultyNetwork.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { wellAfter } from "../harness/wellAfter.ts"
import { connect } from "../harness/Wire.ts"

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

  it.live("an upstream that stops reading in the middle of a large request is a 502, after idle", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const network = yield* FaultyNetwork.make(upstream.port)
      const gateway = yield* Gateway.start({ upstream: network.url, idle: "1 second" })
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* gateway.connect
        yield* network.set(strike("request", inBody(1024 * 1024), freeze))
        client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
        client.pour(size)
        assert.strictEqual(status(yield* client.message()), 502)
      }))
      yield* network.set(none)
      yield* wellAfter(gateway, network, "/", "ok")
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1, success: 1 })
    }))

  it.live("idle begins when a request is whole: the upstream is not to blame for what its client keeps back", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const network = yield* FaultyNetwork.make(upstream.port)
      const gateway = yield* Gateway.start({ upstream: network.url, idle: "300 millis" })
      const late = yield* FaultyNetwork.make(gateway.port)
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(late.port)
        yield* network.set(strike("response", () => 0, blackHole))
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
        yield* (yield* upstream.wire(0)).until("the first half", ({ text }) => text.includes("first"))
        yield* late.set(delay("request", 700))
        const since = performance.now()
        client.send("other")
        assert.strictEqual(status(yield* client.message()), 502)
        assert.isAtLeast(performance.now() - since, 900)
      }))
      yield* network.set(none)
      yield* wellAfter(gateway, network, "/", "ok")
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
