import { AdaptiveLimit, Command, Group } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

describe("smoke", () => {
  it.effect("works", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 100 }, adaptiveLimit: {} })
      yield* Effect.replicateEffect(Effect.void.pipe(Command.within(group, { key: "k" })), 50)
      console.log(yield* AdaptiveLimit.state(group))
      for (const adaptiveLimit of [{ min: 101 }, { algorithm: "aimd" }, { target: 1 }, { min: 5, initial: 4 }, { quantile: 0 }, { baseline: { jitter: 2 } }, { tolerance: Infinity }, { what: 1 }, { initial: 200 }]) {
        console.log((yield* Effect.flip(Group.make("g", { pool: { maxConcurrent: 100 }, adaptiveLimit } as never))).message)
      }
      console.log((yield* Effect.flip(Group.make("g", { pool: { maxConcurrent: Infinity }, adaptiveLimit: {} }))).message)
      console.log((yield* Effect.flip(AdaptiveLimit.make("g", { maxConcurrent: 2 }, { initial: 7 }))).message)
    }))
})
