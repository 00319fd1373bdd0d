import { Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Gateway from "../harness/Gateway.ts"
import { type HttpMessage, status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const host = "Host: gateway.test"
const get = `GET / HTTP/1.1\r\n${host}\r\n\r\n`
const head = (...fields: ReadonlyArray<string>): string =>
  ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", ...fields, "", ""].join("\r\n")
const trailing = (body: string, ...fields: ReadonlyArray<string>): string =>
  `${body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n${[...fields, "", ""].join("\r\n")}`

const answered = (answer: string, options: Pick<Proxy.Options, "rewrite" | "rewriteResponse"> = {}) =>
  Effect.gen(function*() {
    const seen: Array<HttpMessage> = []
    const upstream = yield* RawUpstream.answering(() => answer, seen)
    const gateway = yield* Gateway.withRoutes((group) =>
      Proxy.route("/*", { group, upstream: upstream.url, ...options } as Proxy.Options<never>)
    )
    return { seen, upstream, gateway, client: yield* gateway.connect }
  })

const forbidden = [
  "Host: evil.test",
  "Authorization: Basic x",
  "Set-Cookie: a=1",
  "Cookie: a=1",
  "Content-Type: text/html",
  "Content-Encoding: gzip",
  "Cache-Control: public",
  "Connection: close",
  "Keep-Alive: timeout=5",
  "Trailer: x",
  "X-Forwarded-For: 10.0.0.1",
  "If-Match: x"
]

describe("21. trailers of a response pass", { timeout: 30_000 }, () => {
  it.live("announced anew, after a body that came with its head", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* answered(
        head("Trailer: X-Sum", "trailer: X-B, content-length") + trailing("hello", "X-Sum: 1", "X-Sum: 2", "X-B: 3")
      )
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "hello")
      assert.deepStrictEqual(values(got, "trailer"), ["X-Sum, X-B"])
      assert.deepStrictEqual(got.trailers, [["X-Sum", "1"], ["X-Sum", "2"], ["X-B", "3"]])
      client.send(get)
      assert.deepStrictEqual((yield* client.message()).trailers, got.trailers)
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 2 })
    }))

  it.live("after a body that streams", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(wire.message(), Effect.sync(() => wire.send(head("Trailer: X-Sum") + "5\r\nhello\r\n")))
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.until("the first part", ({ text }) => text.includes("hello"))
      upstream.wires[0]!.send(trailing(" world", "X-Sum: 1"))
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "hello world")
      assert.deepStrictEqual(got.trailers, [["X-Sum", "1"]])
    }))

  it.live("after a body that is empty, and without an announcement", () =>
    Effect.gen(function*() {
      const { client } = yield* answered(head() + trailing("", "grpc-status: 0", "X-B: \u00e4"))
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(got.body.length, 0)
      assert.deepStrictEqual(values(got, "trailer"), [])
      assert.deepStrictEqual(got.trailers, [["grpc-status", "0"], ["X-B", "\u00e4"]])
    }))

  it.live("those that would change how the message is read do not (RFC 9110, section 6.5.1), nor what Connection names", () =>
    Effect.gen(function*() {
      const names = forbidden.map((field) => field.split(":")[0]).join(", ")
      const { client } = yield* answered(
        head(`Trailer: X-A, X-Hop, ${names}`, "Connection: keep-alive, x-hop") +
          trailing("hello", ...forbidden, "X-Hop: 1", "X-A: 1")
      )
      client.send(get)
      const got = yield* client.message()
      assert.deepStrictEqual(values(got, "trailer"), ["X-A"])
      assert.deepStrictEqual(got.trailers, [["X-A", "1"]])
    }))

  it.live("none to a client of HTTP/1.0, and none are announced to it", () =>
    Effect.gen(function*() {
      const { client } = yield* answered(head("Trailer: X-A") + trailing("hello", "X-A: 1"))
      client.send(`GET / HTTP/1.0\r\n${host}\r\n\r\n`)
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "hello")
      assert.deepStrictEqual(values(got, "trailer"), [])
    }))

  for (
    const [what, method, answer] of [
      ["HEAD", "HEAD", head("Trailer: X-A")],
      ["204", "GET", "HTTP/1.1 204 No Content\r\nTrailer: X-A\r\n\r\n"],
      ["304", "GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n"],
      [
        "205",
        "GET",
        "HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n" + trailing("", "X-A: 1")
      ],
      ["a length", "GET", response("hello", "Trailer: X-A")]
    ] as const
  ) {
    it.live(`20. ${what} has none, and announces none`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* answered(answer)
        client.send(`${method} / HTTP/1.1\r\n${host}\r\n\r\n`)
        const got = yield* client.message({ bodiless: method === "HEAD" })
        assert.isBelow(status(got), 400)
        assert.deepStrictEqual(values(got, "trailer"), [])
        assert.deepStrictEqual(got.trailers, [])
        yield* gateway.quiet
        client.send(`${method} / HTTP/1.1\r\n${host}\r\n\r\n`)
        assert.isBelow(status(yield* client.message({ bodiless: method === "HEAD" })), 400)
        assert.strictEqual(client.text, "")
      }))
  }

  it.live("they go with their body: a rewrite that gives another one gets neither", () =>
    Effect.gen(function*() {
      const { client } = yield* answered(head("Trailer: X-A") + trailing("hello", "X-A: 1"), {
        rewriteResponse: (it) => ({ ...it, body: HttpServerResponse.text("other").body })
      })
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "other")
      assert.deepStrictEqual(values(got, "trailer"), [])
      assert.deepStrictEqual(got.trailers, [])
    }))

  it.live("a rewrite that gives the body a length gets no trailers, and no 500", () =>
    Effect.gen(function*() {
      const { client } = yield* answered(head("Trailer: X-A") + trailing("hello", "X-A: 1"), {
        rewriteResponse: (it) => ({ ...it, headers: [...it.headers, "content-length", "5"] })
      })
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.strictEqual(got.body.toString(), "hello")
      assert.deepStrictEqual(values(got, "trailer"), [])
    }))

  it.live("17. a body that breaks off has none", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() => {
            wire.send(head("Trailer: X-A") + "5\r\nhello\r\n0\r\nX-A: 1\r\n")
          })
        )
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.until("the first part", ({ text }) => text.includes("hello"))
      upstream.wires[0]!.end()
      yield* client.until("the abort", ({ broke, ended }) => ended || broke !== undefined)
      assert.notInclude(client.text.toLowerCase(), "x-a: 1")
      assert.notMatch(client.text, /\r\n0\r\n/)
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))
})

describe("21. trailers of a request pass", { timeout: 30_000 }, () => {
  const post = (fields: ReadonlyArray<string>, body: string): string =>
    ["POST / HTTP/1.1", host, "Transfer-Encoding: chunked", ...fields, "", body].join("\r\n")

  it.live("announced anew, duplicates kept", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"))
      client.send(post(["Trailer: X-Sum, Content-Length"], trailing("hello", "X-Sum: 1", "x-sum: 2")))
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(seen[0]!.body.toString(), "hello")
      assert.deepStrictEqual(values(seen[0]!, "trailer"), ["X-Sum"])
      assert.deepStrictEqual(seen[0]!.trailers, [["X-Sum", "1"], ["x-sum", "2"]])
    }))

  it.live("without an announcement, on a connection that then carries a request without any", () =>
    Effect.gen(function*() {
      const { client, gateway, seen, upstream } = yield* answered(response("ok"))
      for (const fields of [["X-Sum: 1"], []]) {
        client.send(post([], trailing("hello", ...fields)))
        assert.strictEqual(status(yield* client.message()), 200)
        yield* gateway.quiet
      }
      client.send(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 5\r\n\r\nhello`)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(seen.map(({ trailers }) => trailers), [[["X-Sum", "1"]], [], []])
      assert.deepStrictEqual(seen.map(({ body }) => body.toString()), ["hello", "hello", "hello"])
      assert.strictEqual(upstream.wires.length, 1)
    }))

  it.live("those that would change how the message is read do not, nor what Connection names", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"))
      client.send(post(["Connection: keep-alive, x-hop"], trailing("hello", ...forbidden, "X-Hop: 1", "X-A: 1")))
      assert.strictEqual(status(yield* client.message()), 200)
      assert.deepStrictEqual(seen[0]!.trailers, [["X-A", "1"]])
    }))

  it.live("they go with their body: a rewrite that gives another one gets neither", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"), {
        rewrite: (it) => ({ ...it, body: HttpServerResponse.text("other").body })
      })
      client.send(post(["Trailer: X-A"], trailing("hello", "X-A: 1")))
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(seen[0]!.body.toString(), "other")
      assert.deepStrictEqual(values(seen[0]!, "trailer"), [])
      assert.deepStrictEqual(seen[0]!.trailers, [])
    }))

  it.live("after a body that looks like the end of one", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* answered(response("ok"))
      const body = "\r\n0\r\n\r\n"
      client.send(post([], trailing(body, "X-A: 1")))
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(seen[0]!.body.toString(), body)
      assert.deepStrictEqual(seen[0]!.trailers, [["X-A", "1"]])
    }))
})

describe("7. TE", { timeout: 30_000 }, () => {
  for (const connection of ["te", "keep-alive, TE", "close, te"]) {
    it.live(`trailers survives although Connection names it: ${connection}`, () =>
      Effect.gen(function*() {
        const { client, seen } = yield* answered(response("ok"))
        client.send(`GET / HTTP/1.1\r\n${host}\r\nConnection: ${connection}\r\nTE: gzip;q=0.5, trailers\r\n\r\n`)
        yield* client.message()
        assert.deepStrictEqual(values(seen[0]!, "te"), ["trailers"])
      }))
  }
})
