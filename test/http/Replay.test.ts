import { Group, Pool, TestOutcomes } from "@blackgate/core"
import { Proxy, type Replay, Rewrite, Transport, UpstreamError } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Random, Schedule, Scope, Stream } from "effect"
import { HttpBody, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { router, target } from "./requests.ts"

type Upstream = (attempt: number) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Scope.Scope>

const status = (status: number, headers: Record<string, string> = {}) =>
  Effect.succeed(HttpServerResponse.empty({ status, headers }))

type Phase = UpstreamError.UpstreamError["phase"]

/** A transport that fails whatever it is handed. */
const failing = (phase: Phase, begun: () => void) =>
  Layer.succeed(Transport.Transport, {
    send(request, call) {
      begun()
      const { origin } = request.upstream
      call.end(Exit.fail(new UpstreamError.UpstreamError({ phase, origin, cause: "it was told to" })))
      return () => {}
    }
  })

/** What a request comes to after a while, and when its attempts began. Each delay is as long as it may be. */
const outcome = (upstream: Upstream | Phase, retry: Replay.Options, options: Partial<Proxy.Options> = {}) =>
  Effect.gen(function*() {
    const group = yield* Group.make("http", { pool: { maxConcurrent: 10 } })
    const at: Array<number> = []
    const clock = yield* Clock.Clock
    const begun = () => at.push(clock.currentTimeMillisUnsafe())
    const transport = typeof upstream === "string"
      ? failing(upstream, begun)
      : Transport.layerMemory(() => upstream(begun()))
    const ask = yield* router(
      Proxy.route("/*", { group, upstream: "http://a.test", retry, ...options }).pipe(Layer.provide(transport))
    )
    const asked = Effect.provideService(Effect.scoped(ask(target("/"))), Random.Random, {
      nextDoubleUnsafe: () => 1,
      nextIntUnsafe: () => 0
    })
    const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
    yield* TestClock.adjust("1 hour")
    const { status } = yield* Fiber.join(fiber)
    assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
    return { status, at, outcomes: yield* TestOutcomes.of(group, "/*") }
  })

describe("Replay", () => {
  it.effect("later and later, as a command's retry", () =>
    Effect.gen(function*() {
      const { at } = yield* outcome("head", { times: 3, base: 10, max: 25 })
      assert.deepStrictEqual(at, [0, 10, 30, 55])
    }))

  for (const phase of ["connect", "send", "head"] as const) {
    it.effect(`a failure at the ${phase} is retried`, () =>
      Effect.gen(function*() {
        const { at } = yield* outcome(phase, { times: 1 })
        assert.strictEqual(at.length, 2)
      }))

    it.effect(`a failure at the ${phase} of a body that is a stream is ${phase === "connect" ? "" : "not "}retried`, () =>
      Effect.gen(function*() {
        const { at } = yield* outcome(phase, { times: 1 }, {
          rewrite: (request) => ({ ...request, body: HttpBody.stream(Stream.make(new Uint8Array(1))) })
        })
        assert.strictEqual(at.length, phase === "connect" ? 2 : 1)
      }))
  }

  it.effect("a failure of a body that has begun is not retried, nor what else may have been read", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* outcome("body", {})).at.length, 1)
      const { at } = yield* outcome("connect", {}, {
        rewrite: (request) => ({ ...request, body: HttpBody.raw({}) })
      })
      assert.strictEqual(at.length, 1)
    }))

  it.effect("the method is the one that goes to the upstream", () =>
    Effect.gen(function*() {
      const { at } = yield* outcome("head", {}, {
        rewrite: (request) => ({ ...request, method: "POST" })
      })
      assert.strictEqual(at.length, 1)
    }))

  it.effect("a Retry-After that is a date is waited for, and the delay after it", () =>
    Effect.gen(function*() {
      const date = new Date(7000).toUTCString()
      const { at } = yield* outcome((n) => n === 1 ? status(503, { "retry-after": date }) : status(200), {
        statuses: true,
        base: 10
      })
      assert.deepStrictEqual(at, [0, 7010])
    }))

  it.effect("a Retry-After that is none is not", () =>
    Effect.gen(function*() {
      const { at } = yield* outcome((n) => n === 1 ? status(503, { "retry-after": "soon" }) : status(200), {
        statuses: true,
        base: 10
      })
      assert.deepStrictEqual(at, [0, 10])
    }))

  for (const [when, head] of [["at once", Effect.void], ["later", Effect.sleep(1)]] as const) {
    it.effect(`an answer that streams is interrupted when it is thrown away: one whose head came ${when}`, () =>
      Effect.gen(function*() {
        const ends: Array<string> = []
        const { outcomes, status: got } = yield* outcome((n) =>
          Effect.gen(function*() {
            const scope = yield* Effect.scope
            yield* Scope.addFinalizer(scope, Effect.sync(() => ends.push(`end ${n}`)))
            yield* head
            return n === 1 ? HttpServerResponse.stream(Stream.never, { status: 503 }) : HttpServerResponse.empty()
          }), { statuses: true })
        assert.deepStrictEqual([got, ends], [204, ["end 1", "end 2"]])
        assert.deepStrictEqual(outcomes.success, 1)
      }))
  }

  it.effect("a schedule that is over is not known before: the status is the gateway's own", () =>
    Effect.gen(function*() {
      const { at, status: got } = yield* outcome(() => status(503), { statuses: true, schedule: Schedule.recurs(1) })
      assert.deepStrictEqual([at.length, got], [2, 503])
    }))

  it.effect("attemptTimeout bounds each of them, and the delay comes after it", () =>
    Effect.gen(function*() {
      const { at } = yield* outcome(() => Effect.never, { times: 1, base: 10 }, { attemptTimeout: 100 })
      assert.deepStrictEqual(at, [0, 110])
    }))

  it.effect("a rewrite is asked once, whatever the attempts", () =>
    Effect.gen(function*() {
      let asked = 0
      const { at } = yield* outcome("head", { times: 2 }, {
        rewrite: (request) => {
          asked++
          return Rewrite.setHeader("x-a", "1")(request)
        }
      })
      assert.deepStrictEqual([asked, at.length], [1, 3])
    }))
})
