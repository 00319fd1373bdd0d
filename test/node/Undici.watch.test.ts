import { Transport, Upstream } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { HttpBody, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import type * as Net from "node:net"
import { Exchange } from "../../packages/node/src/internal/Exchange.ts"
import { Origins } from "../../packages/node/src/internal/Origins.ts"
import { eventually } from "../harness/eventually.ts"
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
    const port = yield* Effect.callback<number>((resume) => {
      node.listen(0, "127.0.0.1", () => resume(Effect.succeed((node.address() as Net.AddressInfo).port)))
    })
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        yield* Deferred.succeed(release, undefined)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.callback<void>((resume) => {
          node.close(() => resume(Effect.void))
          node.closeAllConnections()
        })
      })
    )
    return { ends, client: yield* connect(port) }
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

  it.live("an error of the upstream that comes as the client leaves is an interruption, not a failure", () =>
    Effect.gen(function*() {
      const raw = yield* RawUpstream.make(() => Effect.void)
      const upstream = yield* Upstream.make(raw.url)
      const origin = new Origins({ connectTimeout: 1000, keepAlive: 1000, tls: {}, warn: () => {} }).of(upstream)
      const { client, ends } = yield* server((source, end) => {
        const exchange = new Exchange(requestTo(upstream, source), { answer: () => {}, end }, origin) // Destroyed, and its `close` is still to come.
        ;(source.source as Http.IncomingMessage).socket.destroy()
        exchange.onResponseError(undefined, new Error("other side closed"))
      })
      client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      yield* eventually("the end", () => ends.length === 1)
      assert.isTrue(isInterruption(ends[0]!))
    }))
})
