import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Net from "node:net"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import * as Frames from "../harness/Frames.ts"
import { status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"

const { frame, nextOf, request, types } = Frames
const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
// A drain that waits for it is a test that fails.
const options = { drainTimeout: "1 hour" } as const

const listens = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    const done = (listening: boolean) => {
      socket.destroy()
      resume(Effect.succeed(listening))
    }
    socket.once("connect", () => done(true)).once("error", () => done(false))
  })
const deaf = ({ port }: Served.Served) => eventuallyEqual("the end of the listener", false, listens(port))

const open = (served: Served.Served) =>
  Effect.gen(function*() {
    const client = yield* served.connect
    client.send(Buffer.concat([Frames.preface, Frames.settings()]))
    yield* nextOf(client, types.settings)
    client.send(frame(types.settings, Frames.flags.ack, 0))
    return client
  })

describe("30. a server that is told to stop", () => {
  it.live("is not ready from then on, and says so before it refuses anyone", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ ...options, drainDelay: "2 seconds" })
      assert.isTrue(yield* server.server.isReady)
      yield* Effect.forkScoped(server.stop)
      yield* server.server.stopping
      assert.isFalse(yield* server.server.isReady)
      const client = yield* server.connect
      client.send(get)
      const answer = yield* client.message()
      assert.strictEqual(status(answer), 200)
      assert.deepStrictEqual(values(answer, "connection"), ["close"])
      yield* client.until("the end", ({ ended }) => ended)
    }))

  it.live("answers what is under way, with Connection: close, and then is gone", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const server = yield* Served.answering(options, gate.answer)
      const client = yield* server.connect
      client.send(get)
      yield* eventually("the request", () => gate.waiting() === 1)
      const stop = yield* Effect.forkScoped(server.stop)
      yield* deaf(server)
      gate.open()
      const answer = yield* client.message()
      assert.strictEqual(status(answer), 200)
      assert.deepStrictEqual(values(answer, "connection"), ["close"])
      yield* client.until("the end", ({ ended }) => ended)
      yield* Fiber.join(stop)
    }))

  it.live("lets an answer that has begun end, and then closes its connection", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(wire.head, Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsome")))
      )
      const gateway = yield* Served.proxying({ upstream: upstream.url }, options)
      const client = yield* gateway.connect
      client.send(get)
      yield* client.until("some", ({ text }) => text.endsWith("some"))
      const stop = yield* Effect.forkScoped(gateway.stop)
      yield* deaf(gateway)
      ;(yield* upstream.wire(0)).send("more")
      assert.strictEqual(String((yield* client.message()).body), "somemore")
      yield* client.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* Fiber.join(stop)
    }))

  it.live("reads a request that has begun, and answers it", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(options)
      const client = yield* server.connect
      client.send("GET / HTTP/1.1\r\nHo")
      yield* eventuallyEqual("it", 1, server.server.connections)
      // One round trip of another connection later, those bytes have been read.
      const other = yield* server.connect
      other.send(get)
      yield* other.message()
      const stop = yield* Effect.forkScoped(server.stop)
      yield* other.until("the end", ({ ended }) => ended)
      client.send("st: a\r\n\r\n")
      const answer = yield* client.message()
      assert.strictEqual(status(answer), 200)
      assert.deepStrictEqual(values(answer, "connection"), ["close"])
      yield* Fiber.join(stop)
    }))

  it.live("closes connections that are idle, or have said nothing yet", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(options)
      const [idle, silent] = [yield* server.connect, yield* server.connect]
      idle.send(get)
      yield* idle.message()
      yield* eventuallyEqual("both", 2, server.server.connections)
      yield* server.stop
      yield* idle.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* silent.until("the end", ({ endedInOrder }) => endedInOrder)
    }))

  it.live("destroys what has not ended after drainTimeout, and says so", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const server = yield* Served.answering({ drainTimeout: 50 }, gate.answer)
      const first = yield* server.connect
      first.send(get)
      const second = yield* open(server)
      second.send(request(1))
      yield* eventually("the requests", () => gate.waiting() === 2)
      yield* server.stop
      for (const client of [first, second]) yield* client.until("the end", ({ closed, ended }) => closed || ended)
      assert.strictEqual(first.text, "")
      yield* server.logged("2 connections are cut off, with what was under way: the time to drain is over")
    }))

  it.live("HTTP/2: says GOAWAY, with the last stream that it serves, and ends when that has ended", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const server = yield* Served.answering(options, gate.answer)
      const client = yield* open(server)
      client.send(Buffer.concat([request(1), request(3)]))
      yield* eventually("the requests", () => gate.waiting() === 2)
      const stop = yield* Effect.forkScoped(server.stop)
      const goaway = yield* nextOf(client, types.goaway)
      assert.strictEqual(goaway.payload.readUInt32BE(0), 3)
      assert.strictEqual(goaway.payload.readUInt32BE(4), 0)
      // The client sees that this one is not served, and may send it again elsewhere.
      client.send(request(5))
      yield* deaf(server)
      gate.open()
      const statuses = [yield* nextOf(client, types.headers), yield* nextOf(client, types.headers)]
      assert.deepStrictEqual(statuses.map(Frames.statusOf), [200, 200])
      yield* client.until("the end", ({ ended }) => ended)
      yield* Fiber.join(stop)
      assert.strictEqual(gate.waiting(), 2)
    }))

  it.live("HTTP/2: serves who still comes in the meantime, and says GOAWAY at once", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ ...options, drainDelay: "2 seconds" })
      yield* Effect.forkScoped(server.stop)
      yield* server.server.stopping
      const client = yield* open(server)
      client.send(request(1))
      const goaway = yield* nextOf(client, types.goaway)
      assert.strictEqual(goaway.payload.readUInt32BE(0), 1)
      assert.strictEqual(Frames.statusOf(yield* nextOf(client, types.headers)), 200)
      yield* client.until("the end", ({ ended }) => ended)
    }))

  it.live("HTTP/2: ends a session that is idle", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering(options)
      const client = yield* open(server)
      yield* server.stop
      yield* nextOf(client, types.goaway)
      yield* client.until("the end", ({ ended }) => ended)
    }))

  it.live("loses nothing that clients send who ask again and again, each on a connection that it keeps", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ ...options, drainDelay: 300 })
      const ends: Array<string> = []
      // A client that reuses a connection until it is told that it closes, and then opens another one.
      const loop = Effect.gen(function*() {
        for (;;) {
          const client = yield* server.connect
          for (let closes = false; !closes;) {
            client.send(get)
            const answer = yield* client.message()
            ends.push(String(status(answer)))
            closes = values(answer, "connection").includes("close")
          }
          if (!(yield* server.server.isReady)) return
        }
      })
      const clients = yield* Effect.forkScoped(
        Effect.all(range(10).map(() => Effect.scoped(loop)), { concurrency: 10 })
      )
      yield* eventually("load", () => ends.length > 200)
      yield* server.stop
      yield* Fiber.join(clients)
      assert.deepStrictEqual([...new Set(ends)], ["200"])
    }))
})

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
