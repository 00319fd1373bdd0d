import { HeaderList } from "@blackgate/http"
import { Server } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http2 from "node:http2"
import type * as Tls from "node:tls"
import { authority } from "../harness/Certificates.ts"
import { dialing } from "../harness/dialing.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"

const ca = authority()
const a = ca.issue("a.test", "also-a.test")
const b = ca.issue("b.test", "*.b.test")
const newer = ca.issue("a.test")
const strangers = authority("strangers")
const mobile = ca.issue("/O=Example/CN=mobile")
const stranger = strangers.issue("/CN=stranger")

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

const dial = dialing(ca)

const commonName = (wire: { readonly socket: Tls.TLSSocket }): string =>
  String(wire.socket.getPeerCertificate().subject.CN)

describe("28. TLS", () => {
  const names: ReadonlyArray<readonly [servername: string, cn: string]> = [
    ["a.test", "a.test"],
    ["also-a.test", "a.test"],
    ["A.TEST", "a.test"],
    ["b.test", "b.test"],
    ["x.b.test", "b.test"],
    ["x.y.b.test", "a.test"],
    ["unknown.test", "a.test"]
  ]
  for (const [servername, cn] of names) {
    it.live(`a client that asks for ${servername} is shown the certificate of ${cn}`, () =>
      Effect.gen(function*() {
        const server = yield* Served.answering({ tls: { certificates: [a, b] } })
        const client = yield* dial(server.port, { servername, checkServerIdentity: () => undefined })
        assert.strictEqual(commonName(client), cn)
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 200)
      }))
  }

  it.live("a client that names nobody is shown the first", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [b, a] } })
      const client = yield* dial(server.port, { servername: "", checkServerIdentity: () => undefined })
      assert.strictEqual(commonName(client), "b.test")
    }))

  it.live("reload: new connections have the new certificate, and those there are go on", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] } })
      const before = yield* dial(server.port)
      const serial = before.socket.getPeerCertificate().serialNumber
      yield* server.server.reload({ certificates: [newer] })
      const after = yield* dial(server.port)
      assert.notStrictEqual(after.socket.getPeerCertificate().serialNumber, serial)
      for (const client of [before, after]) {
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 200)
      }
    }))

  it.live("reload: what can't be used is refused, and the old certificate stays", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] } })
      const mismatch = yield* Effect.flip(server.server.reload({ certificates: [{ cert: a.cert, key: b.key }] }))
      assert.match(mismatch.message, /tls: .*mismatch/i)
      const garbage = yield* Effect.flip(server.server.reload({ certificates: [{ cert: "no", key: a.key }] }))
      assert.include(garbage.message, "certificates.0.cert: expected PEM")
      assert.strictEqual(commonName(yield* dial(server.port)), "a.test")
    }))

  it.live("prepare: nothing is used until that is said, and what can't be used is refused", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] } })
      const use = yield* server.server.prepare({ tls: { certificates: [b] } })
      assert.strictEqual(commonName(yield* dial(server.port)), "a.test")
      const mismatch = yield* Effect.flip(
        Effect.asVoid(server.server.prepare({ tls: { certificates: [{ cert: a.cert, key: b.key }] } }))
      )
      assert.match(mismatch.message, /tls: .*mismatch/i)
      yield* use
      assert.strictEqual(commonName(yield* dial(server.port, { servername: "b.test" })), "b.test")
    }))

  it.live("a session from before a reload is not resumed after it", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] } })
      const before = yield* dial(server.port, { maxVersion: "TLSv1.2" })
      const session = before.socket.getSession()!
      const same = yield* dial(server.port, { session, maxVersion: "TLSv1.2" })
      assert.isTrue(same.socket.isSessionReused())
      yield* server.server.reload({ certificates: [newer] })
      const after = yield* dial(server.port, { session, maxVersion: "TLSv1.2" })
      assert.isFalse(after.socket.isSessionReused())
    }))

  it.live("there is no reload without tls", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const error = yield* Effect.flip(server.server.reload({ certificates: [a] }))
      assert.include(error.message, "tls")
    }))

  for (
    const [minVersion, offered, works] of [
      [undefined, "TLSv1.1", false],
      [undefined, "TLSv1.2", true],
      ["TLSv1.3", "TLSv1.2", false],
      ["TLSv1.3", "TLSv1.3", true]
    ] as const
  ) {
    it.live(`with a minimum of ${minVersion ?? "the default"}, ${offered} is ${works ? "spoken" : "refused, and the log says so"}`, () =>
      Effect.gen(function*() {
        const server = yield* Served.answering({ tls: { certificates: [a], minVersion } })
        const client = yield* Effect.exit(
          dial(server.port, { minVersion: offered, maxVersion: offered, ciphers: "DEFAULT@SECLEVEL=0" })
        )
        assert.strictEqual(client._tag, works ? "Success" : "Failure")
        if (!works) yield* server.logged("its TLS handshake failed")
      }))
  }

  it.live("who speaks no TLS is closed, and the log says so in a line", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] } })
      const client = yield* server.connect
      client.send(get)
      yield* client.until("the end", ({ closed, ended }) => closed || ended)
      assert.lengthOf(yield* server.logged("its TLS handshake failed"), 1)
    }))

  it.live("24. a handshake that takes longer than headTimeout ends, and so does a silence behind it", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] }, headTimeout: 500 })
      const dialled = yield* dial(server.port)
      const client = yield* server.connect
      client.send("\x16\x03\x01")
      yield* client.until("the end", ({ closed, ended }) => closed || ended)
      yield* server.logged("its TLS handshake took too long")
      assert.strictEqual(status(yield* dialled.message()), 408)
    }))

  for (
    const [offered, spoken] of [
      [["h2", "http/1.1"], "h2"],
      [["http/1.1", "h2"], "h2"],
      [["http/1.1"], "http/1.1"],
      [undefined, false]
    ] as const
  ) {
    it.live(`27. ALPN: of ${offered?.join(" and ") ?? "nothing"}, ${spoken || "HTTP/1.1"} is spoken`, () =>
      Effect.gen(function*() {
        const server = yield* Served.answering({ tls: { certificates: [a] } })
        const client = yield* dial(server.port, offered && { ALPNProtocols: [...offered] })
        assert.strictEqual(client.socket.alpnProtocol, spoken)
        if (spoken === "h2") return
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 200)
      }))
  }

  it.live("27. ALPN: without http2, h2 alone is refused in the handshake", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering({ tls: { certificates: [a] }, http2: false })
      const exit = yield* Effect.exit(dial(server.port, { ALPNProtocols: ["h2"] }))
      assert.strictEqual(exit._tag, "Failure")
    }))
})

/** Asks over HTTP/2, as one who is not picky. */
const ask2 = (port: number, options: Http2.SecureClientSessionOptions = {}) =>
  Effect.callback<string, Error>((resume) => {
    const session = Http2.connect(`https://127.0.0.1:${port}`, { ca: ca.cert, servername: "a.test", ...options })
    session.once("error", (error) => resume(Effect.fail(error)))
    const stream = session.request({ ":authority": "a.test" })
    let text = ""
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk
    })
    stream.once("error", (error) => resume(Effect.fail(error)))
    stream.once("end", () => {
      session.destroy()
      resume(Effect.succeed(text))
    })
    return Effect.sync(() => session.destroy())
  })

/** A gateway whose rewrite tells the upstream who is asking. */
const telling = (client: Server.Tls["client"]) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => RawUpstream.response("ok"), seen)
    const gateway = yield* Served.proxying({
      upstream: upstream.url,
      rewrite: (request) => {
        const certificate = Server.clientCertificate(request.source)
        return {
          ...request,
          headers: HeaderList.append(request.headers, "x-client", certificate?.subject ?? "nobody")
        }
      }
    }, { tls: { certificates: [a], client } })
    return { gateway, seen }
  })

describe("28. certificates of clients", () => {
  it.live("required: one that is trusted is let in, and a rewrite knows its subject", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* telling({ ca: ca.cert })
      const client = yield* dial(gateway.port, mobile)
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(values(seen[0]!, "x-client"), ["O=Example, CN=mobile"])
      assert.deepStrictEqual(values(seen[0]!, "x-forwarded-proto"), ["https"])
    }))

  it.live("required: over HTTP/2, too", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* telling({ ca: ca.cert })
      assert.strictEqual(yield* ask2(gateway.port, mobile), "ok")
      assert.deepStrictEqual(values(seen[0]!, "x-client"), ["O=Example, CN=mobile"])
      assert.deepStrictEqual(values(seen[0]!, "x-forwarded-proto"), ["https"])
    }))

  for (
    const [mode, who, credentials, reason] of [
      ["required", "nobody", undefined, "did not return a certificate"],
      ["required", "a stranger", stranger, "its certificate is not trusted"],
      ["optional", "a stranger", stranger, "its certificate is not trusted"]
    ] as const
  ) {
    it.live(`${mode}: ${who} is not let in, and the log says why`, () =>
      Effect.gen(function*() {
        const { gateway, seen } = yield* telling({ ca: ca.cert, mode })
        // With TLS 1.3 a client hears of it only after it has begun to speak.
        const client = yield* Effect.exit(dial(gateway.port, credentials))
        if (client._tag === "Success") {
          client.value.send(get)
          yield* client.value.until("the end", ({ closed, ended }) => closed || ended)
        }
        assert.lengthOf(seen, 0)
        assert.lengthOf(yield* gateway.logged(reason), 1)
      }))
  }

  it.live("optional: nobody is let in as nobody", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* telling({ ca: ca.cert, mode: "optional" })
      const client = yield* dial(gateway.port)
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(values(seen[0]!, "x-client"), ["nobody"])
    }))

  it.live("without client, nobody is asked, and whoever shows one is nobody", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* telling(undefined)
      const client = yield* dial(gateway.port, mobile)
      client.send(get)
      yield* client.message()
      assert.deepStrictEqual(values(seen[0]!, "x-client"), ["nobody"])
    }))
})
