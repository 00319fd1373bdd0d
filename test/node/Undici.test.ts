import { InvalidOptions } from "@blackgate/core"
import { Transport, Upstream } from "@blackgate/http"
import { Undici } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpBody, HttpServerRequest } from "effect/http"
import type { Readable } from "node:stream"
import { text } from "node:stream/consumers"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

describe("options that make no sense end the building of the layer, and are named", () => {
  const bad: ReadonlyArray<readonly [options: object, name: string]> = [
    [{ connectTimeout: 0 }, "connectTimeout: "],
    [{ connectTimeout: NaN }, "connectTimeout: "],
    [{ keepAlive: -1 }, "keepAlive: "],
    [{ keepAlive: Infinity }, "keepAlive: "],
    [{ drain: "never" }, "drain: "],
    [{ http2: { keepAlive: 0 } }, "http2.keepAlive: "],
    [{ http2: { ping: Infinity } }, "http2.ping: "],
    [{ http2: { pings: 1000 } }, "http2.pings: "],
    [{ connections: 1 }, "connections: "]
  ]
  for (const [options, name] of bad) {
    it.effect(
      JSON.stringify(options, (_, value) => typeof value === "number" ? String(value) : value),
      () =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(Layer.build(Undici.layerWith(options)))
          assert.isTrue(Exit.isFailure(exit))
          const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
          assert.instanceOf(defect, InvalidOptions.InvalidOptions)
          assert.include(defect.message, `Undici.layer: ${name}`)
        })
    )
  }
})

describe("connections", { timeout: 30_000 }, () => {
  it.live("one that is idle for longer than keepAlive is closed", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => response("ok"))
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { undici: { keepAlive: 1100 } })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.message()
      const wire = yield* upstream.wire(0)
      assert.isFalse(wire.ended)
      yield* wire.until("the end of it", ({ closed, ended }) => closed || ended)
      wire.end()
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 200)
      assert.strictEqual(upstream.wires.length, 2)
    }))

  it.live("an upstream that says how long it keeps one is believed", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() =>
        response("ok", "Connection: keep-alive", "Keep-Alive: timeout=2")
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { undici: { keepAlive: "1 hour" } })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.message()
      yield* (yield* upstream.wire(0)).until("the end of it", ({ closed, ended }) => closed || ended)
    }))

  for (const ends of [true, false]) {
    it.live(`what is under way when the layer closes ${ends ? "may end by itself" : "is cut when it does not end in time"}`, () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make((wire) =>
          Effect.andThen(wire.message(), Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")))
        )
        const scope = yield* Scope.make()
        const context = yield* Scope.provide(Layer.build(Undici.layerWith({ drain: ends ? "1 hour" : 50 })), scope)
        let exit: Exit.Exit<Transport.Response, unknown> | undefined
        let head: Transport.Response | undefined
        Context.get(context, Transport.Transport).send({
          upstream: yield* Upstream.make(upstream.url),
          method: "GET",
          target: "/",
          headers: [],
          body: HttpBody.empty,
          source: HttpServerRequest.fromWeb(new Request("http://gateway.test/")),
          idle: undefined
        }, { answer: (response) => head = response, end: (is) => exit = is })
        const { body } = yield* eventually("the head", () => head)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        if (ends) upstream.wires[0]!.send("helloworld")
        const read = yield* Effect.exit(Effect.tryPromise(() => text((body as HttpBody.Raw).body as Readable)))
        assert.deepStrictEqual(read._tag === "Success" ? read.value : "cut", ends ? "helloworld" : "cut")
        assert.strictEqual((yield* eventually("the end", () => exit))._tag, ends ? "Success" : "Failure")
        yield* Fiber.join(closing)
      }))
  }
})
