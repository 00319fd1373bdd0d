import { Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
const badGateway = "{\"code\":502,\"message\":\"bad gateway\",\"errors\":[]}"

/** A gateway in front of an upstream that does what a script says, and a client. */
const between = (script: RawUpstream.Script) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Gateway.start({ upstream: upstream.url })
    return { upstream, gateway, client: yield* gateway.connect }
  })

/** Once it has been asked. */
const onceAsked = (then: (wire: Wire) => void): RawUpstream.Script => (wire) =>
  Effect.map(wire.message(), () => then(wire))

describe("17. the upstream breaks off before the head: a 502, with the cause named in the log alone", {
  timeout: 30_000
}, () => {
  const endings: ReadonlyArray<readonly [how: string, script: RawUpstream.Script, cause: RegExp]> = [
    ["a reset", onceAsked((wire) => wire.reset()), /failed at the head/],
    ["a FIN", onceAsked((wire) => wire.end()), /failed at the head/],
    [
      "a reset in the middle of the head",
      onceAsked((wire) => {
        wire.send("HTTP/1.1 200 OK\r\nContent-Le")
        wire.end()
      }),
      /failed at the head/
    ],
    ["garbage", onceAsked((wire) => wire.send("\0\u00ff\u0016\u0003 garbage\r\n\r\n")), /failed at the head: .*HTTP/],
    ["another protocol", onceAsked((wire) => wire.send("SSH-2.0-OpenSSH_9.9\r\n")), /failed at the head: .*HTTP/],
    [
      "a head that never ends",
      onceAsked((wire) => wire.send(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(200_000)}`)),
      /failed at the head/
    ],
    [
      "a length that is none",
      onceAsked((wire) => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello")),
      /failed at the head/
    ],
    [
      "two framings",
      onceAsked((wire) =>
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
      ),
      /failed at the head/
    ]
  ]

  for (const [how, script, cause] of endings) {
    it.live(how, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between(script)
        client.send(get)
        const got = yield* client.message()
        assert.strictEqual(status(got), 502)
        assert.deepStrictEqual(values(got, "content-type"), ["application/json"])
        assert.strictEqual(got.body.toString(), badGateway)
        assert.match(gateway.logs.join("\n"), cause)
        assert.include(gateway.logs.join("\n"), upstream.url)
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
        yield* gateway.quiet
      }))
  }

  it.live("a connection that is refused", () =>
    Effect.gen(function*() {
      const port = yield* RawUpstream.deadPort
      const gateway = yield* Gateway.start({ upstream: `http://127.0.0.1:${port}` })
      const client = yield* gateway.connect
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 502)
      assert.strictEqual(got.body.toString(), badGateway)
      assert.include(gateway.logs.join("\n"), `http://127.0.0.1:${port} failed at the connect: connect ECONNREFUSED`)
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))

  it.live("a name that nobody knows", () =>
    Effect.gen(function*() {
      const gateway = yield* Gateway.start({ upstream: "http://nobody.invalid" })
      const client = yield* gateway.connect
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 502)
      assert.match(gateway.logs.join("\n"), /http:\/\/nobody\.invalid failed at the connect/)
    }))

  it.live("the fallback answers instead, is told the phase and the cause, and the log has it too", () =>
    Effect.gen(function*() {
      const port = yield* RawUpstream.deadPort
      const gateway = yield* Gateway.withRoutes((group) =>
        Proxy.route("/*", {
          group,
          upstream: `http://127.0.0.1:${port}`,
          fallback: (failure, request) =>
            HttpServerResponse.text(
              failure._tag === "UpstreamError"
                ? `${request.path} ${failure.phase} ${(failure.cause as NodeJS.ErrnoException).code}`
                : failure._tag,
              { status: 299 }
            )
        })
      )
      const client = yield* gateway.connect
      client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
      const got = yield* client.message()
      assert.strictEqual(status(got), 299)
      assert.strictEqual(got.body.toString(), "/a connect ECONNREFUSED")
      assert.include(gateway.logs.join("\n"), "ECONNREFUSED")
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))
})

describe(
  "17. the upstream breaks off in the middle of the body: the client's connection is aborted, never a clean end",
  {
    timeout: 30_000
  },
  () => {
    const heads = {
      "a length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst part",
      "chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nfirst part\r\n",
      "chunks, within one": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nfirst part"
    }
    const endings: ReadonlyArray<readonly [how: string, end: (wire: Wire) => void]> = [
      ["a reset", (wire) => wire.reset()],
      ["a FIN", (wire) => wire.end()]
    ]
    const garbage = ["bytes that are no chunk", (wire: Wire) => wire.send("\r\nzz\r\n")] as const

    for (const [framing, head] of Object.entries(heads)) {
      for (const [how, end] of framing === "chunks" ? [...endings, garbage] : endings) {
        it.live(`${how} of a body framed by ${framing}`, () =>
          Effect.gen(function*() {
            const { client, gateway, upstream } = yield* between(onceAsked((wire) => wire.send(head)))
            client.send(get)
            yield* client.until("the first part", ({ text }) => text.includes("first part"))
            assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
            end(upstream.wires[0]!)
            yield* client.until("the abort", ({ broke, ended }) => ended || broke !== undefined)
            assert.strictEqual(status(yield* client.head), 200)
            assert.notMatch(client.text, /(?:^|\n)0\r\n\r\n$/, "the last chunk was sent")
            assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
            yield* gateway.quiet
          }))
      }
    }

    for (const [how, end] of endings) {
      it.live(`${how}, and a client of HTTP/1.0, for which the end of the connection is that of the body`, () =>
        Effect.gen(function*() {
          const { client, upstream } = yield* between(onceAsked((wire) => wire.send(heads.chunks)))
          client.send("GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
          yield* client.until("the first part", ({ text }) => text.includes("first part"))
          end(upstream.wires[0]!)
          yield* client.until("the end", ({ closed, ended }) => ended || closed)
          assert.isFalse(client.endedInOrder, "it ended as a whole response does")
        }))
    }

    it.live("a body that ends short, and came with its head in one piece, is no complete response either", () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* between(onceAsked((wire) => {
          wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
          wire.end()
        }))
        client.send(get)
        yield* client.until("the end of it", ({ ended, text }) => ended || text.endsWith(badGateway))
        if (!client.text.endsWith(badGateway)) assert.match(client.text, /content-length: 100/i)
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      }))

    it.live("6. what follows a body that is complete reaches nobody", () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire, upstream) =>
          Effect.gen(function*() {
            yield* wire.message()
            wire.send(upstream.wires.length === 1 ? response("hello") + response("smuggled") : response("second"))
          })
        )
        client.send(get)
        assert.strictEqual((yield* client.message()).body.toString(), "hello")
        yield* (yield* upstream.wire(0)).until("the connection to be dropped", ({ closed, ended }) => closed || ended)
        client.send(get)
        assert.strictEqual((yield* client.message()).body.toString(), "second")
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 2 })
      }))
  }
)

describe("17. a large request body, and an upstream that does not take it", { timeout: 30_000 }, () => {
  const size = 8 * 1024 * 1024
  const framings: ReadonlyArray<readonly [name: string, field: string, body: () => Buffer]> = [
    ["a length", `Content-Length: ${size}`, () => Buffer.alloc(size, "x")],
    [
      "chunks",
      "Transfer-Encoding: chunked",
      () =>
        Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), Buffer.alloc(size, "x"), Buffer.from("\r\n0\r\n\r\n")])
    ]
  ]
  for (const [name, field, body] of framings) {
    const post = `POST / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`

    it.live(`a POST with ${name} to a dead upstream gets its 502`, () =>
      Effect.gen(function*() {
        const port = yield* RawUpstream.deadPort
        const gateway = yield* Gateway.start({ upstream: `http://127.0.0.1:${port}` })
        const client = yield* gateway.connect
        client.send(post)
        client.send(body())
        const got = yield* client.message()
        assert.strictEqual(status(got), 502)
        assert.strictEqual(got.body.toString(), badGateway)
        assert.include(gateway.logs.join("\n"), "ECONNREFUSED")
        yield* gateway.quiet
      }))

    it.live(`a POST with ${name} to an upstream that resets gets its 502`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* between((wire) => Effect.map(wire.head, () => wire.reset()))
        client.send(post)
        client.send(body())
        assert.strictEqual(status(yield* client.message()), 502)
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
        yield* gateway.quiet
      }))

    it.live(`after that 502 for a POST with ${name}, the connection goes on or ends, but does not hang`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* between((wire, { wires }) =>
          wires.length === 1
            ? Effect.map(wire.head, () => wire.reset())
            : Effect.map(wire.message(), () => wire.send(response("ok")))
        )
        const bytes = body()
        client.send(post)
        client.send(bytes.subarray(0, 100_000))
        assert.strictEqual(status(yield* client.message()), 502)
        client.send(bytes.subarray(100_000))
        client.send(get)
        const since = performance.now()
        yield* client.until(
          "another answer, or the end",
          ({ broke, ended, text }) => text.includes(" 200 OK") || ended || broke !== undefined
        )
        // Node would close it after 6 seconds, as one that is idle.
        assert.isBelow(performance.now() - since, 5000)
        assert.isAtLeast(upstream.wires.length, 1)
        yield* gateway.quiet
      }))
  }
})
