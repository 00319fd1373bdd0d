import { Group } from "@blackgate/core"
import { Connect } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as Tls from "node:tls"
import { authority } from "../harness/Certificates.ts"
import { eventually } from "../harness/eventually.ts"
import { status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"
import { Wire } from "../harness/Wire.ts"

const ask = (upgrade = "websocket") =>
  ["GET /chat HTTP/1.1", "Host: gateway.test", "Connection: Upgrade", `Upgrade: ${upgrade}`, "", ""].join("\r\n")
const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
const agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\n"

const ca = authority()
const tls = { certificates: [ca.issue("a.test")] } as const

/** Agrees to what asks for another protocol, refuses those that have `no` in it, and answers the rest. */
const upstream = RawUpstream.make((wire) =>
  Effect.gen(function*() {
    for (;;) {
      const head = yield* wire.head
      const [upgrade] = values(head, "upgrade")
      if (upgrade === undefined) wire.send(RawUpstream.response("plain"))
      else if (upgrade === "no") wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
      else return wire.send(agreed)
    }
  })
)

const dial = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Wire>((resume) => {
      const socket = Tls.connect({ port, host: "127.0.0.1", ca: ca.cert, servername: "a.test" })
      const wire = new Wire(socket)
      socket.once("secureConnect", () => resume(Effect.succeed(wire)))
    }),
    (wire) => Effect.sync(() => wire.close())
  )

for (const [how, options] of [["without TLS", {}], ["over TLS", { tls }]] as const) {
  const gateway = Effect.gen(function*() {
    const behind = yield* upstream
    const served = yield* Served.proxying({ upstream: behind.url }, options)
    return { behind, served, client: yield* how === "over TLS" ? dial(served.port) : served.connect }
  })

  describe(`26. upgrades, ${how}`, () => {
    it.live("become tunnels, without anything that a server has to be told for it", () =>
      Effect.gen(function*() {
        const { behind, client, served } = yield* gateway
        client.send(`${ask()}early`)
        const head = yield* client.head
        assert.strictEqual(status(head), 101)
        assert.deepStrictEqual(values(head, "x-a"), ["1"])
        const wire = yield* behind.wire(0)
        yield* wire.until("what was said early", ({ text }) => text === "early")
        wire.send("back")
        yield* client.until("what was said back", ({ text }) => text === "back")
        client.end()
        wire.end()
        yield* served.becomes("0 active, 0 queued")
      }))

    it.live("that are refused leave their connection to the next request", () =>
      Effect.gen(function*() {
        const { client, served } = yield* gateway
        for (let i = 0; i < 3; i++) {
          client.send(ask("no"))
          assert.strictEqual(status(yield* client.message()), 403)
          client.send(get)
          assert.strictEqual(String((yield* client.message()).body), "plain")
        }
        assert.deepStrictEqual(served.logs, [])
      }))

    it.live("to h2c alone are plain requests", () =>
      Effect.gen(function*() {
        const { client } = yield* gateway
        client.send(ask("h2c"))
        assert.strictEqual(String((yield* client.message()).body), "plain")
      }))

    it.live("with a head that is refused are refused as any other", () =>
      Effect.gen(function*() {
        const { client, served } = yield* gateway
        client.send("GET / HTTP/1.1\r\nHost: a@b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert.strictEqual(status(yield* client.message()), 400)
        yield* client.until("the end", ({ ended }) => ended)
        assert.lengthOf(yield* served.logged("the Host of its request is no host"), 1)
      }))

    it.live("30. that are tunnels end with a server that is told to stop, after drainTimeout", () =>
      Effect.gen(function*() {
        const { behind, client, served } = yield* gateway
        client.send(ask())
        assert.strictEqual(status(yield* client.head), 101)
        const stop = yield* Effect.forkScoped(served.stop)
        yield* client.until("the end", ({ closed, ended }) => closed || ended)
        const wire = yield* behind.wire(0)
        yield* wire.until("the upstream's end", ({ closed, ended }) => closed || ended)
        client.close()
        yield* Fiber.join(stop)
      }))
  })
}

describe("26. CONNECT", () => {
  it.live("goes through where it is allowed, on `node`", () =>
    Effect.gen(function*() {
      const behind = yield* RawUpstream.make(() => Effect.void)
      const served = yield* Served.answering()
      const group = yield* Group.make("server's connect", { pool: { maxConcurrent: 1 } })
      const target = `127.0.0.1:${behind.port}`
      yield* Layer.build(Connect.layer(served.server.node, { group, allow: [target], drain: 50 }))
      const client = yield* served.connect
      client.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nhello`)
      assert.strictEqual(status(yield* client.head), 200)
      yield* (yield* behind.wire(0)).until("hello", ({ text }) => text === "hello")
    }))
})

describe("24. a request for another protocol keeps no connection, and no permit, for longer than another would", () => {
  const limits = { headTimeout: 200, bodyTimeout: 200, keepAlive: 200 }
  const upload = (...fields: ReadonlyArray<string>) =>
    ["POST / HTTP/1.1", "Host: gateway.test", "Connection: Upgrade", "Upgrade: foo", ...fields, "", ""].join("\r\n")

  for (const [what, request] of [["answered", ask("foo")], ["refused", ask("foo").replace("/chat", "/a#b")]] as const) {
    it.live(`one that was ${what}, and whose client keeps its end open`, () =>
      Effect.gen(function*() {
        const behind = yield* upstream
        const served =
          yield* (what === "answered" ? Served.answering(limits) : Served.proxying({ upstream: behind.url }, limits))
        const client = yield* served.connect
        client.send(request)
        yield* client.message()
        yield* eventually("the end", () => Effect.runSync(served.server.connections) === 0)
      }))
  }

  it.live("one whose body does not come", () =>
    Effect.gen(function*() {
      const behind = yield* RawUpstream.make(() => Effect.void)
      const served = yield* Served.proxying({ upstream: behind.url }, limits)
      const client = yield* served.connect
      client.send(upload("Transfer-Encoding: chunked"))
      yield* served.becomes("1 active, 0 queued")
      yield* served.becomes("0 active, 0 queued")
      yield* served.logged("its request body took too long")
      assert.deepStrictEqual(yield* served.outcomes, { interrupted: 1 })
    }))

  for (const fields of ["Content-Length: 11", "Transfer-Encoding: chunked"]) {
    it.live(`one whose body is longer than maxBodySize, with ${fields}`, () =>
      Effect.gen(function*() {
        const behind = yield* RawUpstream.make(() => Effect.void)
        const served = yield* Served.proxying({ upstream: behind.url }, { maxBodySize: 10 })
        const client = yield* served.connect
        client.send(`${upload(fields)}${fields.startsWith("C") ? "" : "b\r\n"}hello world\r\n`)
        yield* client.until("the end", ({ gone }) => gone)
        yield* served.logged("its request body is longer than 10 bytes")
      }))
  }

  it.live("one whose body comes becomes a tunnel that may be silent", () =>
    Effect.gen(function*() {
      const behind = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() =>
            wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n")
          )
        )
      )
      const served = yield* Served.proxying({ upstream: behind.url }, limits)
      const client = yield* served.connect
      client.send(upload("Content-Length: 5"))
      yield* served.becomes("1 active, 0 queued")
      client.send("hello")
      assert.strictEqual(status(yield* client.head), 101)
      yield* Effect.sleep(700)
      client.send("more")
      yield* (yield* behind.wire(0)).until("more", ({ text }) => text === "more")
    }))
})

describe("31. a CONNECT that is refused changes nothing of what was asked before it", () => {
  it.live("that is answered first", () =>
    Effect.gen(function*() {
      const { answer, open, waiting } = Served.gate()
      const served = yield* Served.answering({}, answer)
      const client = yield* served.connect
      client.send(`${get}CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n`)
      yield* served.logged("it wants a tunnel")
      assert.strictEqual(waiting(), 1)
      open()
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(status(yield* client.message()), 405)
      yield* client.until("the end", ({ ended }) => ended)
    }))
})
