import { Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { parse, status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"
import type { Wire } from "../harness/Wire.ts"

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

const between = (script: RawUpstream.Script, pool = { maxConcurrent: 100, maxQueued: 0 }) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool })
    return { upstream, gateway, client: yield* gateway.connect }
  })

/** Takes requests, and says nothing. */
const silent: RawUpstream.Script = () => Effect.void

/** The upstream's connection is gone, and nothing more came on it. */
const told = (upstream: RawUpstream.RawUpstream, index = 0) =>
  Effect.flatMap(
    upstream.wire(index),
    (wire) => wire.until("the upstream to be told", ({ closed, ended }) => closed || ended)
  )

const ways: ReadonlyArray<readonly [how: string, leave: (client: Wire) => void]> = [
  ["closes", (client) => client.close()],
  ["resets", (client) => client.reset()]
]

for (const [how, leave] of ways) {
  describe(`18. the client ${how}`, { timeout: 30_000 }, () => {
    it.live("before the head: the upstream is told, the permit is back, and it was an interruption", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(silent)
        client.send(get)
        yield* (yield* upstream.wire(0)).head
        assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
        leave(client)
        yield* told(upstream)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
      }))

    it.live("while it waits for a permit: its place is free, and the upstream never hears of it", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(silent, { maxConcurrent: 1, maxQueued: 1 })
        client.send(get)
        yield* (yield* upstream.wire(0)).head
        const second = yield* gateway.connect
        second.send(get)
        yield* gateway.becomes("1 active, 1 queued")
        leave(second)
        yield* gateway.becomes("1 active, 0 queued")
        leave(client)
        yield* gateway.quiet
        assert.strictEqual(upstream.wires.length, 1)
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 2 })
      }))

    it.live("while it waits for a connection: it never reaches the upstream", () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make(silent)
        const gateway = yield* Gateway.start({ upstream: yield* Upstream.make(upstream.url, { connections: 1 }) })
        const first = yield* gateway.connect
        first.send(get)
        const wire = yield* upstream.wire(0)
        yield* wire.head
        const second = yield* gateway.connect
        second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        yield* gateway.becomes("2 active, 0 queued")
        leave(second)
        yield* gateway.becomes("1 active, 0 queued")
        wire.send(response("ok"))
        assert.strictEqual(status(yield* first.message()), 200)
        first.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n")
        yield* eventually("the third request", () => upstream.wires.some(({ text }) => text.startsWith("GET /third ")))
        assert.isFalse(upstream.wires.some(({ text }) => text.includes("/second")))
      }))

    it.live("in the middle of the response body: the upstream is told, the permit is back, and it was an interruption", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) =>
          Effect.andThen(
            wire.message(),
            Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst part"))
          )
        )
        client.send(get)
        yield* client.until("the first part", ({ text }) => text.includes("first part"))
        assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
        leave(client)
        yield* told(upstream)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
      }))

    it.live("in the middle of a response body that nobody takes: the same", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire) =>
          Effect.andThen(
            wire.message(),
            Effect.sync(() => {
              wire.send("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
              wire.send(Buffer.alloc(32 * 1024 * 1024))
            })
          )
        )
        client.stopReading()
        client.send(get)
        const wire = yield* upstream.wire(0)
        yield* wire.until("backpressure", ({ socket }) => socket.writableNeedDrain)
        leave(client)
        yield* told(upstream)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
      }))

    for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
      it.live(`in the middle of a request body (${framing}): the upstream sees no end of it, and it was an interruption`, () =>
        Effect.gen(function*() {
          const { client, gateway, upstream } = yield* between(silent)
          client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n5\r\nhello\r\n`)
          const wire = yield* upstream.wire(0)
          yield* wire.until("the first part", ({ text }) => text.includes("hello"))
          leave(client)
          yield* told(upstream)
          assert.isUndefined(parse(wire.received, { ended: wire.endedInOrder }), "it looks complete")
          yield* gateway.quiet
          assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
          assert.deepStrictEqual(gateway.logs, [])
        }))
    }

    it.live("with a second request pipelined behind the first: both are told, and both permits are back", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(silent)
        client.send(get + get)
        yield* (yield* upstream.wire(0)).head
        yield* (yield* upstream.wire(1)).head
        assert.strictEqual(yield* gateway.busy, "2 active, 0 queued")
        leave(client)
        yield* told(upstream, 0)
        yield* told(upstream, 1)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 2 })
      }))

    it.live("with an upgrade that goes on as a plain request, where no connection is given away", () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make(silent)
        const gateway = yield* Gateway.start({ upstream: upstream.url }, { tunnels: false })
        const client = yield* gateway.connect
        client.send(`${get}${get.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")}`)
        yield* (yield* upstream.wire(1)).head
        leave(client)
        yield* told(upstream, 0)
        yield* told(upstream, 1)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 2 })
      }))

    it.live("with a second request pipelined behind the first, and both of them waiting for a permit: both places are free", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(silent, { maxConcurrent: 1, maxQueued: 2 })
        const holder = yield* gateway.connect
        holder.send(get)
        yield* (yield* upstream.wire(0)).head
        client.send(get + get)
        yield* gateway.becomes("1 active, 2 queued")
        leave(client)
        yield* gateway.becomes("1 active, 0 queued")
      }))
  })
}

// Node forgets answers that are queued behind another one when a CONNECT comes behind them, and Effect waits for the end of each.
describe("18, 30. a CONNECT behind requests that are under way", { timeout: 30_000 }, () => {
  const head = "HEAD / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
  const connect = "CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n"
  const ends = (scope: Scope.Closeable) =>
    Effect.andThen(
      Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }),
      (fiber) => eventually("the end of the gateway", () => fiber.pollUnsafe())
    )

  it.live("those that will never be answered do not keep the gateway from its end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const upstream = yield* RawUpstream.make(silent)
      const gateway = yield* Scope.provide(Gateway.start({ upstream: upstream.url }), scope)
      const client = yield* gateway.connect
      client.send(get + head + head + connect)
      yield* client.until("the end", ({ gone }) => gone)
      yield* gateway.quiet
      yield* ends(scope)
    }))

  it.live("nor do those of handlers that are no proxy's, on a `Server`", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const held = Served.gate()
      const served = yield* Scope.provide(Served.answering({}, held.answer), scope)
      const client = yield* served.connect
      client.send(get + head + head + connect)
      yield* client.until("the requests", () => held.waiting() === 3)
      client.close()
      held.open()
      yield* ends(scope)
    }))

  it.live("a `Server` answers them first, in order, and refuses it then", () =>
    Effect.gen(function*() {
      const held = Served.gate()
      const served = yield* Served.answering({}, held.answer)
      const client = yield* served.connect
      client.send(get + get + connect)
      yield* client.until("the requests", () => held.waiting() === 2)
      held.open()
      for (const expected of [200, 200, 405]) assert.strictEqual(status(yield* client.message()), expected)
      yield* client.until("the end", ({ endedInOrder }) => endedInOrder)
    }))
})
