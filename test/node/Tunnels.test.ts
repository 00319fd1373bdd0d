import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Tunnels } from "../../packages/node/src/internal/Tunnels.ts"

describe("26. tunnels of a layer that closes", () => {
  it.effect("have the drain time to end by themselves, and those that are left are cut then", () =>
    Effect.gen(function*() {
      const tunnels = new Tunnels()
      const cut: Array<string> = []
      const [one, two] = ["one", "two"].map((name) => ({ cut: () => cut.push(name) }))
      tunnels.add(one!)
      tunnels.add(two!)
      const fiber = yield* Effect.forkChild(tunnels.close("5 seconds"), { startImmediately: true })
      tunnels.delete(one!)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(cut, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(cut, ["two"])
    }))

  it.effect("are not waited for any longer than they last", () =>
    Effect.gen(function*() {
      const tunnels = new Tunnels()
      const one = { cut: () => assert.fail("it has ended") }
      tunnels.add(one)
      const fiber = yield* Effect.forkChild(tunnels.close("1 hour"), { startImmediately: true })
      tunnels.delete(one)
      yield* Fiber.join(fiber)
      yield* tunnels.close("1 hour")
    }))
})
