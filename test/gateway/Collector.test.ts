import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Collector } from "../../packages/gateway/src/internal/Collector.ts"

const post = HttpClientRequest.post("http://collector/v1/traces")

const collecting = (answer: () => "down" | "silent" | number) => {
  let now = 0
  let asked = 0
  const lines: Array<string> = []
  const collector = new Collector("http://collector", () => now)
  const client = collector.around(HttpClient.make((request) =>
    Effect.suspend(() => {
      asked++
      const what = answer()
      if (what === "silent") return Effect.never
      if (what !== "down") {
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}", { status: what })))
      }
      const cause = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") })
      return Effect.fail(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
      )
    })
  ))
  return {
    collector,
    lines,
    asked: () => asked,
    pass: (millis: number) => (now += millis),
    send: Effect.exit(client.execute(post)),
    logged: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  }
}

describe("Collector", () => {
  it.effect("two failures pause it for a minute, with one line, and a success ends that, with one more", () =>
    Effect.gen(function*() {
      let answer: "down" | number = "down"
      const { asked, collector, lines, logged, pass, send } = collecting(() => answer)
      yield* Effect.gen(function*() {
        yield* send
        assert.isTrue(collector.listens)
        for (let i = 0; i < 9; i++) yield* send
        assert.deepStrictEqual([asked(), collector.listens], [2, false])
        assert.deepStrictEqual(lines, [
          "telemetry can't be sent to http://collector, and is lost for now: connect ECONNREFUSED"
        ])
        pass(60_000)
        assert.isTrue(collector.listens)
        yield* send
        assert.deepStrictEqual([asked(), collector.listens], [3, false])
        pass(60_000)
        answer = 200
        yield* send
        yield* send
        assert.deepStrictEqual(lines.slice(1), ["telemetry goes to http://collector again"])
      }).pipe(Effect.provide(logged))
    }))

  it.effect("one that comes and goes is told of once a minute at the most", () =>
    Effect.gen(function*() {
      let isUp = false
      const { lines, logged, pass, send } = collecting(() => isUp ? 200 : 500)
      yield* Effect.gen(function*() {
        for (let i = 0; i < 10; i++) {
          isUp = false
          yield* send
          yield* send
          pass(1000)
          isUp = true
          pass(60_000)
          yield* send
        }
      }).pipe(Effect.provide(logged))
      assert.isAtMost(lines.length, 11)
      assert.include(lines[0], "the status was 500")
    }))

  it.effect("one that does not answer has four requests, and is down after 5 s", () =>
    Effect.gen(function*() {
      const { asked, collector, lines, logged, send } = collecting(() => "silent")
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.forEach(
          [1, 2, 3, 4, 5, 6],
          () => Effect.forkChild(send, { startImmediately: true })
        )
        assert.deepStrictEqual([asked(), collector.listens], [4, false])
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.joinAll(fibers)
      }).pipe(Effect.provide(logged))
      assert.deepStrictEqual(lines, [
        "telemetry can't be sent to http://collector, and is lost for now: no answer in 5 s"
      ])
    }))
})
