import { Group } from "@blackgate/core"
import { type Forwarded, Proxy, Rewrite } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { Wire } from "../harness/Wire.ts"

const local: Forwarded.Options = { trust: ["127.0.0.0/8"], instance: "one" }

type Options = Omit<Parameters<typeof Gateway.start>[0], "upstream">

/** Sends a request through a gateway, and shows what the upstream got of it, and the client of the answer. */
const exchange = (
  lines: ReadonlyArray<string>,
  { answer = response("ok"), start = "GET / HTTP/1.1", ...options }: Options & {
    readonly answer?: string
    readonly start?: string
  } = {}
) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => answer, seen)
    const gateway = yield* Gateway.start({ ...options, upstream: upstream.url })
    const client = yield* gateway.connect
    client.send([start, ...lines, "", ""].join("\r\n"))
    const got = yield* client.message()
    return { got, gateway, sent: seen[0], upstream }
  })

const told = (message: HttpMessage | undefined): ReadonlyArray<string> =>
  (message?.fields ?? []).filter(([name]) => /^(?:x-forwarded-|forwarded|x_forwarded)/i.test(name))
    .map((field) => field.join(": "))

const host = "Host: gateway.test"
const claims = [
  "X-Forwarded-For: 198.51.100.7",
  "x-forwarded-FOR: 127.0.0.2",
  "X-Forwarded-Host: site.test",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Port: 444",
  "X-Forwarded-Prefix: /app",
  "Forwarded: for=1.2.3.4;host=evil.test"
]

describe("9. forwarding fields on the wire", { timeout: 30_000 }, () => {
  it.live("9. the scheme is that of the connection, whatever a target in absolute form says", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host], { start: "GET https://gateway.test/ HTTP/1.1" })
      assert.deepStrictEqual(values(sent!, "x-forwarded-proto"), ["http"])
    }))

  it.live("9. a trusted peer's are appended to, in lines however many, and Forwarded is dropped", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host, ...claims], { forwarded: local })
      assert.deepStrictEqual(told(sent), [
        "x-forwarded-for: 198.51.100.7, 127.0.0.2, 127.0.0.1",
        "x-forwarded-host: site.test, gateway.test",
        "x-forwarded-proto: https, http",
        "x-forwarded-port: 444, 80",
        "x-forwarded-prefix: /app"
      ])
    }))

  it.live("9. an untrusted peer's are replaced, although it is this machine", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host, ...claims, "X_Forwarded_For: 1.2.3.4"])
      assert.deepStrictEqual(told(sent), [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: gateway.test",
        "x-forwarded-proto: http"
      ])
    }))

  for (const trust of [[], ["127.0.0.0/8"]]) {
    it.live(`9. a Connection that names them takes away nothing that the gateway writes (CVE-2024-45410), trusted: ${trust.length > 0}`, () =>
      Effect.gen(function*() {
        const names = "x-forwarded-for ,X-FORWARDED-HOST,\tx-forwarded-proto, Forwarded, via"
        const { sent } = yield* exchange(
          [host, `Connection: close, ${names}`, "X-Forwarded-For: 198.51.100.7", "Via: 1.0 fred"],
          { forwarded: { ...local, trust, send: "both" } }
        )
        const before = trust.length > 0 ? "198.51.100.7, " : ""
        assert.deepStrictEqual(told(sent), [
          `x-forwarded-for: ${before}127.0.0.1`,
          "x-forwarded-host: gateway.test",
          "x-forwarded-proto: http",
          `forwarded: ${before === "" ? "" : "for=198.51.100.7, "}for=127.0.0.1;host=gateway.test;proto=http`
        ])
        assert.deepStrictEqual(values(sent!, "via"), ["1.0 fred", "1.1 blackgate-one"])
      }))
  }

  it.live("9. Forwarded is read line by line, and written as one", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange(
        [host, "Forwarded: for=\"", "Forwarded: for=198.51.100.7;proto=https", "forwarded: for=127.0.0.9"],
        { forwarded: { ...local, read: "forwarded", send: "forwarded" } }
      )
      assert.deepStrictEqual(told(sent), [
        "forwarded: for=198.51.100.7;proto=https, for=127.0.0.9, for=127.0.0.1;host=gateway.test;proto=http"
      ])
    }))

  it.live("10. X-Forwarded-Host is the authority of an absolute-form target, whatever Host says", () =>
    Effect.gen(function*() {
      for (
        const [target, authority] of [["http://site.test:81/a", "site.test:81"], ["http://[::1]:81/a", "[::1]:81"]]
      ) {
        const { sent, upstream } = yield* exchange(["Host: evil.test"], { start: `GET ${target} HTTP/1.1` })
        assert.include(told(sent), `x-forwarded-host: ${authority}`)
        assert.deepStrictEqual(values(sent!, "host"), [`127.0.0.1:${upstream.port}`])
        const kept = yield* exchange(["Host: evil.test"], { start: `GET ${target} HTTP/1.1`, preserveHost: true })
        assert.deepStrictEqual(values(kept.sent!, "host"), [authority])
      }
    }))

  it.live("10. a Connection that names Host, Cookie or Content-Length unhosts nothing", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange(
        [host, "Connection: HOST , content-LENGTH,cookie", "Content-Length: 0", "Cookie: a=1", "X-Kept: 1"],
        { start: "POST / HTTP/1.1", preserveHost: true }
      )
      assert.deepStrictEqual(values(sent!, "host"), ["gateway.test"])
      assert.deepStrictEqual(values(sent!, "content-length"), ["0"])
      // That one is the client's to drop.
      assert.deepStrictEqual(values(sent!, "cookie"), [])
      assert.deepStrictEqual(values(sent!, "x-kept"), ["1"])
    }))

  it.live("9. a peer over IPv6 is told as such, with brackets in Forwarded alone", () =>
    Effect.gen(function*() {
      const sent = yield* over({ host: "::1" }, { send: "both" })
      assert.deepStrictEqual(told(sent), [
        "x-forwarded-for: ::1",
        "x-forwarded-host: gateway.test",
        "x-forwarded-proto: http",
        "forwarded: for=\"[::1]\";host=gateway.test;proto=http"
      ])
    }))

  it.live("9. a peer on a socket of IPv6 that speaks IPv4 is trusted, and told, as IPv4", () =>
    Effect.gen(function*() {
      const sent = yield* over({ host: "::" }, { trust: ["127.0.0.1"] }, "127.0.0.1")
      assert.include(told(sent), "x-forwarded-for: 198.51.100.7, 127.0.0.1")
    }))

  for (const trust of [[], ["unix:"]]) {
    it.live(`9. a peer on a Unix socket is believed only if the list says so: ${JSON.stringify(trust)}`, () =>
      Effect.gen(function*() {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "blackgate-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
        )
        const sent = yield* over({ path: join(folder, "s") }, { trust })
        assert.deepStrictEqual(told(sent), [
          ...(trust.length > 0 ? ["x-forwarded-for: 198.51.100.7"] : []),
          "x-forwarded-host: gateway.test",
          "x-forwarded-proto: http"
        ])
      }))
  }
})

/** Sends a request, which claims a client, to a gateway that listens elsewhere than all others; shows what the upstream got. */
const over = (
  listen: { readonly host: string } | { readonly path: string },
  forwarded: Forwarded.Options,
  to = "::1"
) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
    const group = yield* Group.make("elsewhere", { pool: { maxConcurrent: 1 } })
    const server = createServer()
    yield* Layer.build(
      HttpRouter.serve(Proxy.route("/*", { group, upstream: upstream.url, forwarded }), {
        disableLogger: true,
        disableListenLog: true
      }).pipe(
        Layer.provide(Undici.layerWith({ drain: 50 })),
        Layer.provide(NodeHttpServer.layer(() => server, {
          ...("path" in listen ? listen : { ...listen, port: 0 }),
          gracefulShutdownTimeout: 10
        }))
      )
    )
    const wire = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Wire(
          Net.connect("path" in listen ? listen : { port: (server.address() as Net.AddressInfo).port, host: to })
        )
      ),
      (wire) => Effect.sync(() => wire.close())
    )
    wire.send(`GET / HTTP/1.1\r\n${host}\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n`)
    yield* wire.message()
    return seen[0]
  })

describe("9. Via on the wire", { timeout: 30_000 }, () => {
  it.live("9. Via is appended in both directions, after what was there, with the version received", () =>
    Effect.gen(function*() {
      const { got, sent } = yield* exchange(["Via: 1.0 fred", "via: 1.1 (a, b) p.test:80"], {
        start: "GET / HTTP/1.0",
        answer: response("ok", "Via: 1.1 up, 1.0 other"),
        forwarded: { instance: "one" }
      })
      assert.deepStrictEqual(values(sent!, "via"), ["1.0 fred", "1.1 (a, b) p.test:80", "1.0 blackgate-one"])
      assert.deepStrictEqual(values(got, "via"), ["1.1 up, 1.0 other", "1.1 blackgate"])
    }))

  it.live("9. what the gateway answers by itself has no Via", () =>
    Effect.gen(function*() {
      const gateway = yield* Gateway.start({ upstream: `http://127.0.0.1:${yield* RawUpstream.deadPort}` })
      const client = yield* gateway.connect
      client.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n`)
      const got = yield* client.message()
      assert.strictEqual(status(got), 502)
      assert.deepStrictEqual(values(got, "via"), [])
    }))

  it.live("9. an upstream that leads back here is a 508 at the first return, and a line in the log; the permits come back", () =>
    Effect.gen(function*() {
      let port = 0
      // What it is told it asks the gateway, and answers with the answer.
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.gen(function*() {
          const { fields, startLine } = yield* wire.message()
          const back = yield* Effect.acquireRelease(
            Effect.sync(() => new Wire(Net.connect({ port, host: "127.0.0.1" }))),
            (back) => Effect.sync(() => back.close())
          )
          back.send([startLine, ...fields.map((field) => field.join(": ")), "", ""].join("\r\n"))
          const { body, startLine: answered } = yield* back.message()
          wire.send(`${answered}\r\nContent-Length: ${body.length}\r\n\r\n`)
          wire.send(body)
        }).pipe(Effect.scoped)
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url, forwarded: { instance: "one" } })
      port = gateway.port
      const client = yield* gateway.connect
      client.send(`GET /round HTTP/1.1\r\n${host}\r\n\r\n`)
      const got = yield* client.message()
      assert.strictEqual(status(got), 508)
      assert.deepStrictEqual(JSON.parse(got.body.toString()), { code: 508, message: "loop detected", errors: [] })
      assert.strictEqual(upstream.wires.length, 1)
      assert.deepStrictEqual(gateway.logs, ["a loop: the request has passed blackgate-one 1 times before"])
      yield* gateway.quiet
    }))

  it.live("9. two gateways in a row are no loop", () =>
    Effect.gen(function*() {
      const seen: Array<HttpMessage> = []
      const upstream = yield* RawUpstream.answering(() => response("ok"), seen)
      const inner = yield* Gateway.start({
        upstream: upstream.url,
        forwarded: { trust: ["127.0.0.1"], instance: "in" }
      })
      const outer = yield* Gateway.start({
        upstream: `http://127.0.0.1:${inner.port}`,
        preserveHost: true,
        forwarded: { instance: "out" }
      })
      const client = yield* outer.connect
      client.send(`GET / HTTP/1.1\r\n${host}\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n`)
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.deepStrictEqual(values(seen[0]!, "via"), ["1.1 blackgate-out", "1.1 blackgate-in"])
      assert.deepStrictEqual(values(got, "via"), ["1.1 blackgate", "1.1 blackgate"])
      assert.deepStrictEqual(values(seen[0]!, "x-forwarded-for"), ["127.0.0.1, 127.0.0.1"])
    }))
})

describe("11. what can't be sent is an error, and never sent", { timeout: 30_000 }, () => {
  const bad = "a\r\nX-Evil: 1"
  const refused = (
    { gateway, got, sent }: Pick<Effect.Success<ReturnType<typeof exchange>>, "gateway" | "got" | "sent">
  ) => {
    assert.strictEqual(status(got), 500)
    assert.deepStrictEqual(values(got, "x-evil"), [])
    assert.notInclude(got.body.toString(), "evil")
    assert.isNotEmpty(gateway.logs)
    assert.isUndefined(sent)
  }
  const rewrites: Record<string, Rewrite.Sync> = {
    "a header's value": Rewrite.setHeader("x-a", bad),
    "a header's value, beyond Latin-1": Rewrite.setHeader("x-a", "\u010a"),
    "a header's value, NUL": Rewrite.setHeader("x-a", "a\u0000"),
    "a header's name": Rewrite.setHeader(bad, "1"),
    "the path": Rewrite.mapPath(() => `/${bad}`),
    "the path, a space": Rewrite.mapPath(() => "/a b"),
    "the query": (request) => ({ ...request, query: `?${bad}` }),
    "the method": (request) => ({ ...request, method: `GET ${bad}` }),
    "a body's type": (request) => ({ ...request, body: HttpServerResponse.text("x", { contentType: bad }).body })
  }
  for (const [what, rewrite] of Object.entries(rewrites)) {
    it.live(`11. ${what} of a rewrite`, () => Effect.map(exchange([host], { rewrite }), refused))
  }

  for (const location of [bad, "/\u010a", "/\n"]) {
    it.live(`11. a redirect of a rewritten response: ${JSON.stringify(location)}`, () =>
      Effect.gen(function*() {
        const { gateway, got } = yield* exchange([host], {
          answer: "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n",
          rewriteResponse: (response) => ({ ...response, headers: ["location", location] })
        })
        assert.strictEqual(status(got), 500)
        assert.deepStrictEqual(values(got, "x-evil"), [])
        assert.isNotEmpty(gateway.logs)
      }))

    it.live(`11. a redirect of a fallback: ${JSON.stringify(location)}`, () =>
      Effect.gen(function*() {
        const gateway = yield* Gateway.start({
          upstream: `http://127.0.0.1:${yield* RawUpstream.deadPort}`,
          fallback: () => Effect.succeed(HttpServerResponse.redirect(location))
        })
        const client = yield* gateway.connect
        client.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n`)
        const got = yield* client.message()
        assert.strictEqual(status(got), 500)
        assert.deepStrictEqual(values(got, "x-evil"), [])
        assert.match(gateway.logs.at(-1)!, /^fallback failed[^]*location holds a byte/)
      }))

    it.live(`11. a redirect that a rewrite fails with: ${JSON.stringify(location)}`, () =>
      Effect.gen(function*() {
        const rewrite = () => Effect.fail(HttpServerResponse.redirect(location))
        const { gateway, got, sent } = yield* exchange([host], { rewrite })
        refused({ gateway, got, sent })
        assert.match(gateway.logs.at(-1)!, /^rewrite failed[^]*location holds a byte/)
      }))
  }
})
