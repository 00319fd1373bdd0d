import { Proxy, Rewrite, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { HttpServerResponse } from "effect/http"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { parse, status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const secret = "the secret of 10.1.2.3"
const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n`
const internalError = "{\"code\":500,\"message\":\"internal server error\",\"errors\":[]}"

/** A route that serves `/ok`, and one with a user's functions that go wrong. */
const withFaulty = (faulty: Pick<Proxy.Options, "rewrite" | "rewriteResponse">) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.answering(() => response("ok"))
    const gateway = yield* Gateway.start({
      upstream: upstream.url,
      rewrite: (it) => it.path === "/ok" || faulty.rewrite === undefined ? it : faulty.rewrite(it) as typeof it,
      rewriteResponse: (it, asked) =>
        asked.path === "/ok" || faulty.rewriteResponse === undefined
          ? it
          : faulty.rewriteResponse(it, asked) as typeof it
    })
    return { upstream, gateway, client: yield* gateway.connect }
  })

class Teapot extends Error {
  [Symbol.toStringTag] = "Teapot"
}

describe(
  "31. an error in a user's function is a 500 on that request alone, logged with its cause",
  { timeout: 30_000 },
  () => {
    const crlf = "a\r\nX-Smuggled: 1"
    const requests: Record<string, NonNullable<Proxy.Options["rewrite"]>> = {
      "fails": () => Effect.fail(new Teapot(secret)) as never,
      "fails with a string": () => Effect.fail(secret) as never,
      "dies": () => Effect.die(new Teapot(secret)),
      "throws": () => {
        throw new Teapot(secret)
      },
      "throws in an effect": () =>
        Effect.sync(() => {
          throw new Teapot(secret)
        }),
      "returns nothing": () => undefined as never,
      "puts a line break into a header": Rewrite.setHeader("X-User", `${secret}${crlf}`),
      "puts a NUL into a header": Rewrite.setHeader("X-User", `${secret}\0`),
      "puts a character above Latin-1 into a header": Rewrite.setHeader("X-User", `${secret}\u2603`),
      "puts a line break into a header's name": Rewrite.setHeader(`${secret}${crlf}`, "1"),
      "puts a space into a header's name": Rewrite.setHeader(secret, "1"),
      "puts an empty header name": Rewrite.setHeader("", secret),
      "puts a line break into the path": Rewrite.mapPath(() => `/${secret} HTTP/1.1\r\nX-Smuggled: 1\r\n\r\n`),
      "puts a space into the path": Rewrite.mapPath(() => `/${secret}`),
      "puts a path without a slash": Rewrite.mapPath(() => secret),
      "puts a query into the path": Rewrite.mapPath(() => "/a?b"),
      "puts a fragment into the path": Rewrite.mapPath(() => "/a#b"),
      "leaves the base path": Rewrite.mapPath(() => "/../secret"),
      "puts a line break into the query": (it) => ({ ...it, query: `?${crlf}` }),
      "puts a query without a question mark": (it) => ({ ...it, query: "a=b" }),
      "puts a method that is none": (it) => ({ ...it, method: "GET / HTTP/1.1\r\n" })
    }
    for (const [what, rewrite] of Object.entries(requests)) {
      it.live(`a rewrite ${what}`, () =>
        Effect.gen(function*() {
          const { client, gateway, upstream } = yield* withFaulty({ rewrite })
          client.send(request("/faulty"))
          const got = yield* client.message()
          assert.strictEqual(status(got), 500)
          assert.strictEqual(got.body.toString(), internalError)
          assert.notInclude(JSON.stringify(got), "secret")
          assert.strictEqual(gateway.logs.length, 1)
          assert.match(gateway.logs[0]!, /^rewrite failed\n\S/)
          assert.strictEqual(upstream.wires.length, 0)
          client.send(request("/ok"))
          assert.strictEqual(status(yield* client.message()), 200)
          yield* gateway.quiet
        }))
    }

    const responses: Record<string, NonNullable<Proxy.Options["rewriteResponse"]>> = {
      "fails": () => Effect.fail(new Teapot(secret)) as never,
      "dies": () => Effect.die(new Teapot(secret)),
      "throws": () => {
        throw new Teapot(secret)
      },
      "returns nothing": () => undefined as never,
      "puts a line break into a header": (it) => ({ ...it, headers: ["X-User", crlf] }),
      "puts a character above Latin-1 into a header": (it) => ({ ...it, headers: ["X-User", `${secret}\u2603`] }),
      "puts a line break into a header's name": (it) => ({ ...it, headers: [crlf, "1"] }),
      "puts a line break into a redirect": (it) => ({ ...it, status: 302, headers: ["Location", `/a${crlf}`] }),
      "puts a line break into the status text": (it) => ({ ...it, statusText: `OK${crlf}` }),
      "puts a status that is none": (it) => ({ ...it, status: 1000 }),
      "puts a status that is not the last": (it) => ({ ...it, status: 100 })
    }
    for (const [what, rewriteResponse] of Object.entries(responses)) {
      it.live(`a rewrite of the response ${what}`, () =>
        Effect.gen(function*() {
          const { client, gateway } = yield* withFaulty({ rewriteResponse })
          client.send(request("/faulty"))
          const got = yield* client.message()
          assert.strictEqual(got.startLine, "HTTP/1.1 500 Internal Server Error")
          assert.strictEqual(got.body.toString(), internalError)
          assert.notInclude(JSON.stringify(got), "secret")
          assert.notInclude(JSON.stringify(got), "Smuggled")
          assert.strictEqual(gateway.logs.length, 1)
          assert.match(gateway.logs[0]!, /^rewriteResponse failed\n\S/)
          client.send(request("/ok"))
          assert.strictEqual(status(yield* client.message()), 200)
          yield* gateway.quiet
        }))
    }

    it.live("the log has the message and the stack of what was thrown", () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* withFaulty({ rewrite: requests["throws"]! })
        client.send(request("/faulty"))
        yield* client.message()
        assert.include(gateway.logs[0]!, secret)
        assert.include(gateway.logs[0]!, "Undici.faults.test.ts")
      }))

    const fallbacks: Record<string, () => Effect.Effect<never>> = {
      "fails": () => Effect.fail(new Teapot(secret)) as never,
      "dies": () => Effect.die(new Teapot(secret)),
      "throws": () => {
        throw new Teapot(secret)
      }
    }
    for (const [what, fallback] of Object.entries(fallbacks)) {
      it.live(`a fallback ${what}`, () =>
        Effect.gen(function*() {
          const port = yield* RawUpstream.deadPort
          const upstream = yield* RawUpstream.answering(() => response("ok"))
          const [up, down] = yield* Effect.all([Upstream.make(upstream.url), Upstream.make(`http://127.0.0.1:${port}`)])
          const gateway = yield* Gateway.start({
            upstream: up,
            rewrite: (it) => it.path === "/ok" ? it : { ...it, upstream: down },
            fallback
          })
          const client = yield* gateway.connect
          client.send(request("/faulty"))
          const got = yield* client.message()
          assert.strictEqual(status(got), 500)
          assert.notInclude(JSON.stringify(got) + got.body.toString(), "secret")
          client.send(request("/ok"))
          assert.strictEqual(status(yield* client.message()), 200)
          yield* gateway.quiet
        }))
    }

    it.live("a response body that a rewrite gave, and that breaks, is aborted", () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* withFaulty({
          rewriteResponse: (it) => ({
            ...it,
            body: HttpServerResponse.text("longer than two").body,
            headers: ["content-length", "2"]
          })
        })
        client.send(request("/faulty"))
        // The length is the body's.
        assert.strictEqual((yield* client.message()).body.toString(), "longer than two")
        yield* gateway.quiet
      }))
  }
)

describe("31. what comes on the wire does not end the process", { timeout: 30_000 }, () => {
  const garbage: Record<string, string> = {
    "bytes": "\0\u0001\u00ff\u00fe\r\n\r\n",
    "a TLS hello": "\u0016\u0003\u0001\u0002\u0000\u0001\u0000",
    "a request line alone": "GET\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two framings": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is none": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a target that is none": "GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "an endless head": `GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}`,
    "a bad chunk": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an upgrade": "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a CONNECT": "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"
  }
  for (const [what, bytes] of Object.entries(garbage)) {
    it.live(`${what} from a client`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.answering(() => response("ok"))
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(bytes)
        yield* client.until("an answer, or the end", ({ closed, ended, text }) =>
          closed || ended || text.includes("\r\n\r\n"))
        assert.notInclude(client.text, "at ")
        client.close()
        const next = yield* gateway.connect
        next.send(request("/"))
        assert.strictEqual(status(yield* next.message()), 200)
        yield* gateway.quiet
      }))
  }

  it.live("clients that reset at any point, under load, leave no permit behind", () =>
    Effect.gen(function*() {
      const body = "x".repeat(50_000)
      const upstream = yield* RawUpstream.answering(() => response(body))
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 8, maxQueued: 8 } })
      const whole = `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n${body}`
      // From before the head to after the whole exchange.
      const points = Array.from({ length: 60 }, (_, i) => (i * 2011) % (whole.length + 20_000))
      yield* Effect.forEach(
        points,
        (point) =>
          Effect.gen(function*() {
            const client = yield* gateway.connect
            client.send(whole.slice(0, point))
            if (point > whole.length) {
              const wanted = point - whole.length
              yield* client.until(
                "part of the answer",
                ({ closed, received }) => closed || received.length >= Math.min(wanted, 100)
              )
            }
            client.reset()
          }),
        { concurrency: 12 }
      )
      yield* gateway.quiet
      const client = yield* gateway.connect
      client.send(request("/"))
      assert.strictEqual((yield* client.message()).body.length, body.length)
      const outcomes = yield* gateway.outcomes()
      assert.strictEqual(outcomes.defect, undefined)
      assert.strictEqual(outcomes.failure, undefined)
    }))

  it.live("an upstream that is killed at any point, under load, and comes back on its port, is found again", () =>
    Effect.gen(function*() {
      const body = "x".repeat(20_000)
      const upstream = yield* RawUpstream.answering(() => response(body))
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 8, maxQueued: 100 } })
      const statuses = new Set<number>()
      const load = { asked: 0, over: false }
      const exchange = Effect.gen(function*() {
        const wire = yield* gateway.connect
        load.asked++
        wire.send(request("/"))
        const got = yield* wire.until("an answer, or the end", ({ closed, ended, received }) => {
          const message = parse(received, { ended: false })
          return message ?? (closed || ended ? "aborted" as const : undefined)
        })
        if (got === "aborted") return
        statuses.add(status(got))
        if (status(got) === 200) assert.strictEqual(got.body.length, body.length)
      })
      const client = Effect.gen(function*() {
        while (!load.over) yield* Effect.scoped(exchange)
      })
      const clients = yield* Effect.forkChild(
        Effect.all(Array.from({ length: 6 }, () => client), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      for (let kill = 0; kill < 12; kill++) {
        const until = load.asked + 5 + (kill * 7) % 11
        yield* eventually("some load", () => load.asked >= until)
        yield* upstream.kill
        if (kill % 3 > 0) {
          const down = load.asked + kill
          yield* eventually("some load on a dead upstream", () => load.asked >= down)
        }
        yield* upstream.start
      }
      statuses.delete(200)
      yield* eventually("the upstream to be found again", () => statuses.has(200))
      load.over = true
      yield* Fiber.join(clients)
      assert.deepStrictEqual([...statuses].toSorted(), [200, 502])
      yield* gateway.quiet
      const outcomes = yield* gateway.outcomes()
      assert.strictEqual(outcomes.defect, undefined)
      assert.isAbove(outcomes.failure ?? 0, 0)
    }))
})

describe("31. a failure that is an answer is that answer", { timeout: 30_000 }, () => {
  it.live("a response", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* withFaulty({
        rewrite: () => Effect.fail(HttpServerResponse.text("who are you?", { status: 401 })) as never
      })
      client.send(request("/"))
      const got = yield* client.message()
      assert.strictEqual(status(got), 401)
      assert.strictEqual(got.body.toString(), "who are you?")
      assert.deepStrictEqual(gateway.logs, [])
      assert.strictEqual(upstream.wires.length, 0)
    }))
})

describe("32. nothing of the inside is in a response", { timeout: 30_000 }, () => {
  it.live("an answer of the gateway's own has the fields of every other, and no more", () =>
    Effect.gen(function*() {
      const port = yield* RawUpstream.deadPort
      const gateway = yield* Gateway.withRoutes((group) =>
        Proxy.route("/a/*", { group, upstream: `http://127.0.0.1:${port}/internal` })
      )
      const client = yield* gateway.connect
      const names = new Set(["content-type", "content-length", "date", "connection", "keep-alive", "transfer-encoding"])
      for (const path of ["/a/b", "/nowhere", "/a/%2e%2e%2f", "/a/%zz"]) {
        client.send(request(path))
        const got = yield* client.message()
        assert.isAtLeast(status(got), 400)
        assert.deepStrictEqual(got.fields.filter(([name]) => !names.has(name.toLowerCase())), [])
        const text = JSON.stringify(got.fields) + got.body.toString()
        for (
          const inside of [
            "127.0.0.1",
            String(port),
            "internal/",
            "ECONNREFUSED",
            "Error",
            "stack",
            ".ts",
            "undici",
            "effect"
          ]
        ) {
          assert.notInclude(text, inside)
        }
      }
    }))
})
