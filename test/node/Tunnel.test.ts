import { Group, Pool } from "@blackgate/core"
import { HeaderList, Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { eventually, settled } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const ask = (...fields: ReadonlyArray<string>): string =>
  ["GET /chat?a=b HTTP/1.1", "Host: gateway.test", "Connection: Upgrade", ...fields, "", ""].join("\r\n")

const webSocket = ask("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")

const agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

/** An upstream that agrees to whatever it is asked, and says something with it. */
const agreeing = (said = agreed) =>
  RawUpstream.make((wire) => Effect.andThen(wire.head, Effect.sync(() => wire.send(said))))

/** A tunnel, and both ends of it. */
const tunnel = (gateway: Gateway.Gateway, upstream: RawUpstream.RawUpstream) =>
  Effect.gen(function*() {
    const client = yield* gateway.connect
    const count = upstream.wires.length
    client.send(webSocket)
    assert.strictEqual(status(yield* client.head), 101)
    return { client, server: yield* upstream.wire(count) }
  })

const arrives = (wire: Wire, text: string) => wire.until(JSON.stringify(text), (wire) => wire.text === text)

const gone = (wire: Wire) => wire.until("the end", (wire) => wire.closed)

const told = (wire: Wire) => wire.until("the end", ({ closed, ended }) => closed || ended)

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

describe("26. an upgrade that the upstream agrees to", { timeout: 30_000 }, () => {
  it.live("its request arrives with everything that the handshake is made of, and is asked for anew", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: `${upstream.url}/base` })
      const client = yield* gateway.connect
      client.send(
        ask(
          "Upgrade: websocket",
          "Sec-WebSocket-Protocol: chat, superchat",
          "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
          "Origin: http://page.test",
          "X-A: 1",
          "x-a: 2"
        )
      )
      const head = yield* (yield* upstream.wire(0)).head
      assert.strictEqual(head.startLine, "GET /base/chat?a=b HTTP/1.1")
      assert.deepStrictEqual(values(head, "host"), [upstream.url.slice("http://".length)])
      assert.deepStrictEqual(values(head, "sec-websocket-protocol"), ["chat, superchat"])
      assert.deepStrictEqual(values(head, "sec-websocket-extensions"), [
        "permessage-deflate; client_max_window_bits"
      ])
      assert.deepStrictEqual(values(head, "origin"), ["http://page.test"])
      assert.deepStrictEqual(values(head, "x-a"), ["1", "2"])
      assert.deepStrictEqual(values(head, "connection"), ["Upgrade"])
      assert.deepStrictEqual(values(head, "upgrade"), ["websocket"])
      assert.deepStrictEqual(values(head, "x-forwarded-host"), ["gateway.test"])
      assert.deepStrictEqual(values(head, "transfer-encoding"), [])
    }))

  it.live("its 101 arrives: reason phrase, subprotocol, extensions, fields of its own, cookies; without what is hop-by-hop", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing(
        [
          "HTTP/1.1 101 Here We Go",
          "Upgrade: WebSocket",
          "Connection: Upgrade, X-Hop",
          "X-Hop: 1",
          "Sec-WebSocket-Protocol: chat",
          "Sec-WebSocket-Extensions: permessage-deflate",
          "X-Custom: \xe4",
          "Set-Cookie: a=1",
          "Set-Cookie: b=2",
          "",
          ""
        ].join("\r\n")
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(webSocket)
      const head = yield* client.head
      assert.strictEqual(head.startLine, "HTTP/1.1 101 Here We Go")
      assert.deepStrictEqual(head.fields.map((field) => field.join(": ")), [
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "X-Custom: \xe4",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "via: 1.1 blackgate",
        "Connection: Upgrade",
        "Upgrade: WebSocket"
      ])
    }))

  it.live("every byte arrives as it is, both ways", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const { client, server } = yield* tunnel(gateway, upstream)
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("latin1")
      client.send(bytes)
      server.send(bytes.repeat(2))
      yield* arrives(server, bytes)
      yield* arrives(client, bytes.repeat(2))
    }))

  it.live("what either side says right behind its head arrives first", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing(`${agreed}server first`)
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(`${webSocket}client first`)
      yield* client.head
      const server = yield* upstream.wire(0)
      client.send(", and second")
      server.send(", and second")
      yield* arrives(server, "client first, and second")
      yield* arrives(client, "server first, and second")
    }))

  it.live("what the client says while the upstream still thinks arrives, in order", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(`${webSocket}a`)
      const server = yield* upstream.wire(0)
      yield* server.head
      const more = "b".repeat(300_000)
      client.send(more)
      yield* settled("what the client got rid of", () => client.socket.bytesWritten)
      server.send(agreed)
      yield* client.head
      client.send("c")
      yield* arrives(server, `a${more}c`)
    }))

  it.live("18. one whose body does not come is given up after `idle`: that is the client's doing, and the permit is back", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: upstream.url, idle: "200 millis" })
      const client = yield* gateway.connect
      client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nbo")
      yield* gateway.becomes("1 active, 0 queued")
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
      yield* told(yield* upstream.wire(0))
      assert.strictEqual(status(yield* client.message()), 408)
    }))

  it.live("24. one whose body turns out longer than maxBodySize is a 413, and no failure of the upstream", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: upstream.url, maxBodySize: 3 })
      const client = yield* gateway.connect
      client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n\r\n"
      )
      yield* gateway.becomes("1 active, 0 queued")
      client.send("4\r\nbody\r\n")
      assert.strictEqual(status(yield* client.message()), 413)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
    }))

  it.live("any other protocol passes, with the spelling and the body of its request", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() => wire.send("HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nhi"))
        )
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(
        "POST /exec HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nbody"
      )
      const head = yield* client.head
      assert.strictEqual(head.startLine, "HTTP/1.1 101 UPGRADED")
      assert.deepStrictEqual(values(head, "upgrade"), ["tcp"])
      yield* arrives(client, "hi")
      client.send("to the server")
      yield* arrives(yield* upstream.wire(0), "to the server")
    }))

  it.live("a rewrite changes the request, and rewriteResponse the 101", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({
        upstream: upstream.url,
        rewrite: (request) => ({ ...request, path: "/other", headers: HeaderList.set(request.headers, "x-a", "1") }),
        rewriteResponse: (response) => ({ ...response, headers: HeaderList.append(response.headers, "x-b", "2") })
      })
      const client = yield* gateway.connect
      client.send(webSocket)
      const server = yield* upstream.wire(0)
      const head = yield* server.head
      assert.strictEqual(head.startLine, "GET /other?a=b HTTP/1.1")
      assert.deepStrictEqual(values(head, "x-a"), ["1"])
      server.send(agreed)
      assert.deepStrictEqual(values(yield* client.head, "x-b"), ["2"])
    }))

  it.live("rewriteResponse may still refuse it: the upstream is left, and the client's connection goes on", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({
        upstream: upstream.url,
        rewriteResponse: (response) => ({ ...response, status: 403, statusText: "No" })
      })
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual((yield* client.message()).startLine, "HTTP/1.1 403 No")
      yield* told(yield* upstream.wire(0))
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 403)
      yield* gateway.quiet
    }))

  it.live("11. a line break that rewriteResponse puts into the 101 is a 500, never sent", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({
        upstream: upstream.url,
        rewriteResponse: (response) => ({ ...response, headers: ["x-a", "1\r\nx-b: 2"] })
      })
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 500)
      yield* told(yield* upstream.wire(0))
      yield* gateway.quiet
    }))
})

describe("26. the end of a tunnel", { timeout: 30_000 }, () => {
  it.live("half-close: a client that has no more to say still hears the rest", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const { client, server } = yield* tunnel(gateway, upstream)
      client.send("last words")
      client.end()
      yield* server.until("the end of one side", ({ ended, text }) => ended && text === "last words")
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      server.send("answer")
      yield* arrives(client, "answer")
      server.end()
      yield* client.until("the end of the other", ({ endedInOrder }) => endedInOrder)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("half-close: so does an upstream", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const { client, server } = yield* tunnel(gateway, upstream)
      server.send("last words")
      server.end()
      yield* client.until("the end of one side", ({ ended, text }) => ended && text === "last words")
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      client.send("answer")
      yield* arrives(server, "answer")
      client.end()
      yield* server.until("the end of the other", ({ endedInOrder }) => endedInOrder)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("a reset of the client is one for the upstream, and no failure of its", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const { client, server } = yield* tunnel(gateway, upstream)
      client.reset()
      yield* gone(server)
      assert.strictEqual(server.broke, "ECONNRESET")
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
    }))

  it.live("a reset of the upstream is one for the client, and a failure", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const { client, server } = yield* tunnel(gateway, upstream)
      server.reset()
      yield* gone(client)
      assert.strictEqual(client.broke, "ECONNRESET")
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))

  it.live("a reset that comes when the other side has ended is seen too, both ways", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const one = yield* tunnel(gateway, upstream)
      one.client.end()
      yield* one.server.until("the end", ({ ended }) => ended)
      one.server.reset()
      yield* gone(one.client)
      assert.strictEqual(one.client.broke, "ECONNRESET")
      const two = yield* tunnel(gateway, upstream)
      two.server.end()
      yield* two.client.until("the end", ({ ended }) => ended)
      two.client.reset()
      yield* gone(two.server)
      assert.strictEqual(two.server.broke, "ECONNRESET")
      yield* gateway.quiet
    }))

  it.live("idle: bytes in neither direction for that long end it, on both sides; before that any byte keeps it", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url, idle: "1 hour", upgrade: { idle: 2000 } })
      const { client, server } = yield* tunnel(gateway, upstream)
      for (const from of [client, server, client, server]) {
        yield* Effect.sleep(600)
        from.send("x")
      }
      yield* arrives(client, "xx")
      yield* arrives(server, "xx")
      yield* told(client)
      yield* told(server)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
    }))

  it.live("total: it lasts no longer, whatever it says, and that was a timeout", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url, upgrade: { total: 1500 } })
      const { client, server } = yield* tunnel(gateway, upstream)
      yield* client.until("the end", ({ ended }) => ended)
      yield* server.until("the end", ({ ended }) => ended)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1 })
    }))

  it.live("the route's timeout ends with the 101", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url, timeout: 2000 })
      const { client, server } = yield* tunnel(gateway, upstream)
      yield* Effect.sleep(2200)
      client.send("still there")
      yield* arrives(server, "still there")
    }))

  it.live("100 tunnels, reset by either side or ended in order, leave nothing behind", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => i),
        (i) =>
          Effect.gen(function*() {
            const client = yield* gateway.connect
            client.send(`${webSocket}${i}`)
            yield* client.head
            const server = yield* eventually("its other end", () => upstream.wires.find(({ text }) => text === `${i}`))
            if (i % 3 === 0) client.reset()
            else if (i % 3 === 1) server.reset()
            else {
              client.end()
              server.end()
            }
            yield* gone(i % 3 === 1 ? client : server)
          }),
        { concurrency: 20 }
      )
      yield* gateway.quiet
      yield* eventually("every connection to be gone", () => upstream.open === 0, () => upstream.open)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 33, failure: 33, interrupted: 34 })
    }))
})

describe("16. backpressure in a tunnel", { timeout: 60_000 }, () => {
  for (const [who, pick] of [["upstream", 0], ["client", 1]] as const) {
    it.live(`a ${who} that does not read stops the other side, and loses nothing`, () =>
      Effect.gen(function*() {
        const upstream = yield* agreeing()
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const { client, server } = yield* tunnel(gateway, upstream)
        const [from, to] = pick === 0 ? [client, server] : [server, client]
        const size = 64 * 1024 * 1024
        to.stopReading()
        to.discard()
        from.pour(size)
        assert.isBelow(yield* settled("what is sent", () => from.poured), size / 2)
        to.readOn()
        yield* to.until("all of it", ({ discarded }) => discarded === size)
      }))
  }
})

describe("26. an upgrade that comes to nothing", { timeout: 30_000 }, () => {
  it.live("a refusal is relayed as any answer, and the client's connection goes on: with a request, and with an upgrade", () =>
    Effect.gen(function*() {
      let asked = 0
      const upstream = yield* RawUpstream.answering(() => {
        asked++
        if (asked === 1) {
          return response("no!", "X-Why: 1", "Set-Cookie: a=1", "Set-Cookie: b=2").replace(
            "200 OK",
            "426 Upgrade Better"
          )
        }
        if (asked === 2) return response("plain")
        return agreed
      })
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(webSocket)
      const refused = yield* client.message()
      assert.strictEqual(refused.startLine, "HTTP/1.1 426 Upgrade Better")
      assert.strictEqual(refused.body.toString(), "no!")
      assert.deepStrictEqual(values(refused, "x-why"), ["1"])
      assert.deepStrictEqual(values(refused, "set-cookie"), ["a=1", "b=2"])
      assert.deepStrictEqual(values(refused, "connection"), ["keep-alive"])
      client.send(get)
      assert.strictEqual((yield* client.message()).body.toString(), "plain")
      client.send(`${webSocket}early`)
      assert.strictEqual(status(yield* client.head), 101)
      yield* eventually("what was said early", () => upstream.wires.some(({ text }) => text === "early"))
    }))

  it.live("what was pipelined behind a refused one is answered", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(({ startLine }) => response(startLine))
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(webSocket + get + get)
      assert.strictEqual((yield* client.message()).body.toString(), "GET /chat?a=b HTTP/1.1")
      assert.strictEqual((yield* client.message()).body.toString(), "GET / HTTP/1.1")
      assert.strictEqual((yield* client.message()).body.toString(), "GET / HTTP/1.1")
    }))

  it.live("a refusal streams, and is broken off when the upstream breaks off", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(wire.head, Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")))
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(webSocket)
      yield* client.until("the first part", ({ text }) => text.endsWith("hello"))
      upstream.wires[0]!.reset()
      yield* client.until("the abort", ({ broke, ended }) => ended || broke !== undefined)
      assert.isFalse(client.text.endsWith("helloworld"))
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))

  it.live("many refusals on one connection leave no listeners on it", () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const warn = (warning: Error) => warnings.push(warning.name)
      process.on("warning", warn)
      const upstream = yield* RawUpstream.answering(() => response("no"))
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      for (let i = 0; i < 30; i++) {
        client.send(webSocket)
        assert.strictEqual((yield* client.message()).body.toString(), "no")
      }
      process.off("warning", warn)
      assert.notInclude(warnings, "MaxListenersExceededWarning")
      yield* gateway.quiet
    }))

  it.live("a client that says Connection: close gets its answer, and the end", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("no"))
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n")
      const got = yield* client.message()
      assert.deepStrictEqual(values(got, "connection"), ["close"])
      yield* client.until("the end", ({ endedInOrder }) => endedInOrder)
    }))

  it.live("no 101 in time is a 504, the upstream is told, and the connection goes on", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => wire.head)
      const gateway = yield* Gateway.start({ upstream: upstream.url, timeout: 100 })
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 504)
      yield* (yield* upstream.wire(0)).until("the upstream to be told", ({ ended }) => ended)
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 504)
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 2 })
      yield* gateway.quiet
    }))

  it.live("an upstream that is not there is a 502, and one that breaks off before its head too", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => Effect.andThen(wire.head, Effect.sync(() => wire.reset())))
      const dead = yield* RawUpstream.deadPort
      const gateway = yield* Gateway.withRoutes((group) =>
        Layer.merge(
          Proxy.route("/chat", { group, upstream: upstream.url }),
          Proxy.route("/dead", { group, upstream: `http://127.0.0.1:${dead}` })
        )
      )
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 502)
      client.send(webSocket.replace("/chat", "/dead"))
      assert.strictEqual(status(yield* client.message()), 502)
      assert.isTrue(gateway.logs.some((log) => log.includes("failed at the connect")))
      assert.isTrue(gateway.logs.some((log) => log.includes("failed at the head")))
      yield* gateway.quiet
    }))

  for (const upgrade of ["h2c", "other", ""]) {
    it.live(`a 101 that switches to ${JSON.stringify(upgrade)}, which nobody asked for, is a 502`, () =>
      Effect.gen(function*() {
        const upstream = yield* agreeing(
          agreed.replace("Upgrade: websocket\r\n", upgrade === "" ? "" : `Upgrade: ${upgrade}\r\n`)
        )
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(webSocket)
        assert.strictEqual(status(yield* client.message()), 502)
        yield* told(yield* upstream.wire(0))
        yield* gateway.quiet
      }))
  }

  it.live("a pool that is full is a 503, the upstream hears nothing, and the connection goes on", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1 } })
      const first = yield* tunnel(gateway, upstream)
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 503)
      assert.strictEqual(upstream.wires.length, 1)
      first.client.end()
      first.server.end()
      yield* gateway.quiet
      client.send(webSocket)
      assert.strictEqual(status(yield* client.head), 101)
    }))

  it.live("the fallback answers, before a 101", () =>
    Effect.gen(function*() {
      const gateway = yield* Gateway.start({
        upstream: `http://127.0.0.1:${yield* RawUpstream.deadPort}`,
        fallback: (failure) => Effect.orDie(HttpServerResponse.json({ failure: failure._tag }, { status: 418 }))
      })
      const client = yield* gateway.connect
      client.send(webSocket)
      const got = yield* client.message()
      assert.strictEqual(status(got), 418)
      assert.strictEqual(got.body.toString(), "{\"failure\":\"UpstreamError\"}")
    }))

  for (
    const [how, leave] of [["resets", (wire: Wire) => wire.reset()], ["ends", (wire: Wire) => wire.end()]] as const
  ) {
    it.live(`18. a client that ${how} before the 101: the upstream is told, and the permit comes back`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make(() => Effect.void)
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(webSocket)
        const server = yield* upstream.wire(0)
        yield* server.head
        leave(client)
        yield* server.until("it to be told", ({ closed, ended }) => closed || ended)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 1 })
      }))
  }

  it.live("18. a client that leaves while it waits for a permit leaves the line", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1, maxQueued: 1 } })
      yield* tunnel(gateway, upstream)
      const client = yield* gateway.connect
      client.send(webSocket)
      yield* gateway.becomes("1 active, 1 queued")
      client.reset()
      yield* gateway.becomes("1 active, 0 queued")
      assert.strictEqual(upstream.wires.length, 1)
    }))
})

describe("26. upgrades that are none", { timeout: 30_000 }, () => {
  const plain: ReadonlyArray<readonly [why: string, request: string]> = [
    ["Upgrade: h2c is never forwarded", ask("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")],
    [
      "nor is it with its settings named",
      ask("Upgrade: H2C").replace("Connection: Upgrade", "Connection: Upgrade, HTTP2-Settings")
    ],
    ["nor is HTTP under any other name", ask("Upgrade: HTTP/2.0, TLS/1.2")],
    ["one that Connection does not name is none", webSocket.replace("Connection: Upgrade", "Connection: keep-alive")],
    ["nor is one of HTTP/1.0", webSocket.replace("HTTP/1.1", "HTTP/1.0")]
  ]
  for (const [why, request] of plain) {
    it.live(`${why}: it goes on as a plain request`, () =>
      Effect.gen(function*() {
        const seen: Array<Parameters<typeof values>[0]> = []
        const upstream = yield* RawUpstream.answering(() => response("plain"), seen as never)
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(request)
        assert.strictEqual((yield* client.message()).body.toString(), "plain")
        assert.deepStrictEqual(values(seen[0]!, "upgrade"), [])
        assert.deepStrictEqual(values(seen[0]!, "http2-settings"), [])
        assert.notMatch(values(seen[0]!, "connection").join(), /upgrade/i)
        if (request.includes("HTTP/1.0")) return
        client.send(get + get)
        assert.strictEqual((yield* client.message()).body.toString(), "plain")
        assert.strictEqual((yield* client.message()).body.toString(), "plain")
      }))
  }

  it.live("of a list with h2c, the rest is offered", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(ask("Upgrade: h2c, websocket"))
      assert.strictEqual(status(yield* client.head), 101)
    }))

  it.live("behind an answer that is under way it goes on as a plain request, in its turn", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(({ startLine }) => response(startLine))
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(get + webSocket + get)
      assert.strictEqual((yield* client.message()).body.toString(), "GET / HTTP/1.1")
      const last = yield* client.message()
      assert.strictEqual(last.body.toString(), "GET /chat?a=b HTTP/1.1")
      // Node has lost what stood behind it, so that nobody may wait for that.
      assert.deepStrictEqual(values(last, "connection"), ["close"])
      yield* client.until("the end", ({ ended }) => ended)
    }))

  it.live("upgrade: false: it goes on as a plain request, and so does its connection", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering((head) => response(values(head, "upgrade").join()))
      const gateway = yield* Gateway.start({ upstream: upstream.url, upgrade: false })
      const client = yield* gateway.connect
      for (let i = 0; i < 3; i++) {
        client.send(webSocket)
        assert.strictEqual((yield* client.message()).body.toString(), "")
      }
    }))

  it.live("a server that does not give its connections away: a WebSocket is a 501, and the log says what to do", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("plain"))
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { tunnels: false })
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual(status(yield* client.message()), 501)
      assert.strictEqual(upstream.wires.length, 0)
      assert.include(gateway.logs.join("\n"), "Tunnel.accept")
      const other = yield* gateway.connect
      other.send(ask("Upgrade: foo"))
      assert.strictEqual((yield* other.message()).body.toString(), "plain")
    }))

  it.live("13. a spelling of its path that is a 400 is one here, and the connection goes on", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(webSocket.replace("/chat", "/a/..%2fb"))
      assert.strictEqual(status(yield* client.message()), 400)
      assert.strictEqual(upstream.wires.length, 0)
      client.send(webSocket)
      assert.strictEqual(status(yield* client.head), 101)
    }))

  it.live("Effect's own routes of the same server are served as before", () =>
    Effect.gen(function*() {
      const gateway = yield* Gateway.withRoutes(() =>
        HttpRouter.add("GET", "/chat", Effect.succeed(HttpServerResponse.text("own")))
      )
      const client = yield* gateway.connect
      client.send(webSocket)
      assert.strictEqual((yield* client.message()).body.toString(), "own")
    }))
})

describe("26. origins", { timeout: 30_000 }, () => {
  const cases: ReadonlyArray<
    readonly [origins: "any" | "same" | ReadonlyArray<string>, origin: string | undefined, status: number]
  > = [
    ["any", "http://evil.test", 101],
    ["same", "http://gateway.test", 101],
    ["same", "https://gateway.test", 101],
    ["same", undefined, 101],
    ["same", "http://evil.test", 403],
    ["same", "http://gateway.test:81", 403],
    ["same", "http://gateway.test.evil.test", 403],
    ["same", "http://gateway.test@evil.test", 403],
    ["same", "http://gateway.test/", 403],
    ["same", "null", 403],
    ["same", "", 403],
    [["https://app.test"], "https://app.test", 101],
    [["https://app.test"], "http://app.test", 403],
    [["https://app.test"], "https://APP.test", 403],
    [["https://app.test"], "http://gateway.test", 403],
    [["https://app.test"], "https://app.test, https://evil.test", 403],
    [[], "http://gateway.test", 403]
  ]
  for (const [origins, origin, expected] of cases) {
    it.live(`${JSON.stringify(origins)}: ${origin === undefined ? "none" : JSON.stringify(origin)} is a ${expected}`, () =>
      Effect.gen(function*() {
        const upstream = yield* agreeing()
        const gateway = yield* Gateway.start({ upstream: upstream.url, upgrade: { origins } })
        const client = yield* gateway.connect
        client.send(origin === undefined ? webSocket : ask("Upgrade: websocket", `Origin: ${origin}`))
        assert.strictEqual(status(yield* client.head), expected)
        assert.strictEqual(upstream.wires.length, expected === 101 ? 1 : 0)
      }))
  }
})

describe("26. a tunnel's permit", { timeout: 30_000 }, () => {
  it.live("is its route's, and held until both sides are closed", () =>
    Effect.gen(function*() {
      const upstream = yield* agreeing()
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const { client, server } = yield* tunnel(gateway, upstream)
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      client.end()
      server.end()
      yield* gateway.quiet
    }))

  it.live("is of a group of its own, if it has one: tunnels use up no permits of requests, nor requests those of tunnels", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.gen(function*() {
          const { startLine } = yield* wire.head
          wire.send(startLine.startsWith("GET /chat") ? agreed : response("plain", "Connection: close"))
        })
      )
      const sockets = yield* Group.make("sockets", { pool: { maxConcurrent: 1 } })
      const gateway = yield* Gateway.start(
        { upstream: upstream.url, upgrade: { group: sockets } },
        { pool: { maxConcurrent: 1 } }
      )
      const { client, server } = yield* tunnel(gateway, upstream)
      assert.strictEqual(yield* gateway.busy, Gateway.idle)
      const other = yield* gateway.connect
      other.send(webSocket)
      assert.strictEqual(status(yield* other.message()), 503)
      other.send(get)
      assert.strictEqual((yield* other.message()).body.toString(), "plain")
      client.reset()
      yield* gone(server)
      while ((yield* Pool.statistics(sockets.pool)).active > 0) yield* Effect.sleep(1)
    }))
})
