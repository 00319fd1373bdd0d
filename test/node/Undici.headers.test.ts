import { Proxy, Rewrite } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerResponse } from "effect/http"
import { IpNetwork } from "effect/net"
import * as Zlib from "node:zlib"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

/** Sends one request through a gateway, and shows what the upstream got of it, and the client of the answer. */
const exchange = (
  fields: ReadonlyArray<string>,
  {
    answer = response("ok"),
    middleware,
    start = "GET / HTTP/1.1",
    body = "",
    ...options
  }: {
    readonly answer?: string | Uint8Array
    readonly start?: string
    readonly body?: string
    readonly middleware?: Gateway.Routes
    readonly rewrite?: Rewrite.Sync
    readonly preserveHost?: boolean
  } = {}
) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => answer, seen)
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.mergeAll(Proxy.route("/*", { ...options, group, upstream: upstream.url }), middleware ?? Layer.empty)
    )
    const client = yield* gateway.connect
    client.send([start, ...fields, "", body].join("\r\n"))
    const got = yield* client.message({ bodiless: start.startsWith("HEAD") })
    return { got, sent: seen[0]!, gateway, upstream }
  })

/** What the gateway wrote itself: not the fields that a connection of its own has. */
const own = new Set(["host", "connection", "keep-alive", "date", "transfer-encoding", "via"])
const forwarded = /^x-forwarded-/

/** The fields that came from the other end, with their names' case folded. */
const passed = ({ fields }: HttpMessage): ReadonlyArray<string> =>
  fields.map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !own.has(name) && !forwarded.test(name))
    .map((field) => field.join(": "))

const host = "Host: gateway.test"

const addsCookie = HttpRouter.middleware(
  (effect) =>
    Effect.map(effect, (response) => HttpServerResponse.setCookieUnsafe(response, "mine", "1", { path: "/" })),
  { global: true }
)

describe("7. what is hop-by-hop stays on its hop", { timeout: 30_000 }, () => {
  const hopByHop = [
    "Keep-Alive: timeout=99",
    "Proxy-Authorization: Basic c2VjcmV0",
    "Proxy-Authenticate: Basic",
    "Proxy-Connection: keep-alive",
    "Proxy-Anything: 1",
    "Proxy: http://attacker.test",
    "TE: gzip",
    "Trailer: Expires",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "X-Secret: 1",
    "x-SECRET: 2"
  ]

  it.live("a client's hop-by-hop fields, and those that its Connection names, don't reach the upstream", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host, "Connection: x-secret, HTTP2-Settings", ...hopByHop, "X-Kept: 1"])
      assert.deepStrictEqual(passed(sent), ["x-kept: 1"])
      assert.deepStrictEqual(values(sent, "connection"), ["keep-alive"])
    }))

  it.live("an upstream's hop-by-hop fields, and those that its Connection names, don't reach the client", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], {
        answer: response(
          "ok",
          "Connection: X-Secret",
          "connection: keep-alive, x-other",
          "X-Other: 1",
          ...hopByHop,
          "X-Kept: 1"
        )
      })
      assert.deepStrictEqual(passed(got), ["x-kept: 1", "content-length: 2"])
      assert.deepStrictEqual(values(got, "connection"), ["keep-alive"])
      assert.deepStrictEqual(values(got, "keep-alive"), ["timeout=5"])
    }))

  it.live("an upstream's Connection: close is about its own connection, not the client's", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], { answer: response("ok", "Connection: close") })
      assert.deepStrictEqual(values(got, "connection"), ["keep-alive"])
    }))

  for (const te of ["trailers", "gzip;q=0.5, Trailers", "trailers, deflate"]) {
    it.live(`TE: ${te} survives as trailers, although Connection names it`, () =>
      Effect.gen(function*() {
        const { sent } = yield* exchange([host, "Connection: TE", `TE: ${te}`])
        assert.deepStrictEqual(values(sent, "te"), ["trailers"])
      }))
  }

  for (const te of ["gzip", "x-trailers", "trailers2"]) {
    it.live(`TE: ${te} does not survive`, () =>
      Effect.gen(function*() {
        const { sent } = yield* exchange([host, "Connection: TE", `TE: ${te}`])
        assert.deepStrictEqual(values(sent, "te"), [])
      }))
  }

  it.live("what a rewrite adds is not dropped because the client's Connection names it", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host, "Connection: x-user, x-forwarded-for", "X-User: evil"], {
        rewrite: Rewrite.setHeader("X-User", "1")
      })
      assert.deepStrictEqual(values(sent, "x-user"), ["1"])
      assert.deepStrictEqual(values(sent, "x-forwarded-for"), ["127.0.0.1"])
    }))

  for (const name of ["content-length", "transfer-encoding", "host", "Content-Length, Transfer-Encoding, Host"]) {
    it.live(`Connection: ${name} does not unframe a request with a length`, () =>
      Effect.gen(function*() {
        const { sent } = yield* exchange([host, `Connection: ${name}`, "Content-Length: 5"], {
          start: "POST / HTTP/1.1",
          body: "hello"
        })
        assert.strictEqual(sent.body.toString(), "hello")
        assert.deepStrictEqual(values(sent, "content-length"), ["5"])
        assert.strictEqual(values(sent, "host").length, 1)
      }))

    it.live(`Connection: ${name} does not unframe a chunked request`, () =>
      Effect.gen(function*() {
        const { sent } = yield* exchange([host, `Connection: ${name}`, "Transfer-Encoding: chunked"], {
          start: "POST / HTTP/1.1",
          body: "5\r\nhello\r\n0\r\n\r\n"
        })
        assert.strictEqual(sent.body.toString(), "hello")
        // undici counts a body that is all there already.
        assert.match(
          [...values(sent, "transfer-encoding"), ...values(sent, "content-length")].join(),
          /^(?:chunked|5)$/
        )
      }))

    it.live(`an upstream's Connection: ${name} does not unframe its response`, () =>
      Effect.gen(function*() {
        const { got } = yield* exchange([host], { answer: response("hello", `Connection: ${name}`) })
        assert.strictEqual(got.body.toString(), "hello")
        assert.strictEqual(got.framing, "length")
      }))
  }

  it.live("a client's X-Forwarded-* and Forwarded are replaced, however they are spelled", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([
        host,
        "X-Forwarded-For: 1.2.3.4",
        "x-forwarded-FOR: 5.6.7.8",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 444",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=1.2.3.4;host=evil.test"
      ])
      const written = sent.fields.filter(([name]) => /forwarded/i.test(name)).map((field) => field.join(": "))
      assert.deepStrictEqual(written, [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: gateway.test",
        "x-forwarded-proto: http"
      ])
    }))

  it.live("10. Host is the upstream's authority", () =>
    Effect.gen(function*() {
      const { sent, upstream } = yield* exchange([host])
      assert.deepStrictEqual(values(sent, "host"), [`127.0.0.1:${upstream.port}`])
    }))

  it.live("10. Host is the client's, once, with preserveHost", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host], { preserveHost: true })
      assert.deepStrictEqual(values(sent, "host"), ["gateway.test"])
    }))

  it.live("9. a host that middleware has put in the place of the client's is the one that is told of", () =>
    Effect.gen(function*() {
      const middleware = HttpRouter.middleware(
        HttpMiddleware.xForwardedHeaders({ trustedProxies: [IpNetwork.fromStringUnsafe("127.0.0.0/8")] }),
        { global: true }
      )
      const fields = [host, "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: site.test"]
      const { sent } = yield* exchange(fields, { middleware })
      assert.deepStrictEqual(values(sent, "x-forwarded-host"), ["site.test"])
      const preserved = yield* exchange(fields, { middleware, preserveHost: true })
      assert.deepStrictEqual(values(preserved.sent, "host"), ["site.test"])
    }))

  it.live("10. the authority of an absolute-form target wins over Host", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange(["Host: other.test"], {
        start: "GET http://gateway.test:81/a HTTP/1.1",
        preserveHost: true
      })
      assert.deepStrictEqual(values(sent, "host"), ["gateway.test:81"])
      assert.deepStrictEqual(values(sent, "x-forwarded-host"), ["gateway.test:81"])
    }))
})

describe("8. everything else passes", { timeout: 30_000 }, () => {
  // Every byte above ASCII but the controls.
  const latin1 = Array.from({ length: 0x60 }, (_, i) => String.fromCharCode(0xa0 + i)).join("")
  const fields = [
    "X-Twice: b",
    "X-Between: 1",
    "x-twice: a",
    "X-Twice: b",
    "X-Empty:",
    "X-Commas: a,,b ,c",
    "X-Quoted: \"a, b\"; q=1",
    `X-Latin: ${latin1}`,
    "X-Utf8: caf\u00c3\u00a9",
    "X-Tab: a\tb",
    "Accept: text/html",
    "Accept: */*",
    "Cookie: a=1; b=2",
    "Cookie: c=\"3 4\"",
    "Authorization: Bearer x",
    "__proto__: 1",
    "constructor: 2"
  ]

  it.live("duplicates, order, empty values and bytes above ASCII reach the upstream as they came", () =>
    Effect.gen(function*() {
      const { sent } = yield* exchange([host, ...fields])
      assert.deepStrictEqual(
        sent.fields.map((field) => field.join(": ")).filter((field) =>
          !/^(?:host|connection|via|x-forwarded-\w+): /.test(field)
        ),
        fields.map((field) => field === "X-Empty:" ? "X-Empty: " : field)
      )
    }))

  it.live("duplicates, the order of values, empty values and bytes above ASCII reach the client as they came", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], {
        // Node joins what is a request's `Cookie`.
        answer: Buffer.from(response("ok", ...fields.filter((field) => !field.startsWith("Cookie"))), "latin1")
      })
      assert.deepStrictEqual(values(got, "x-twice"), ["b", "a", "b"])
      assert.deepStrictEqual(values(got, "x-empty"), [""])
      assert.deepStrictEqual(values(got, "x-commas"), ["a,,b ,c"])
      assert.deepStrictEqual(values(got, "x-quoted"), ["\"a, b\"; q=1"])
      assert.deepStrictEqual(values(got, "x-latin"), [latin1])
      assert.deepStrictEqual(values(got, "x-utf8"), ["caf\u00c3\u00a9"])
      assert.deepStrictEqual(values(got, "x-tab"), ["a\tb"])
      assert.deepStrictEqual(values(got, "__proto__"), ["1"])
      assert.deepStrictEqual(values(got, "constructor"), ["2"])
      assert.deepStrictEqual(values(got, "accept"), ["text/html", "*/*"])
    }))

  for (
    const [what, framing] of Object.entries({
      "in chunks": "Transfer-Encoding: chunked",
      "of a length": "Content-Length: 2"
    })
  ) {
    it.live(`bytes above ASCII of a head that comes before its body, ${what}, reach the client as they came`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make((wire) =>
          Effect.gen(function*() {
            yield* wire.head
            wire.send(`HTTP/1.1 200 Caf\u00e9\r\nX-Latin: ${latin1}\r\nSet-Cookie: a=\u00e9\r\n${framing}\r\n\r\n`)
          })
        )
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n`)
        const head = yield* client.head
        assert.deepStrictEqual(values(head, "x-latin"), [latin1])
        assert.deepStrictEqual(values(head, "set-cookie"), ["a=\u00e9"])
        assert.strictEqual(client.text, "")
        const wire = yield* upstream.wire(0)
        wire.send(framing.startsWith("T") ? "2\r\nok\r\n0\r\n\r\n" : "ok")
        yield* client.until(
          "the body",
          ({ text }) => text === (framing.startsWith("T") ? "2\r\nok\r\n0\r\n\r\n" : "ok")
        )
      }))
  }

  it.live("the status and its text reach the client as they came", () =>
    Effect.gen(function*() {
      const startLine = "HTTP/1.1 299 Caf\u00c3\u00a9 Open"
      const { got } = yield* exchange([host], {
        answer: Buffer.from(`${startLine}\r\nContent-Length: 0\r\n\r\n`, "latin1")
      })
      assert.strictEqual(got.startLine, startLine)
    }))

  it.live("a status text that is no UTF-8 does not break the response", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], {
        answer: Buffer.from("HTTP/1.1 299 Caf\u00e9\r\nContent-Length: 2\r\n\r\nok", "latin1")
      })
      assert.strictEqual(status(got), 299)
      assert.strictEqual(got.body.toString(), "ok")
    }))

  for (const code of [600, 999]) {
    it.live(`an upstream's status ${code}, which nobody may send, is a 502 and a line in the log`, () =>
      Effect.gen(function*() {
        const { gateway, got } = yield* exchange([host], {
          answer: `HTTP/1.1 ${code} Odd\r\nContent-Length: 2\r\n\r\nok`
        })
        assert.strictEqual(status(got), 502)
        assert.include(gateway.logs.join(), `its status was ${code}`)
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      }))
  }

  it.live("Date, Server and ETag are the upstream's, and there is one of each", () =>
    Effect.gen(function*() {
      const own = [
        "Date: Mon, 01 Jan 2024 00:00:00 GMT",
        "Server: up",
        "ETag: \"a\"",
        "Vary: a",
        "Vary: b"
      ]
      const { got } = yield* exchange([host], { answer: response("ok", ...own) })
      assert.deepStrictEqual(values(got, "date"), ["Mon, 01 Jan 2024 00:00:00 GMT"])
      assert.deepStrictEqual(values(got, "server"), ["up"])
      assert.deepStrictEqual(values(got, "etag"), ["\"a\""])
      assert.deepStrictEqual(values(got, "vary").join(", "), "a, b")
    }))

  it.live("no Content-Type is invented", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host])
      assert.deepStrictEqual(values(got, "content-type"), [])
    }))

  it.live("a redirect is the client's to follow", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], {
        answer: "HTTP/1.1 302 Found\r\nLocation: /elsewhere?a=%20b\r\nContent-Length: 0\r\n\r\n"
      })
      assert.strictEqual(status(got), 302)
      assert.deepStrictEqual(values(got, "location"), ["/elsewhere?a=%20b"])
    }))
})

describe("8. every Set-Cookie arrives, in order, byte for byte", { timeout: 30_000 }, () => {
  const cookies = [
    "a=1; Path=/; HttpOnly",
    "a=2; path=/x; SAMESITE=none ;Secure",
    "b=\"quoted, value\"; Expires=Wed, 21 Oct 2065 07:28:00 GMT",
    "no-equals",
    "=no-name",
    "c=%zz\u00e9; Unknown=Attribute"
  ]
  const setting = (...list: ReadonlyArray<string>) =>
    Buffer.from(
      response("ok", ...list.map((cookie, i) => `${i % 2 === 0 ? "Set-Cookie" : "set-cookie"}: ${cookie}`)),
      "latin1"
    )

  for (const count of [1, 2, cookies.length]) {
    const some = cookies.slice(0, count)
    it.live(`${count} of them`, () =>
      Effect.gen(function*() {
        const { got } = yield* exchange([host], { answer: setting(...some) })
        assert.deepStrictEqual(values(got, "set-cookie"), some)
      }))

    it.live(`${count} of them, and one that middleware adds`, () =>
      Effect.gen(function*() {
        const { got } = yield* exchange([host], { answer: setting(...some), middleware: addsCookie })
        assert.deepStrictEqual(values(got, "set-cookie"), [...some, "mine=1; Path=/"])
      }))
  }

  it.live("none of them, and one that middleware adds", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], { middleware: addsCookie })
      assert.deepStrictEqual(values(got, "set-cookie"), ["mine=1; Path=/"])
    }))

  it.live("on a response without a body", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host], {
        answer: `HTTP/1.1 304 Not Modified\r\nSet-Cookie: ${cookies[0]}\r\nSet-Cookie: ${cookies[1]}\r\n\r\n`,
        middleware: addsCookie
      })
      assert.deepStrictEqual(values(got, "set-cookie"), [cookies[0], cookies[1], "mine=1; Path=/"])
    }))
})

describe("8. the router's own middleware leaves a response right", { timeout: 30_000 }, () => {
  const cors = HttpRouter.cors({ allowedOrigins: ["http://a.test", "http://b.test"], credentials: true })
  const compression = HttpRouter.middleware(HttpMiddleware.compression({ minSize: 1 }), { global: true })
  const cookies = ["Set-Cookie: a=1", "Set-Cookie: b=2; Path=/"]
  const text = "compressible ".repeat(500)

  it.live("cors adds its fields to those of the upstream", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host, "Origin: http://b.test"], {
        answer: response("ok", ...cookies, "Vary: Accept", "Vary: Cookie", "X-Twice: 1", "X-Twice: 2"),
        middleware: cors
      })
      assert.deepStrictEqual(values(got, "access-control-allow-origin"), ["http://b.test"])
      assert.deepStrictEqual(values(got, "vary"), ["Accept, Cookie, Origin"])
      assert.deepStrictEqual(values(got, "set-cookie"), ["a=1", "b=2; Path=/"])
      assert.deepStrictEqual(values(got, "x-twice"), ["1", "2"])
      assert.strictEqual(got.body.toString(), "ok")
    }))

  it.live("compression compresses a body that is there whole, and says so", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host, "Accept-Encoding: gzip"], {
        answer: response(text, "Content-Type: text/plain", ...cookies, "ETag: \"a\"", "Vary: Cookie", "Vary: Accept"),
        middleware: compression
      })
      assert.strictEqual(Zlib.gunzipSync(got.body).toString(), text)
      assert.deepStrictEqual(values(got, "content-encoding"), ["gzip"])
      assert.deepStrictEqual(values(got, "set-cookie"), ["a=1", "b=2; Path=/"])
      assert.deepStrictEqual(values(got, "etag"), ["W/\"a\""])
      assert.deepStrictEqual(values(got, "vary"), ["Cookie, Accept, Accept-Encoding"])
    }))

  it.live("compression compresses a body that streams, and says so", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.gen(function*() {
          yield* wire.message()
          wire.send(
            `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${cookies.join("\r\n")}\r\nContent-Length: 13000\r\n\r\n`
          )
          wire.send("compressible ".repeat(500))
          yield* wire.until("the rest to be asked for", ({ text }) => text === "rest")
        })
      )
      const gateway = yield* Gateway.withRoutes((group) =>
        Layer.merge(Proxy.route("/*", { group, upstream: upstream.url }), compression)
      )
      const client = yield* gateway.connect
      client.send(`GET / HTTP/1.1\r\n${host}\r\nAccept-Encoding: gzip\r\n\r\n`)
      yield* client.until("the head", ({ text }) => text.includes("\r\n\r\n"))
      upstream.wires[0]!.send("compressible ".repeat(500))
      const got = yield* client.message()
      assert.strictEqual(got.framing, "chunked")
      assert.strictEqual(Zlib.gunzipSync(got.body).toString(), text + text)
      assert.deepStrictEqual(values(got, "content-encoding"), ["gzip"])
      assert.deepStrictEqual(values(got, "set-cookie"), ["a=1", "b=2; Path=/"])
      assert.strictEqual(yield* gateway.busy, Gateway.idle)
    }))

  for (const type of ["text/html; charset=utf-8", undefined]) {
    it.live(`middleware that changes a response leaves its Content-Type at ${type}`, () =>
      Effect.gen(function*() {
        const { got } = yield* exchange([host], {
          answer: response("ok", ...(type === undefined ? [] : [`Content-Type: ${type}`])),
          middleware: Layer.merge(cors, addsCookie)
        })
        assert.deepStrictEqual(values(got, "content-type"), type === undefined ? [] : [type])
        assert.deepStrictEqual(values(got, "content-length"), ["2"])
      }))
  }

  it.live("compression leaves a body alone that the upstream has compressed", () =>
    Effect.gen(function*() {
      const zipped = Zlib.gzipSync(text)
      const head =
        `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: ${zipped.length}\r\n\r\n`
      const { got } = yield* exchange([host, "Accept-Encoding: gzip"], {
        answer: Buffer.concat([Buffer.from(head), zipped]),
        middleware: compression
      })
      assert.deepStrictEqual(values(got, "content-encoding"), ["gzip"])
      assert.deepStrictEqual(got.body, zipped)
    }))

  it.live("compression leaves the answer to HEAD without a body, and the connection usable", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host, "Accept-Encoding: gzip"], {
        start: "HEAD / HTTP/1.1",
        answer: `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6500\r\n\r\n`,
        middleware: compression
      })
      assert.strictEqual(status(got), 200)
    }))

  it.live("all of it at once", () =>
    Effect.gen(function*() {
      const { got } = yield* exchange([host, "Accept-Encoding: gzip", "Origin: http://a.test"], {
        answer: response(text, "Content-Type: text/plain", ...cookies, "Vary: Cookie"),
        middleware: Layer.mergeAll(
          cors,
          compression,
          addsCookie
        )
      })
      assert.strictEqual(Zlib.gunzipSync(got.body).toString(), text)
      assert.deepStrictEqual(values(got, "content-type"), ["text/plain"])
      assert.deepStrictEqual(values(got, "set-cookie"), ["a=1", "b=2; Path=/", "mine=1; Path=/"])
      assert.deepStrictEqual(values(got, "access-control-allow-origin"), ["http://a.test"])
      assert.deepStrictEqual(values(got, "vary").join(", ").split(", ").toSorted(), [
        "Accept-Encoding",
        "Cookie",
        "Origin"
      ])
    }))
})

describe("7. a response with a folded field is a 502, as nobody agrees on what it says", { timeout: 30_000 }, () => {
  for (const [name, fold] of [["by a space", "\r\n "], ["by a tab", "\r\n\t"], ["twice", "\r\n \r\n "]] as const) {
    it.live(name, () =>
      Effect.gen(function*() {
        const answer = `HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2${fold}3\r\nX-C: 4\r\nContent-Length: 2\r\n\r\nok`
        assert.strictEqual(status((yield* exchange([host], { answer })).got), 502)
      }))
  }
})
