import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { examples, printed, start, startBlackgate } from "./process.ts"

// What each of them prints, from its start to its end.
const programs: Record<string, ReadonlyArray<string>> = {
  "by-hand.ts": ["user 1", "instead of TimeoutError", "null"],
  "commands.ts": [
    "execute: 1",
    "queue: 1",
    "fallback: null",
    "signed in: false",
    "policies: fallback, outcomes, timeout, pool"
  ],
  "grpc.ts": ["hello world", "5 NOT_FOUND: nobody is there", "1, 2, 3"],
  "overload.ts": [
    "prefetch 1: found",
    "prefetch 2: shed",
    "prefetch 3: shed",
    "batch 1: shed",
    "batch 2: shed",
    "batch 3: shed",
    "page 1: found",
    "page 2: found",
    "page 3: found",
    "checkout 1: found",
    "checkout 2: found",
    "checkout 3: found",
    "7 served, 5 shed"
  ],
  "promise-world.ts": ["200 {\"id\":1}", "401 NoSession"],
  "web-handler.ts": ["200 saw GET /users/1?full=yes"],
  "websocket.ts": [
    "/chat heard hello",
    "/chat heard hi",
    "tunnels: 2",
    "a third: 503",
    "a page of elsewhere: 403"
  ]
}

// What those print, from their start to their end, that measure time: the part of it that is always so.
const measured: Record<string, ReadonlyArray<RegExp>> = {
  "adaptive-limit.ts": [/^16 at once: limit \d+, .*ms$/m, /^4 at once: limit \d+,/m, /^16 again: limit \d+,/m],
  "circuit.ts": [/^b\.example\/: 503, 503, 503, CircuitOpen, CircuitOpen$/m, /^ {2}b\.example: half-open -> closed$/m],
  "coalesce.ts": [/^100 callers, 1 request, 1 answer$/m],
  "dashboard-events.ts": [
    /^snapshot: 0 of 2 active, 0 calls, 0 % errors, open: none$/m,
    /^search ended: success$/m,
    /^circuit suggest: closed -> open$/m,
    /^suggest ended: short-circuited, CircuitOpen\nCallDegraded$/m,
    /^snapshot: 0 of 2 active, 4 calls, 75 % errors, open: suggest$/m
  ],
  "deadline.ts": [
    /^the user takes 1 ms: user 1; no orders; sheddable, all of them$/m,
    /^the user takes 350 ms: user 1; no orders; sheddable, the best of them$/m,
    /^the user takes 900 ms: an error page: it took longer than 500ms$/m
  ],
  "hedge.ts": [/^plain: p50 \d+ ms, .*; 0 hedges$/m, /^hedged: p50 \d+ ms/m],
  "http-client.ts": [
    /^at the third attempt: a report$/m,
    /^too slow: CommandTimeout$/m,
    /^ten at once: 5 refused$/m,
    /^down: down and down and CircuitOpen$/m
  ],
  "rate-limit.ts": [/^one of acme: sent$/m, /^four: the rate limit of acme in service\.mail, 3, is used up/m],
  "retry.ts": [/^flaky: delivered at attempt 3,/m, /^down: 50 calls, \d+ attempts$/m],
  "stale.ts": [/^down, the last good value: 1 EUR = 2$/m, /^too old by now: no rate \(CircuitOpen\)$/m]
}

// What runs until it is stopped has tests of its own; a test is run as one.
const others = [
  "blackgate.config.ts",
  "blackgate.yml",
  "proxy-server.ts",
  "test-clock.test.ts",
  "test-kit.test.ts",
  "upstream.ts"
]

// One after the other: each is a process of its own, and a machine has few cores.
describe("examples", { concurrent: false }, () => {
  for (const [example, lines] of Object.entries(programs)) {
    it.live(`${example} prints what it should, and ends by itself`, () =>
      Effect.gen(function*() {
        const program = yield* start(example)
        const ending = yield* program.ended
        assert.deepStrictEqual({ ending, output: program.output() }, { ending: 0, output: lines.join("\n") + "\n" })
      }), 60_000)
  }

  for (const [example, patterns] of Object.entries(measured)) {
    it.live(`${example} prints what it should, and ends by itself`, () =>
      Effect.gen(function*() {
        const program = yield* start(example)
        assert.strictEqual(yield* program.ended, 0)
        for (const pattern of patterns) assert.match(program.output(), pattern)
      }), 60_000)
  }

  it.live("upstream.ts says where it listens", () =>
    Effect.gen(function*() {
      const program = yield* start("upstream.ts", { UPSTREAM_PORT: "0" })
      yield* printed(program, /^http:\/\/127\.0\.0\.1:[1-9]\d*\n/)
    }), 60_000)

  it.live("blackgate.config.ts has a route of its config, a route in code and a filter", () =>
    Effect.gen(function*() {
      const upstream = yield* start("upstream.ts", { UPSTREAM_PORT: "0" })
      const [origin = ""] = yield* printed(upstream, /^http:\/\/127\.0\.0\.1:[1-9]\d*(?=\n)/)
      const config = Path.join(examples, "blackgate.config.ts")
      const program = yield* startBlackgate(Os.tmpdir(), ["-c", config, "start"], { PORT: "0", UPSTREAM: origin })
      const [, port] = yield* printed(program, /^Blackgate listens on http:\/\/\S+:(\d+)$/m)
      const ask = (path: string, headers: Record<string, string>) =>
        Effect.promise(async () => {
          const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
          return [response.status, await response.json()] as const
        })
      const key = { "x-api-key": "demo" }
      assert.containSubset(yield* ask("/v1/users/1", key), [200, { path: "/v1/users/1" }])
      assert.containSubset(yield* ask("/v1/both", key), [
        200,
        { user: { path: "/v1/users/1" }, order: { path: "/v1/orders/1" } }
      ])
      assert.deepStrictEqual(yield* ask("/v1/both", {}), [401, { code: 401, message: "a key is missing", errors: [] }])
      assert.strictEqual((yield* ask("/other", key))[0], 404)
    }), 60_000)

  it("has no other example", () => {
    assert.deepStrictEqual(
      Fs.readdirSync(examples).toSorted(),
      [...Object.keys(programs), ...Object.keys(measured), ...others].toSorted()
    )
  })
})
