import { Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../harness/eventually.ts"
import { block, flags, frame, nextOf, preface, settings, types, uint32 } from "../harness/Frames.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import type { Wire } from "../harness/Wire.ts"

const host = "Host: gateway.test"
const get = `GET / HTTP/1.1\r\n${host}\r\n\r\n`
const post = `POST / HTTP/1.1\r\n${host}\r\nContent-Length: 5\r\n\r\nhello`

const head = (stream: number, ...fields: ReadonlyArray<readonly [string, string]>) =>
  frame(types.headers, flags.endHeaders, stream, block([[":status", "200"], ...fields]))
const data = (stream: number, text: string, ends = false) =>
  frame(types.data, ends ? flags.endStream : 0, stream, Buffer.from(text))
const whole = (stream: number, text = "ok") => Buffer.concat([head(stream), data(stream, text, true)])
const reset = (stream: number, code: number) => frame(types.reset, 0, stream, uint32(code))
const goaway = (last: number, code = 0) => frame(types.goaway, 0, 0, Buffer.concat([uint32(last), uint32(code)]))

/** The first request on a connection; settings are exchanged. */
const first = (wire: Wire) =>
  Effect.gen(function*() {
    yield* wire.until("the preface", ({ received }) => received.length >= preface.length)
    assert.deepStrictEqual(wire.received.subarray(0, preface.length), preface)
    wire.take(preface.length)
    wire.send(Buffer.concat([settings(), frame(types.settings, flags.ack, 0)]))
    return yield* next(wire)
  })

/** The identifier of the next request. */
const next = (wire: Wire) => Effect.map(nextOf(wire, types.headers), ({ stream }) => stream)

const before = (
  script: RawUpstream.Script,
  route: Omit<Parameters<typeof Gateway.start>[0], "upstream"> = {},
  undici = {}
) =>
  Effect.gen(function*() {
    const upstream = yield* RawUpstream.make(script)
    const gateway = yield* Gateway.start({ upstream: yield* Upstream.make(upstream.url, { http: "2" }), ...route }, {
      undici: { connectTimeout: 300, ...undici }
    })
    return { upstream, gateway, client: yield* gateway.connect }
  })

/** An upstream that does this with the first request of each connection, and answers those that follow. */
const then = (what: (wire: Wire, stream: number) => void): RawUpstream.Script => (wire) =>
  Effect.gen(function*() {
    what(wire, yield* first(wire))
    for (;;) wire.send(whole(yield* next(wire)))
  })

/** The first connection does this with its first request, the others answer. */
const once = (what: (wire: Wire, stream: number) => void): RawUpstream.Script => (wire, { wires }) =>
  then(wires[0] === wire ? what : (wire, stream) => wire.send(whole(stream)))(wire, undefined!)

describe("17. HTTP/2 to the upstream: it breaks in the middle of a body", { timeout: 30_000 }, () => {
  const endings: Record<string, (wire: Wire, stream: number) => void> = {
    "with NO_ERROR": (wire, stream) => wire.send(reset(stream, 0)),
    "with CANCEL": (wire, stream) => wire.send(reset(stream, 8)),
    "with INTERNAL_ERROR": (wire, stream) => wire.send(reset(stream, 2)),
    "with REFUSED_STREAM": (wire, stream) => wire.send(reset(stream, 7)),
    "by a FIN": (wire) => wire.end(),
    "by a RST": (wire) => wire.reset(),
    "by a GOAWAY with an error": (wire) => wire.send(goaway(1, 2)),
    "by a frame that is none": (wire) => wire.send(frame(types.data, 0, 0, Buffer.from("x"))),
    "by more than its length": (wire, stream) => wire.send(data(stream, "0123456789", true)),
    "by less than its length": (wire, stream) => wire.send(data(stream, "", true))
  }
  for (const [how, ending] of Object.entries(endings)) {
    it.live(`${how}: the client's connection is aborted, never a clean end, and it is a failure`, () =>
      Effect.gen(function*() {
        let stream = 0
        const { client, gateway, upstream } = yield* before((wire) =>
          Effect.gen(function*() {
            stream = yield* first(wire)
            const length = how.includes("length") ? [["content-length", "10"] as const] : []
            wire.send(Buffer.concat([head(stream, ...length), data(stream, "hello")]))
          })
        )
        client.send(get)
        yield* client.until("the first part", ({ text }) => text.includes("hello"))
        ending(upstream.wires[0]!, stream)
        yield* client.until("the end of the connection", ({ closed, ended }) => closed || ended)
        assert.isFalse(client.text.endsWith("0\r\n\r\n"), client.text)
        if (how.includes("length")) assert.isBelow(client.text.split("\r\n\r\n")[1]!.length, 10)
        yield* gateway.quiet
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      }))
  }
})

describe("17. HTTP/2 to the upstream: it breaks before the head", { timeout: 30_000 }, () => {
  const endings: Record<string, (wire: Wire, stream: number) => void> = {
    "a reset of the stream": (wire, stream) => wire.send(reset(stream, 2)),
    "a FIN": (wire) => wire.end(),
    "a RST": (wire) => wire.reset(),
    "a head without a status": (wire, stream) =>
      wire.send(frame(types.headers, flags.endHeaders, stream, block([["x-a", "1"]]))),
    "a body without a head": (wire, stream) => wire.send(data(stream, "hello")),
    "a field in upper case": (wire, stream) => wire.send(head(stream, ["X-A", "1"])),
    "a field of the connection": (wire, stream) => wire.send(head(stream, ["connection", "close"])),
    "a GOAWAY with an error": (wire, stream) => wire.send(goaway(stream, 11))
  }
  for (const [how, ending] of Object.entries(endings)) {
    it.live(`${how} is a 502, whose log says what it was, and the next request has an answer`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* before(once(ending))
        client.send(post)
        assert.strictEqual(status(yield* client.message()), 502)
        assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
        assert.isTrue(gateway.logs.some((line) => / failed at the (?:head|send): \S/.test(line)), String(gateway.logs))
        client.send(post)
        assert.strictEqual(status(yield* client.message()), 200)
        yield* gateway.quiet
      }))
  }

  it.live("11. a field with a line break in it is dropped", () =>
    Effect.gen(function*() {
      const { client } = yield* before(then((wire, stream) =>
        wire.send(Buffer.concat([head(stream, ["x-a", "1\r\nx-b: 2"], ["x-c", "3"]), data(stream, "ok", true)]))
      ))
      client.send(get)
      const got = yield* client.message()
      assert.deepStrictEqual(
        got.fields.filter(([name]) =>
          name.startsWith("x-")
        ),
        [["x-c", "3"]]
      )
    }))

  it.live("interim responses without end are a failure", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* before(once((wire, stream) => {
        for (let i = 0; i < 200; i++) {
          wire.send(frame(types.headers, flags.endHeaders, stream, block([[":status", "103"], ["x-a", String(i)]])))
        }
      }))
      client.send(get)
      yield* client.until("a 502", ({ text }) => text.includes("HTTP/1.1 502"))
      yield* gateway.quiet
    }))
})

describe("27. HTTP/2 to the upstream: there is no such connection", { timeout: 30_000 }, () => {
  const others: Record<string, RawUpstream.Script> = {
    "one that speaks HTTP/1.1": (wire) =>
      Effect.sync(() => wire.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    "one that closes": (wire) => Effect.sync(() => wire.end()),
    "one that takes no requests": (wire) => Effect.sync(() => wire.send(settings([3, 0])))
  }
  for (const [which, script] of Object.entries(others)) {
    it.live(`${which} is a 502 at the connect phase`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* before(script)
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 502)
        assert.isTrue(gateway.logs.some((line) => line.includes("failed at the connect")), String(gateway.logs))
        yield* gateway.quiet
      }))
  }

  it.live("one that says nothing is a 504, after connectTimeout", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(() => Effect.void)
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 504)
      yield* upstream.wires[0]!.until("its end", ({ closed, ended }) => closed || ended)
      yield* gateway.quiet
    }))

  it.live("nobody listens: 502, and later there is somebody", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(once((wire, stream) => wire.send(whole(stream))))
      yield* upstream.kill
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 502)
      yield* upstream.start
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      yield* gateway.quiet
    }))
})

describe("23. HTTP/2 to the upstream: what it has refused is sent once more, if its body is still there", {
  timeout: 30_000
}, () => {
  const refusals: Record<string, (wire: Wire, stream: number) => void> = {
    "by GOAWAY": (wire) => wire.send(goaway(0)),
    "by GOAWAY with an error": (wire) => wire.send(goaway(0, 11)),
    "by REFUSED_STREAM": (wire, stream) => wire.send(reset(stream, 7))
  }
  for (const [how, refuse] of Object.entries(refusals)) {
    it.live(`${how}: by any method without a body`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* before(once(refuse))
        client.send(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 0\r\n\r\n`)
        assert.strictEqual(status(yield* client.message()), 200)
        assert.strictEqual(upstream.wires.length, how === "by REFUSED_STREAM" ? 1 : 2)
        assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
        yield* gateway.quiet
      }))

    it.live(`${how}: a body that was read from the client is gone, so it is a 502`, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* before(once(refuse))
        client.send(post)
        assert.strictEqual(status(yield* client.message()), 502)
        yield* gateway.quiet
      }))
  }

  it.live("a second refusal is a 502", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before((wire) => Effect.map(first(wire), () => wire.send(goaway(0))))
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 502)
      assert.strictEqual(upstream.wires.length, 2)
    }))

  it.live("GOAWAY lets those end that are served, and sends others elsewhere", () =>
    Effect.gen(function*() {
      let stream = 0
      const { client, gateway, upstream } = yield* before(once((wire, id) => {
        stream = id
        wire.send(head(id))
        wire.send(goaway(id))
      }))
      client.send(get)
      yield* client.until("the head", ({ text }) => text.includes("200"))
      const other = yield* gateway.connect
      other.send(get)
      assert.strictEqual(status(yield* other.message()), 200)
      assert.strictEqual(upstream.wires.length, 2)
      upstream.wires[0]!.send(data(stream, "hello", true))
      assert.strictEqual((yield* client.message()).body.toString(), "hello")
      yield* upstream.wires[0]!.until("its end", ({ closed, ended }) => closed || ended)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 2 })
    }))

  for (const [method, code] of [["GET", 200], ["POST", 502]] as const) {
    it.live(`a pooled connection that closes as a ${method} begins: ${code}`, () =>
      Effect.gen(function*() {
        const { client, upstream } = yield* before((wire, { wires }) =>
          Effect.gen(function*() {
            wire.send(whole(yield* first(wire)))
            const stream = yield* next(wire)
            if (wires[0] === wire) wire.reset()
            else wire.send(whole(stream))
          })
        )
        client.send(get)
        assert.strictEqual(status(yield* client.message()), 200)
        client.send(`${method} / HTTP/1.1\r\n${host}\r\nContent-Length: 0\r\n\r\n`)
        assert.strictEqual(status(yield* client.message()), code)
        assert.strictEqual(upstream.wires.length, code === 200 ? 2 : 1)
      }))
  }

  it.live("a new connection that closes before its first answer is a 502", () =>
    Effect.gen(function*() {
      const { client, upstream } = yield* before((wire) => Effect.map(first(wire), () => wire.reset()))
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 502)
      assert.strictEqual(upstream.wires.length, 1)
    }))
})

describe("6. HTTP/2 to the upstream: half of a request never looks like all of it", { timeout: 30_000 }, () => {
  for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
    it.live(`${framing}, and the client goes away: a reset of the stream, and no END_STREAM before it`, () =>
      Effect.gen(function*() {
        const { client, gateway, upstream } = yield* before(first)
        client.send(
          `POST / HTTP/1.1\r\n${host}\r\n${framing}\r\n\r\n${framing.startsWith("C") ? "hello" : "5\r\nhello\r\n"}`
        )
        const wire = yield* upstream.wire(0)
        const part = yield* nextOf(wire, types.data)
        assert.strictEqual(part.payload.toString(), "hello")
        client.reset()
        // One reader: of two, each would leave away the frame that the other waits for.
        let after = yield* next(wire)
        while (after.stream !== part.stream) after = yield* next(wire)
        assert.strictEqual(after.type, types.reset)
        assert.strictEqual(after.payload.readUInt32BE(), 8)
        yield* gateway.quiet
      }))
  }
})

describe("27. HTTP/2 to the upstream: connections that are dead", { timeout: 30_000 }, () => {
  it.live("after a request without any sign of life no others follow, until a ping is answered", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(once(() => {}), { timeout: 50 }, {
        connectTimeout: "1 minute"
      })
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 504)
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(upstream.wires.length, 2)
      yield* gateway.quiet
    }))

  it.live("a ping that is answered makes it one of those that are used", () =>
    Effect.gen(function*() {
      let answered = false
      const { client, gateway, upstream } = yield* before((wire) =>
        Effect.gen(function*() {
          yield* first(wire)
          const ping = yield* nextOf(wire, types.ping)
          wire.send(frame(types.ping, flags.ack, 0, ping.payload))
          answered = true
          wire.send(whole(yield* next(wire)))
        }), { timeout: 1000 })
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 504)
      yield* eventually("the answer to the ping", () => answered)
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(upstream.wires.length, 1)
      yield* gateway.quiet
    }))

  it.live("one that does not answer its ping is closed, and what is under way there fails", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* before(once((wire, stream) => wire.send(head(stream))), {}, {
        connectTimeout: 100,
        http2: { ping: 50 }
      })
      client.send(get)
      yield* client.until("the head", ({ text }) => text.includes("200"))
      yield* client.until("the end", ({ closed, ended }) => closed || ended)
      yield* upstream.wires[0]!.until("its end", ({ closed, ended }) => closed || ended)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
    }))
})
