import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"
import type { HttpMessage } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { response } from "../harness/RawUpstream.ts"
import { explained, refused, started } from "./started.ts"

const ask = (url: string, init?: RequestInit) =>
  Effect.promise(async () => {
    const answer = await fetch(url, init)
    const { headers, status } = answer
    return { status, headers, body: Buffer.from(await answer.arrayBuffer()).toString("latin1") }
  })

const route = (url: string, fallback: string) => `port: 0\nroutes:\n  - upstream: ${url}\n    fallback: ${fallback}\n`

const dead = Effect.map(RawUpstream.deadPort, (port) => `http://127.0.0.1:${port}`)

describe("fallback of a route in the file", { timeout: 30_000 }, () => {
  describe("file", () => {
    const files = {
      "down.html": "<p>ü</p>",
      "logo.png": Uint8Array.of(0x89, 0x50, 0xff, 0),
      "what.ever9": "x",
      up: "x"
    }
    const cases: ReadonlyArray<readonly [fallback: string, type: string, body: string]> = [
      ["{ status: 503, file: down.html }", "text/html; charset=utf-8", "<p>\u00c3\u00bc</p>"],
      ["{ status: 503, file: logo.png }", "image/png", "\u0089P\u00ff\0"],
      ["{ status: 503, file: what.ever9 }", "application/octet-stream", "x"],
      ["{ status: 503, file: up }", "application/octet-stream", "x"],
      ["{ status: 503, file: up, content_type: text/x-up }", "text/x-up", "x"],
      ["{ status: 503, file: up, headers: { Content-Type: text/x-down } }", "text/x-down", "x"],
      ["{ status: 503, body: down }", "text/plain; charset=utf-8", "down"]
    ]
    for (const [fallback, type, body] of cases) {
      it.live(`${fallback} is of the type ${type}`, () =>
        Effect.gen(function*() {
          const { origin } = yield* started(route(yield* dead, fallback), files)
          const answer = yield* ask(origin)
          assert.deepStrictEqual([answer.status, answer.headers.get("content-type"), answer.body], [503, type, body])
        }))
    }

    const wrong: ReadonlyArray<readonly [fallback: string, message: string]> = [
      [
        "{ status: 503, file: gone.html }",
        "blackgate.yml:4:36: routes[0].fallback.file: gone.html can't be read: ENOENT: no such file or directory"
      ],
      [
        "{ status: 503, file: up, body: x }",
        "blackgate.yml:4:36: routes[0].fallback.file: expected body or file, found both"
      ],
      [
        "{ stale: false }",
        "blackgate.yml:4:15: routes[0].fallback: expected at least one of stale, upstream and status"
      ],
      ["{ file: up }", "blackgate.yml:4:23: routes[0].fallback.file: expected a status beside it"],
      ["{ stale: true, body: x }", "blackgate.yml:4:36: routes[0].fallback.body: expected a status beside it"],
      [
        "{ status: 503, content_type: text/plain }",
        "blackgate.yml:4:44: routes[0].fallback.content_type: there is no body for it to be the type of"
      ],
      [
        "{ upstream: b }",
        "blackgate.yml:4:27: routes[0].fallback.upstream: there are no upstreams, found \"b\""
      ],
      [
        "{ upstream: { upstream: http://b, group: c } }",
        "blackgate.yml:4:56: routes[0].fallback.upstream.group: there are no groups, found \"c\""
      ],
      [
        "{ upstream: { timeout: 1s } }",
        "blackgate.yml:4:17: routes[0].fallback.upstream.upstream: it is missing: expected a name, without spaces around it"
      ]
    ]
    for (const [fallback, message] of wrong) {
      it.effect(`${fallback} is refused with its line`, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* refused(route("http://a", fallback), files), message)
        }))
    }
  })

  describe("upstream", () => {
    const other = Effect.gen(function*() {
      const seen: Array<HttpMessage> = []
      const { url } = yield* RawUpstream.answering(({ body }) => response(`other ${String(body)}`), seen)
      return { seen, url }
    })

    it.live("what an upstream failed goes to the other one, with the route's rewrite and edits", () =>
      Effect.gen(function*() {
        const { seen, url } = yield* other
        const text =
          `${
            route(yield* dead, `{ upstream: ${url}, status: 503 }`)
          }    match: { path: /api }\n    rewrite: { prefix: /v1 }\n    request_headers: { set: { x-a: b } }\n`
          + "    response_headers: { set: { x-c: d } }\n"
        const { origin } = yield* started(text)
        const answer = yield* ask(`${origin}/api/users?q=1`)
        assert.deepStrictEqual([answer.status, answer.body, answer.headers.get("x-c")], [200, "other ", "d"])
        assert.strictEqual(seen[0]?.startLine, "GET /v1/users?q=1 HTTP/1.1")
        assert.deepInclude(seen[0].fields, ["x-a", "b"])
      }))

    it.live("a body goes along as long as nobody has asked for it", () =>
      Effect.gen(function*() {
        const { url } = yield* other
        const { origin } = yield* started(route(yield* dead, `{ upstream: ${url}, status: 503 }`))
        assert.strictEqual((yield* ask(origin, { method: "POST", body: "a body" })).body, "other a body")
      }))

    it.live("a body that is held back until it is wanted is asked for by the other one", () =>
      Effect.gen(function*() {
        const { url } = yield* other
        const { origin } = yield* started(route(yield* dead, `{ upstream: ${url}, status: 503 }`))
        const body = yield* Effect.callback<string>((resume) => {
          const request = Http.request(origin, {
            method: "POST",
            headers: { expect: "100-continue", "content-length": 6 }
          })
          let text = ""
          request.once("continue", () => request.end("a body")).once("response", (answer) => {
            answer.setEncoding("utf8").on("data", (part: string) => (text += part)).once("end", () =>
              resume(Effect.succeed(text)))
          }).flushHeaders()
        })
        assert.strictEqual(body, "other a body")
      }))

    it.live("what the pool or a circuit refused goes there with its body, too", () =>
      Effect.gen(function*() {
        const { seen, url } = yield* other
        const groups = "groups: { a: { pool: { max_concurrent: 9 }, rate_limit: { limit: 1, window: 1h } } }\n"
        const up = yield* RawUpstream.answering(() => response("own"))
        const { origin } = yield* started(`${groups}${route(up.url, `{ upstream: ${url} }`)}    group: a\n`)
        const post = Effect.map(ask(origin, { method: "POST", body: "x" }), ({ body }) => body)
        assert.deepStrictEqual([yield* post, yield* post], ["own", "other x"])
        assert.strictEqual(seen.length, 1)
      }))

    it.live("a request whose body is gone has the answer behind it, and one without a body another upstream", () =>
      Effect.gen(function*() {
        const { seen, url } = yield* other
        const breaks = yield* RawUpstream.make((wire) =>
          Effect.andThen(wire.message(), Effect.sync(() => wire.reset()))
        )
        const { origin } = yield* started(route(breaks.url, `{ upstream: ${url}, status: 503, body: down }`))
        assert.strictEqual((yield* ask(origin, { method: "POST", body: "a body" })).body, "down")
        assert.strictEqual(seen.length, 0)
        assert.strictEqual((yield* ask(origin, { method: "DELETE" })).body, "other ")
        const plain = yield* started(route(breaks.url, `{ upstream: ${url} }`))
        assert.strictEqual((yield* ask(plain.origin, { method: "POST", body: "a body" })).status, 502)
      }))

    it.live("a request for a WebSocket goes there, too", () =>
      Effect.gen(function*() {
        const server = yield* Effect.acquireRelease(
          Effect.callback<WebSocketServer>((resume) => {
            const server: WebSocketServer = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () =>
              resume(Effect.succeed(server)))
            server.on("connection", (socket) =>
              socket.on("message", (data) => socket.send(`other ${String(data)}`)))
          }),
          (server) => Effect.sync(() => server.close())
        )
        const { port } = server.address() as AddressInfo
        const { origin } = yield* started(route(yield* dead, `{ upstream: "http://127.0.0.1:${port}" }`))
        const said = yield* Effect.callback<string>((resume) => {
          const socket = new WebSocket(origin.replace("http", "ws"))
          socket.on("open", () => socket.send("hello"))
          socket.on("message", (data) => {
            socket.terminate()
            resume(Effect.succeed(String(data)))
          }).on("error", (error) => resume(Effect.succeed(error.message)))
        })
        assert.strictEqual(said, "other hello")
      }))

    it.live("one that fails, too, is answered by what comes after it, or as its own failure", () =>
      Effect.gen(function*() {
        const both = yield* dead
        const answered = yield* started(route(both, `{ upstream: ${both}, status: 418 }`))
        assert.strictEqual((yield* ask(answered.origin)).status, 418)
        const failed = yield* started(route(both, `{ upstream: ${both} }`))
        assert.strictEqual((yield* ask(failed.origin)).status, 502)
      }))

    it.live("it has the limits of its own group, and none of the route's", () =>
      Effect.gen(function*() {
        const { url } = yield* other
        const groups = "groups:\n"
          + "  a: { pool: { max_concurrent: 1 }, rate_limit: { limit: 1, window: 1h } }\n"
          + "  b: { pool: { max_concurrent: 1 }, rate_limit: { limit: 2, window: 1h } }\n"
        const { origin } = yield* started(
          `${groups}${route(yield* dead, `{ upstream: { upstream: ${url}, group: b }, status: 503 }`)}    group: a\n`
        )
        const statuses = yield* Effect.forEach([1, 2, 3], () => Effect.map(ask(origin), ({ status }) => status))
        assert.deepStrictEqual(statuses, [200, 200, 503])
      }))
  })

  describe("stale", () => {
    it.live("the last good answer is given with its age, then the other upstream is asked, then there is the status", () =>
      Effect.gen(function*() {
        const up = yield* RawUpstream.answering(() => response("good", "X-A: b", "Age: 7"))
        const other = yield* RawUpstream.answering(() => response("other"))
        const { origin } = yield* started(route(up.url, `{ stale: true, upstream: ${other.url}, status: 503 }`))
        assert.strictEqual((yield* ask(`${origin}/a`)).body, "good")
        yield* up.kill
        const stale = yield* ask(`${origin}/a`)
        assert.deepStrictEqual(
          ["age", "cache-status", "x-a"].map((name) => stale.headers.get(name)),
          ["7", "blackgate; fwd=stale; detail=stale-if-error", "b"]
        )
        assert.strictEqual(stale.body, "good")
        assert.strictEqual((yield* ask(`${origin}/b`)).body, "other")
        assert.strictEqual((yield* ask(`${origin}/a`, { headers: { cookie: "a=b" } })).body, "other")
        yield* other.kill
        assert.strictEqual((yield* ask(`${origin}/b`)).status, 503)
      }))

    it.live("over HTTP/2, too, hosts are told apart", () =>
      Effect.gen(function*() {
        const up = yield* RawUpstream.answering(() => response("of a"))
        const { origin } = yield* started(route(up.url, "{ stale: true, status: 503 }"))
        const session = yield* Effect.acquireRelease(
          Effect.sync(() => Http2.connect(origin)),
          (session) => Effect.sync(() => session.destroy())
        )
        const get = (authority: string) =>
          Effect.callback<string>((resume) => {
            let body = ""
            session.request({ ":path": "/", ":authority": authority }).setEncoding("utf8")
              .on("data", (text: string) => (body += text)).once("end", () => resume(Effect.succeed(body)))
          })
        assert.strictEqual(yield* get("a.test"), "of a")
        yield* up.kill
        assert.strictEqual(yield* get("a.test"), "of a")
        assert.strictEqual(yield* get("b.test"), "")
      }))

    it.live("an answer that comes in pieces is passed on as it comes, and kept when it was whole", () =>
      Effect.gen(function*() {
        const big = "x".repeat(300_000)
        const up = yield* RawUpstream.answering(() => response(big))
        const { origin } = yield* started(route(up.url, "{ stale: true, status: 503 }"))
        const fresh = yield* ask(origin)
        assert.deepStrictEqual([fresh.headers.get("content-length"), fresh.body === big], ["300000", true])
        yield* up.kill
        assert.isTrue((yield* ask(origin)).body === big)
      }))

    it.live("an answer that broke off is not kept", () =>
      Effect.gen(function*() {
        const up = yield* RawUpstream.answering((_, wire) =>
          Effect.sync(() => {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            wire.reset()
            return ""
          })
        )
        const { origin } = yield* started(route(up.url, "{ stale: true, status: 503 }"))
        yield* Effect.promise(() => fetch(origin).then((answer) => answer.text()).catch(() => ""))
        yield* up.kill
        assert.strictEqual((yield* ask(origin)).status, 503)
      }))

    it.live("a reload keeps them, unless it changes the route", () =>
      Effect.gen(function*() {
        const up = yield* RawUpstream.answering(() => response("good"))
        const text = route(up.url, "{ stale: true, status: 503 }")
        const gateway = yield* started(text)
        const body = Effect.map(ask(gateway.origin), ({ body }) => body)
        assert.strictEqual(yield* body, "good")
        yield* up.kill
        yield* gateway.reload(`${text}log: { level: debug }\n`)
        assert.strictEqual(yield* body, "good")
        yield* gateway.reload(`${text}    timeout: 1s\n`)
        assert.strictEqual(yield* body, "")
      }))
  })

  it.effect("routes --explain says all of it, in its order", () =>
    Effect.gen(function*() {
      const text = route("http://a", "{ status: 503, file: down.html, upstream: http://b, stale: { max_age: 5m } }")
      assert.include(
        yield* explained(text, { "down.html": "" }),
        "fallback (the last good answer for 5m, then http://b, then 503 with down.html)"
      )
    }))
})
