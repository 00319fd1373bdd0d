import type { GroupEvents } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Readers } from "../../packages/gateway/src/internal/workers/Readers.ts"

const event = (at: number): GroupEvents.Event => ({ _tag: "HedgeStarted", group: "a", at, key: "k" })

describe("Readers", () => {
  it.effect("workers are told when there is somebody to tell, and when there is nobody any more", () =>
    Effect.gen(function*() {
      const told: Array<boolean> = []
      const readers = new Readers((on) => Effect.sync(() => void told.push(on)))
      const read = Effect.forkChild(Stream.runDrain(readers.stream), { startImmediately: true })
      const first = yield* read
      const second = yield* read
      assert.deepStrictEqual(told, [true])
      yield* Fiber.interrupt(first)
      assert.isTrue(readers.areThere)
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(told, [true, false])
    }))

  it.effect("each has what happens from when it comes, in order", () =>
    Effect.gen(function*() {
      const readers = new Readers(() => Effect.void)
      readers.happened([event(0)])
      const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(readers.stream, 3)), {
        startImmediately: true
      })
      readers.happened([event(1), event(2)])
      readers.happened([event(3)])
      assert.deepStrictEqual(yield* Fiber.join(fiber), [event(1), event(2), event(3)])
    }))

  it.effect("one that is slow finds how much it has lost", () =>
    Effect.gen(function*() {
      const readers = new Readers(() => Effect.void)
      const fiber = yield* Effect.forkChild(
        Stream.runCollect(readers.stream.pipe(Stream.takeUntil(({ _tag }) => _tag === "Lost"))),
        { startImmediately: true }
      )
      for (let i = 0; i < 1000; i++) readers.happened([event(i)])
      yield* Effect.yieldNow
      yield* Effect.repeat(Effect.sync(() => readers.happened([event(1000)])), { times: 1 })
      const seen = yield* Fiber.join(fiber)
      const lost = seen.at(-1)!
      assert.strictEqual(lost._tag === "Lost" && lost.count + seen.length - 1, 1000)
    }))
})
