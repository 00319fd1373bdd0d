import { Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Tls from "node:tls"
import { authority } from "../harness/Certificates.ts"
import { fullBacklog } from "../harness/fullBacklog.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as SecureUpstream from "../harness/SecureUpstream.ts"
import * as Served from "../harness/Served.ts"
import { Wire } from "../harness/Wire.ts"

const ca = authority()
const other = authority("another authority")
const local = ca.issue("localhost")
const mobile = ca.issue("/CN=mobile")
const front = ca.issue("gateway.test")

const ask = "GET /chat HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
const agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

/** An upstream over TLS that agrees, and says in its 101 what it knows of the connection. */
const secure = (options: Tls.TlsOptions = {}) =>
  SecureUpstream.make(
    { ...local, ALPNProtocols: ["h2", "http/1.1"], ...options },
    (wire, socket) =>
      Effect.map(wire.head, () => {
        const knows = [
          `X-Asked: ${socket.servername || "nobody"}`,
          `X-By: ${socket.getPeerCertificate().subject?.CN ?? "nobody"}`,
          `X-ALPN: ${socket.alpnProtocol}`
        ]
        wire.send(`${agreed}${knows.join("\r\n")}\r\n\r\n`)
      })
  )

const to = (url: string, options: Upstream.Options = {}, settings: Parameters<typeof Gateway.start>[1] = {}) =>
  Effect.gen(function*() {
    const gateway = yield* Gateway.start({ upstream: yield* Upstream.make(url, options) }, settings)
    return { gateway, client: yield* gateway.connect }
  })

/** What the upstream says that it knows. */
const knows = ({ client }: Effect.Success<ReturnType<typeof to>>) =>
  Effect.gen(function*() {
    client.send(ask)
    const head = yield* client.head
    assert.strictEqual(status(head), 101)
    const [asked] = values(head, "x-asked")
    const [by] = values(head, "x-by")
    const [alpn] = values(head, "x-alpn")
    return { asked, by, alpn }
  })

/** It is a 502 at the phase `connect`, for this reason, and its client may ask again. */
const refused = ({ client, gateway }: Effect.Success<ReturnType<typeof to>>, reason: RegExp) =>
  Effect.gen(function*() {
    for (let i = 1; i <= 2; i++) {
      client.send(ask)
      assert.strictEqual(status(yield* client.message()), 502)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: i })
      assert.include(gateway.logs.at(-1), "failed at the connect")
      assert.match(gateway.logs.at(-1)!, reason)
    }
  })

describe("28. tunnels to an upstream over TLS", { timeout: 30_000 }, () => {
  it.live("an authority of its own is trusted, no other is, and HTTP/1.1 alone is offered", () =>
    Effect.gen(function*() {
      const { url } = yield* secure()
      assert.deepStrictEqual(yield* knows(yield* to(url, { tls: { ca: ca.cert } })), {
        asked: "localhost",
        by: "nobody",
        alpn: "http/1.1"
      })
      yield* refused(yield* to(url, { tls: { ca: other.cert } }), /certificate/)
      yield* refused(yield* to(url), /certificate/)
    }))

  it.live("what an Upstream does not say is as the transport says", () =>
    Effect.gen(function*() {
      const { url } = yield* secure()
      const undici = { tls: { ca: ca.cert } }
      yield* knows(yield* to(url, {}, { undici }))
      yield* refused(yield* to(url, { tls: { ca: other.cert } }, { undici }), /certificate/)
    }))

  it.live("the gateway shows its certificate, to an upstream that asks for one", () =>
    Effect.gen(function*() {
      const { url } = yield* secure({ requestCert: true, rejectUnauthorized: true, ca: ca.cert })
      const { cert, key } = mobile
      assert.include(yield* knows(yield* to(url, { tls: { ca: ca.cert, cert, key } })), { by: "mobile" })
      const without = yield* to(url, { tls: { ca: ca.cert } })
      without.client.send(ask)
      assert.strictEqual(status(yield* without.client.message()), 502)
    }))

  it.live("serverName is the name that is asked for, and looked for", () =>
    Effect.gen(function*() {
      const elsewhere = yield* secure(ca.issue("elsewhere.test"))
      const tls = { ca: ca.cert, serverName: "elsewhere.test" }
      assert.include(yield* knows(yield* to(elsewhere.url, { tls })), { asked: "elsewhere.test" })
      yield* refused(yield* to(elsewhere.url, { tls: { ca: ca.cert } }), /localhost/)
      yield* refused(yield* to((yield* secure()).url, { tls }), /elsewhere\.test/)
    }))

  it.live("an address is no name, and a Host that is preserved changes nothing", () =>
    Effect.gen(function*() {
      const deceiving = yield* secure(ca.issue("gateway.test"))
      for (const url of [deceiving.url, `https://127.0.0.1:${deceiving.port}`]) {
        const upstream = yield* Upstream.make(url, { tls: { ca: ca.cert } })
        const gateway = yield* Gateway.start({ upstream, preserveHost: true })
        yield* refused({ gateway, client: yield* gateway.connect }, /localhost|127\.0\.0\.1/)
      }
    }))

  it.live("an older version than the least is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* secure({ maxVersion: "TLSv1.2" })
      yield* knows(yield* to(url, { tls: { ca: ca.cert } }))
      yield* refused(yield* to(url, { tls: { ca: ca.cert, minVersion: "TLSv1.3" } }), /version/)
    }))

  it.live("verification is off only in so many words, and a warning says so once", () =>
    Effect.gen(function*() {
      const { url } = yield* secure(other.issue("elsewhere.test"))
      const { client, gateway } = yield* to(url, { tls: { verify: "off-insecure" } })
      yield* knows({ gateway, client })
      yield* knows({ gateway, client: yield* gateway.connect })
      assert.lengthOf(gateway.logs.filter((line) => line.includes("is not verified")), 1)
    }))

  it.live("options that can't be used fail the upgrades, and nothing else", () =>
    Effect.gen(function*() {
      const { url } = yield* secure()
      const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
      yield* refused(yield* to(url, { tls: { ca: ca.cert, cert: mobile.cert, key } }), /options for TLS/)
      const of = { cert: mobile.cert, key: local.key }
      yield* refused(yield* to(url, { tls: { ca: ca.cert, ...of } }), /options for TLS/)
    }))

  it.live("one that speaks no TLS is a 502", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => Effect.sync(() => wire.send("hello\r\n")))
      yield* refused(yield* to(upstream.url.replace("http:", "https:"), { tls: { ca: ca.cert } }), /./)
    }))

  it.live("16. 16 MiB pass each way at once, and each side half-closes", () =>
    Effect.gen(function*() {
      const upstream = yield* secure()
      const made = yield* to(upstream.url, { tls: { ca: ca.cert } })
      yield* knows(made)
      const [server] = upstream.wires
      const size = 16 * 1024 * 1024
      for (const wire of [made.client, server!]) {
        wire.discard()
        wire.pour(size)
      }
      for (const wire of [made.client, server!]) yield* wire.until("all of it", ({ discarded }) => discarded === size)
      made.client.end()
      yield* server!.until("the end of one half", ({ ended }) => ended)
      server!.send("the rest")
      yield* made.client.until("the other half", ({ discarded }) => discarded === size + 8)
      server!.end()
      yield* made.client.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* made.gateway.quiet
      assert.deepStrictEqual(yield* made.gateway.outcomes(), { success: 1 })
    }))

  it.live("26. one that breaks off is a reset to the client, and a client that resets is the end for it", () =>
    Effect.gen(function*() {
      const upstream = yield* secure()
      const one = yield* to(upstream.url, { tls: { ca: ca.cert } })
      yield* knows(one)
      upstream.under[0]!.resetAndDestroy()
      yield* one.client.until("a reset", ({ broke }) => broke === "ECONNRESET")
      yield* one.gateway.quiet
      assert.deepStrictEqual(yield* one.gateway.outcomes(), { failure: 1 })
      const two = yield* to(upstream.url, { tls: { ca: ca.cert } })
      yield* knows(two)
      two.client.reset()
      yield* upstream.wires[1]!.until("the end", ({ gone }) => gone)
      yield* two.gateway.quiet
      assert.deepStrictEqual(yield* two.gateway.outcomes(), { interrupted: 1 })
    }))
})

describe("22. an upgrade that takes too long is a 504, and says so", { timeout: 30_000 }, () => {
  const cases: ReadonlyArray<readonly [what: string, port: Effect.Effect<number, never, Scope.Scope>, phase: string]> =
    [
      ["no connection within connectTimeout", fullBacklog, "connect"],
      ["no TLS within connectTimeout", Effect.map(RawUpstream.make(() => Effect.void), ({ port }) => port), "connect"],
      ["no head within headTimeout", Effect.map(RawUpstream.make(() => Effect.void), ({ port }) => port), "head"]
    ]
  for (const [what, port, phase] of cases) {
    it.live(what, () =>
      Effect.gen(function*() {
        const scheme = what.includes("TLS") ? "https" : "http"
        const upstream = yield* Upstream.make(`${scheme}://127.0.0.1:${yield* port}`, {})
        for (const fallback of [false, true]) {
          const gateway = yield* Gateway.start({
            upstream,
            ...(phase === "head" && { headTimeout: "200 millis" }),
            ...(fallback && { fallback: (failure) => Effect.orDie(HttpServerResponse.json(failure)) })
          }, { undici: { connectTimeout: "200 millis" } })
          const client = yield* gateway.connect
          client.send(ask)
          const got = yield* client.message()
          assert.strictEqual(status(got), fallback ? 200 : 504)
          if (fallback) {
            assert.include(JSON.parse(got.body.toString()), { _tag: "UpstreamError", phase, timedOut: true })
          }
          yield* gateway.quiet
          assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
        }
      }))
  }
})

const dial = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Wire>((resume) => {
      const socket = Tls.connect({ port, host: "127.0.0.1", ca: ca.cert, servername: "gateway.test" })
      socket.allowHalfOpen = true
      const wire = new Wire(socket)
      socket.once("secureConnect", () => resume(Effect.succeed(wire)))
    }),
    (wire) => Effect.sync(() => wire.close())
  )

describe("26, 28. tunnels over TLS on both sides", { timeout: 30_000 }, () => {
  const both = Effect.gen(function*() {
    const upstream = yield* secure()
    const served = yield* Served.proxying({ upstream: yield* Upstream.make(upstream.url, { tls: { ca: ca.cert } }) }, {
      tls: { certificates: [front] }
    })
    const client = yield* dial(served.port)
    client.send(`${ask}early`)
    assert.strictEqual(status(yield* client.head), 101)
    const server = upstream.wires[0]!
    yield* server.until("what was said early", ({ text }) => text === "early")
    server.take(5)
    return { client, served, server }
  })

  it.live("every byte passes, both ways, and each half-closes", () =>
    Effect.gen(function*() {
      const { client, served, server } = yield* both
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("latin1").repeat(300)
      client.send(bytes)
      server.send(bytes)
      yield* server.until("all of it", ({ text }) => text === bytes)
      yield* client.until("all of it", ({ text }) => text === bytes)
      server.end()
      yield* client.until("the end of one half", ({ ended }) => ended)
      client.send("the rest")
      yield* server.until("the other half", ({ text }) => text.endsWith("the rest"))
      client.end()
      yield* server.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* served.becomes("0 active, 0 queued")
      assert.deepStrictEqual(yield* served.outcomes, { success: 1 })
    }))

  for (const who of ["client", "server"] as const) {
    it.live(`a ${who} that is gone is the end for the other side`, () =>
      Effect.gen(function*() {
        const made = yield* both
        const other = who === "client" ? made.server : made.client
        made[who].close()
        yield* other.until("the end", ({ gone }) => gone)
        other.close()
        yield* made.served.becomes("0 active, 0 queued")
      }))
  }
})
