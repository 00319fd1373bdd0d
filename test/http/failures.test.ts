import { CommandError } from "@blackgate/core"
import { Proxy, UpstreamError } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { HttpServerResponse } from "effect/http"

const answerTo = (failure: Proxy.Failure): { readonly status: number; readonly retryAfter: string | undefined } => {
  const response = Proxy.failureResponse(failure)
  return { status: response.status, retryAfter: response.headers["retry-after"] }
}

const limited = (millis: number) => new CommandError.RateLimited("api", "get", "tenant 1", 10, millis, false)
const open = (millis: number) => new CommandError.CircuitOpen("api", "get", "get", "open", millis)

const broken = (timedOut: boolean) =>
  new UpstreamError.UpstreamError({ phase: "head", timedOut, origin: "http://a.test", cause: "it was silent" })

const thrownAway = (status: number) =>
  new UpstreamError.UpstreamError({
    phase: "head",
    status,
    retryAfter: Duration.millis(1500),
    origin: "http://a.test",
    cause: "x"
  })

describe("a failure answers", () => {
  const answers: ReadonlyArray<readonly [Proxy.Failure, number, string | undefined]> = [
    [broken(false), 502, undefined],
    [broken(true), 504, undefined],
    [thrownAway(503), 503, "2"],
    [thrownAway(504), 504, "2"],
    [thrownAway(429), 429, "2"],
    [thrownAway(500), 502, undefined],
    [limited(1500), 429, "2"],
    [open(1500), 503, "2"],
    [new CommandError.PoolFull("api", "get", { active: 1, queued: 0, maxConcurrent: 1, maxQueued: 0 }), 503, "1"],
    [new CommandError.QueueTimeout("api", "get", Duration.seconds(1)), 503, "1"],
    [new CommandError.PoolReentered("api", "get", "outer"), 503, undefined],
    [new CommandError.CommandTimeout("api", "get", "timeout", Duration.seconds(1), true), 504, undefined]
  ]
  for (const [failure, status, retryAfter] of answers) {
    const of = failure._tag !== "UpstreamError" ? "" : failure.timedOut ? ", of the time" : ` of ${failure.status}`
    it(`${failure._tag}${of}: ${status}`, () => {
      assert.deepStrictEqual(answerTo(failure), { status, retryAfter })
    })
  }

  it("Retry-After in whole seconds, rounded up, and never 0 (RFC 9110, section 10.2.3)", () => {
    const seconds = [0, 1, 999, 1000, 1001, 60_000].map((millis) => answerTo(limited(millis)).retryAfter)
    assert.deepStrictEqual(seconds, ["1", "1", "1", "1", "2", "60"])
    assert.deepStrictEqual([0, 1001].map((millis) => answerTo(open(millis)).retryAfter), ["1", "2"])
  })

  it.effect("nothing of the inside is in it", () =>
    Effect.gen(function*() {
      const response = HttpServerResponse.toWeb(Proxy.failureResponse(limited(1500)))
      assert.deepStrictEqual(yield* Effect.promise(() => response.json()), {
        code: 429,
        message: "too many requests",
        errors: []
      })
    }))
})
