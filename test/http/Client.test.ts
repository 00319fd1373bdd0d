import { Circuit, CommandMetrics, Group, InvalidOptions, Pool } from "@blackgate/core"
import { Client } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Fiber, Layer, Metric, Option, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse, UrlParams } from "effect/http"
import { TestClock } from "effect/testing"
import { eventuallyEqual } from "../harness/eventually.ts"

type Answer = (request: HttpClientRequest.HttpClientRequest, nth: number) =>
  | Response
  | Effect.Effect<Response, HttpClientError.HttpClientError>

let groups = 0

const url = "http://reports.test/1"
const broken = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.fail(
    new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause: "reset" }) })
  )
const status = (status: number, headers: Record<string, string> = {}) => new Response(`${status}`, { status, headers })

/** A client whose requests never leave, and that knows when they were made. */
const upstream = (answer: Answer) =>
  Effect.map(Clock.Clock, (clock) => {
    const requests: Array<{ readonly method: string; readonly at: number; readonly signal: AbortSignal }> = []
    const client = HttpClient.make((request, _url, signal) =>
      Effect.suspend(() => {
        requests.push({ method: request.method, at: clock.currentTimeMillisUnsafe(), signal })
        const response = answer(request, requests.length)
        return Effect.map(
          Effect.isEffect(response) ? response : Effect.succeed(response),
          (response) => HttpClientResponse.fromWeb(request, response)
        )
      })
    )
    return { client, requests }
  })

/** The same, protected. */
const protect = (
  answer: Answer,
  options: Client.Options<HttpClientError.HttpClientError> & { readonly of?: Omit<Group.Options, "pool"> } & {
    readonly pool?: Pool.Options
  } = {}
) =>
  Effect.gen(function*() {
    const { of, pool = { maxConcurrent: 10 }, ...rest } = options
    const { client, requests } = yield* upstream(answer)
    const name = `client ${++groups}`
    const group = yield* Group.make(name, { pool, ...of })
    const outcomes = (key = "client") =>
      Effect.map(
        Effect.forEach(["success", "failure", "timeout", "rejected", "short-circuited"] as const, (outcome) =>
          Effect.map(
            Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: name, key, outcome })),
            ({ count }) => [outcome, Number(count)] as const
          )),
        (counts) => Object.fromEntries(counts.filter(([, count]) => count > 0))
      )
    const active = Effect.map(Pool.statistics(group.pool), ({ active }) => active)
    return { client: Client.within(client, group, rest), group, requests, outcomes, active }
  })

const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** The answer of a request, after as much time as it takes. */
const settled = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* run(effect)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ _tag }) => _tag)

describe("a protected client", () => {
  it.effect("answers what the client answers, for a request that it prepared", () =>
    Effect.gen(function*() {
      const { client, group } = yield* protect((request) => new Response(`${request.method} ${request.url}`))
      const prepared = client.pipe(HttpClient.mapRequest(HttpClientRequest.prependUrl("http://reports.test")))
      assert.strictEqual(yield* Effect.andThen(prepared.get("/1"), (response) => response.text), `GET ${url}`)
      assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 1)
    }))

  it.effect("bounds how many requests wait for a response, and how many for them", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect(() => Effect.never, { pool: { maxConcurrent: 2, maxQueued: 1 } })
      for (let i = 0; i < 3; i++) yield* run(client.get(url))
      assert.strictEqual(yield* tagOf(client.get(url)), "PoolFull")
      assert.strictEqual(requests.length, 2)
    }))

  it.effect("bounds the time to the response, the wait for a permit included, and ends what it gives up", () =>
    Effect.gen(function*() {
      let aborted = 0
      const { active, client } = yield* protect(
        () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => aborted++)),
        { timeout: "1 second", pool: { maxConcurrent: 1, maxQueued: 1 } }
      )
      assert.strictEqual(yield* settled(tagOf(client.get(url))), "CommandTimeout")
      assert.strictEqual(aborted, 1)
      assert.strictEqual(yield* active, 0)
    }))

  it.effect("refuses options that make no sense by their names, and names that it does not know", () =>
    Effect.gen(function*() {
      const { client, group } = yield* protect(() => status(200))
      const problemOf = (options: object) => {
        try {
          Client.within(client, group, options)
          return "none"
        } catch (error) {
          return error instanceof InvalidOptions.InvalidOptions ? error.problem : String(error)
        }
      }
      const options: ReadonlyArray<readonly [object, RegExp]> = [
        [{ timeout: 0 }, /^timeout: /],
        [{ until: "tail" }, /^until: /],
        [{ isFailure: true }, /^isFailure: /],
        [{ retry: { times: -1 } }, /^retry.times: /],
        [{ retry: { isRepeatable: true } }, /^retry: Expected options whose isRepeatable is a function/],
        [{ retry: { attempts: 1 } }, /^retry.attempts: /],
        [{ hedge: {} }, /^hedge.after: /],
        [{ circuit: { name: () => "a" } }, /^circuit.name: /],
        [{ fallback: () => Effect.void }, /^fallback: /]
      ]
      for (const [wrong, problem] of options) assert.match(problemOf(wrong), problem)
    }))

  it.effect("names all its requests by its key", () =>
    Effect.gen(function*() {
      const { client, outcomes } = yield* protect(() => status(200), { key: "reports" })
      yield* client.get(url)
      yield* client.post(url)
      assert.deepStrictEqual(yield* outcomes("reports"), { success: 2 })
    }))
})

describe("a failing response", () => {
  it.effect("is a response, and a failure for the metrics", () =>
    Effect.gen(function*() {
      const { client, outcomes } = yield* protect((_, nth) => status([200, 404, 429, 500, 503][nth - 1]!))
      for (const expected of [200, 404, 429, 500, 503]) {
        const response = yield* client.get(url)
        assert.strictEqual(response.status, expected)
        assert.strictEqual(yield* response.text, `${expected}`)
      }
      assert.deepStrictEqual(yield* outcomes(), { success: 2, failure: 3 })
    }))

  it.effect("opens the circuit of its origin, and of no other", () =>
    Effect.gen(function*() {
      const { client, group } = yield* protect((request) => status(request.url.includes("down") ? 503 : 404), {
        of: { circuit: { consecutive: 2 } }
      })
      for (let i = 0; i < 2; i++) yield* client.get("http://down.test/a?b#c")
      for (let i = 0; i < 3; i++) yield* client.get("http://up.test:8080/a")
      assert.strictEqual(yield* tagOf(client.post("http://down.test/d")), "CircuitOpen")
      assert.strictEqual((yield* client.get("http://up.test:8080/a")).status, 404)
      assert.strictEqual(yield* Circuit.state(group, "http://down.test"), "open")
      assert.deepStrictEqual((yield* Circuit.open(group)).map(({ circuit }) => circuit), ["http://down.test"])
    }))

  it.effect("opens it too if the client below turned it into a failure; a 404 does not", () =>
    Effect.gen(function*() {
      const { client } = yield* upstream((request) => status(request.url.includes("down") ? 503 : 404))
      const group = yield* Group.make(`client ${++groups}`, { pool: { maxConcurrent: 1 }, circuit: { consecutive: 1 } })
      const filtered = client.pipe(HttpClient.filterStatusOk, Client.within(group))
      assert.strictEqual(yield* tagOf(filtered.get("http://up.test/")), "HttpClientError")
      assert.strictEqual(yield* tagOf(filtered.get("http://up.test/")), "HttpClientError")
      assert.strictEqual(yield* tagOf(filtered.get("http://down.test/")), "HttpClientError")
      assert.strictEqual(yield* tagOf(filtered.get("http://down.test/")), "CircuitOpen")
    }))

  it.effect("is what `isFailure` says", () =>
    Effect.gen(function*() {
      const { client, outcomes, requests } = yield* protect((_, nth) => status(nth === 1 ? 404 : 503), {
        isFailure: ({ status }) => status === 404,
        retry: { times: 1 }
      })
      assert.strictEqual((yield* settled(client.get(url))).status, 503)
      assert.strictEqual(requests.length, 2)
      assert.deepStrictEqual(yield* outcomes(), { success: 1 })
    }))
})

describe("the circuit", () => {
  it.effect("counts a broken connection, and neither an invalid URL nor a request that can't be encoded", () =>
    Effect.gen(function*() {
      const { client } = yield* protect((request) =>
        request.url.includes("down")
          ? broken(request)
          : Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, cause: "no" }) })
          ), { of: { circuit: { consecutive: 1 } } })
      for (const same of ["http://:invalid", "http://:invalid", "http://up.test/", "http://up.test/"]) {
        assert.strictEqual(yield* tagOf(client.get(same)), "HttpClientError")
      }
      assert.strictEqual(yield* tagOf(client.get("http://down.test/")), "HttpClientError")
      assert.strictEqual(yield* tagOf(client.get("http://down.test/")), "CircuitOpen")
    }))

  it.effect("of a request that has no origin is one of its own", () =>
    Effect.gen(function*() {
      const { client, group } = yield* protect(() => status(200), { of: { circuit: {} } })
      yield* Circuit.force(group, "(no origin)", "open")
      assert.strictEqual(yield* tagOf(client.get("http://:invalid")), "CircuitOpen")
      assert.strictEqual((yield* client.get(url)).status, 200)
    }))

  it.effect("is that of the key, and counts the failures, that its options say", () =>
    Effect.gen(function*() {
      const { client, group } = yield* protect((request) => broken(request), {
        of: { circuit: { consecutive: 1 } },
        circuit: { key: ({ method }) => method, isFailure: ({ request }) => request.method === "POST" }
      })
      yield* Effect.ignore(client.get(url))
      yield* Effect.ignore(client.post(url))
      assert.strictEqual(yield* Circuit.state(group, "GET"), "closed")
      assert.strictEqual(yield* Circuit.state(group, "POST"), "open")
    }))

  it.effect("counts a response that is a failure, whatever its options say of failures", () =>
    Effect.gen(function*() {
      const { client, group } = yield* protect(() => status(503), {
        of: { circuit: { consecutive: 1 } },
        circuit: { isFailure: () => false }
      })
      yield* client.get(url)
      assert.strictEqual(yield* Circuit.state(group, "http://reports.test"), "open")
    }))
})

describe("the rate limit", () => {
  it.effect("is that of the key that a request has", () =>
    Effect.gen(function*() {
      const { client } = yield* protect(() => status(200), {
        of: { rateLimit: { limit: 1, window: "1 minute" } },
        rateLimit: { key: ({ headers }) => headers["x-tenant"] ?? "none" }
      })
      const get = (tenant: string) => client.get(url, { headers: { "x-tenant": tenant } })
      yield* get("a")
      yield* get("b")
      assert.strictEqual(yield* tagOf(get("a")), "RateLimited")
    }))
})

describe("a retry", () => {
  it.effect("ends with the last response, if that is a failure too", () =>
    Effect.gen(function*() {
      const { client, outcomes, requests } = yield* protect((_, nth) => status(500 + nth), { retry: { times: 2 } })
      const response = yield* settled(client.get(url))
      assert.deepStrictEqual([response.status, yield* response.text], [503, "503"])
      assert.strictEqual(requests.length, 3)
      assert.deepStrictEqual(yield* outcomes(), { failure: 1 })
    }))

  it.effect("ends with the last response, if the next attempt is refused", () =>
    Effect.gen(function*() {
      const { client, outcomes, requests } = yield* protect(() => status(503), {
        retry: { times: 5 },
        of: { circuit: { consecutive: 2 } }
      })
      const response = yield* settled(client.get(url))
      assert.deepStrictEqual([response.status, yield* response.text, requests.length], [503, "503", 2])
      assert.deepStrictEqual(yield* outcomes(), { failure: 1 })
    }))

  it.effect("follows a failure of the client's", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect((request, nth) => nth < 3 ? broken(request) : status(200), {
        retry: { times: 2 }
      })
      assert.strictEqual((yield* settled(client.get(url))).status, 200)
      assert.strictEqual(requests.length, 3)
    }))

  it.effect("follows a failing status that the client below turned into a failure, and ends with that", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* upstream(() => status(503, { "retry-after": "7" }))
      const group = yield* Group.make(`client ${++groups}`, { pool: { maxConcurrent: 1 } })
      const filtered = client.pipe(HttpClient.filterStatusOk, Client.within(group, { retry: { times: 1, base: 1 } }))
      const failure = yield* settled(Effect.flip(filtered.get(url)))
      assert.isTrue(HttpClientError.isHttpClientError(failure) && failure.response?.status === 503)
      assert.deepStrictEqual(requests.map(({ at }) => Math.floor(at / 1000)), [0, 7])
    }))

  it.effect("waits for Retry-After, in seconds or as a date (RFC 9110, section 10.2.3)", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect(
        (_, nth) =>
          nth === 1
            ? status(429, { "retry-after": "30" })
            : nth === 2
            ? status(503, { "retry-after": "Thu, 01 Jan 1970 00:01:10 GMT" })
            : nth === 3
            ? status(503, { "retry-after": "soon" })
            : status(200),
        { retry: { times: 3, base: 1 } }
      )
      assert.strictEqual((yield* settled(client.get(url))).status, 200)
      assert.deepStrictEqual(requests.map(({ at }) => Math.floor(at / 1000)), [0, 30, 70, 70])
    }))

  it.effect("is not made after a Retry-After that is too long", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect(() => status(503, { "retry-after": "61" }), { retry: {} })
      assert.strictEqual((yield* settled(client.get(url))).status, 503)
      assert.strictEqual(requests.length, 1)
    }))

  it.effect("is not made of a failure that is no news of the dependency, nor of one that `while` does not want", () =>
    Effect.gen(function*() {
      const invalid = yield* protect(() => status(200), { retry: {} })
      assert.strictEqual(yield* settled(tagOf(invalid.client.get("http://:invalid"))), "HttpClientError")
      const seen: Array<unknown> = []
      const { client, requests } = yield* protect((request, nth) => nth === 1 ? status(503) : broken(request), {
        retry: {
          while: (failure) => {
            seen.push("status" in failure ? failure.status : failure._tag)
            return "status" in failure
          }
        }
      })
      assert.strictEqual(yield* settled(tagOf(client.get(url))), "HttpClientError")
      assert.deepStrictEqual(seen, [503, "HttpClientError"])
      assert.strictEqual(requests.length, 2)
    }))

  it.effect("is made of idempotent methods only (RFC 9110, section 9.2.2)", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect(() => status(503), {
        retry: { times: 1, base: 1 },
        of: { retryBudget: { perSecond: 100 } }
      })
      const methods = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY", "POST", "PATCH"] as const
      for (const method of methods) yield* settled(client.execute(HttpClientRequest.make(method)(url)))
      const twice = methods.filter((method) => requests.filter((request) => request.method === method).length === 2)
      assert.deepStrictEqual(twice, ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"])
    }))

  it.effect("is made of bodies only that can be sent again", () =>
    Effect.gen(function*() {
      const bodies: ReadonlyArray<readonly [HttpBody.HttpBody, number]> = [
        [HttpBody.empty, 2],
        [HttpBody.text("a"), 2],
        [HttpBody.urlParams(UrlParams.fromInput({ a: "1" })), 2],
        [HttpBody.formData(new FormData()), 2],
        [HttpBody.raw("a"), 2],
        [HttpBody.raw(new Blob(["a"])), 2],
        [HttpBody.stream(Stream.make(new Uint8Array(1))), 1],
        [HttpBody.raw(new ReadableStream()), 1],
        [HttpBody.raw({ getReader: () => {} }), 1],
        [HttpBody.raw({ pipe: () => {} }), 1],
        [HttpBody.raw((async function*() {})()), 1]
      ]
      for (const [body, times] of bodies) {
        const { client, requests } = yield* protect(() => status(503), { retry: { times: 1, base: 1 } })
        yield* settled(client.put(url, { body }))
        assert.strictEqual(requests.length, times, body._tag)
      }
    }))

  it.effect("is made of what `isRepeatable` says", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect(() => status(503), {
        retry: { times: 1, base: 1, isRepeatable: ({ headers }) => headers["idempotency-key"] !== undefined }
      })
      yield* settled(client.get(url))
      assert.strictEqual(requests.length, 1)
      yield* settled(client.post(url, { headers: { "idempotency-key": "1" } }))
      assert.strictEqual(requests.length, 3)
    }))

  it.live("lets go of the responses that nobody will read, and not of the one that is answered", () =>
    Effect.gen(function*() {
      const cancelled: Array<number> = []
      const { client } = yield* protect(
        (_, nth) =>
          new Response(new ReadableStream({ pull() {}, cancel: () => void cancelled.push(nth) }), { status: 503 }),
        {
          retry: { times: 2, base: 1 }
        }
      )
      assert.strictEqual((yield* client.get(url)).status, 503)
      yield* eventuallyEqual("the end of two bodies", [1, 2], Effect.sync(() => cancelled))
    }))

  it.live("lets go of them before the next attempt has an answer", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const { client } = yield* protect((_, nth) =>
        nth === 2
          ? Effect.never
          : new Response(new ReadableStream({ pull() {}, cancel: () => void cancelled++ }), { status: 503 }), {
        retry: { times: 1, base: 1 }
      })
      const fiber = yield* run(client.get(url))
      yield* eventuallyEqual("the end of a body", 1, Effect.sync(() => cancelled))
      yield* Fiber.interrupt(fiber)
    }))

  it.live("ends with a failure whose response can be read, if the client below made one of it", () =>
    Effect.gen(function*() {
      const cancelled: Array<number> = []
      const { client } = yield* upstream((_, nth) =>
        new Response(new ReadableStream({ pull() {}, cancel: () => void cancelled.push(nth) }), { status: 503 })
      )
      const group = yield* Group.make(`client ${++groups}`, { pool: { maxConcurrent: 1 } })
      const filtered = client.pipe(HttpClient.filterStatusOk, Client.within(group, { retry: { times: 1, base: 1 } }))
      assert.strictEqual(yield* tagOf(filtered.get(url)), "HttpClientError")
      yield* eventuallyEqual("the end of a body", [1], Effect.sync(() => cancelled))
    }))

  it.live("lets go of them when its caller leaves", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const { client } = yield* protect(
        () => new Response(new ReadableStream({ pull() {}, cancel: () => void cancelled++ }), { status: 503 }),
        { retry: { times: 1, base: "10 seconds" } }
      )
      const fiber = yield* run(client.get(url))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      yield* eventuallyEqual("the end of a body", 1, Effect.sync(() => cancelled))
    }))
})

describe("a hedge", () => {
  const slowFirst: Answer = (_, nth) => nth === 1 ? Effect.delay(Effect.succeed(status(201)), "1 minute") : status(200)

  it.effect("is made of safe methods only (RFC 9110, section 9.2.1), with a body that can be sent again", () =>
    Effect.gen(function*() {
      const methods = ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE", "POST", "PATCH"] as const
      const statuses = []
      for (const method of methods) {
        const { client } = yield* protect(slowFirst, { hedge: { after: "1 second" } })
        statuses.push((yield* settled(client.execute(HttpClientRequest.make(method)(url)))).status)
      }
      assert.deepStrictEqual(statuses, [200, 200, 200, 200, 200, 201, 201, 201, 201])
      const { client } = yield* protect(slowFirst, { hedge: { after: "1 second" } })
      const body = HttpBody.stream(Stream.empty)
      assert.strictEqual((yield* settled(client.query(url, { body }))).status, 201)
      const upgrade = yield* protect(slowFirst, { hedge: { after: "1 second" } })
      assert.strictEqual((yield* settled(upgrade.client.get(url, { headers: { upgrade: "websocket" } }))).status, 201)
    }))

  it.effect("is made of what `isRepeatable` says, and stands beside a retry", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* protect(
        (_, nth) => nth < 3 ? Effect.delay(Effect.succeed(status(503)), "1 minute") : status(200),
        {
          hedge: { after: "1 second", isRepeatable: ({ method }) => method === "DELETE" },
          retry: { times: 1, base: 1 }
        }
      )
      assert.strictEqual((yield* settled(client.del(url))).status, 200)
      assert.strictEqual(requests.length, 3)
      const plain = yield* protect(slowFirst, { hedge: { after: "1 second", isRepeatable: () => false } })
      assert.strictEqual((yield* settled(plain.client.get(url))).status, 201)
    }))

  it.effect("answers with the first attempt's response, readable, if all fail, also those that began when it had failed", () =>
    Effect.gen(function*() {
      const { client } = yield* protect(
        (_, nth) => Effect.delay(Effect.succeed(status(500 + nth)), nth === 1 ? 1500 : 60_000),
        { hedge: { after: "1 second", max: 2 } }
      )
      const response = yield* settled(client.get(url))
      assert.deepStrictEqual([response.status, yield* response.text], [501, "501"])
    }))
})

describe("a call is over", () => {
  /** A response whose body says a word, and the rest when it is told to. */
  const slowBody = () => {
    const rest = Deferred.makeUnsafe<void>()
    const body = new ReadableStream({
      async pull(controller) {
        controller.enqueue(new TextEncoder().encode("a "))
        await Effect.runPromise(Deferred.await(rest))
        controller.enqueue(new TextEncoder().encode("report"))
        controller.close()
      }
    }, { highWaterMark: 0 })
    return { body, end: Deferred.succeed(rest, undefined) }
  }

  it.effect("at the head, by default: its permit is back and its deadlines are gone while the body streams", () =>
    Effect.gen(function*() {
      const { body, end } = slowBody()
      const { active, client, outcomes } = yield* protect(() => new Response(body), {
        timeout: "1 second",
        attemptTimeout: "1 second"
      })
      const response = yield* client.get(url)
      assert.strictEqual(yield* active, 0)
      assert.deepStrictEqual(yield* outcomes(), { success: 1 })
      const reading = yield* run(response.text)
      yield* TestClock.adjust("1 hour")
      yield* end
      assert.strictEqual(yield* Fiber.join(reading), "a report")
    }))

  it.effect("at the head, though nobody ever reads the body: no permit stays behind", () =>
    Effect.gen(function*() {
      const { active, client } = yield* protect(() => new Response(slowBody().body), { pool: { maxConcurrent: 1 } })
      for (let i = 0; i < 10; i++) yield* client.get(url)
      assert.strictEqual(yield* active, 0)
    }))

  it.effect("with `until: \"body\"`, when the body is here, which can then be read in every way", () =>
    Effect.gen(function*() {
      const { body, end } = slowBody()
      const { active, client } = yield* protect(
        () => new Response(body, { status: 201, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] }),
        { until: "body" }
      )
      const fiber = yield* run(client.get(url))
      yield* Effect.yieldNow
      assert.strictEqual(yield* active, 1)
      yield* end
      const response = yield* Fiber.join(fiber)
      assert.strictEqual(yield* active, 0)
      assert.deepStrictEqual([response.status, response.url], [201, url])
      assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
      assert.strictEqual(yield* response.text, "a report")
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(response.stream)), "a report")
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(response.stream)), "a report")
      const web = Option.getOrThrow(HttpClientResponse.toWeb(response))
      assert.strictEqual(yield* Effect.promise(() => web.text()), "a report")
    }))

  it.effect("with `until: \"body\"`, by its deadline, which the body's time counts for, and the body is given up", () =>
    Effect.gen(function*() {
      const { active, client, requests } = yield* protect(() => new Response(slowBody().body), {
        until: "body",
        timeout: "1 second"
      })
      assert.strictEqual(yield* settled(tagOf(client.get(url))), "CommandTimeout")
      assert.strictEqual(yield* active, 0)
      assert.isTrue(requests[0]!.signal.aborted)
    }))

  it.effect("with `until: \"body\"`, and says all that the response said", () =>
    Effect.gen(function*() {
      const answer = new Response("a report", { headers: { "x-name": "value" } })
      // As of `fetch`, which follows redirects, and takes any status.
      Object.defineProperties(answer, { url: { value: "http://elsewhere.test/2" }, status: { value: 799 } })
      const { client } = yield* protect(() => answer, { until: "body" })
      const response = yield* client.get(url)
      assert.deepStrictEqual(
        [response.url, response.status, response.headers["x-name"], response.request.url, yield* response.text],
        ["http://elsewhere.test/2", 799, "value", url, "a report"]
      )
    }))

  it.effect("with `until: \"body\"`, a form is read from memory too", () =>
    Effect.gen(function*() {
      const form = new FormData()
      form.set("name", "a report")
      const { client } = yield* protect(() => new Response(form), { until: "body" })
      const response = yield* client.get(url)
      for (const read of ["text", "formData", "formData"] as const) {
        const body = yield* response[read]
        assert.include(typeof body === "string" ? body : body.get("name"), "a report")
      }
    }))

  it.effect("with `until: \"body\"`, at the head of a response that has none", () =>
    Effect.gen(function*() {
      const { client } = yield* protect(
        (request) => new Response(null, { status: request.method === "HEAD" ? 200 : 204 }),
        {
          until: "body"
        }
      )
      assert.strictEqual((yield* client.head(url)).status, 200)
      assert.strictEqual((yield* client.del(url)).status, 204)
    }))

  it.effect("with `until: \"body\"`, a body that breaks off is a failure, and is retried", () =>
    Effect.gen(function*() {
      const breaks = () => new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) })
      const { client, outcomes, requests } = yield* protect(
        (_, nth) => new Response(nth === 3 ? "a report" : breaks()),
        {
          until: "body",
          retry: { times: 1, base: 1 }
        }
      )
      assert.strictEqual(yield* settled(tagOf(client.get(url))), "HttpClientError")
      assert.strictEqual(yield* settled(Effect.andThen(client.get(url), (response) => response.text)), "a report")
      assert.strictEqual(requests.length, 3)
      assert.deepStrictEqual(yield* outcomes(), { failure: 1, success: 1 })
    }))
})

class Api extends Group.Service<Api>()("client.layer") {}

describe("as an HttpClient whose failures are its own", () => {
  it.effect("a refusal is behind an HttpClientError; what was one before is the same", () =>
    Effect.gen(function*() {
      const { client } = yield* protect((request) => request.method === "GET" ? Effect.never : broken(request), {
        timeout: "1 second"
      })
      const disguised = Client.withHttpClientErrors(client)
      const refused = yield* settled(Effect.flip(disguised.get(url)))
      assert.strictEqual(refused._tag, "HttpClientError")
      assert.match(
        refused.message,
        /^Transport: client took longer than 1s \(timeout\) \(GET http:\/\/reports\.test\/1\)$/
      )
      assert.strictEqual(Option.getOrThrow(Client.commandError(refused))._tag, "CommandTimeout")
      const own = yield* Effect.flip(disguised.post(url))
      assert.isTrue(Option.isNone(Client.commandError(own)))
      assert.strictEqual(own.reason._tag === "TransportError" && own.reason.cause, "reset")
    }))

  it.effect("`layer` provides it in place of the one that it takes", () =>
    Effect.gen(function*() {
      const { client } = yield* upstream(() => Effect.never)
      const program = Effect.gen(function*() {
        yield* run(HttpClient.get(url))
        const refused = yield* Effect.flip(HttpClient.get(url))
        return Option.map(Client.commandError(refused), ({ _tag, key }) => [_tag, key])
      })
      const layer = Client.layer(Api, { key: "reports" }).pipe(
        Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
        Layer.provide(Api.layer({ pool: { maxConcurrent: 1 } }))
      )
      assert.deepStrictEqual(yield* Effect.provide(program, layer), Option.some(["PoolFull", "reports"]))
    }))

  it.effect("`layer` is not built of options that make no sense", () =>
    Effect.gen(function*() {
      const { client } = yield* upstream(() => status(200))
      const layer = Client.layer(Api, { timeout: 0 }).pipe(
        Layer.provide([Layer.succeed(HttpClient.HttpClient, client), Api.layer({ pool: { maxConcurrent: 1 } })])
      )
      const exit = yield* Effect.exit(Effect.provide(Effect.void, layer))
      assert.isTrue(exit._tag === "Failure" && Cause.squash(exit.cause) instanceof InvalidOptions.InvalidOptions)
    }))
})
