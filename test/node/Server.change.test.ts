import type { Server } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { authority } from "../harness/Certificates.ts"
import { dialing } from "../harness/dialing.ts"
import * as Frames from "../harness/Frames.ts"
import { status } from "../harness/HttpMessage.ts"
import * as Served from "../harness/Served.ts"
import type { Wire } from "../harness/Wire.ts"

const { nextOf, request, statusOf, types } = Frames

const ca = authority()
const certificate = ca.issue("a.test")

const get = (...fields: ReadonlyArray<string>) => ["GET / HTTP/1.1", "Host: a.test", ...fields, "", ""].join("\r\n")

const asked = (client: Wire, bytes = get()) =>
  Effect.gen(function*() {
    client.send(bytes)
    return status(yield* client.message())
  })

const ask = ({ connect }: Served.Served, bytes?: string) => Effect.flatMap(connect, (client) => asked(client, bytes))

const http2 = ({ connect }: Served.Served) =>
  Effect.gen(function*() {
    const client = yield* connect
    client.send(Buffer.concat([Frames.preface, Frames.settings()]))
    yield* nextOf(client, types.settings)
    return {
      client,
      ask: (stream: number) =>
        Effect.suspend(() => {
          client.send(request(stream))
          return Effect.map(nextOf(client, types.headers, stream), statusOf)
        })
    }
  })

const dial = dialing(ca)

describe("a server that is changed while it runs", () => {
  const atOnce: ReadonlyArray<readonly [options: Server.Options, bytes: string, status: number]> = [
    [{ maxHeaders: 1 }, get("A: b"), 431],
    [{ maxUri: 3 }, get().replace("/", "/abc"), 414],
    [{ maxBodySize: 2 }, get("Content-Length: 3"), 413]
  ]
  for (const [options, bytes, refused] of atOnce) {
    it.live(`${JSON.stringify(options)} holds at once, and not any more when it is left out again`, () =>
      Effect.gen(function*() {
        const served = yield* Served.answering()
        const [before, after] = [yield* served.connect, yield* served.connect]
        assert.strictEqual(yield* asked(before), 200)
        assert.strictEqual(yield* asked(after), 200)
        yield* served.server.change(options)
        assert.strictEqual(yield* asked(before, bytes), refused)
        yield* served.server.change({})
        assert.strictEqual(yield* asked(after, get("A: b")), 200)
      }))
  }

  it.live("maxHeaderBytes holds for connections to come", () =>
    Effect.gen(function*() {
      const served = yield* Served.answering()
      const before = yield* served.connect
      const long = get(`X: ${"x".repeat(2000)}`)
      assert.strictEqual(yield* asked(before, long), 200)
      yield* served.server.change({ maxHeaderBytes: 1000 })
      assert.strictEqual(yield* ask(served, long), 431)
      assert.strictEqual(yield* asked(before, long), 200)
      yield* served.server.change({ maxHeaderBytes: 50_000 })
      assert.strictEqual(yield* ask(served, get(`X: ${"x".repeat(40_000)}`)), 200)
    }))

  it.live("keepAlive and headTimeout, however short, end what is idle and what is slow", () =>
    Effect.gen(function*() {
      const served = yield* Served.answering()
      const [idle, slow] = [yield* served.connect, yield* served.connect]
      const second = yield* http2(served)
      assert.deepStrictEqual([yield* asked(idle), yield* second.ask(1)], [200, 200])
      yield* served.server.change({ keepAlive: 20, headTimeout: 20 })
      // Node has set its timer of an idle connection already: with the next answer there is another one.
      assert.strictEqual(yield* asked(idle), 200)
      slow.send("GET / HTTP/1.1\r\n")
      assert.strictEqual(status(yield* slow.message()), 408)
      yield* idle.until("the end", ({ ended }) => ended)
      yield* second.client.until("the end", ({ ended }) => ended)
    }))

  it.live("maxConnections: one more is closed, and those there are go on", () =>
    Effect.gen(function*() {
      const served = yield* Served.answering()
      const [first, second] = [yield* served.connect, yield* served.connect]
      assert.deepStrictEqual([yield* asked(first), yield* asked(second)], [200, 200])
      yield* served.server.change({ maxConnections: 1 })
      const third = yield* served.connect
      yield* third.until("the end", ({ closed, ended }) => closed || ended)
      assert.deepStrictEqual([yield* asked(first), yield* asked(second)], [200, 200])
      yield* served.server.change({})
      assert.strictEqual(yield* ask(served), 200)
    }))

  it.live("http2: sessions go on, and there are no more of them, until there are again", () =>
    Effect.gen(function*() {
      const served = yield* Served.answering()
      const before = yield* http2(served)
      assert.strictEqual(yield* before.ask(1), 200)
      yield* served.server.change({ http2: false })
      assert.strictEqual(yield* before.ask(3), 200)
      const refused = yield* served.connect
      refused.send(Frames.preface)
      assert.strictEqual(status(yield* refused.message()), 400)
      yield* served.server.change({ maxConcurrentStreams: 7 })
      assert.strictEqual(yield* (yield* http2(served)).ask(1), 200)
      assert.strictEqual(yield* before.ask(5), 200)
    }))

  it.live("tls comes and goes for connections to come, and session tickets of the same tls stay", () =>
    Effect.gen(function*() {
      const served = yield* Served.answering()
      const plain = yield* served.connect
      assert.strictEqual(yield* asked(plain), 200)
      const tls = { certificates: [certificate] } as const
      yield* served.server.change({ tls })
      const encrypted = yield* dial(served.port, { maxVersion: "TLSv1.2" })
      assert.deepStrictEqual([yield* asked(plain), yield* asked(encrypted)], [200, 200])
      yield* served.server.change({ tls, maxHeaders: 50 })
      const resumed = yield* dial(served.port, { maxVersion: "TLSv1.2", session: encrypted.socket.getSession()! })
      assert.isTrue(resumed.socket.isSessionReused())
      yield* served.server.change({})
      assert.strictEqual(yield* ask(served), 200)
      assert.strictEqual(yield* asked(encrypted), 200)
      assert.match(String(yield* Effect.flip(dial(served.port))), /Error/)
    }))

  it.live("what can't be used is refused, and changes nothing", () =>
    Effect.gen(function*() {
      const served = yield* Served.answering({ maxHeaders: 5 })
      const wrong: ReadonlyArray<readonly [Server.Options, RegExp]> = [
        [{ maxHeaders: 0 }, /maxHeaders/],
        [{ port: 1 }, /port/],
        [{ maxUri: 1, tls: { certificates: [{ cert: certificate.cert, key: ca.issue("b").key }] } }, /tls/]
      ]
      for (const [options, message] of wrong) {
        assert.match((yield* Effect.flip(served.server.change(options))).message, message)
      }
      assert.strictEqual(yield* ask(served, get("A: b")), 200)
      assert.strictEqual(yield* ask(served, get("A: b", "A: b", "A: b", "A: b", "A: b")), 431)
    }))

  it.live("drainTimeout: the drain has as long as was said last", () =>
    Effect.gen(function*() {
      const gate = Served.gate()
      const served = yield* Served.answering({ drainTimeout: "1 hour" }, gate.answer)
      const client = yield* served.connect
      client.send(get())
      yield* client.until("the request", () => gate.waiting() === 1)
      yield* served.server.change({ drainTimeout: 30 })
      yield* served.stop
      assert.strictEqual(client.text, "")
    }))
})
