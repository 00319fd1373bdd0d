import { Rewrite } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const request = (method: string, path = "/", body = ""): string =>
  `${method} ${path} HTTP/1.1\r\nHost: gateway.test\r\n${
    body === "" ? "" : `Content-Length: ${body.length}\r\n`
  }\r\n${body}`
const warm = request("GET", "/warm")

/**
 * An upstream whose connections answer one request each, and are closed as the next one comes, which is when one that was stale shows
 * itself as that.
 */
const stale = (
  close: (wire: Wire) => void,
  options: Omit<Parameters<typeof Gateway.start>[0], "upstream"> = {},
  pool = { maxConcurrent: 10 }
) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    const upstream = yield* RawUpstream.make((wire) =>
      Effect.gen(function*() {
        for (let n = 1;; n++) {
          const got = yield* wire.message()
          asked.push(got.startLine)
          if (n === 1) wire.send(response("ok"))
          else close(wire)
        }
      })
    )
    const gateway = yield* Gateway.start({ ...options, upstream: upstream.url }, { pool })
    const client = yield* gateway.connect
    client.send(warm)
    assert.strictEqual(status(yield* client.message()), 200)
    yield* gateway.quiet
    return { asked, upstream, gateway, client }
  })

const ways: ReadonlyArray<readonly [how: string, close: (wire: Wire) => void]> = [
  ["a FIN", (wire) => wire.end()],
  ["a reset", (wire) => wire.reset()]
]

describe("23. a stale pooled connection", { timeout: 30_000 }, () => {
  for (const [how, close] of ways) {
    for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "QUERY"]) {
      it.live(`${how}: ${method} is sent again, once, on a fresh connection, and counted once`, () =>
        Effect.gen(function*() {
          const { asked, client, gateway, upstream } = yield* stale(close)
          client.send(request(method))
          assert.strictEqual(status(yield* client.message({ bodiless: method === "HEAD" })), 200)
          assert.deepStrictEqual(asked, [
            "GET /warm HTTP/1.1",
            `${method} / HTTP/1.1`,
            `${method} / HTTP/1.1`
          ])
          assert.strictEqual(upstream.wires.length, 2)
          yield* gateway.quiet
          assert.deepStrictEqual(yield* gateway.outcomes(), { success: 2 })
          assert.deepStrictEqual(gateway.logs, [])
        }))
    }

    for (
      const [what, sent] of [
        ["POST", request("POST")],
        ["PATCH", request("PATCH")],
        ["a PUT whose body streamed", request("PUT", "/", "hello")],
        ["a GET whose body streamed", request("GET", "/", "hello")]
      ] as const
    ) {
      it.live(`${how}: ${what} is never sent again`, () =>
        Effect.gen(function*() {
          const { asked, client, gateway } = yield* stale(close)
          client.send(sent)
          assert.strictEqual(status(yield* client.message()), 502)
          assert.strictEqual(asked.length, 2)
          yield* gateway.quiet
          assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1, failure: 1 })
        }))
    }
  }

  it.live("a body that a rewrite gave is still there, and is sent again", () =>
    Effect.gen(function*() {
      const bodies: Array<string> = []
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.gen(function*() {
          for (let n = 1;; n++) {
            bodies.push((yield* wire.message()).body.toString())
            if (n === 1) wire.send(response("ok"))
            else wire.reset()
          }
        })
      )
      const gateway = yield* Gateway.start({
        upstream: upstream.url,
        rewrite: (it) => ({ ...it, method: "PUT", body: HttpServerResponse.text("mine").body })
      })
      const client = yield* gateway.connect
      for (const _ of [1, 2]) {
        client.send(request("GET"))
        assert.strictEqual(status(yield* client.message()), 200)
        yield* gateway.quiet
      }
      assert.deepStrictEqual(bodies, ["mine", "mine", "mine"])
    }))

  it.live("when all of the pooled ones are stale, none of them is met a second time", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire, upstream) =>
        Effect.gen(function*() {
          for (let n = 1;; n++) {
            yield* wire.message()
            if (n === 1) {
              // Until there are several.
              yield* upstream.wire(2)
              wire.send(response("ok"))
            } else wire.reset()
          }
        })
      )
      const gateway: Gateway.Gateway = yield* Gateway.start({ upstream: upstream.url })
      const clients = yield* Effect.all([gateway.connect, gateway.connect, gateway.connect])
      for (const client of clients) client.send(warm)
      for (const client of clients) assert.strictEqual(status(yield* client.message()), 200)
      yield* gateway.quiet
      for (const client of clients) client.send(request("GET"))
      for (const client of clients) assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 6 })
    }))

  it.live("the permit is kept meanwhile", () =>
    Effect.gen(function*() {
      let answers: (wire: Wire) => void = () => {}
      const upstream = yield* RawUpstream.make((wire, { wires }) =>
        Effect.gen(function*() {
          for (let n = 1;; n++) {
            yield* wire.message()
            if (wires.length > 1) answers(wire)
            else if (n === 1) wire.send(response("ok"))
            else wire.reset()
          }
        })
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1 } })
      const client = yield* gateway.connect
      client.send(warm)
      yield* client.message()
      yield* gateway.quiet
      const held: Array<Wire> = []
      answers = (wire) => held.push(wire)
      client.send(request("GET"))
      yield* (yield* upstream.wire(1)).until("the second attempt", () => held.length === 1)
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      held[0]!.send(response("ok"))
      assert.strictEqual(status(yield* client.message()), 200)
      yield* gateway.quiet
    }))

  it.live("a fresh connection that fails too is a 502: there is no third attempt", () =>
    Effect.gen(function*() {
      let down = false
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.gen(function*() {
          for (;;) {
            yield* wire.message()
            if (down) wire.reset()
            else wire.send(response("ok"))
          }
        })
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(warm)
      yield* client.message()
      yield* gateway.quiet
      down = true
      client.send(request("GET"))
      assert.strictEqual(status(yield* client.message()), 502)
      assert.strictEqual(upstream.wires.length, 2)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1, failure: 1 })
      assert.strictEqual(gateway.logs.length, 1)
    }))

  it.live("an error on a new connection is no stale one, and is not tried again", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => Effect.map(wire.message(), () => wire.reset()))
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(request("GET"))
      assert.strictEqual(status(yield* client.message()), 502)
      assert.strictEqual(upstream.wires.length, 1)
    }))

  for (
    const [what, bytes] of [
      ["a byte of the head", "H"],
      ["an interim response", "HTTP/1.1 103 Early Hints\r\n\r\n"],
      ["a 100", "HTTP/1.1 100 Continue\r\n\r\n"],
      ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"]
    ] as const
  ) {
    it.live(`a connection that breaks after ${what} was not stale, and is not tried again`, () =>
      Effect.gen(function*() {
        const { asked, client, gateway } = yield* stale((wire) => {
          wire.send(bytes)
          wire.end()
        })
        client.send(request("GET"))
        yield* client.until("the end of it", ({ ended, text }) => ended || text.includes(" 502 "))
        assert.strictEqual(asked.length, 2)
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1, failure: 1 })
      }))
  }

  it.live("a client that has left meanwhile is an interruption, and nothing is sent again", () =>
    Effect.gen(function*() {
      const { asked, client, gateway, upstream } = yield* stale(() => {})
      client.send(request("GET"))
      const wire = yield* upstream.wire(0)
      yield* wire.until("the second request", () => asked.length === 2)
      client.reset()
      yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
      yield* gateway.quiet
      assert.strictEqual(upstream.wires.length, 1)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1, interrupted: 1 })
    }))

  it.live("the fresh connection is used once, and the pooled ones are as before", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* stale((wire) => wire.reset(), {
        rewrite: Rewrite.setHeader("X-A", "1")
      })
      client.send(request("GET", "/again"))
      yield* client.message()
      const fresh = yield* upstream.wire(1)
      yield* fresh.until("its end", ({ closed, ended }) => closed || ended)
      client.send(request("GET", "/third"))
      assert.deepStrictEqual(values(yield* client.message(), "content-length"), ["2"])
      assert.strictEqual(upstream.wires.length, 3)
      yield* gateway.quiet
    }))
})
