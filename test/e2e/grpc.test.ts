import { Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import * as Grpc from "@grpc/grpc-js"
import { Clock, Effect } from "effect"
import * as Http2 from "node:http2"
import { authority } from "../harness/Certificates.ts"
import { eventually, settled } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import * as Peers from "./grpcPeers.ts"

type Handlers = Parameters<typeof Peers.server>[0]
type Settings = NonNullable<Parameters<typeof Gateway.start>[1]>

const echo: NonNullable<Handlers["Unary"]> = ({ request }, callback) => callback(null, request)

/** A client, a gateway that speaks HTTP/2 on both sides, and a server: all real. */
const through = (
  handlers: Handlers,
  { client, pool, route = {}, server, undici = {} }: Pick<Settings, "pool" | "undici"> & {
    readonly route?: Omit<Parameters<typeof Gateway.start>[0], "upstream">
    readonly client?: Grpc.ClientOptions
    readonly server?: Grpc.ServerOptions
  } = {}
) =>
  Effect.gen(function*() {
    const upstream = yield* Peers.server(handlers, undefined, server)
    const gateway = yield* Gateway.start(
      { upstream: yield* Upstream.make(`http://localhost:${upstream.port}`, { http: "2" }), ...route },
      { server: () => Http2.createServer(), undici, ...(pool !== undefined && { pool }) }
    )
    return { upstream, gateway, client: yield* Peers.client(gateway.port, client) }
  })

const texts = (messages: ReadonlyArray<Peers.Message>) => messages.map(({ text }) => text)

/** What a stream of the server's says, and how it ends. */
const collect = (
  call: Grpc.ClientReadableStream<Peers.Message> | Grpc.ClientDuplexStream<Peers.Message, Peers.Message>
) => {
  const messages: Array<Peers.Message> = []
  const state: { status: Grpc.StatusObject | undefined } = { status: undefined }
  call.on("data", (message: Peers.Message) => messages.push(message))
  call.on("error", () => {})
  call.on("status", (status) => state.status = status)
  return { messages, status: eventually("the status", () => state.status, () => `${messages.length} messages`) }
}

describe("27. gRPC: calls", { timeout: 60_000 }, () => {
  it.live("unary: the message, metadata of both sides, and trailers", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* through({
        Unary: (call, callback) => {
          const head = new Grpc.Metadata()
          head.set("x-head", call.metadata.get("x-asked").join())
          head.set("x-head-bin", Buffer.from([0, 255, 1]))
          call.sendMetadata(head)
          const trailer = new Grpc.Metadata()
          trailer.add("x-trailer", "1")
          trailer.add("x-trailer", "2")
          trailer.set("x-trailer-bin", Buffer.from([2, 254]))
          callback(null, call.request, trailer)
        }
      })
      const metadata = new Grpc.Metadata()
      metadata.add("x-asked", "a")
      metadata.add("x-asked", "b")
      const got = yield* Peers.unary(client, { text: "hello" }, {}, metadata)
      assert.strictEqual(got.error, null)
      assert.strictEqual(got.value?.text, "hello")
      assert.strictEqual(got.status.code, Grpc.status.OK)
      assert.deepStrictEqual(got.metadata?.get("x-head").join().replaceAll(" ", ""), "a,b")
      assert.deepStrictEqual(got.metadata?.get("x-head-bin"), [Buffer.from([0, 255, 1])])
      assert.deepStrictEqual(got.status.metadata.get("x-trailer").join().replaceAll(" ", ""), "1,2")
      assert.deepStrictEqual(got.status.metadata.get("x-trailer-bin"), [Buffer.from([2, 254])])
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("an error: its code, message and details, in trailers that are all there is", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* through({
        Unary: (_, callback) => {
          const metadata = new Grpc.Metadata()
          metadata.set("grpc-status-details-bin", Buffer.from([8, 5, 18, 0]))
          callback({ code: Grpc.status.NOT_FOUND, details: "no such thing: \u00e4 %", metadata })
        }
      })
      const { error } = yield* Peers.unary(client, { text: "hello" })
      assert.strictEqual(error?.code, Grpc.status.NOT_FOUND)
      assert.strictEqual(error?.details, "no such thing: \u00e4 %")
      assert.deepStrictEqual(error?.metadata.get("grpc-status-details-bin"), [Buffer.from([8, 5, 18, 0])])
      yield* gateway.quiet
    }))

  it.live("server streaming: each message as it comes, then the status; an error after some of them too", () =>
    Effect.gen(function*() {
      let call: Grpc.ServerWritableStream<Peers.Message, Peers.Message> | undefined
      const { client, gateway } = yield* through({ Down: (is) => call = is })
      for (const fails of [false, true]) {
        call = undefined
        const { messages, status } = collect(client.Down({ text: "go" }))
        const down = yield* eventually("the call", () => call)
        for (const text of ["a", "b", "c"]) {
          down.write({ text })
          yield* eventually(text, () => messages.at(-1)?.text === text)
        }
        if (fails) down.emit("error", { code: Grpc.status.DATA_LOSS, details: "gone" })
        else down.end()
        assert.strictEqual((yield* status).code, fails ? Grpc.status.DATA_LOSS : Grpc.status.OK)
        assert.deepStrictEqual(texts(messages), ["a", "b", "c"])
        yield* gateway.quiet
      }
    }))

  it.live("server streaming of nothing", () =>
    Effect.gen(function*() {
      const { client } = yield* through({ Down: (call) => call.end() })
      const { messages, status } = collect(client.Down({ text: "go" }))
      assert.strictEqual((yield* status).code, Grpc.status.OK)
      assert.deepStrictEqual(messages, [])
    }))

  it.live("client streaming: each message as it is sent, and one answer", () =>
    Effect.gen(function*() {
      const seen: Array<string | undefined> = []
      const { client, gateway } = yield* through({
        Up: (call, callback) => {
          call.on("data", ({ text }: Peers.Message) => seen.push(text))
          call.on("end", () => callback(null, { text: seen.join("") }))
        }
      })
      let answer: Peers.Message | undefined
      const call = client.Up((_, value) => answer = value)
      for (const text of ["a", "b", "c"]) {
        call.write({ text })
        yield* eventually(text, () => seen.at(-1) === text)
      }
      call.end()
      assert.strictEqual((yield* eventually("the answer", () => answer)).text, "abc")
      yield* gateway.quiet
    }))

  it.live("client streaming: an answer before the end is heard, and the rest is given up", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* through({
        Up: (call, callback) => call.once("data", () => callback({ code: Grpc.status.OUT_OF_RANGE, details: "enough" }))
      })
      let error: Grpc.ServiceError | null | undefined
      const call = client.Up((is) => error = is)
      call.on("error", () => {})
      call.write({ text: "a" })
      assert.strictEqual((yield* eventually("the answer", () => error)).code, Grpc.status.OUT_OF_RANGE)
      yield* gateway.quiet
    }))

  it.live("bidirectional: a conversation, turn by turn", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* through({
        Both: (call) => {
          call.on("data", ({ text }: Peers.Message) => call.write({ text: `${text}!` }))
          call.on("end", () => call.end())
        }
      })
      const call = client.Both()
      const { messages, status } = collect(call)
      for (let i = 0; i < 20; i++) {
        call.write({ text: String(i) })
        yield* eventually(`turn ${i}`, () => messages.at(-1)?.text === `${i}!`)
      }
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      call.end()
      assert.strictEqual((yield* status).code, Grpc.status.OK)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("messages of 4 MiB, both ways", () =>
    Effect.gen(function*() {
      const limits = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 }
      const { client } = yield* through({ Unary: echo }, { client: limits, server: limits })
      const payload = Buffer.alloc(4 * 1024 * 1024, "x")
      const { error, value } = yield* Peers.unary(client, { payload })
      assert.strictEqual(error, null)
      assert.isTrue(payload.equals(value!.payload!))
    }))

  it.live("28. over TLS, where each side shows its certificate", () =>
    Effect.gen(function*() {
      const ca = authority()
      const { cert, key } = ca.issue("localhost")
      const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }
      const upstream = yield* Peers.server(
        { Unary: echo },
        Grpc.ServerCredentials.createSsl(Buffer.from(ca.cert), [pair], true)
      )
      const tls = { ca: ca.cert, ...ca.issue("/CN=gateway") }
      for (const http of ["2", "auto"] as const) {
        const to = yield* Upstream.make(`https://localhost:${upstream.port}`, { http, tls })
        const gateway = yield* Gateway.start({ upstream: to }, { server: () => Http2.createServer() })
        const client = yield* Peers.client(gateway.port)
        assert.strictEqual((yield* Peers.unary(client, { text: "hello" })).value?.text, "hello")
      }
    }))

  it.live("1,000 calls at once, on a pool that holds them", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* through({ Unary: echo }, { pool: { maxConcurrent: 1000 } })
      const got = yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, i) => String(i)),
        (text) =>
          Effect.map(Peers.unary(client, { text }), ({ error, value }) => error === null && value?.text === text),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(got), new Set([true]))
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1000 })
    }))
})

describe("27. gRPC: ends", { timeout: 60_000 }, () => {
  it.live("a deadline reaches the server, and ends the call there", () =>
    Effect.gen(function*() {
      let deadline: Grpc.Deadline | undefined
      let cancelled = false
      const { client, gateway } = yield* through({
        Unary: (call) => {
          deadline = call.getDeadline()
          call.on("cancelled", () => cancelled = true)
        }
      })
      const { error } = yield* Peers.unary(client, { text: "hello" }, {
        deadline: (yield* Clock.currentTimeMillis) + 300
      })
      assert.strictEqual(error?.code, Grpc.status.DEADLINE_EXCEEDED)
      assert.isBelow(Number(deadline), (yield* Clock.currentTimeMillis) + 300)
      yield* eventually("the cancellation", () => cancelled)
      yield* gateway.quiet
    }))

  it.live("18. a client that cancels a stream cancels it at the server, and the permit comes back", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const { client, gateway } = yield* through({
        Down: (call) => {
          call.on("cancelled", () => cancelled++)
          call.write({ text: "a" })
        },
        Both: (call) => {
          call.on("cancelled", () => cancelled++)
          call.on("error", () => {})
          call.on("data", (message: Peers.Message) => call.write(message))
        }
      })
      const down = client.Down({ text: "go" })
      const both = client.Both()
      both.write({ text: "b" })
      const calls = [down, both].map((call) => ({ call, ...collect(call) }))
      for (const { messages } of calls) yield* eventually("a message", () => messages.length === 1)
      for (const { call, status } of calls) {
        call.cancel()
        assert.strictEqual((yield* status).code, Grpc.status.CANCELLED)
      }
      yield* eventually("both cancellations", () => cancelled === 2)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { interrupted: 2 })
    }))

  it.live("17. a server that dies in the middle of a stream: the client hears of an error, never of an end", () =>
    Effect.gen(function*() {
      const { client, gateway, upstream } = yield* through({ Down: (call) => call.write({ text: "a" }) })
      const { messages, status } = collect(client.Down({ text: "go" }))
      yield* eventually("a message", () => messages.length === 1)
      upstream.server.forceShutdown()
      assert.notStrictEqual((yield* status).code, Grpc.status.OK)
      yield* gateway.quiet
    }))

  it.live("22. a route's timeout ends at the head: a stream goes on", () =>
    Effect.gen(function*() {
      let call: Grpc.ServerWritableStream<Peers.Message, Peers.Message> | undefined
      const { client } = yield* through({
        Down: (is) => {
          call = is
          is.sendMetadata(new Grpc.Metadata())
        }
      }, { route: { timeout: 100 } })
      const { messages, status } = collect(client.Down({ text: "go" }))
      const down = yield* eventually("the call", () => call)
      yield* Effect.sleep(250) // The time in which it would be cut.
      down.write({ text: "late" })
      down.end()
      assert.strictEqual((yield* status).code, Grpc.status.OK)
      assert.deepStrictEqual(texts(messages), ["late"])
    }))

  it.live("what the gateway refuses is an error that a client of gRPC knows", () =>
    Effect.gen(function*() {
      const { client, gateway } = yield* through({ Unary: () => {} }, {
        pool: { maxConcurrent: 1 },
        route: { timeout: 5000 }
      })
      client.Unary({ text: "first" }, new Grpc.Metadata(), {}, () => {})
      yield* gateway.becomes("1 active, 0 queued")
      assert.strictEqual((yield* Peers.unary(client, { text: "second" })).error?.code, Grpc.status.UNAVAILABLE)
    }))
})

describe("16. gRPC: flow control", { timeout: 60_000 }, () => {
  it.live("a client that does not read bounds what the server can send, and other calls go on", () =>
    Effect.gen(function*() {
      let sent = 0
      const payload = Buffer.alloc(64 * 1024)
      const { client, gateway } = yield* through({
        Unary: echo,
        Down: (call) => {
          const more = () => {
            while (sent < 1000) {
              sent++
              if (!call.write({ payload })) return void call.once("drain", more)
            }
            call.end()
          }
          more()
        }
      })
      const call = client.Down({ text: "go" })
      call.once("data", () => call.pause())
      yield* eventually("some of it", () => sent > 1)
      assert.isBelow(yield* settled("what was sent", () => sent), 400)
      assert.strictEqual((yield* Peers.unary(client, { text: "hello" })).value?.text, "hello")
      call.resume()
      const { status } = collect(call)
      assert.strictEqual((yield* status).code, Grpc.status.OK)
      yield* gateway.quiet
    }))

  it.live("a server that does not read bounds what the client can send", () =>
    Effect.gen(function*() {
      let call: Grpc.ServerReadableStream<Peers.Message, Peers.Message> | undefined
      let seen = 0
      const { client, gateway } = yield* through({
        Up: (is, callback) => {
          call = is
          is.pause()
          is.on("data", () => seen++)
          is.on("end", () => callback(null, { count: seen }))
        }
      })
      let answer: Peers.Message | undefined
      const up = client.Up((_, value) => answer = value)
      let sent = 0
      const payload = Buffer.alloc(64 * 1024)
      const more = () => {
        while (sent < 1000) {
          sent++
          if (!up.write({ payload })) return void up.once("drain", more)
        }
        up.end()
      }
      more()
      const paused = yield* eventually("the call", () => call)
      paused.pause()
      assert.isBelow(yield* settled("what was sent", () => sent), 400)
      paused.resume()
      assert.strictEqual((yield* eventually("the answer", () => answer)).count, 1000)
      yield* gateway.quiet
    }))
})
