import { assert, describe, it } from "@effect/vitest"
import autocannon from "autocannon"
import { Effect } from "effect"
import { eventuallyEqual } from "../harness/eventually.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import * as Served from "../harness/Served.ts"

/** Whatever comes of a run; every answer is looked at. */
const fire = (served: Served.Gateway, options: Omit<autocannon.Options, "url">) =>
  Effect.promise(() => autocannon({ url: `http://127.0.0.1:${served.port}`, timeout: 30, ...options }))

/**
 * Everything was answered, by a 2xx, nothing broke, and nothing is left. With the last request that it sends, autocannon ends a
 * connection, and hears no more of those that it has pipelined before.
 */
const flawless = (served: Served.Gateway, result: autocannon.Result, amount: number, unheard = 0) =>
  Effect.gen(function*() {
    assert.deepInclude(result, { errors: 0, timeouts: 0, mismatches: 0, non2xx: 0, resets: 0, "2xx": amount - unheard })
    yield* served.becomes("0 active, 0 queued")
    const { interrupted = 0, success = 0, ...others } = yield* served.outcomes
    assert.deepStrictEqual(others, {})
    assert.isAtLeast(success, amount - unheard)
    assert.isAtMost(interrupted, unheard)
    assert.deepStrictEqual(served.logs, [])
    yield* eventuallyEqual("the end of its connections", 0, served.server.connections)
  })

describe("autocannon, through a gateway", { concurrent: false, timeout: 60_000 }, () => {
  const upstream = RawUpstream.answering(({ body, startLine }) => response(`${startLine} ${body.toString()}`))

  it.live("1,000 connections at once: every request has its answer", () =>
    Effect.gen(function*() {
      const served = yield* Served.proxying({ upstream: (yield* upstream).url })
      const result = yield* fire(served, { connections: 1000, amount: 5000, expectBody: "GET / HTTP/1.1 " })
      yield* flawless(served, result, 5000)
    }))

  it.live("10 requests pipelined on each connection: each has its own answer, in its place", () =>
    Effect.gen(function*() {
      const served = yield* Served.proxying({ upstream: (yield* upstream).url })
      const paths = Array.from({ length: 10 }, (_, i) => `/${i}`)
      const wrong: Array<string> = []
      const result = yield* fire(served, {
        connections: 10,
        pipelining: 10,
        amount: 5000,
        requests: paths.map((path) => ({
          path,
          onResponse: (code, body) => {
            if (code !== 200 || body !== `GET ${path} HTTP/1.1 `) wrong.push(`${path}: ${code} ${body}`)
          }
        }))
      })
      assert.deepStrictEqual(wrong, [])
      yield* flawless(served, result, 5000, 90)
    }))

  it.live("bodies there and back, pipelined", () =>
    Effect.gen(function*() {
      const served = yield* Served.proxying({ upstream: (yield* upstream).url })
      const body = "x".repeat(20_000)
      const result = yield* fire(served, {
        connections: 20,
        pipelining: 4,
        amount: 1000,
        method: "POST",
        body,
        expectBody: `POST / HTTP/1.1 ${body}`
      })
      yield* flawless(served, result, 1000, 60)
    }))

  it.live("more connections than maxConnections: those that are served are served well, and none is left", () =>
    Effect.gen(function*() {
      const served = yield* Served.proxying({ upstream: (yield* upstream).url }, { maxConnections: 50 })
      const result = yield* fire(served, { connections: 200, duration: 2 })
      assert.strictEqual(result.non2xx, 0)
      assert.isAbove(result["2xx"], 100)
      yield* served.becomes("0 active, 0 queued")
      const client = yield* served.connect
      client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      assert.strictEqual(status(yield* client.message()), 200)
    }))
})
