import { Group, InvalidOptions, Pool, TestOutcomes } from "@blackgate/core"
import { HeaderList, Proxy, Rewrite, Transport, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Scope, Stream } from "effect"
import { HttpEffect, HttpRouter, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { eventuallyEqual } from "../harness/eventually.ts"
import { type Ask, router, Seen, target } from "./requests.ts"

const url = "http://intra.test"
const ok = Effect.succeed(HttpServerResponse.text("ok"))

type Options = Omit<
  Proxy.Options<never, never, never, Effect.Effect<HttpServerResponse.HttpServerResponse>>,
  "group" | "upstream"
>

/** A route in front of an upstream in memory, asked directly. */
const route = (
  upstream: (request: Transport.Request) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Scope.Scope>,
  options: Options & { readonly to?: string; readonly pool?: Pool.Options } = {}
) =>
  Effect.gen(function*() {
    const { pool = { maxConcurrent: 10 }, to = url, ...rest } = options
    const group = yield* Group.make("http", { pool })
    const ask = yield* router(
      Proxy.route("/*", { ...rest, group, upstream: to }).pipe(Layer.provide(Transport.layerMemory(upstream)))
    )
    const busy = Effect.map(Pool.statistics(group.pool), ({ active, queued }) => [active, queued])
    const outcomes = (key = "/*") => TestOutcomes.of(group, key)
    return { ask, busy, outcomes }
  })

/** A request in a scope of its own, which ends when the test says so. */
const asked = (ask: Ask, path = "/") =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const fiber = yield* Effect.forkChild(Scope.provide(ask(target(path)), scope), { startImmediately: true })
    return { response: Fiber.join(fiber), fiber, close: Scope.close(scope, Exit.void) }
  })

const bodyOf = ({ body }: HttpServerResponse.HttpServerResponse): string =>
  body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : body._tag

const read = ({ body }: HttpServerResponse.HttpServerResponse) =>
  body._tag === "Stream" ? Stream.mkString(Stream.decodeText(body.stream)) : Effect.die("no stream")

/** Reads a body in the background, once its first part is there. */
const reading = (response: HttpServerResponse.HttpServerResponse) =>
  Effect.gen(function*() {
    const { body } = response
    if (body._tag !== "Stream") return yield* Effect.die("no stream")
    const begun = Deferred.makeUnsafe<void>()
    const stream = Stream.tap(body.stream, () => Deferred.succeed(begun, undefined))
    const fiber = yield* Effect.forkChild(Effect.exit(Stream.mkString(Stream.decodeText(stream))))
    yield* Deferred.await(begun)
    return fiber
  })

const encoder = new TextEncoder()

describe("a request to the upstream", () => {
  it.effect("has the method, the target under the base path, and the end-to-end fields", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { ask } = yield* route((request) => (seen.see(request), ok), { to: "http://intra.test:8080/base/" })
      yield* Effect.scoped(ask(target("/a/b?c=d", { method: "DELETE", headers: { "x-a": "1", te: "gzip" } })))
      const { headers, method, target: sent, upstream } = seen.last!
      assert.strictEqual(method, "DELETE")
      assert.strictEqual(sent, "/base/a/b?c=d")
      assert.strictEqual(upstream.origin, "http://intra.test:8080")
      assert.strictEqual(HeaderList.get(headers, "x-a"), "1")
      assert.isUndefined(HeaderList.get(headers, "te"))
      assert.isUndefined(HeaderList.get(headers, "host"))
    }))

  it.effect("is what the rewrite makes of it: path, query, method, headers, body, upstream", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const other = yield* Upstream.make("http://other.test/v2")
      const { ask } = yield* route((request) => (seen.see(request), ok), {
        rewrite: (request) =>
          Effect.succeed({
            ...request,
            method: "PUT",
            path: `/users${request.path}`,
            query: "?x",
            headers: HeaderList.set(request.headers, "x-user", "1"),
            body: HttpServerResponse.text("hello").body,
            upstream: other
          })
      })
      yield* Effect.scoped(ask(target("/1?y")))
      const request = seen.last!
      assert.strictEqual(request.method, "PUT")
      assert.strictEqual(request.target, "/v2/users/1?x")
      assert.strictEqual(request.upstream, other)
      assert.strictEqual(HeaderList.get(request.headers, "x-user"), "1")
      assert.deepStrictEqual(HeaderList.getAll(request.headers, "content-length"), ["5"])
      assert.deepStrictEqual(HeaderList.getAll(request.headers, "content-type"), ["text/plain"])
    }))

  it.effect("keeps its length only as long as it keeps its body", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { ask } = yield* route((request) => (seen.see(request), ok), {
        rewrite: (request) => request.path === "/kept" ? request : { ...request, body: HttpServerResponse.empty().body }
      })
      const post = (path: string) => target(path, { method: "POST", body: "hello", headers: { "content-length": "5" } })
      yield* Effect.scoped(ask(post("/kept")))
      assert.strictEqual(seen.last!.body._tag, "Incoming")
      assert.deepStrictEqual(HeaderList.getAll(seen.last!.headers, "content-length"), ["5"])
      yield* Effect.scoped(ask(post("/emptied")))
      assert.strictEqual(seen.last!.body._tag, "Empty")
      assert.deepStrictEqual(HeaderList.getAll(seen.last!.headers, "content-length"), [])
    }))

  it.effect("a rewrite finds the services that middleware provides for a request", () =>
    Effect.gen(function*() {
      class User extends Context.Service<User, string>()("User") {}
      const authenticated = HttpRouter.middleware<{ provides: User }>()((effect) =>
        Effect.provideService(effect, User, "user 1")
      )
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const ask = yield* router(
        Proxy.route("/*", {
          group,
          upstream: url,
          rewrite: (request) => Effect.map(User, (user) => Rewrite.setHeader("x-user", user)(request))
        }).pipe(
          Layer.provide(authenticated.layer),
          Layer.provide(Transport.layerMemory(({ headers }) =>
            Effect.succeed(HttpServerResponse.text(HeaderList.get(headers, "x-user") ?? "nobody"))
          ))
        )
      )
      assert.strictEqual(bodyOf(yield* Effect.scoped(ask(target("/")))), "user 1")
    }))
})

describe("a response to the client", () => {
  it.effect("is what rewriteResponse makes of it, which sees the request as it was sent", () =>
    Effect.gen(function*() {
      const { ask } = yield* route(() => Effect.succeed(HttpServerResponse.text("ok", { headers: { "x-a": "1" } })), {
        rewrite: Rewrite.addPrefix("/v1"),
        rewriteResponse: (response, request) =>
          Effect.succeed({
            ...response,
            status: 299,
            statusText: "Odd",
            headers: HeaderList.set(response.headers, "x-path", request.path)
          })
      })
      const response = yield* Effect.scoped(ask(target("/a")))
      assert.strictEqual(response.status, 299)
      assert.strictEqual(response.statusText, "Odd")
      assert.strictEqual(response.headers["x-a"], "1")
      assert.strictEqual(response.headers["x-path"], "/v1/a")
    }))

  it.effect("has the length of the body that rewriteResponse gave it", () =>
    Effect.gen(function*() {
      const { ask } = yield* route(() => ok, {
        rewriteResponse: (response) => ({ ...response, body: HttpServerResponse.text("another one").body })
      })
      const response = yield* Effect.scoped(ask(target("/")))
      assert.strictEqual(bodyOf(response), "another one")
      assert.strictEqual(response.headers["content-length"], "11")
    }))

  it.effect("31. a failure of a rewrite that is an answer is that answer", () =>
    Effect.gen(function*() {
      class Unauthorized extends Error implements HttpServerRespondable.Respondable {
        [HttpServerRespondable.symbol]() {
          return Effect.succeed(HttpServerResponse.text("who are you?", { status: 401 }))
        }
      }
      for (const failure of [new Unauthorized(), HttpServerResponse.text("who are you?", { status: 401 })]) {
        for (const what of ["rewrite", "rewriteResponse"] as const) {
          const { ask, busy, outcomes } = yield* route(() => ok, { [what]: () => Effect.fail(failure) as never })
          const response = yield* Effect.scoped(ask(target("/")))
          assert.strictEqual(response.status, 401)
          assert.strictEqual(bodyOf(response), "who are you?")
          assert.deepStrictEqual(yield* busy, [0, 0])
          assert.deepStrictEqual(yield* outcomes(), what === "rewrite" ? {} : { success: 1 })
        }
      }
    }))

  it.effect("31. a rewrite of a head whose body streams, and that fails: the upstream is told, and the permit is back", () =>
    Effect.gen(function*() {
      let told = false
      const { ask, busy } = yield* route(() =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.sync(() => told = true))
          return HttpServerResponse.stream(Stream.never)
        }), { rewriteResponse: () => Effect.fail("no") as never })
      const response = yield* Effect.scoped(ask(target("/"))).pipe(Effect.provide(Logger.layer([])))
      assert.strictEqual(response.status, 500)
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.isTrue(told)
    }))
})

describe("the gateway's own answers are JSON, with nothing of the inside", () => {
  const json = (response: HttpServerResponse.HttpServerResponse) => {
    assert.strictEqual(response.headers["content-type"], "application/json")
    const body: unknown = JSON.parse(bodyOf(response))
    return { status: response.status, body, retryAfter: response.headers["retry-after"] as string | undefined }
  }

  it.effect("502 when the upstream fails, and a line in the log", () =>
    Effect.gen(function*() {
      const logs: Array<unknown> = []
      const { ask, outcomes } = yield* route(() => Effect.fail("secret"))
      const response = yield* Effect.scoped(ask(target("/"))).pipe(
        Effect.provide(Logger.layer([Logger.make(({ logLevel, message }) => logs.push(logLevel, message))]))
      )
      assert.deepStrictEqual(json(response), {
        status: 502,
        body: { code: 502, message: "bad gateway", errors: [] },
        retryAfter: undefined
      })
      assert.deepStrictEqual(logs, ["Warn", ["http://intra.test failed at the head: secret"]])
      assert.deepStrictEqual(yield* outcomes(), { failure: 1 })
    }))

  it.effect("503 with a Retry-After when the pool is full", () =>
    Effect.gen(function*() {
      const { ask, outcomes } = yield* route(() => Effect.never, { pool: { maxConcurrent: 1 } })
      yield* asked(ask)
      assert.deepStrictEqual(json(yield* Effect.scoped(ask(target("/")))), {
        status: 503,
        body: { code: 503, message: "service unavailable", errors: [] },
        retryAfter: "1"
      })
      assert.deepStrictEqual(yield* outcomes(), { rejected: 1 })
    }))

  it.effect("503 with a Retry-After when it has waited too long for a permit", () =>
    Effect.gen(function*() {
      const { ask, busy } = yield* route(() => Effect.never, {
        pool: { maxConcurrent: 1, maxQueued: 1, queueTimeout: "1 second" }
      })
      yield* asked(ask)
      const second = yield* asked(ask)
      assert.deepStrictEqual(yield* busy, [1, 1])
      yield* TestClock.adjust("1 second")
      const { retryAfter, status } = json(yield* second.response)
      assert.deepStrictEqual([status, retryAfter], [503, "1"])
    }))

  it.effect("504 when the time is up", () =>
    Effect.gen(function*() {
      const { ask, busy, outcomes } = yield* route(() => Effect.never, { timeout: "5 seconds" })
      const { fiber, response } = yield* asked(ask)
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(json(yield* response), {
        status: 504,
        body: { code: 504, message: "gateway timeout", errors: [] },
        retryAfter: undefined
      })
      assert.deepStrictEqual(yield* outcomes(), { timeout: 1 })
      assert.deepStrictEqual(yield* busy, [0, 0])
    }))

  it.effect("they are what failureResponse says of the failure", () =>
    Effect.gen(function*() {
      const { ask } = yield* route(() => Effect.never, {
        timeout: "1 second",
        fallback: (failure) => Effect.succeed(Proxy.failureResponse(failure))
      })
      const { response } = yield* asked(ask)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* response).status, 504)
    }))
})

describe("19. how long a call lasts", () => {
  /** Answers with a body that begins at once and goes on when it is told to. */
  const streaming = () => {
    const more = Deferred.makeUnsafe<void>()
    let closed = 0
    const upstream = Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Effect.sync(() => closed++))
      const rest = Stream.fromEffect(Effect.as(Deferred.await(more), encoder.encode("world")))
      return HttpServerResponse.stream(Stream.concat(Stream.succeed(encoder.encode("hello ")), rest))
    })
    return { upstream: () => upstream, more: Deferred.succeed(more, undefined), closed: () => closed }
  }

  it.effect("timeout ends at the head; the permit is held, and the outcome open, until the body has ended", () =>
    Effect.gen(function*() {
      const { closed, more, upstream } = streaming()
      const { ask, busy, outcomes } = yield* route(upstream, { timeout: "1 second", idle: "1 day" })
      const { response } = yield* asked(ask)
      const text = yield* reading(yield* response)
      assert.deepStrictEqual(yield* busy, [1, 0])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* busy, [1, 0])
      assert.deepStrictEqual(yield* outcomes(), {})
      yield* more
      assert.deepStrictEqual(yield* Fiber.join(text), Exit.succeed("hello world"))
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.deepStrictEqual(yield* outcomes(), { success: 1 })
      assert.strictEqual(closed(), 1)
    }))

  it.effect("timeout includes the wait for a permit", () =>
    Effect.gen(function*() {
      let reached = 0
      const { ask } = yield* route(() => Effect.andThen(Effect.sync(() => reached++), Effect.never), {
        timeout: "1 second",
        pool: { maxConcurrent: 1, maxQueued: 1 }
      })
      yield* asked(ask)
      yield* TestClock.adjust("600 millis")
      const second = yield* asked(ask)
      // The first is over by now, and the second has 400 ms left.
      yield* TestClock.adjust("400 millis")
      assert.strictEqual(reached, 2)
      yield* TestClock.adjust("600 millis")
      assert.strictEqual((yield* second.response).status, 504)
    }))

  it.effect("total breaks the body off, and is a timeout", () =>
    Effect.gen(function*() {
      const { closed, upstream } = streaming()
      const { ask, busy, outcomes } = yield* route(upstream, { total: "10 seconds" })
      const { response } = yield* asked(ask)
      const text = yield* reading(yield* response)
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(text.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(text)))
      assert.deepStrictEqual(yield* outcomes(), { timeout: 1 })
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.strictEqual(closed(), 1)
    }))

  it.effect("idle breaks a silent body off, and is a failure", () =>
    Effect.gen(function*() {
      const { closed, upstream } = streaming()
      const { ask, busy, outcomes } = yield* route(upstream, { idle: "30 seconds" })
      const { response } = yield* asked(ask)
      const text = yield* reading(yield* response)
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(text.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(text)))
      assert.deepStrictEqual(yield* outcomes(), { failure: 1 })
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.strictEqual(closed(), 1)
    }))

  it.effect("idle is 5 minutes by default", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { ask } = yield* route((request) => (seen.see(request), ok))
      yield* Effect.scoped(ask(target("/")))
      assert.deepStrictEqual(seen.last!.idle, Duration.minutes(5))
    }))

  it.effect("17. a body that breaks off is a failure for its reader, and for the metrics", () =>
    Effect.gen(function*() {
      const { ask, busy, outcomes } = yield* route(() =>
        Effect.succeed(
          HttpServerResponse.stream(Stream.concat(Stream.succeed(encoder.encode("a")), Stream.fail("broken")))
        )
      )
      const { response } = yield* asked(ask)
      const exit = yield* Effect.exit(read(yield* response))
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(yield* outcomes(), { failure: 1 })
      assert.deepStrictEqual(yield* busy, [0, 0])
    }))

  it.effect("18. a client that leaves in the middle of the body is an interruption", () =>
    Effect.gen(function*() {
      const { closed, upstream } = streaming()
      const { ask, busy, outcomes } = yield* route(upstream)
      const { close, response } = yield* asked(ask)
      yield* Fiber.interrupt(yield* reading(yield* response))
      yield* close
      assert.deepStrictEqual(yield* outcomes(), { interrupted: 1 })
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.strictEqual(closed(), 1)
    }))

  it.effect("18. a body that nobody ever reads gives its permit back with the request's end", () =>
    Effect.gen(function*() {
      const { closed, upstream } = streaming()
      const { ask, busy, outcomes } = yield* route(upstream)
      const { close, response } = yield* asked(ask)
      yield* response
      assert.deepStrictEqual(yield* busy, [1, 0])
      yield* close
      assert.deepStrictEqual(yield* outcomes(), { interrupted: 1 })
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.strictEqual(closed(), 1)
    }))

  it.effect("18. a client that leaves before the head, or in the queue, is an interruption", () =>
    Effect.gen(function*() {
      let stopped = 0
      const { ask, busy, outcomes } = yield* route(
        () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopped++)),
        {
          pool: { maxConcurrent: 1, maxQueued: 1 }
        }
      )
      const first = yield* asked(ask)
      const second = yield* asked(ask)
      assert.deepStrictEqual(yield* busy, [1, 1])
      yield* Fiber.interrupt(second.fiber)
      assert.deepStrictEqual(yield* busy, [1, 0])
      yield* Fiber.interrupt(first.fiber)
      assert.deepStrictEqual(yield* busy, [0, 0])
      assert.deepStrictEqual(yield* outcomes(), { interrupted: 2 })
      assert.strictEqual(stopped, 1)
    }))

  it.effect("19. the permit is back before the fallback runs, which is told the failure and the request", () =>
    Effect.gen(function*() {
      const during: Array<unknown> = []
      const routed: Effect.Success<ReturnType<typeof route>> = yield* route(() => Effect.never, {
        timeout: "1 second",
        rewrite: Rewrite.addPrefix("/v1"),
        fallback: (failure, request): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
          Effect.map(routed.busy, (busy) => {
            during.push(failure._tag, request.path, busy)
            return HttpServerResponse.text("fallback", { status: 299 })
          })
      })
      const { response } = yield* asked(routed.ask, "/a")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* response).status, 299)
      assert.deepStrictEqual(during, ["CommandTimeout", "/v1/a", [0, 0]])
      assert.deepStrictEqual(yield* routed.outcomes(), { timeout: 1, degraded: 1 })
    }))

  it.effect("a fallback that has nothing for a failure leaves it to the gateway, which is no fallback", () =>
    Effect.gen(function*() {
      const { ask, outcomes } = yield* route(() => Effect.fail("no"), {
        fallback: (failure, { path }) =>
          failure._tag === "UpstreamError" && path === "/known"
            ? Effect.succeed(HttpServerResponse.text("known"))
            : undefined
      })
      const logs: Array<unknown> = []
      const statuses = yield* Effect.forEach(
        ["/known", "/other"],
        (path) => Effect.map(Effect.scoped(ask(target(path))), ({ status }) => status)
      ).pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => logs.push(message))]))
      )
      assert.deepStrictEqual(statuses, [200, 502])
      assert.strictEqual(logs.length, 2)
      assert.deepStrictEqual(yield* outcomes(), { failure: 2, degraded: 1 })
    }))

  it.effect("a request of a higher priority is served before one that came earlier", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 10 } })
      const options = { group, upstream: url }
      const ask = yield* router(
        Layer.mergeAll(
          Proxy.route("/low", { ...options, priority: "low" }),
          Proxy.route("/normal", options),
          Proxy.route("/high", { ...options, priority: "high" })
        ).pipe(
          Layer.provide(Transport.layerMemory(({ target }) =>
            Effect.andThen(Effect.sync(() => order.push(target)), Effect.delay(ok, "1 second"))
          ))
        )
      )
      for (const path of ["/normal", "/low", "/normal", "/high"]) {
        yield* asked(ask, path)
      }
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(order, ["/normal", "/high", "/normal", "/low"])
    }))
})

describe("keys and groups", () => {
  it.effect("a route is counted under its path, or the key that it is given", () =>
    Effect.gen(function*() {
      const plain = yield* route(() => ok)
      yield* Effect.scoped(plain.ask(target("/a")))
      assert.deepStrictEqual(yield* plain.outcomes("/*"), { success: 1 })
      const named = yield* route(() => ok, { key: "everything" })
      yield* Effect.scoped(named.ask(target("/a")))
      assert.deepStrictEqual(yield* named.outcomes("everything"), { success: 1 })
      assert.deepStrictEqual(yield* named.outcomes("/*"), {})
    }))

  it.effect("routes of one group share its pool, those of two do not", () =>
    Effect.gen(function*() {
      class One extends Group.Service<One>()("one") {}
      class Two extends Group.Service<Two>()("two") {}
      const ask = yield* router(
        Layer.mergeAll(
          Proxy.route("/a", { group: One, upstream: url }),
          Proxy.route("/b", { group: One, upstream: url }),
          Proxy.route("/c", { group: Two, upstream: url })
        ).pipe(
          Layer.provide([
            One.layer({ pool: { maxConcurrent: 1 } }),
            Two.layer({ pool: { maxConcurrent: 1 } }),
            Transport.layerMemory(({ target }) => target === "/a" ? Effect.never : ok)
          ])
        )
      )
      yield* asked(ask, "/a")
      assert.strictEqual((yield* Effect.scoped(ask(target("/b")))).status, 503)
      assert.strictEqual((yield* Effect.scoped(ask(target("/c")))).status, 200)
    }))

  it.effect("HEAD takes a GET route, and a method that has no route is nobody's", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const ask = yield* router(
        Proxy.route("/*", { group, upstream: url, method: "GET" }).pipe(
          Layer.provide(Transport.layerMemory((request) => (seen.see(request), ok)))
        )
      )
      yield* Effect.scoped(ask(target("/a", { method: "HEAD" })))
      assert.strictEqual(seen.last!.method, "HEAD")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(ask(target("/a", { method: "POST" }))))))
    }))
})

describe("many routes in one layer", () => {
  const many = (all: (group: Group.Group) => Parameters<typeof Proxy.routes<never>>[0]) =>
    Effect.gen(function*() {
      const group = yield* Group.make("many", { pool: { maxConcurrent: 10 } })
      const ask = yield* router(
        Proxy.routes(all(group)).pipe(
          Layer.provide(
            Transport.layerMemory(({ method, upstream: { origin } }) =>
              Effect.succeed(HttpServerResponse.text(`${method} ${origin}`))
            )
          )
        )
      )
      const get = (path: string, init?: RequestInit) => Effect.scoped(Effect.map(ask(target(path, init)), bodyOf))
      return { ask, get, outcomes: (key: string) => TestOutcomes.of(group, key) }
    })

  it.effect("each has its upstream, its method, and its path or its own key to be counted by", () =>
    Effect.gen(function*() {
      const { get, outcomes } = yield* many((group) => [
        { path: "/users/*", group, upstream: "http://users.test" },
        { path: "/orders/*", group, upstream: "http://orders.test", method: "GET", key: "reads" },
        { path: "/orders/*", group, upstream: "http://writes.test", method: "POST" }
      ])
      assert.strictEqual(yield* get("/users/1"), "GET http://users.test")
      assert.strictEqual(yield* get("/orders/1"), "GET http://orders.test")
      assert.strictEqual(yield* get("/orders/1", { method: "POST" }), "POST http://writes.test")
      assert.deepStrictEqual(yield* outcomes("/users/*"), { success: 1 })
      assert.deepStrictEqual(yield* outcomes("reads"), { success: 1 })
      assert.deepStrictEqual(yield* outcomes("/orders/*"), { success: 1 })
    }))

  it.effect("a path that could mean another of them is a 400", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* many((group) => [
        { path: "/a/*", group, upstream: "http://a.test" },
        { path: "/a/b/*", group, upstream: "http://b.test" }
      ])
      assert.strictEqual(yield* get("/a/b/c"), "GET http://b.test")
      assert.strictEqual((yield* Effect.scoped(ask(target("/a//b/c")))).status, 400)
    }))

  it.effect("the one whose options make no sense is named", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(many((group) => [
        { path: "/a/*", group, upstream: url },
        { path: "/b/*", group, upstream: "ftp://b.test" }
      ]))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, InvalidOptions.InvalidOptions)
      assert.include(defect.message, "/b/*")
    }))
})

describe("options that make no sense end the building of the layer, and are named", () => {
  const build = (options: object) =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const routes = Proxy.route("/a/*", { group, upstream: url, ...options }).pipe(
        Layer.provide(Transport.layerMemory(() => ok))
      )
      const exit = yield* Effect.exit(router(routes))
      return Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    })

  const bad: ReadonlyArray<readonly [options: object, problem: string]> = [
    [{ timeout: 0 }, "timeout: "],
    [{ timeout: -1 }, "timeout: "],
    [{ timeout: NaN }, "timeout: "],
    [{ timeout: Infinity }, "timeout: "],
    [{ timeout: "soon" }, "timeout: "],
    [{ headTimeout: 0 }, "headTimeout: "],
    [{ attemptTimeout: 0 }, "attemptTimeout: "],
    [{ retry: true }, "retry: "],
    [{ retry: { attempts: 2 } }, "retry.attempts: "],
    [{ retry: { times: -1 } }, "retry.times: "],
    [{ retry: { base: 0 } }, "retry.base: "],
    [{ retry: { methods: ["GET "] } }, "retry.methods.0: expected a method, such as \"GET\", got GET "],
    [{ retry: { statuses: [101] } }, "retry.statuses"],
    [{ retry: { statuses: "5xx" } }, "retry.statuses"],
    [{ circuit: { key: "a" } }, "circuit.key: "],
    [{ circuit: { consecutive: 1 } }, "circuit.consecutive: "],
    [{ rateLimit: { tokens: 0 } }, "rateLimit.tokens: "],
    [{ idle: 0 }, "idle: "],
    [{ total: "0 seconds" }, "total: "],
    [{ priority: "highest" }, "priority: "],
    [{ preserveHost: "yes" }, "preserveHost: "],
    [{ key: 1 }, "key: "],
    [{ timeOut: 1 }, "timeOut: "],
    [{ upstream: "intra.service.com" }, "expected an http or https URL, got \"intra.service.com\""],
    [{ upstream: "ftp://a.test" }, "expected an http or https URL, got \"ftp://a.test\""],
    [{ upstream: "http://user:hunter2@a.test" }, "http://a.test/ must not hold a user or a password"],
    [{ upstream: undefined as never }, "expected an http or https URL"],
    [{ upstream: {} }, "expected an http or https URL"],
    [{ group: undefined }, "group: "],
    [{ group: "api.v1" }, "group: "],
    [{ rewrite: "/v1" }, "rewrite: "],
    [{ rewriteResponse: {} }, "rewriteResponse: "],
    [{ fallback: HttpServerResponse.empty() }, "fallback: "]
  ]
  it("a method for a handler, which is on no route", () => {
    const options = { group: Context.Service<never, Group.Group>("g"), upstream: "http://a.test", method: "GET" }
    assert.throws(() => Proxy.handler(options), /^proxy: method: /)
  })

  for (const [options, problem] of bad) {
    it.effect(
      Object.entries(options).map(([name, value]) => `${name}: ${typeof value === "object" ? "an object" : value}`)
        .join(),
      () =>
        Effect.gen(function*() {
          const defect = yield* build(options)
          assert.instanceOf(defect, InvalidOptions.InvalidOptions)
          assert.include(defect.message, problem)
          assert.notInclude(defect.message, "hunter2")
        })
    )
  }

  it.effect("of several routes, the one that is wrong is named", () =>
    Effect.gen(function*() {
      const defect = yield* build({ timeout: 0, upstream: "nowhere" })
      assert.include((defect as Error).message, "/a/*")
    }))

  it("a handler throws them", () => {
    assert.throws(
      () => Proxy.handler({ group: Context.Service<never, Group.Group>("g"), upstream: "ftp://a.test" }),
      /expected an http or https URL, got "ftp:\/\/a.test"/
    )
  })
})

describe("a Web handler", () => {
  const handle = (
    upstream: (request: Transport.Request) => Effect.Effect<HttpServerResponse.HttpServerResponse>,
    middleware: Layer.Layer<never, never, HttpRouter.HttpRouter> = Layer.empty
  ) =>
    Effect.gen(function*() {
      const group = yield* Group.make("web", { pool: { maxConcurrent: 10 } })
      const routes = Proxy.route("/*", { group, upstream: url }).pipe(Layer.provide(Transport.layerMemory(upstream)))
      const web = yield* Effect.acquireRelease(
        Effect.sync(() => HttpRouter.toWebHandler(Layer.merge(routes, middleware), { disableLogger: true })),
        ({ dispose }) => Effect.promise(dispose)
      )
      const busy = Effect.map(Pool.statistics(group.pool), ({ active }) => active)
      return { fetch: (request: Request) => Effect.promise(() => web.handler(request)), busy }
    })

  const cookies = ["a=1; Path=/", "a=2; path=/x; SAMESITE=none", "b=\"x, y\"; Expires=Wed, 21 Oct 2065 07:28:00 GMT"]
  const addsCookie = HttpRouter.middleware(
    (effect) => Effect.map(effect, (response) => HttpServerResponse.setCookieUnsafe(response, "mine", "1")),
    { global: true }
  )
  const answers = (body: HttpServerResponse.HttpServerResponse) => () =>
    Effect.succeed(HttpServerResponse.setHeaders(body, { "x-twice": "1" })).pipe(
      Effect.map((response) =>
        Object.assign(response, {
          headers: HeaderList.toHeaders([
            ...HeaderList.fromHeaders(response.headers),
            ...cookies.flatMap((cookie) => ["set-cookie", cookie])
          ])
        })
      )
    )

  const kinds = {
    "whole": HttpServerResponse.text("ok"),
    "streamed": HttpServerResponse.stream(Stream.make(encoder.encode("o"), encoder.encode("k"))),
    "empty": HttpServerResponse.empty({ status: 200 })
  }
  for (const [kind, response] of Object.entries(kinds)) {
    it.live(`8. every Set-Cookie arrives, in order, byte for byte, with a ${kind} body`, () =>
      Effect.gen(function*() {
        const { busy, fetch } = yield* handle(answers(response))
        const got = yield* fetch(new Request("http://gateway.test/"))
        assert.deepStrictEqual(got.headers.getSetCookie(), cookies)
        assert.strictEqual(yield* Effect.promise(() => got.text()), kind === "empty" ? "" : "ok")
        assert.strictEqual(yield* busy, 0)
      }))

    it.live(`8. and one that middleware adds, with a ${kind} body`, () =>
      Effect.gen(function*() {
        const { busy, fetch } = yield* handle(answers(response), Layer.merge(addsCookie, HttpRouter.cors()))
        const got = yield* fetch(new Request("http://gateway.test/"))
        assert.deepStrictEqual(got.headers.getSetCookie(), [...cookies, "mine=1"])
        assert.strictEqual(got.headers.get("access-control-allow-origin"), "*")
        assert.strictEqual(yield* Effect.promise(() => got.text()), kind === "empty" ? "" : "ok")
        assert.strictEqual(yield* busy, 0)
      }))
  }

  it.live("20. HEAD has the fields and no body", () =>
    Effect.gen(function*() {
      const { busy, fetch } = yield* handle(answers(kinds.whole))
      const got = yield* fetch(new Request("http://gateway.test/", { method: "HEAD" }))
      assert.strictEqual(got.status, 200)
      assert.strictEqual(yield* Effect.promise(() => got.text()), "")
      assert.deepStrictEqual(got.headers.getSetCookie(), cookies)
      assert.strictEqual(yield* busy, 0)
    }))

  it.live("19. the permit is held until the body has been read", () =>
    Effect.gen(function*() {
      const { busy, fetch } = yield* handle(() => Effect.succeed(kinds.streamed))
      const got = yield* fetch(new Request("http://gateway.test/"))
      assert.strictEqual(yield* busy, 1)
      assert.strictEqual(yield* Effect.promise(() => got.text()), "ok")
      assert.strictEqual(yield* busy, 0)
    }))

  it.live("18. a body that is cancelled gives its permit back", () =>
    Effect.gen(function*() {
      for (const headers of [{}, { "set-cookie": "a=1" }]) {
        const { busy, fetch } = yield* handle(() =>
          Effect.succeed(
            HttpServerResponse.stream(Stream.concat(Stream.succeed(encoder.encode("a")), Stream.never), { headers })
          )
        )
        const got = yield* fetch(new Request("http://gateway.test/"))
        assert.strictEqual(yield* busy, 1)
        yield* Effect.promise(() => got.body!.cancel())
        assert.strictEqual(yield* busy, 0)
      }
    }))

  it.live("18. a request that is aborted before the head gives its permit back", () =>
    Effect.gen(function*() {
      const reached = Deferred.makeUnsafe<void>()
      const { busy, fetch } = yield* handle(() => Effect.andThen(Deferred.succeed(reached, undefined), Effect.never))
      const abort = new AbortController()
      yield* Effect.forkChild(fetch(new Request("http://gateway.test/", { signal: abort.signal })))
      yield* Deferred.await(reached)
      assert.strictEqual(yield* busy, 1)
      abort.abort()
      yield* eventuallyEqual("the permit to come back", 0, busy)
    }))

  it.live("X-Forwarded-Proto is the URL's scheme", () =>
    Effect.gen(function*() {
      const seen = new Seen()
      const { fetch } = yield* handle((request) => (seen.see(request), ok))
      yield* fetch(new Request("https://gateway.test/", { headers: { "x-forwarded-for": "1.2.3.4" } }))
      assert.deepStrictEqual(HeaderList.getAll(seen.last!.headers, "x-forwarded-proto"), ["https"])
      assert.deepStrictEqual(HeaderList.getAll(seen.last!.headers, "x-forwarded-for"), [])
    }))

  it.live("Proxy.handler serves without a router", () =>
    Effect.gen(function*() {
      class Api extends Group.Service<Api>()("api") {}
      const context = yield* Layer.build(Layer.merge(
        Api.layer({ pool: { maxConcurrent: 1 } }),
        Transport.layerMemory(({ target }) => Effect.succeed(HttpServerResponse.text(target)))
      ))
      const handler = Proxy.handler({
        group: Api,
        upstream: "http://a.test/base",
        rewrite: Rewrite.stripPrefix("/api")
      })
      const fetch = HttpEffect.toWebHandler(Effect.provide(handler, context))
      const got = yield* Effect.promise(() => fetch(new Request("http://gateway.test/api/a?b")))
      assert.strictEqual(yield* Effect.promise(() => got.text()), "/base/a?b")
    }))
})
