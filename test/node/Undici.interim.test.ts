import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Gateway from "../harness/Gateway.ts"
import { status, values } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\r\n"
const unasked = "HTTP/1.1 100 Continue\r\n\r\n"

/** An upstream that does this each time it has been asked, on one connection. */
const onceAsked = (then: (wire: Wire) => void | Effect.Effect<void>) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make((wire) =>
      Effect.gen(function*() {
        for (;;) {
          yield* wire.message()
          yield* then(wire) ?? Effect.void
        }
      })
    )
    const gateway = yield* Gateway.start({ upstream: upstream.url })
    return { upstream, gateway, client: yield* gateway.connect }
  })

/** Each read by itself, as a rule. */
const inPieces = (wire: Wire, pieces: ReadonlyArray<string>) =>
  Effect.forEach(pieces, (piece) => Effect.delay(Effect.sync(() => wire.send(piece)), 2), { discard: true })

describe("21. interim responses pass on", { timeout: 30_000 }, () => {
  it.live("103 Early Hints arrive before the final head is there, each Link of its own", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* onceAsked((wire) => wire.send(hints))
      client.send(get)
      const early = yield* client.head
      assert.strictEqual(early.startLine, "HTTP/1.1 103 Early Hints")
      assert.deepStrictEqual(values(early, "link"), ["</a.css>; rel=preload", "</b.js>; rel=preload"])
      assert.strictEqual(client.text, "")
      upstream.wires[0]!.send(response("hello"))
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.strictEqual(got.body.toString(), "hello")
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("their fields are filtered as those of any head", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* onceAsked((wire) =>
        wire.send(
          "HTTP/1.1 103 Early Hints\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\nX-B: 2\r\n\r\n"
        )
      )
      client.send(get)
      assert.deepStrictEqual((yield* client.head).fields, [["X-B", "2"]])
      upstream.wires[0]!.send(response("hello"))
      assert.strictEqual((yield* client.message()).body.toString(), "hello")
    }))

  it.live("all of them, in their order, and any status but 100 and 101", () =>
    Effect.gen(function*() {
      const { client } = yield* onceAsked((wire) =>
        wire.send(`HTTP/1.1 102 Processing\r\n\r\n${hints}HTTP/1.1 199 Odd\r\nX: 1\r\n\r\n${response("hello")}`)
      )
      client.send(get)
      for (const code of [102, 103, 199]) assert.strictEqual(status(yield* client.head), code)
      assert.strictEqual((yield* client.message()).body.toString(), "hello")
    }))

  it.live("a client of HTTP/1.0 gets none", () =>
    Effect.gen(function*() {
      const { client } = yield* onceAsked((wire) => wire.send(hints + response("hello")))
      client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.strictEqual(got.body.toString(), "hello")
    }))

  for (const early of [false, true]) {
    it.live(`of a request that is pipelined behind another they come behind the answer to that${early ? ", or not at all if its own was there before" : ""}`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make(() => Effect.void)
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(get + get.replace("/", "/second"))
        const wires = [yield* upstream.wire(0), yield* upstream.wire(1)]
        const asked = yield* Effect.all(wires.map((wire) => wire.head))
        const [first, second] = asked[0]!.startLine.includes("second") ? [wires[1]!, wires[0]!] : [wires[0]!, wires[1]!]
        second.send(hints)
        if (early) {
          second.send(response("second"))
          yield* gateway.becomes("1 active, 0 queued")
        }
        first.send(response("first"))
        assert.strictEqual((yield* client.message()).body.toString(), "first")
        if (!early) {
          assert.strictEqual(status(yield* client.head), 103)
          second.send(response("second"))
        }
        const got = yield* client.message()
        assert.strictEqual(status(got), 200)
        assert.strictEqual(got.body.toString(), "second")
      }))
  }

  it.live("without end they are a failure at the head", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* onceAsked((wire) => wire.send(hints.repeat(200)))
      client.send(get)
      yield* client.until("the 502", ({ text }) => text.includes("HTTP/1.1 502"))
      assert.include(gateway.logs.join("\n"), "failed at the head: it sent interim responses without end")
      assert.isBelow(client.text.split(" 103 ").length, 110)
      yield* gateway.quiet
    }))
})

describe("21. an upstream that sends 100 unasked does not fail the request", { timeout: 30_000 }, () => {
  const final = response("hello")
  const sent: Record<string, ReadonlyArray<string>> = {
    "in one piece with the response": [unasked + final],
    "before the response": [unasked, final],
    "with fields": [`HTTP/1.1 100 Go on\r\nX-A: 1\r\n\r\n${final}`],
    "twice": [unasked + unasked + final],
    "of HTTP/1.0": [`HTTP/1.0 100 Continue\r\n\r\n${final}`],
    "byte by byte": [...(unasked + final)]
  }
  for (const [how, pieces] of Object.entries(sent)) {
    it.live(how, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* onceAsked((wire) => inPieces(wire, pieces))
        for (const _ of [1, 2]) {
          client.send(get)
          const got = yield* client.message()
          assert.strictEqual(status(got), 200)
          assert.strictEqual(got.body.toString(), "hello")
        }
        // It is not told to the client, which may not know what to make of it, and costs no connection.
        assert.strictEqual(client.text, "")
        assert.strictEqual(upstream.wires.length, 1)
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 2 })
      }))
  }

  it.live("cut at any byte, among other interim responses", () =>
    Effect.gen(function*() {
      const all = unasked + hints + unasked + final
      let cut = 0
      const { client, gateway } = yield* onceAsked((wire) => inPieces(wire, [all.slice(0, cut), all.slice(cut)]))
      for (cut = 1; cut < all.length; cut++) {
        client.send(get)
        assert.strictEqual(status(yield* client.head), 103, `cut at ${cut}`)
        assert.strictEqual((yield* client.message()).body.toString(), "hello", `cut at ${cut}`)
      }
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: all.length - 1 })
    }))

  const other: Record<string, string> = {
    "a status of four digits": "HTTP/1.1 1000 No\r\n\r\n",
    "a status with something behind it": "HTTP/1.1 100x Continue\r\n\r\n",
    "another version": "HTTP/1.7 100 Continue\r\n\r\n",
    "a status at another place": "HTTP/1.11100 Continue\r\n\r\n",
    "a line feed alone": "HTTP/1.1 100 Continue\nX-A: 1\r\n\r\n",
    "a field without a colon": "HTTP/1.1 100 Continue\r\nX-A\r\n\r\n",
    "a space before the colon": "HTTP/1.1 100 Continue\r\nX-A : 1\r\n\r\n",
    "a folded field": "HTTP/1.1 100 Continue\r\nX-A: 1\r\n 2\r\n\r\n",
    "a NUL": "HTTP/1.1 100 Continue\r\nX-A: \0\r\n\r\n"
  }
  for (const [what, interim] of Object.entries(other)) {
    it.live(`4. what is nearly one is taken for none, and what stands behind it for no response: ${what}`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* onceAsked((wire) =>
          inPieces(wire, ["H", (interim + final).slice(1)])
        )
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 502)
        const wire = yield* upstream.wire(0)
        yield* wire.until("the end of the connection", ({ gone }) => gone)
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      }))
  }

  it.live("a body that looks like one is a body", () =>
    Effect.gen(function*() {
      const body = unasked + hints
      const { client, upstream } = yield* onceAsked((wire) => {
        wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
      })
      client.send(get)
      yield* client.until("the head", ({ text }) => text.includes("\r\n\r\n"))
      upstream.wires[0]!.send(body)
      assert.strictEqual((yield* client.message()).body.toString(), body)
    }))

  it.live("to a request with a body", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* onceAsked(() => {})
      client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
      const wire = yield* upstream.wire(0)
      wire.send(unasked)
      client.send("hello")
      yield* wire.until("the body", ({ closed }) => !closed)
      wire.send(response("ok"))
      const got = yield* client.message()
      assert.strictEqual(got.body.toString(), "ok")
    }))
})

describe("21. Expect: 100-continue, and a client that waits with its body", { timeout: 30_000 }, () => {
  const expecting = (length: number) =>
    `POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`

  it.live("where nobody listens, it gets the final status and no 100", () =>
    Effect.gen(function*() {
      const port = yield* RawUpstream.deadPort
      const gateway = yield* Gateway.start({ upstream: `http://127.0.0.1:${port}` })
      const client = yield* gateway.connect
      client.send(expecting(1_000_000))
      const got = yield* client.message()
      assert.strictEqual(status(got), 502)
      // What it sends from now on may be its body, or not.
      assert.deepStrictEqual(values(got, "connection"), ["close"])
      yield* client.until("the end", ({ ended }) => ended)
      assert.isTrue(client.endedInOrder)
      yield* gateway.quiet
    }))

  it.live("where the pool is full, it gets the final status and no 100, and the upstream hears nothing", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => wire.message())
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1 } })
      const holder = yield* gateway.connect
      holder.send(get)
      yield* gateway.becomes("1 active, 0 queued")
      const client = yield* gateway.connect
      client.send(expecting(5))
      const got = yield* client.message()
      assert.strictEqual(status(got), 503)
      assert.deepStrictEqual(values(got, "connection"), ["close"])
      assert.strictEqual(upstream.wires.length, 1)
    }))

  it.live("behind another request on its connection, it is told to go on when that has its answer, and never later", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(get + expecting(5))
      const wires = [yield* upstream.wire(0), yield* upstream.wire(1)]
      yield* wires[0]!.until("the first", ({ text }) => text.startsWith("GET"))
      yield* gateway.becomes("2 active, 0 queued")
      wires[0]!.send(response("first"))
      assert.strictEqual((yield* client.message()).body.toString(), "first")
      yield* client.until("100", ({ text }) => text === unasked)
      client.take(client.received.length)
      client.send("hello")
      const got = yield* wires[1]!.message()
      assert.strictEqual(got.body.toString(), "hello")
      wires[1]!.send(response("second"))
      assert.strictEqual((yield* client.message()).body.toString(), "second")
    }))

  it.live("behind another request on its connection, and answered before: no 100 is in its answer", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make(() => Effect.void)
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send(get + expecting(5) + "hello")
      const wires = [yield* upstream.wire(0), yield* upstream.wire(1)]
      yield* wires[0]!.until("the first", ({ text }) => text.startsWith("GET"))
      yield* wires[1]!.message()
      wires[1]!.send(response("second"))
      yield* gateway.becomes("1 active, 0 queued")
      wires[0]!.send(response("first"))
      assert.strictEqual((yield* client.message()).body.toString(), "first")
      assert.strictEqual((yield* client.message()).body.toString(), "second")
      assert.strictEqual(client.text, "")
    }))

  it.live("a 100 of the upstream's is not a second one for the client", () =>
    Effect.gen(function*() {
      const { client } = yield* onceAsked((wire) => wire.send(unasked + response("ok")))
      client.send(expecting(5))
      yield* client.until("100", ({ text }) => text === unasked)
      client.take(client.received.length)
      client.send("hello")
      assert.strictEqual(status(yield* client.message()), 200)
    }))
})
