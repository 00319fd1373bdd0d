import { Transport, Upstream } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { HttpBody, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type * as Net from "node:net"
import { Http1Exchange } from "../../packages/node/src/internal/Http1Exchange.ts"
import { Origins } from "../../packages/node/src/internal/Origins.ts"
import { RequestBody } from "../../packages/node/src/internal/RequestBody.ts"
import { eventually } from "../harness/eventually.ts"
import * as Frames from "../harness/Frames.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { connect } from "../harness/Wire.ts"

type End = Exit.Exit<Transport.Response, unknown>

/**
 * A server whose handler can't be interrupted, so that nobody but the transport can notice that a client has left. Effect's server
 * interrupts a request when its response closes; Node 26 tells it so of pipelined requests too, and Node 20 does not.
 */
const server = (handle: (source: HttpServerRequest.HttpServerRequest, end: (exit: End) => void) => void) =>
  Effect.gen(function*() {
    const ends: Array<End> = []
    const release = Deferred.makeUnsafe<void>()
    const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (source) => {
      handle(source, (exit) => ends.push(exit))
      return Effect.as(Effect.uninterruptible(Deferred.await(release)), HttpServerResponse.empty())
    })
    // Closing it waits for the handlers, so that they have to be released before.
    const scope = yield* Scope.make()
    const handler = yield* NodeHttpServer.makeHandler(app, { scope })
    const node = Http.createServer(handler)
    const node2 = Http2.createServer(handler)
    node2.on("session", (session) => session.on("error", () => {}))
    const listen = (server: Net.Server) =>
      Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
      })
    const [port, port2] = [yield* listen(node), yield* listen(node2)]
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        yield* Deferred.succeed(release, undefined)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.callback<void>((resume) => {
          node.close(() => resume(Effect.void))
          node.closeAllConnections()
          node2.close()
        })
      })
    )
    return { ends, client: yield* connect(port), client2: connect(port2) }
  })

const requestTo = (upstream: Upstream.Upstream, source: HttpServerRequest.HttpServerRequest): Transport.Request => ({
  upstream,
  method: "GET",
  target: "/",
  headers: [],
  body: HttpBody.empty,
  source,
  idle: undefined
})

const isInterruption = (exit: End): boolean => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

describe("18. the transport notices by itself that a client has left", { timeout: 30_000 }, () => {
  for (const count of [1, 2, 3]) {
    it.live(`with ${count} requests on its connection: each is told to the upstream, and is an interruption`, () =>
      Effect.gen(function*() {
        const raw = yield* RawUpstream.make(() => Effect.void)
        const upstream = yield* Upstream.make(raw.url)
        const transport = Context.get(yield* Layer.build(Undici.layer), Transport.Transport)
        const { client, ends } = yield* server((source, end) =>
          transport.send(requestTo(upstream, source), { answer: () => {}, end })
        )
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count))
        for (let i = 0; i < count; i++) yield* (yield* raw.wire(i)).head
        assert.strictEqual(ends.length, 0)
        client.close()
        yield* eventually("every end", () => ends.length === count, () => `${ends.length} of ${count}`)
        assert.isTrue(ends.every(isInterruption))
        for (const wire of raw.wires) yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
      }))
  }

  for (const code of [0, 8]) {
    it.live(`over HTTP/2, by a reset of its stream with ${code}`, () =>
      Effect.gen(function*() {
        const raw = yield* RawUpstream.make(() => Effect.void)
        const upstream = yield* Upstream.make(raw.url)
        const transport = Context.get(yield* Layer.build(Undici.layer), Transport.Transport)
        const { client2, ends } = yield* server((source, end) =>
          transport.send(requestTo(upstream, source), { answer: () => {}, end })
        )
        const client = yield* client2
        client.send(Buffer.concat([Frames.preface, Frames.settings(), Frames.request(1)]))
        const wire = yield* raw.wire(0)
        yield* wire.head
        client.send(Frames.frame(Frames.types.reset, 0, 1, Frames.uint32(code)))
        yield* eventually("the end", () => ends.length === 1)
        assert.isTrue(isInterruption(ends[0]!))
        yield* wire.until("it to be told", ({ closed, ended }) => closed || ended)
        client.close()
      }))

    it.live(`over HTTP/2, a body of which the client resets the stream with ${code} has no end`, () =>
      Effect.gen(function*() {
        const events: Array<string> = []
        const { client2 } = yield* server((source) => {
          const body = new RequestBody(source.source as Http2.Http2ServerRequest, undefined, () => {})
          body.on("data", (chunk: Buffer) => events.push(String(chunk)))
          body.on("end", () => events.push("end")).on("error", ({ name }) => events.push(name))
        })
        const client = yield* client2
        const head = Frames.request(1, [], { method: "POST", ends: false })
        client.send(Buffer.concat([Frames.preface, Frames.settings(), head]))
        client.send(Frames.frame(Frames.types.data, 0, 1, Buffer.from("hello")))
        yield* eventually("the body", () => events.length === 1)
        client.send(Frames.frame(Frames.types.reset, 0, 1, Frames.uint32(code)))
        yield* eventually("its end", () => events.length === 2)
        assert.deepStrictEqual(events, ["hello", "ClientBroke"])
        client.close()
      }))
  }

  it.live("an error of the upstream that comes as the client leaves is an interruption, not a failure", () =>
    Effect.gen(function*() {
      const raw = yield* RawUpstream.make(() => Effect.void)
      const upstream = yield* Upstream.make(raw.url)
      const origin = new Origins({ connectTimeout: 1000, keepAlive: 1000, tls: {}, warn: () => {} }).of(upstream)
      const { client, ends } = yield* server((source, end) => {
        const exchange = new Http1Exchange(requestTo(upstream, source), { answer: () => {}, end }, origin) // Destroyed, and its `close` is still to come.
        ;(source.source as Http.IncomingMessage).socket.destroy()
        exchange.onResponseError(undefined, new Error("other side closed"))
      })
      client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      yield* eventually("the end", () => ends.length === 1)
      assert.isTrue(isInterruption(ends[0]!))
    }))
})
