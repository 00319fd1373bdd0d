import { AdaptiveLimit, type CommandError, Group, type Pool } from "@blackgate/core"
import { Config, type Effect } from "effect"
import { expect, test } from "tstyche"

class Api extends Group.Service<Api>()("api") {}

const pool: Pool.Options = { maxConcurrent: 100 }

test("a group has an adaptive limit, in code or from Config", () => {
  expect(Api.layer).type.toBeCallableWith({ pool, adaptiveLimit: {} })
  expect(Api.layer).type.toBeCallableWith({
    pool,
    adaptiveLimit: { min: 5, tolerance: 2, baseline: { every: "1 hour" } }
  })
  expect(Api.layer).type.toBeCallableWith({ pool, adaptiveLimit: { algorithm: "aimd", target: "1 second" } })
  expect(Api.layerConfig).type.toBeCallableWith({
    pool: { maxConcurrent: Config.Int("CEILING") },
    adaptiveLimit: { algorithm: Config.succeed("aimd" as const), target: Config.Duration("TARGET") }
  })
})

test("each algorithm has options of its own", () => {
  expect(Api.layer).type.not.toBeCallableWith({ pool, adaptiveLimit: { target: "1 second" } })
  expect(Api.layer).type.not.toBeCallableWith({ pool, adaptiveLimit: { algorithm: "aimd" } })
  expect(Api.layer).type.not.toBeCallableWith({
    pool,
    adaptiveLimit: { algorithm: "aimd", target: "1 second", tolerance: 2 }
  })
  expect(Api.layer).type.not.toBeCallableWith({ pool, adaptiveLimit: { algorithm: "vegas" } })
})

test("a group may have no limit to tell of; one that stands alone is one", () => {
  const group: Group.Group = null!
  const limit: AdaptiveLimit.AdaptiveLimit = null!
  expect(AdaptiveLimit.state(group)).type.toBe<Effect.Effect<AdaptiveLimit.State | undefined>>()
  expect(AdaptiveLimit.state(limit)).type.toBe<Effect.Effect<AdaptiveLimit.State>>()
})

test("alone it adds the failures of its pool, and needs nothing", () => {
  const limit: AdaptiveLimit.AdaptiveLimit = null!
  const effect: Effect.Effect<1, "no", "needs"> = null!
  expect(effect.pipe(AdaptiveLimit.withLimit(limit, { key: "k", priority: "high" }))).type.toBe<
    Effect.Effect<1, "no" | CommandError.PoolError, "needs">
  >()
  expect(AdaptiveLimit.withLimit(effect, limit)).type.toBe<Effect.Effect<1, "no" | CommandError.PoolError, "needs">>()
})
