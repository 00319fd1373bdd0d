// A process of its own: takes as many tokens as it can, and says what became of each call. `URL GROUP ALGORITHM CALLS`
import { Command, Group } from "@blackgate/core"
import { NodeRedis } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"

const [url, name, algorithm, calls] = process.argv.slice(2)

const RedisLive = RateLimiter.layer.pipe(
  Layer.provide(RateLimiter.layerStoreRedis()),
  Layer.provide(NodeRedis.layer({ url: url! }))
)

const program = Effect.gen(function*() {
  const group = yield* Group.make(name!, {
    pool: { maxConcurrent: 1000 },
    rateLimit: {
      limit: 25,
      window: "10 minutes",
      algorithm: algorithm as "token-bucket" | "fixed-window",
      storeTimeout: "5 seconds"
    }
  })
  const call = Command.make("call", (tenant: string) => Effect.succeed(`in, for ${tenant}`), {
    group,
    rateLimit: { key: (tenant) => tenant },
    fallback: (failure) => Effect.succeed(failure._tag)
  })
  const outcomes = yield* Effect.replicateEffect(call("tenant"), Number(calls), { concurrency: "unbounded" })
  yield* Console.log(JSON.stringify({ outcomes, another: yield* call(`${process.pid}`) }))
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, RedisLive)))
