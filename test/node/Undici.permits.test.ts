import { Pool } from "@blackgate/core"
import { Proxy, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { eventually } from "../harness/eventually.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

const get = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

/** An upstream that counts what it is busy with: an answer takes its time, and comes in two parts. */
const counting = Effect.gen(function*() {
  const seen = { now: 0, most: 0, total: 0 }
  const upstream = yield* RawUpstream.make((wire) =>
    Effect.gen(function*() {
      for (;;) {
        yield* wire.message()
        seen.total++
        seen.most = Math.max(seen.most, ++seen.now)
        yield* Effect.sleep(3)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        yield* Effect.sleep(3)
        // It is over for the upstream before the gateway can know.
        seen.now--
        wire.send("world")
      }
    })
  )
  return { seen, upstream }
})

/** Clients, each of which sends one request after the other. */
const load = (gateway: Gateway.Gateway, clients: number, each: number) =>
  Effect.forEach(
    Array.from({ length: clients }),
    () =>
      Effect.gen(function*() {
        const client = yield* gateway.connect
        const statuses: Array<number> = []
        for (let i = 0; i < each; i++) {
          client.send(get)
          statuses.push(status(yield* client.message()))
        }
        return statuses
      }),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((statuses) => statuses.flat()))

describe("19. the permit belongs to the request", { timeout: 30_000 }, () => {
  it.live("it is held until the body has ended, and the outcome is recorded then", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
        )
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1 } })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.until("the first part", ({ text }) => text.endsWith("hello"))
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      assert.deepStrictEqual(yield* gateway.outcomes(), {})
      const other = yield* gateway.connect
      other.send(get)
      assert.strictEqual(status(yield* other.message()), 503)
      upstream.wires[0]!.send("world")
      assert.strictEqual((yield* client.message()).body.toString(), "helloworld")
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1, rejected: 1 })
    }))

  it.live("maxConcurrent bounds the requests and the connections that a real upstream sees", () =>
    Effect.gen(function*() {
      const { seen, upstream } = yield* counting
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 4, maxQueued: 100 } })
      const statuses = yield* load(gateway, 24, 5)
      assert.deepStrictEqual(new Set(statuses), new Set([200]))
      assert.strictEqual(seen.total, 120)
      assert.strictEqual(seen.most, 4)
      assert.isAtMost(upstream.mostOpen, 4)
      yield* gateway.quiet
    }))

  it.live("after a resize too, up and down, while requests are under way", () =>
    Effect.gen(function*() {
      const { seen, upstream } = yield* counting
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 2, maxQueued: 100 } })
      const fiber = yield* Effect.forkChild(load(gateway, 24, 10), { startImmediately: true })
      yield* eventually("some of it", () => seen.total > 20)
      assert.strictEqual(seen.most, 2)
      yield* Pool.resize(gateway.pool, { maxConcurrent: 6 })
      yield* eventually("6 at once", () => seen.now === 6)
      yield* Pool.resize(gateway.pool, { maxConcurrent: 3 })
      yield* eventually("3 at once", () => seen.now <= 3)
      seen.most = 0
      const statuses = yield* Fiber.join(fiber)
      assert.strictEqual(statuses.length, 240)
      assert.deepStrictEqual(new Set(statuses), new Set([200]))
      assert.strictEqual(seen.most, 3)
      assert.isAtMost(upstream.mostOpen, 6)
      yield* gateway.quiet
    }))

  it.live("an Upstream's own connections bound those that are opened, whatever the pool admits", () =>
    Effect.gen(function*() {
      const { seen, upstream } = yield* counting
      const gateway = yield* Gateway.start({
        upstream: yield* Effect.orDie(Upstream.make(upstream.url, { connections: 1 }))
      })
      const statuses = yield* load(gateway, 10, 3)
      assert.deepStrictEqual(new Set(statuses), new Set([200]))
      assert.strictEqual(seen.total, 30)
      assert.strictEqual(upstream.wires.length, 1)
    }))

  it.live("requests one after the other share a connection", () =>
    Effect.gen(function*() {
      const { upstream } = yield* counting
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      yield* load(gateway, 1, 5)
      assert.strictEqual(upstream.wires.length, 1)
    }))
})

describe("19. bounds in time", { timeout: 30_000 }, () => {
  it.live("timeout: no head in time is a 504, and the upstream is told", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => wire.message())
      const gateway = yield* Gateway.start({ upstream: upstream.url, timeout: 50 })
      const client = yield* gateway.connect
      client.send(get)
      const got = yield* client.message()
      assert.strictEqual(status(got), 504)
      assert.strictEqual(got.body.toString(), "{\"code\":504,\"message\":\"gateway timeout\",\"errors\":[]}")
      yield* (yield* upstream.wire(0)).until("the upstream to be told", ({ closed, ended }) => closed || ended)
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1 })
      yield* gateway.quiet
    }))

  it.live("timeout: time in the queue counts, and a request that waited too long never reaches the upstream", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => wire.message())
      const gateway = yield* Gateway.withRoutes((group) =>
        Layer.merge(
          Proxy.route("/quick", { group, upstream: upstream.url, timeout: 50 }),
          Proxy.route("/*", { group, upstream: upstream.url })
        ), { pool: { maxConcurrent: 1, maxQueued: 1 } })
      const holder = yield* gateway.connect
      holder.send(get)
      yield* gateway.becomes("1 active, 0 queued")
      const client = yield* gateway.connect
      client.send("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
      assert.strictEqual(status(yield* client.message()), 504)
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      assert.strictEqual(upstream.wires.length, 1)
    }))

  it.live("total: the body is broken off, the upstream is told, and it was a timeout", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
        )
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url, total: 150 })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.until("the first part", ({ text }) => text.endsWith("hello"))
      yield* client.until("the abort", ({ broke, ended }) => ended || broke !== undefined)
      yield* upstream.wires[0]!.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      assert.deepStrictEqual(yield* gateway.outcomes(), { timeout: 1 })
      yield* gateway.quiet
    }))

  it.live("idle: an upstream that falls silent in the middle of a body is broken off, and it was a failure", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) =>
        Effect.andThen(
          wire.message(),
          Effect.sync(() => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
        )
      )
      const gateway = yield* Gateway.start({ upstream: upstream.url, idle: 50 })
      const client = yield* gateway.connect
      client.send(get)
      yield* client.until("the first part", ({ text }) => text.endsWith("hello"))
      yield* client.until("the abort", ({ broke, ended }) => ended || broke !== undefined)
      yield* upstream.wires[0]!.until("the upstream to be told", ({ closed, ended }) => closed || ended)
      assert.deepStrictEqual(yield* gateway.outcomes(), { failure: 1 })
      yield* gateway.quiet
    }))

  it.live("the permit is back before the fallback runs", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.make((wire) => wire.message())
      let during: string | undefined
      const gateway: Gateway.Gateway = yield* Gateway.start({
        upstream: upstream.url,
        timeout: 50,
        fallback: (failure): Effect.Effect<ReturnType<typeof Proxy.failureResponse>> =>
          Effect.map(gateway.busy, (busy) => {
            during = busy
            return Proxy.failureResponse(failure)
          })
      })
      const client = yield* gateway.connect
      client.send(get)
      assert.strictEqual(status(yield* client.message()), 504)
      assert.strictEqual(during, Gateway.idle)
    }))

  it.live("a pool that is full answers 503 at once, in JSON, with a Retry-After", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(() => Effect.as(Effect.never, response("")))
      const gateway = yield* Gateway.start({ upstream: upstream.url }, { pool: { maxConcurrent: 1 } })
      const first = yield* gateway.connect
      first.send(get)
      yield* gateway.becomes("1 active, 0 queued")
      const second = yield* gateway.connect
      second.send(get)
      const got = yield* second.message()
      assert.strictEqual(status(got), 503)
      assert.include(got.fields.map((field) => field.join(": ")), "retry-after: 1")
      assert.include(got.fields.map((field) => field.join(": ")), "content-type: application/json")
      assert.strictEqual(got.body.toString(), "{\"code\":503,\"message\":\"service unavailable\",\"errors\":[]}")
    }))
})
