import { InvalidOptions } from "@blackgate/core"
import { Upstream, type UpstreamTls } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import * as Http2 from "node:http2"
import * as Https from "node:https"
import type * as Net from "node:net"
import type * as Tls from "node:tls"
import { authority } from "../harness/Certificates.ts"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const ca = authority()
const other = authority("another authority")
const local = ca.issue("localhost")
const mobile = ca.issue("/CN=mobile")
const web = ca.issue("/CN=web")

const get = (host = "gateway.test") => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`

type Protocols = "1.1" | "2" | "both"

/** An upstream over TLS, whose answer is what it knows of the connection. */
const secure = (options: Tls.TlsOptions & { readonly speaks?: Protocols } = {}) =>
  Effect.acquireRelease(
    Effect.callback<
      {
        readonly url: string
        readonly port: number
        readonly sockets: Set<Tls.TLSSocket>
        readonly server: Https.Server
      }
    >(
      (resume) => {
        const { speaks = "1.1", ...given } = options
        const tls = { ...local, ...given }
        const server = (speaks === "1.1"
          ? Https.createServer(tls)
          : Http2.createSecureServer({ ...tls, allowHTTP1: speaks === "both" })) as Https.Server
        const sockets = new Set<Tls.TLSSocket>()
        server.on("secureConnection", (socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
        })
        server.on("request", (request, response) => {
          const socket = request.httpVersionMajor === 2
            ? (request as unknown as Http2.Http2ServerRequest).stream.session!.socket as Tls.TLSSocket
            : request.socket as Tls.TLSSocket
          response.end(JSON.stringify({
            http: request.httpVersion,
            asked: socket.servername || "nobody",
            by: socket.getPeerCertificate().subject?.CN ?? "nobody",
            tls: socket.getProtocol()
          }))
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resume(Effect.succeed({ url: `https://localhost:${port}`, port, sockets, server }))
        })
      }
    ),
    ({ server, sockets }) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )

type Options = Upstream.Options & { readonly preserveHost?: boolean; readonly undici?: Undici.Options }

const to = (url: string, { preserveHost = false, undici = {}, ...options }: Options = {}) =>
  Effect.gen(function*() {
    const gateway = yield* Gateway.start({ upstream: yield* Upstream.make(url, options), preserveHost }, { undici })
    return { gateway, client: yield* gateway.connect }
  })

/** What the upstream says, or the status of the gateway's own answer and what the log says of it. */
const ask = ({ client, gateway }: Effect.Success<ReturnType<typeof to>>, host?: string) =>
  Effect.gen(function*() {
    client.send(get(host))
    const got = yield* client.message()
    return status(got) === 200
      ? JSON.parse(got.body.toString()) as Record<"http" | "asked" | "by" | "tls", string>
      : { status: status(got), logs: gateway.logs.join("\n") }
  })

const refused = (got: object, ...reasons: ReadonlyArray<string>) => {
  assert.propertyVal(got, "status", 502)
  const { logs } = got as { readonly logs: string }
  assert.include(logs, "failed at the connect")
  for (const reason of reasons) assert.include(logs, reason)
}

for (const http of ["1.1", "2"] as const) {
  const speaks = http
  describe(`28. TLS to the upstream, HTTP/${http}`, { timeout: 30_000 }, () => {
    it.live("an authority of its own is trusted, and in place of those of the runtime", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks })
        const got = yield* ask(yield* to(upstream.url, { http, tls: { ca: [other.cert, ca.cert] } }))
        assert.deepStrictEqual(got, {
          http: http === "2" ? "2.0" : "1.1",
          asked: "localhost",
          by: "nobody",
          tls: "TLSv1.3"
        })
        refused(yield* ask(yield* to(upstream.url, { http, tls: { ca: other.cert } })), "certificate")
        refused(yield* ask(yield* to(upstream.url, { http })), "certificate")
      }))

    it.live("what an Upstream does not say is as the transport says", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks })
        const undici = { tls: { ca: ca.cert, minVersion: "TLSv1.3" } } as const
        assert.include(yield* ask(yield* to(upstream.url, { http, undici })), { tls: "TLSv1.3" })
        assert.include(yield* ask(yield* to(upstream.url, { http, undici, tls: { minVersion: "TLSv1.2" } })), {
          asked: "localhost"
        })
        refused(yield* ask(yield* to(upstream.url, { http, undici, tls: { ca: other.cert } })), "certificate")
      }))

    it.live("a certificate for another name is refused", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks, ...ca.issue("elsewhere.test") })
        refused(yield* ask(yield* to(upstream.url, { http, tls: { ca: ca.cert } })), "localhost")
      }))

    it.live("serverName is the name that is asked for, and looked for", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks, ...ca.issue("elsewhere.test") })
        const trusting = { http, tls: { ca: ca.cert, serverName: "elsewhere.test" } }
        assert.include(yield* ask(yield* to(upstream.url, trusting)), { asked: "elsewhere.test" })
        refused(yield* ask(yield* to((yield* secure({ speaks })).url, trusting)), "elsewhere.test")
      }))

    it.live("a Host that is preserved changes neither name, and no connection", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks })
        const made = yield* to(upstream.url, { http, preserveHost: true, tls: { ca: ca.cert } })
        for (const host of ["a.test", "b.test", "a.test"]) {
          assert.include(yield* ask(made, host), { asked: "localhost" })
        }
        assert.strictEqual(upstream.sockets.size, 1)
        const fake = yield* secure({ speaks, ...ca.issue("evil.test") })
        const deceived = { http, preserveHost: true, tls: { ca: ca.cert } }
        refused(yield* ask(yield* to(fake.url, deceived), "evil.test"), "localhost")
        refused(yield* ask(yield* to(`https://127.0.0.1:${fake.port}`, deceived), "evil.test"), "127.0.0.1")
      }))

    it.live("the gateway shows its certificate, to an upstream that asks for one", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks, requestCert: true, rejectUnauthorized: true, ca: ca.cert })
        const { cert, key } = mobile
        assert.include(yield* ask(yield* to(upstream.url, { http, tls: { ca: ca.cert, cert, key } })), { by: "mobile" })
        const got = yield* ask(yield* to(upstream.url, { http, tls: { ca: ca.cert } }))
        assert.propertyVal(got, "status", 502)
      }))

    it.live("upstreams with certificates of their own share no connection, whatever their URL", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks, requestCert: true, rejectUnauthorized: false, ca: ca.cert })
        const context = yield* Layer.build(Undici.layer)
        for (const [issued, by] of [[mobile, "mobile"], [web, "web"], [undefined, "nobody"]] as const) {
          const tls = { ca: ca.cert, ...issued }
          const made = yield* Gateway.start({ upstream: yield* Upstream.make(upstream.url, { http, tls }) }, {
            transport: Layer.succeedContext(context)
          })
          assert.include(yield* ask({ gateway: made, client: yield* made.connect }), { by })
        }
      }))

    it.live("an older version than the least is refused", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks, maxVersion: "TLSv1.2" })
        assert.include(yield* ask(yield* to(upstream.url, { http, tls: { ca: ca.cert } })), { tls: "TLSv1.2" })
        refused(yield* ask(yield* to(upstream.url, { http, tls: { ca: ca.cert, minVersion: "TLSv1.3" } })), "version")
      }))

    it.live("verification is off only in so many words, and a warning says so once", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks, ...other.issue("elsewhere.test") })
        const made = yield* to(upstream.url, { http, tls: { verify: "off-insecure" } })
        for (let i = 0; i < 2; i++) {
          assert.include(yield* ask(made), { asked: "localhost" })
          for (const socket of upstream.sockets) socket.destroy()
        }
        const warnings = made.gateway.logs.filter((line) => line.includes("is not verified"))
        assert.strictEqual(warnings.length, 1)
        assert.include(warnings[0]!, upstream.url)
      }))

    it.live("an environment variable does not turn it off", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks })
        yield* Effect.acquireRelease(
          Effect.sync(() => process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"),
          () => Effect.sync(() => delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"])
        )
        refused(yield* ask(yield* to(upstream.url, { http })), "certificate")
      }))

    it.live("a key that is none fails the requests, and nothing else", () =>
      Effect.gen(function*() {
        const upstream = yield* secure({ speaks })
        const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
        const got = yield* ask(yield* to(upstream.url, { http, tls: { ca: ca.cert, cert: mobile.cert, key } }))
        refused(got, "options for TLS")
      }))

    it.live("one that never answers the handshake is a 504, after connectTimeout", () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make(() => Effect.void)
        const url = upstream.url.replace("http:", "https:")
        const got = yield* ask(yield* to(url, { http, undici: { connectTimeout: 100 } }))
        assert.propertyVal(got, "status", 504)
      }))
  })
}

describe("27. the version of HTTP that is agreed on (ALPN)", { timeout: 30_000 }, () => {
  const tls: UpstreamTls.Options = { ca: ca.cert }

  it.live(`"auto" is HTTP/2 where the upstream speaks it`, () =>
    Effect.gen(function*() {
      for (const speaks of ["2", "both"] as const) {
        const upstream = yield* secure({ speaks })
        const made = yield* to(upstream.url, { http: "auto", tls })
        for (let i = 0; i < 2; i++) assert.include(yield* ask(made), { http: "2.0" })
        assert.strictEqual(upstream.sockets.size, 1)
      }
    }))

  it.live(`"auto" is HTTP/1.1 where it does not, on the connection that found it out`, () =>
    Effect.gen(function*() {
      const upstream = yield* secure()
      const made = yield* to(upstream.url, { http: "auto", tls })
      for (let i = 0; i < 3; i++) assert.include(yield* ask(made), { http: "1.1" })
      assert.strictEqual(upstream.sockets.size, 1)
    }))

  it.live("many that ask at once, before anything is known, all have their answers", () =>
    Effect.gen(function*() {
      for (const speaks of ["1.1", "2"] as const) {
        const upstream = yield* secure({ speaks })
        const { gateway } = yield* to(upstream.url, { http: "auto", tls })
        const got = yield* Effect.forEach(
          Array.from({ length: 20 }),
          () => Effect.flatMap(gateway.connect, (client) => ask({ client, gateway })),
          { concurrency: "unbounded" }
        )
        for (const each of got) assert.include(each, { http: speaks === "2" ? "2.0" : "1.1" })
        yield* gateway.quiet
      }
    }))

  it.live("what is known is forgotten with the last connection", () =>
    Effect.gen(function*() {
      const upstream = yield* secure()
      const made = yield* to(upstream.url, { http: "auto", tls })
      assert.include(yield* ask(made), { http: "1.1" })
      for (const socket of upstream.sockets) socket.destroy()
      yield* eventually("their end", () => Array.from(upstream.sockets).every(({ destroyed }) => destroyed))
      assert.include(yield* ask(made), { http: "1.1" })
      yield* made.gateway.quiet
    }))

  it.live(`"2" is a 502 where the upstream does not agree to it`, () =>
    Effect.gen(function*() {
      const upstream = yield* secure()
      refused(yield* ask(yield* to(upstream.url, { http: "2", tls })), "did not agree to HTTP/2")
    }))
})

describe("28. TLS options of the layer that can't be used end its building", () => {
  const bad: Record<string, unknown> = {
    "no PEM": { ca: "a" },
    "a certificate without its key": { cert: mobile.cert },
    "the key of another certificate": { cert: mobile.cert, key: web.key },
    "an address for a name": { serverName: "127.0.0.1" },
    "an old version": { minVersion: "TLSv1.1" },
    "verify: false": { verify: false },
    "Node's own option": { rejectUnauthorized: false }
  }
  for (const [what, tls] of Object.entries(bad)) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Layer.build(Undici.layerWith({ tls } as Undici.Options)))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOptions.InvalidOptions)
        assert.include(defect.message, "Undici.layer: tls")
      }))
  }
})
