import { Command, type CommandError, Group, type RateLimit } from "@blackgate/core"
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, Scope } from "effect"
import { RateLimiter, Redis } from "effect/persistence"
import { inject } from "vitest"
import { eventuallyEqual } from "../harness/eventually.ts"
import { RedisServer, SlowWay } from "../harness/redis.ts"
import { run } from "../harness/run.ts"

const url = inject("redisUrl")

// Keys of one run are no keys of another, on a server that they share.
let groups = 0
const unique = () => `limit-${process.pid}-${groups++}`

// Long enough for a machine that is busy with other tests.
const storeTimeout = "1 second"

/** A process of its own, as far as Redis can tell: a client, a limiter, a group. */
const join = (name: string, url: string, rateLimit: RateLimit.Options) =>
  Effect.gen(function*() {
    const logged: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      const line = `${logLevel} ${String((message as ReadonlyArray<unknown>)[0])}`
      if (line.includes("the rate limiter")) logged.push(line)
    })
    const live = Layer.effect(
      Api,
      Group.make(name, { pool: { maxConcurrent: 1000 }, rateLimit: { storeTimeout, ...rateLimit } })
    ).pipe(
      Layer.provide(RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreRedis()))),
      Layer.provideMerge(NodeRedis.layer({ url })),
      Layer.provideMerge(Logger.layer([logger]))
    )
    const context = yield* Layer.buildWithScope(live, yield* Scope.Scope)
    const group = Context.get(context, Api)
    const call = Command.make("call", (key: string) => Effect.succeed(key), { group, rateLimit: { key: (key) => key } })
    const outcome = (key: string): Effect.Effect<"in" | CommandError.GroupError["_tag"]> =>
      Effect.match(call(key), { onSuccess: () => "in" as const, onFailure: ({ _tag }) => _tag })
    return { call, outcome, logged, redis: Context.get(context, Redis.Redis) }
  })

class Api extends Context.Service<Api, Group.Group>()("Api") {}

const counted = (outcomes: ReadonlyArray<string>) => {
  const counts: Record<string, number> = {}
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

describe.skipIf(url === undefined)("against a real redis-server", () => {
  for (const algorithm of ["token-bucket", "fixed-window"] as const) {
    it.live(`two processes share one limit: ${algorithm}`, () =>
      Effect.gen(function*() {
        const name = unique()
        const process = run(
          globalThis.process.execPath,
          [`${import.meta.dirname}/limit-process.ts`, url!, name, algorithm, "50"],
          { cwd: "." }
        )
        const both = yield* Effect.all([process, process], { concurrency: 2 })
        const outcomes: Array<string> = []
        for (const { exitCode, stderr, stdout } of both) {
          assert.strictEqual(exitCode, 0, stderr)
          const said = JSON.parse(stdout) as { readonly outcomes: Array<string>; readonly another: string }
          outcomes.push(...said.outcomes)
          assert.match(said.another, /^in, for \d+$/)
        }
        assert.deepStrictEqual(counted(outcomes), { "in, for tenant": 25, RateLimited: 75 })
      }), 60_000)

    it.live(`two clients of one process do, too: ${algorithm}`, () =>
      Effect.gen(function*() {
        const name = unique()
        const limit = { limit: 25, window: "10 minutes", algorithm } as const
        const [a, b] = yield* Effect.all([join(name, url!, limit), join(name, url!, limit)])
        const calls = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? a : b).outcome("tenant"))
        const outcomes = yield* Effect.all(calls, { concurrency: "unbounded" })
        assert.deepStrictEqual(counted(outcomes), { in: 25, RateLimited: 75 })
        assert.strictEqual(yield* a.outcome("another"), "in")
        const refused = yield* Effect.flip(b.call("tenant"))
        assert.deepInclude({ ...refused }, {
          group: name,
          key: "call",
          limitKey: "tenant",
          limit: 25,
          unavailable: false
        })
        assert.deepStrictEqual([...a.logged, ...b.logged], [])
      }))
  }

  it.live("a key can't be what another one's refill is kept under", () =>
    Effect.gen(function*() {
      const api = yield* join(unique(), url!, { limit: 1, window: "10 minutes" })
      assert.strictEqual(yield* api.outcome("bob"), "in")
      assert.strictEqual(yield* api.outcome("bob:refill"), "in")
      assert.deepStrictEqual([yield* api.outcome("bob"), yield* api.outcome("bob:refill")], [
        "RateLimited",
        "RateLimited"
      ])
    }))

  it.live("keys are forgotten by Redis when their tokens are back", () =>
    Effect.gen(function*() {
      const name = unique()
      const api = yield* join(name, url!, { limit: 2, window: "2 seconds" })
      for (let i = 0; i < 50; i++) yield* api.outcome(`user ${i}`)
      const keys = api.redis.send<[string, Array<string>]>("SCAN", "0", "MATCH", `*${name}*`, "COUNT", "100000").pipe(
        Effect.map(([, keys]) => keys),
        Effect.orDie
      )
      assert.isNotEmpty(yield* keys)
      yield* eventuallyEqual("nothing kept", [], keys)
    }))

  const own = Effect.acquireRelease(
    Effect.promise(() => RedisServer.start()),
    (server) => Effect.promise(() => server.kill())
  )

  it.live("flushed in the middle, scripts and all: every limit starts anew", () =>
    Effect.gen(function*() {
      const server = yield* own
      const api = yield* join(unique(), server.url, { limit: 1, window: "10 minutes" })
      assert.deepStrictEqual([yield* api.outcome("k"), yield* api.outcome("k")], ["in", "RateLimited"])
      yield* api.redis.send("FLUSHALL")
      yield* api.redis.send("SCRIPT", "FLUSH")
      assert.deepStrictEqual([yield* api.outcome("k"), yield* api.outcome("k")], ["in", "RateLimited"])
      assert.deepStrictEqual(api.logged, [])
    }))

  for (const onStoreError of ["allow", "refuse"] as const) {
    for (const outage of ["slow", "paused", "killed"] as const) {
      it.live(`${outage}: calls are ${onStoreError === "allow" ? "let in" : "refused"} in time, and it heals`, () =>
        Effect.gen(function*() {
          const server = yield* own
          const way = yield* Effect.acquireRelease(
            Effect.promise(() => SlowWay.to(server.url)),
            (way) => Effect.sync(() => way.close())
          )
          const api = yield* join(unique(), way.url, { limit: 1, window: "10 minutes", onStoreError })
          assert.deepStrictEqual([yield* api.outcome("k"), yield* api.outcome("k")], ["in", "RateLimited"])
          if (outage === "slow") way.delay = 3000 // three times as long as a call may wait
          else if (outage === "paused") server.pause()
          else yield* Effect.promise(() => server.kill())
          const during = onStoreError === "allow" ? "in" : "RateLimited"
          const [took, outcomes] = yield* Effect.timed(Effect.all(
            Array.from({ length: 100 }, () => api.outcome("other")),
            { concurrency: "unbounded" }
          ))
          assert.deepStrictEqual(counted(outcomes), { [during]: 100 })
          // Not one after the other, and not for as long as Redis is away.
          assert.isBelow(Duration.toMillis(took), 5000)
          yield* Effect.replicateEffect(api.outcome("other"), 20)
          assert.lengthOf(api.logged, 1)
          assert.match(api.logged[0]!, /^Warn the rate limiter of .* is unavailable/)
          if (outage === "slow") way.delay = 0
          else if (outage === "paused") server.resume()
          else yield* Effect.promise(() => server.start())
          const isBack = Effect.map(api.outcome("probe"), () => /^Info .* is back/.test(api.logged.at(-1)!))
          yield* eventuallyEqual("a line that says that it is back", true, isBack)
          assert.deepStrictEqual(
            [yield* api.outcome("later"), yield* api.outcome("later")],
            ["in", "RateLimited"]
          )
        }))
    }
  }
})
