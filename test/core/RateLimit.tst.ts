import { Command, type CommandError, Group, RateLimit } from "@blackgate/core"
import { Config, Effect } from "effect"
import { expect, test } from "tstyche"

class Api extends Group.Service<Api>()("api") {}

const window = "1 second"

test("a group has a limit, in code or from Config", () => {
  expect(Api.layer).type.toBeCallableWith({ pool: { maxConcurrent: 1 }, rateLimit: { limit: 10, window } })
  expect(Api.layer).type.not.toBeCallableWith({ pool: { maxConcurrent: 1 }, rateLimit: { limit: 10 } })
  expect(Api.layer).type.not.toBeCallableWith({
    pool: { maxConcurrent: 1 },
    rateLimit: { limit: 10, window, algorithm: "leaky-bucket" }
  })
  expect(Api.layerConfig).type.toBeCallableWith({
    pool: { maxConcurrent: Config.succeed(1) },
    rateLimit: { limit: Config.Int("LIMIT"), window: Config.Duration("WINDOW") }
  })
})

test("a command makes the key of its own arguments", () => {
  const get = Command.make("get", (tenant: string, page: number) => Effect.succeed(`${tenant} ${page}`), {
    group: Api,
    rateLimit: {
      key: (tenant, page) => {
        expect(tenant).type.toBe<string>()
        expect(page).type.toBe<number>()
        return tenant
      },
      tokens: 2
    }
  })
  expect(get).type.toBe<Command.Command<[tenant: string, page: number], string, CommandError.GroupError, Api>>()
})

test("a refusal is one of the failures, by its tag", () => {
  const caught = Effect.succeed(1).pipe(
    Command.within(Api, { key: "k" }),
    Effect.catchTag("RateLimited", ({ limit, limitKey }) => Effect.succeed([limit, limitKey] as const))
  )
  expect(caught).type.toBe<
    Effect.Effect<
      number | readonly [number, string | undefined],
      CommandError.PoolError | CommandError.CircuitOpen,
      Api
    >
  >()
})

test("alone it adds RateLimited, and needs nothing", () => {
  const limit: RateLimit.RateLimit = null!
  const effect: Effect.Effect<1, "no", "needs"> = null!
  expect(effect.pipe(RateLimit.withLimit(limit, { key: "k" }))).type.toBe<
    Effect.Effect<1, "no" | CommandError.RateLimited, "needs">
  >()
  expect(RateLimit.withLimit(effect, limit)).type.toBe<Effect.Effect<1, "no" | CommandError.RateLimited, "needs">>()
})
