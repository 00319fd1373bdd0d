import { Command, CommandMetrics, Criticality, Deadline, Group, InvalidOptions, Pool } from "@blackgate/core"
import { CallContext, HeaderList, Proxy, Transport } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Metric, type Scope, Stream } from "effect"
import {
  HttpBody,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { router, Seen, target } from "./requests.ts"

const level = "blackgate-criticality"
const envoy = "x-envoy-expected-rq-timeout-ms"
const grpc = "grpc-timeout"

type Fields = { readonly [name: string]: string }

const asked = <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>, headers: Fields) =>
  Effect.provideService(app, HttpServerRequest.HttpServerRequest, target("/", { headers: { ...headers } }))

const left = Effect.map(Deadline.remaining, Duration.toMillis)

/** What an app behind the middleware sees of a request with these headers. */
const seen = (headers: Fields, options?: CallContext.Receive) =>
  Effect.gen(function*() {
    const saw = yield* Deferred.make<readonly [number, Criticality.Criticality]>()
    const app = Effect.gen(function*() {
      yield* Deferred.succeed(saw, [yield* left, yield* Criticality.current] as const)
      return HttpServerResponse.empty()
    })
    const { status } = yield* asked(CallContext.receive(app, options), headers)
    return status === 504 ? "504" as const : yield* Deferred.await(saw)
  })

const deadlineOf = (headers: Fields, options?: CallContext.Receive) =>
  Effect.map(seen(headers, options), (saw) => saw === "504" ? saw : saw[0])

const levelOf = (headers: Fields, options?: CallContext.Receive) => Effect.map(seen(headers, options), (saw) => saw[1])

describe("27. an app behind receive", () => {
  it.effect("has the deadline that the request asks for, in every unit, and the shorter of two", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Fields, number | "504"]> = [
        [{ [grpc]: "1S" }, 1000],
        [{ [grpc]: "100m" }, 100],
        [{ [grpc]: "2M" }, 120_000],
        [{ [grpc]: "1H" }, 3_600_000],
        [{ [grpc]: "5000u" }, 5],
        [{ [grpc]: "7000000n" }, 7],
        [{ [envoy]: "250" }, 250],
        [{ [grpc]: "1S", [envoy]: "250" }, 250],
        [{ [grpc]: "1m", [envoy]: "250" }, 1],
        [{}, Infinity]
      ]
      for (const [headers, expected] of cases) {
        assert.strictEqual(yield* deadlineOf(headers), expected, JSON.stringify(headers))
      }
    }))

  it.effect("has none from a header that makes no sense, or came twice", () =>
    Effect.gen(function*() {
      for (
        const value of ["", "1", "S", "1s", "-1S", "+1S", "1.5S", "123456789S", " 1 S", "1S, 2S", "1S;", "0x1S", "NaN"]
      ) {
        assert.strictEqual(yield* deadlineOf({ [grpc]: value }), Infinity, value)
      }
      for (const value of ["", "1S", "-1", "+1", "1.5", "1e3", "1,2", "1, 2", "1234567890123456", "Infinity", "NaN"]) {
        assert.strictEqual(yield* deadlineOf({ [envoy]: value }), Infinity, value)
      }
      assert.strictEqual(yield* deadlineOf({ [grpc]: "soon", [envoy]: "10" }), 10)
    }))

  it.effect("has no more time than may be asked for: an hour, or what an option says", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* deadlineOf({ [grpc]: "99999999H" }), 3_600_000)
      assert.strictEqual(yield* deadlineOf({ [envoy]: "5000" }, { maxDeadline: "2 seconds" }), 2000)
      assert.strictEqual(yield* deadlineOf({ [envoy]: "1999" }, { maxDeadline: "2 seconds" }), 1999)
    }))

  it.effect("has no more time than what is around it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Deadline.within(deadlineOf({ [grpc]: "1S" }), 200), 200)
    }))

  it.effect("is a 504 when the time is up: interrupted, its finalizers run", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const app = Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
      const fiber = yield* Command.queue(asked(CallContext.receive(app), { [grpc]: "1S" }))
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(log, [])
      yield* TestClock.adjust(1)
      const response = yield* Fiber.join(fiber)
      assert.strictEqual(response.status, 504)
      assert.deepStrictEqual(log, ["interrupted"])
    }))

  it.effect("does not run at all when the time was up on arrival", () =>
    Effect.gen(function*() {
      for (const headers of [{ [grpc]: "0m" }, { [envoy]: "0" }, { [envoy]: "0", [grpc]: "1S" }]) {
        const app = Effect.die("it ran")
        assert.strictEqual((yield* asked(CallContext.receive(app), headers)).status, 504)
      }
    }))

  it.effect("keeps its own failures, a deadline of its own among them", () =>
    Effect.gen(function*() {
      const own = Effect.never.pipe(Deadline.within(10), CallContext.receive())
      const fiber = yield* Command.queue(Effect.flip(asked(own, { [grpc]: "1S" })))
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "DeadlineExceeded")
    }))

  it.effect("has the level that the request names, no higher than may be; otherwise that around it", () =>
    Effect.gen(function*() {
      for (const name of Criticality.levels) assert.strictEqual(yield* levelOf({ [level]: name }), name)
      assert.strictEqual(yield* levelOf({ [level]: "SHEDDABLE" }), "sheddable")
      for (const name of ["", "urgent", "sheddable, critical"]) {
        assert.strictEqual(yield* Criticality.provide(levelOf({ [level]: name }), "sheddable-plus"), "sheddable-plus")
      }
      const capped = { maxCriticality: "sheddable-plus" } as const
      assert.strictEqual(yield* levelOf({ [level]: "critical-plus" }, capped), "sheddable-plus")
      assert.strictEqual(yield* levelOf({ [level]: "sheddable" }, capped), "sheddable")
      assert.strictEqual(yield* levelOf({ "x-level": "sheddable" }, { criticalityHeader: "X-Level" }), "sheddable")
    }))

  it.effect("has nothing of a request that is not trusted", () =>
    Effect.gen(function*() {
      const trust = ({ headers }: HttpServerRequest.HttpServerRequest) => headers["x-key"] === "secret"
      const headers = { [grpc]: "1S", [level]: "sheddable" }
      assert.deepStrictEqual(yield* seen(headers, { trust }), [Infinity, "critical"])
      assert.deepStrictEqual(yield* seen({ ...headers, "x-key": "secret" }, { trust }), [1000, "sheddable"])
    }))

  it("is refused with options that make no sense, by name", () => {
    const receive = (options: CallContext.Receive) => () => CallContext.receive(options)(Effect.never)
    const { InvalidOptions: refused } = InvalidOptions
    assert.throws(receive({ maxDeadline: 0 }), refused, /maxDeadline/)
    assert.throws(receive({ maxCriticality: "urgent" as "critical" }), refused, /maxCriticality/)
    assert.throws(receive({ criticalityHeader: "a b" }), refused, /criticalityHeader/)
    assert.throws(() => CallContext.send(HttpClient.make(() => Effect.never), { criticalityHeader: "" }), refused)
  })
})

/** A client that keeps what it sends. */
const keeping = (options?: CallContext.Send) => {
  const sent: Array<Fields> = []
  const client = HttpClient.make((request) => {
    sent.push(request.headers)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response()))
  })
  return { sent, client: CallContext.send(client, options) }
}

describe("27. a client that sends", () => {
  it.effect("says the level, and what is left of the nearest deadline when it sends", () =>
    Effect.gen(function*() {
      const { client, sent } = keeping()
      const group = yield* Group.make("client", { pool: { maxConcurrent: 1 } })
      yield* client.get("http://api/")
      const call = Effect.andThen(Effect.sleep(30), client.get("http://api/")).pipe(
        Command.within(group, { key: "get", timeout: 100 }),
        Criticality.provide("sheddable-plus")
      )
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(30)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(sent.map((fields) => [fields[level], fields[envoy], fields[grpc]]), [
        ["critical", undefined, undefined],
        ["sheddable-plus", "70", undefined]
      ])
    }))

  it.effect("in gRPC's own header to gRPC, and under the name that it was given", () =>
    Effect.gen(function*() {
      const { client, sent } = keeping({ criticalityHeader: "x-level" })
      const request = HttpClientRequest.post("http://api/").pipe(
        HttpClientRequest.setHeader("content-type", "application/grpc+proto")
      )
      yield* Deadline.within(client.execute(request), "2 seconds")
      assert.deepInclude(sent[0], { [grpc]: "2000m", "x-level": "critical" })
      assert.notProperty(sent[0], envoy)
    }))

  it.effect("what it reads again is never longer than what there was, and never nothing", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.double({ min: 0.001, max: 1e13, noNaN: true }),
        fc.boolean(),
        async (millis, isGrpc) => {
          const { client, sent } = keeping()
          const request = HttpClientRequest.get("http://api/").pipe(
            isGrpc ? HttpClientRequest.setHeader("content-type", "application/grpc") : (same) => same
          )
          const program = Deadline.within(client.execute(request), millis).pipe(Effect.provide(TestClock.layer()))
          await Effect.runPromise(program)
          const { [envoy]: plain, [grpc]: own } = sent[0]!
          if (isGrpc) assert.match(own!, /^[1-9]\d{0,7}[mSMH]$/)
          const said = isGrpc
            ? Number(own!.slice(0, -1)) * { m: 1, S: 1000, M: 60_000, H: 3_600_000 }[own!.at(-1) as "m"]
            : Number(plain)
          assert.isAtMost(said, Math.max(1, millis))
          assert.isAtLeast(said, Math.max(1, millis * 0.9998 - 1))
        }
      ))
    ))
})

let groups = 0

/** A route in front of an upstream in memory. */
const route = (
  upstream: (request: Transport.Request) => Effect.Effect<HttpServerResponse.HttpServerResponse, never, Scope.Scope>,
  options: Omit<Proxy.Options, "group" | "upstream"> & { readonly pool?: Pool.Options }
) =>
  Effect.gen(function*() {
    const { pool = { maxConcurrent: 1, maxQueued: 1 }, ...rest } = options
    const group = yield* Group.make(`call context ${++groups}`, { pool })
    const ask = yield* router(
      Proxy.route("/*", { ...rest, group, upstream: "http://intra.test" }).pipe(
        Layer.provide(Transport.layerMemory(upstream))
      )
    )
    const outcome = (name: CommandMetrics.Outcome) =>
      Effect.map(
        Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: group.name, key: "/*", outcome: name })),
        ({ count }) => count
      )
    return {
      ask: (headers: Fields) => Effect.scoped(ask(target("/", { headers: { ...headers } }))),
      pool: Pool.statistics(group.pool),
      outcome
    }
  })

const ok = Effect.succeed(HttpServerResponse.empty())

/** What of a request that came to an upstream is of the context. */
const ofContext = ({ headers }: Transport.Request) =>
  [level, envoy, grpc].map((name) => HeaderList.getAll(headers, name).join("|"))

const both = { [grpc]: "1S", [envoy]: "900", [level]: "sheddable" }

describe("27. a proxy route", () => {
  it.effect("passes the headers on as any other, unless it is told to read or to send", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { ask } = yield* route((request) => (seen.see(request), ok), { timeout: 50 })
      yield* ask({ ...both, [envoy]: "0" })
      assert.deepStrictEqual(ofContext(seen.last!), ["sheddable", "0", "1S"])
      const { ask: off } = yield* route((request) => (seen.see(request), ok), {
        callContext: { receive: false, send: false }
      })
      yield* off(both)
      assert.deepStrictEqual(ofContext(seen.last!), ["sheddable", "900", "1S"])
    }))

  it.effect("that receives answers a passed deadline with a 504: no permit, no upstream", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { ask, pool } = yield* route((request) => (seen.see(request), ok), { callContext: { receive: true } })
      assert.strictEqual((yield* ask({ [envoy]: "0" })).status, 504)
      assert.deepInclude(yield* pool, { admitted: 0, rejected: 0 })
      assert.strictEqual(seen.requests.length, 0)
    }))

  it.effect("8. a deadline that passes, in the queue or at the upstream, is a 504; the upstream is told, the permit back", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      let gone = 0
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sync(() => gone++))
      const { ask, outcome, pool } = yield* route((request) => (seen.see(request), slow), {
        callContext: { receive: true },
        timeout: "1 second"
      })
      const [running, waiting] = [
        yield* Command.queue(ask({ [grpc]: "50m" })),
        yield* Command.queue(ask({ [grpc]: "40m" }))
      ]
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(
        [(yield* Fiber.join(running)).status, (yield* Fiber.join(waiting)).status],
        [504, 504]
      )
      assert.deepStrictEqual([seen.requests.length, gone], [1, 1])
      assert.deepInclude(yield* pool, { active: 0, queued: 0, admitted: 1 })
      assert.strictEqual(yield* outcome("timeout"), 2)
    }))

  it.effect("2. is given no more time than its own timeout", () =>
    Effect.gen(function*() {
      const { ask, pool } = yield* route(() => Effect.never, { callContext: { receive: true }, timeout: 100 })
      const fiber = yield* Command.queue(ask({ [grpc]: "1H" }))
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(fiber)).status, 504)
      assert.deepInclude(yield* pool, { active: 0 })
    }))

  it.effect("a deadline bounds the time to the head, not a body that streams on", () =>
    Effect.gen(function*() {
      const body = Stream.concat(
        Stream.make(new Uint8Array(1)),
        Stream.fromEffect(Effect.as(Effect.sleep(200), new Uint8Array(1)))
      )
      const group = yield* Group.make("stream", { pool: { maxConcurrent: 1 } })
      const ask = yield* router(
        Proxy.route("/*", { group, upstream: "http://intra.test", callContext: { receive: true } }).pipe(
          Layer.provide(Transport.layerMemory(() => Effect.succeed(HttpServerResponse.stream(body))))
        )
      )
      const response = yield* ask(target("/", { headers: { [grpc]: "100m" } }))
      assert.instanceOf(response.body, HttpBody.Stream)
      const begun = Deferred.makeUnsafe<void>()
      const stream = Stream.tap((response.body as HttpBody.Stream).stream, () => Deferred.succeed(begun, undefined))
      const reader = yield* Command.queue(Stream.runCount(stream))
      yield* Deferred.await(begun)
      yield* TestClock.adjust(200)
      assert.strictEqual(yield* Fiber.join(reader), 2)
    }))

  it.effect("that sends says what is left when the request goes out, in place of what the client said", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const first = Deferred.makeUnsafe<void>()
      const { ask } = yield* route(
        (request) => {
          seen.see(request)
          return Effect.andThen(Deferred.await(first), ok)
        },
        { callContext: { receive: true, send: true }, timeout: 400, pool: { maxConcurrent: 1, maxQueued: 2 } }
      )
      const fibers = [
        yield* Command.queue(ask({})),
        yield* Command.queue(ask(both)),
        yield* Command.queue(ask({ [grpc]: "200m", "content-type": "application/grpc" }))
      ]
      yield* TestClock.adjust(150)
      yield* Deferred.succeed(first, undefined)
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(seen.requests.map(ofContext), [
        ["critical", "400", ""],
        ["sheddable", "250", ""],
        ["critical", "", "50m"]
      ])
    }))

  it.effect("that sends but does not receive passes nothing on of what the client said", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { ask } = yield* route((request) => (seen.see(request), ok), { callContext: { send: true } })
      yield* ask({ ...both, [level]: "critical-plus", [envoy]: "0" })
      assert.deepStrictEqual(ofContext(seen.last!), ["critical", "", ""])
    }))

  it.effect("that receives passes on what it believes, and nothing of what it does not", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const trust = ({ headers }: HttpServerRequest.HttpServerRequest) => headers["x-key"] === "secret"
      const { ask } = yield* route((request) => (seen.see(request), ok), { callContext: { receive: { trust } } })
      yield* ask({ ...both, "x-key": "secret" })
      yield* ask(both)
      assert.deepStrictEqual(seen.requests.map(ofContext), [["sheddable", "900", "1S"], ["", "", ""]])
    }))

  it.effect("sheds by what it believes, and by its own level where there is nothing to believe", () =>
    Effect.gen(function*() {
      const statuses = (own: Criticality.Criticality | undefined, headers: Fields) =>
        Effect.gen(function*() {
          const end = Deferred.makeUnsafe<void>()
          const { ask } = yield* route(() => Effect.andThen(Deferred.await(end), ok), {
            callContext: { receive: true },
            criticality: own
          })
          yield* Command.queue(ask({}))
          const waiting = yield* Command.queue(ask(headers))
          const newcomer = yield* Command.queue(ask({ [level]: "critical" }))
          yield* Deferred.succeed(end, undefined)
          return [(yield* Fiber.join(waiting)).status, (yield* Fiber.join(newcomer)).status]
        })
      assert.deepStrictEqual(yield* statuses(undefined, { [level]: "sheddable" }), [503, 204])
      assert.deepStrictEqual(yield* statuses("sheddable", {}), [503, 204])
      assert.deepStrictEqual(yield* statuses("sheddable", { [level]: "critical" }), [204, 503])
      assert.deepStrictEqual(yield* statuses(undefined, {}), [204, 503])
    }))

  it.effect("is not built with options that make no sense", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("options", { pool: { maxConcurrent: 1 } })
      const handler = (options: Omit<Proxy.Options, "group" | "upstream">) => () =>
        Proxy.handler({ group, upstream: "http://intra.test", ...options })
      assert.throws(handler({ callContext: { receive: { maxDeadline: -1 } } }), /callContext\.receive/)
      assert.throws(handler({ callContext: { sned: true } as CallContext.Options }), /callContext\.sned/)
      assert.throws(handler({ criticality: "urgent" as "critical" }), /criticality/)
    }))
})

it.effect("27. as middleware of a router it covers all of its routes", () =>
  Effect.gen(function*() {
    const app = Effect.map(Criticality.current, (level) => HttpServerResponse.text(level))
    const ask = yield* router(
      HttpRouter.add("GET", "/", app).pipe(
        Layer.provide(HttpRouter.middleware(CallContext.receive(), { global: true }))
      )
    )
    const response = yield* Effect.scoped(ask(target("/", { headers: { [level]: "sheddable" } })))
    const { body } = response
    assert.strictEqual(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : body._tag, "sheddable")
  }))
