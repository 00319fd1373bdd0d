import { type Group, TestOutcomes } from "@blackgate/core"
import { assert } from "@effect/vitest"
import { Deferred, Effect, type Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ending } from "../../packages/core/src/internal/ending.ts"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"

export { ending }

/** What has become of a fiber by now: "running", or how it ended. */
export const state = (fiber: Fiber.Fiber<unknown, unknown>): string => {
  const exit = fiber.pollUnsafe()
  return exit === undefined ? "running" : ending(exit)
}

/** Work that runs until it is told to end, and knows how many of it run. */
export class Work {
  started = 0
  active = 0
  /** The most that ran at one instant. */
  most = 0
  private readonly gate = Deferred.makeUnsafe<void>()

  /** Runs until `finish`. */
  readonly run: Effect.Effect<void> = this.around(Deferred.await(this.gate))

  /** Ends all of it that runs, and whatever runs from now on at once. */
  readonly finish: Effect.Effect<boolean> = Deferred.succeed(this.gate, undefined)

  /** Counts an effect as work, from its start until its finalizers have run. */
  around<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.started++
      this.most = Math.max(this.most, ++this.active)
      return Effect.onExit(effect, () =>
        Effect.sync(() => {
          this.active--
        }))
    })
  }
}

/** Passes once and for all TestClock's first sleep, which would be cut short in a finalizer of what was interrupted. */
export const afterFirstSleep = TestClock.adjust(1)

/** Nothing is left of any call: no permit, no waiter, no deadline. */
export const idle = Effect.fnUntraced(function*(group: Group.Group) {
  yield* TestOutcomes.expectIdle(group)
  assert.strictEqual((group as GroupState).timers.size, 0)
})
