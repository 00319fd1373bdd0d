import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
const post = (length: number): string => `POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: ${length}\r\n\r\n`
const gatewayTimeout = "{\"code\":504,\"message\":\"gateway timeout\",\"errors\":[]}"
const requestTimeout = "{\"code\":408,\"message\":\"request timeout\",\"errors\":[]}"
/** Longer than any timeout of a test that is not to cut something off. */
const long = 500

const between = (script: RawUpstream.Script, options: Omit<Parameters<typeof Gateway.start>[0], "upstream"> = {}) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Gateway.start({ ...options, upstream: upstream.url })
    return { upstream, gateway, client: yield* gateway.connect }
  })

const gone = (wire: Wire) => wire.until("the connection to be gone", ({ closed, ended }) => closed || ended)
const aborted = (client: Wire) => client.until("the abort", ({ broke, ended }) => ended || broke !== undefined)

describe("22. connect, head, idle and total are separate timeouts", { timeout: 30_000 }, () => {
  it.live("connect: a connection that takes too long to be made is a 504 at the connect", () =>
    Effect.gen(function*() {
      // It takes the connection, and never says a word of TLS.
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: upstream.url.replace("http:", "https:") }, {
        undici: { connectTimeout: 50 }
      })
      const client = yield* gateway.connect
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 504)
      assert.strictEqual(got.body.toString(), gatewayTimeout)
      assert.strictEqual(gateway.logs.length, 1)
      assert.match(gateway.logs[0]!, /failed at the connect: .*[Tt]imeout/)
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      yield* gateway.quiet
    }))

  it.live("idle does not bound the wait for a head: a long poll lasts longer", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* between(
        (wire) => Effect.map(Effect.delay(wire.message(), long), () => wire.send(response("at last"))),
        { idle: 50 }
      )
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.strictEqual(got.body.toString(), "at last")
      assert.deepStrictEqual(gateway.logs, [])
    }))

  it.live("nor after a request with a body", () =>
    Effect.gen(function*() {
      const { client } = yield* between(
        (wire) => Effect.map(Effect.delay(wire.message(), long), () => wire.send(response("at last"))),
        { idle: 50 }
      )
      client.send(post(5) + "hello")
      assert.strictEqual((yield* client.message()).body.toString(), "at last")
    }))

  it.live("neither timeout nor headTimeout bounds what comes after the head", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* between((wire) =>
        Effect.gen(function*() {
          yield* wire.message()
          wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
          yield* Effect.sleep(long)
          wire.send("data: 2\n\n")
          wire.end()
        }), { timeout: 100, headTimeout: 100 })
      client.send(get)
      yield* client.until("the end", ({ text }) => text.endsWith("0\r\n\r\n"))
      assert.include(client.text, "data: 2")
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("headTimeout: an upstream that has the request and says nothing is a 504 at the head, and is told to stop", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) => wire.message(), { headTimeout: 50 })
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 504)
      assert.strictEqual(got.body.toString(), gatewayTimeout)
      assert.deepStrictEqual(gateway.logs.map((line) => line.replace(upstream.url, "upstream")), [
        "upstream failed at the head: it was silent for too long"
      ])
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      yield* gone(yield* upstream.wire(0))
      yield* gateway.quiet
    }))

  it.live("headTimeout begins when the request has been sent: an upload takes as long as it likes", () =>
    Effect.gen(function*() {
      const { client } = yield* between((wire) => Effect.map(wire.message(), () => wire.send(response("ok"))), {
        headTimeout: 100
      })
      client.send(post(10))
      for (let i = 0; i < 10; i++) {
        yield* Effect.sleep(long / 10)
        client.send("x")
      }
      assert.strictEqual(status(yield* client.message()), 200)
    }))

  it.live("timeout includes the upload", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) => wire.message(), { timeout: 50 })
      client.send(post(10) + "part")
      assert.strictEqual(status(yield* client.message()), 504)
      yield* gone(yield* upstream.wire(0))
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1 })
      yield* gateway.quiet
    }))

  it.live("the fallback is told the phase, the side, and that it was the time", () =>
    Effect.gen(function*() {
      const { client } = yield* between((wire) => wire.message(), {
        headTimeout: 50,
        fallback: (failure) =>
          Effect.succeed(HttpServerResponse.text(
            failure._tag === "UpstreamError" ? `${failure.phase} ${failure.side} ${failure.timedOut}` : failure._tag
          ))
      })
      client.send(get)
      assert.strictEqual((yield* client.message()).body.toString(), "head upstream true")
    }))
})

describe("19. idle, in the middle of a body", { timeout: 30_000 }, () => {
  it.live("of a response: the client's connection is aborted, the upstream is told, and the log names the reason once", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between(
        (wire) =>
          Effect.map(
            wire.message(),
            () => wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
          ),
        { idle: 50 }
      )
      client.send(get)
      yield* aborted(client)
      assert.notMatch(client.text, /\r\n0\r\n/)
      yield* gone(yield* upstream.wire(0))
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      assert.deepStrictEqual(gateway.logs.map((line) => line.replace(upstream.url, "upstream")), [
        "upstream failed at the body: it was silent for too long"
      ])
      yield* gateway.quiet
    }))

  it.live("of a response: a drop now and then keeps it", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* between((wire) =>
        Effect.gen(function*() {
          yield* wire.message()
          wire.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
          for (let i = 0; i < 20; i++) {
            wire.send("x")
            yield* Effect.sleep(long / 20)
          }
        }), { idle: 200 })
      client.send(get)
      assert.strictEqual((yield* client.message()).body.length, 20)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("of a response that the client does not take: it is the client's fault, and an interruption", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between(
        (wire) =>
          Effect.map(wire.message(), () => {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            wire.pour(64 * 1024 * 1024)
          }),
        { idle: 300 }
      )
      client.stopReading()
      client.send(get)
      yield* gone(yield* upstream.wire(0))
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
      assert.deepStrictEqual(gateway.logs.map((line) => line.replace(upstream.url, "upstream")), [
        "a client of upstream failed at the body: it was silent for too long"
      ])
    }))

  for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
    it.live(`of a request (${framing}): a client that falls silent gets a 408, and it was an interruption`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(() => Effect.void, { idle: 50 })
        client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n5\r\nhello\r\n`)
        const got = yield* client.message()
        assert.strictEqual(status(got), 408)
        assert.strictEqual(got.body.toString(), requestTimeout)
        assert.deepStrictEqual(values(got, "connection"), ["close"])
        yield* client.until("the end", ({ ended }) => ended)
        yield* gone(yield* upstream.wire(0))
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
        assert.deepStrictEqual(gateway.logs.map((line) => line.replace(upstream.url, "upstream")), [
          "a client of upstream failed at the send: it was silent for too long"
        ])
        yield* gateway.quiet
      }))
  }

  it.live("of a request: a client that was told to go on and does not gets a 408 too", () =>
    Effect.gen(function*() {
      const { client } = yield* between(() => Effect.void, { idle: 50 })
      client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
      assert.strictEqual(status(yield* client.head), 100)
      assert.strictEqual(status(yield* client.message()), 408)
    }))

  it.live("of a request: a drop now and then keeps it", () =>
    Effect.gen(function*() {
      const { client } = yield* between((wire) => Effect.map(wire.message(), () => wire.send(response("ok"))), {
        idle: 200
      })
      client.send(post(20))
      for (let i = 0; i < 20; i++) {
        client.send("x")
        yield* Effect.sleep(long / 20)
      }
      assert.strictEqual(status(yield* client.message()), 200)
    }))

  it.live("of a request that the upstream does not take: a 504 at the send, and a failure", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) => Effect.sync(() => wire.stopReading()), {
        idle: 300
      })
      client.send(post(64 * 1024 * 1024))
      client.pour(64 * 1024 * 1024)
      const got = yield* client.message()
      assert.strictEqual(status(got), 504)
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      assert.deepStrictEqual(gateway.logs.map((line) => line.replace(upstream.url, "upstream")), [
        "upstream failed at the send: it was silent for too long"
      ])
      client.close()
      yield* gateway.quiet
    }))

  it.live("both ways at once, what moves one way keeps the other", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* between((wire) =>
        Effect.gen(function*() {
          yield* wire.head
          wire.send("HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n")
          for (let i = 0; i < 20; i++) {
            wire.send("x")
            yield* Effect.sleep(long / 20)
          }
          // undici gives up a request whose response has ended before it.
          yield* wire.until("the rest of the request", ({ text }) => text.endsWith("hello"))
          wire.send("x")
        }), { idle: 200 })
      // undici sends a head with the first byte of its body.
      client.send(post(6) + "-")
      yield* client.until("the last drop but one", ({ text }) => text.endsWith("x".repeat(20)))
      client.send("hello")
      assert.strictEqual((yield* client.message()).body.length, 21)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))
})

describe("17. what breaks off names its phase in one line of the log", { timeout: 30_000 }, () => {
  it.live("total, in the middle of a body", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between(
        (wire) => Effect.map(wire.message(), () => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")),
        { total: 100 }
      )
      client.send(get)
      yield* aborted(client)
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1 })
      assert.deepStrictEqual(gateway.logs.map((line) => line.replace(upstream.url, "upstream")), [
        "upstream was cut off: the total time was up"
      ])
    }))

  it.live("a reset in the middle of a response body", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) =>
        Effect.map(wire.message(), () => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
      )
      client.send(get)
      yield* client.until("the first part", ({ text }) => text.endsWith("hello"))
      upstream.wires[0]!.reset()
      yield* aborted(client)
      assert.strictEqual(gateway.logs.length, 1)
      assert.match(gateway.logs[0]!, /failed at the body: /)
    }))

  it.live("a reset in the middle of a request body", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* between((wire) => wire.head)
      client.send(post(10) + "hello")
      const wire = yield* upstream.wire(0)
      yield* wire.until("the first part", ({ text }) => text.endsWith("hello"))
      wire.reset()
      assert.strictEqual(status(yield* client.message()), 502)
      assert.strictEqual(gateway.logs.length, 1)
      assert.match(gateway.logs[0]!, /failed at the send: /)
    }))
})
