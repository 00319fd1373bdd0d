import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { type Timed, Timers } from "../../packages/core/src/internal/Timers.ts"

class Entry implements Timed {
  index = -1
  order = 0
  readonly at: number
  private readonly elapsed: () => void
  constructor(at: number, elapsed: () => void) {
    this.at = at
    this.elapsed = elapsed
  }
  elapse() {
    this.elapsed()
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ step: fc.constant("add" as const), in: fc.integer({ min: 0, max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant("remove" as const), which: fc.nat(40) }) },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant("advance" as const), millis: fc.integer({ min: 1, max: 15 }) })
  }
)

it(
  "what is due elapses at its instant, the earliest first, and of two at one instant the one added first",
  () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), (steps) =>
        Effect.gen(function*() {
          const timers = yield* Timers.make
          const elapsed: Array<string> = []
          const expected: Array<string> = []
          let pending: Array<{ readonly id: number; readonly entry: Entry }> = []
          let ids = 0
          for (const step of steps) {
            if (step.step === "add") {
              const id = ids++
              const entry = new Entry(timers.now() + step.in, () => elapsed.push(`${id} at ${timers.now()}`))
              timers.add(entry)
              pending.push({ id, entry })
            } else if (step.step === "remove") {
              const [removed] = pending.splice(step.which % Math.max(1, pending.length), 1)
              if (removed !== undefined) timers.remove(removed.entry)
            } else {
              const [start, end] = [timers.now(), timers.now() + step.millis]
              const due = pending.filter(({ entry }) => entry.at <= end).toSorted((a, b) =>
                a.entry.at - b.entry.at || a.id - b.id
              )
              pending = pending.filter(({ entry }) => entry.at > end)
              // What was due when it was added elapses at the next instant.
              for (const { entry, id } of due) expected.push(`${id} at ${Math.max(entry.at, start + 1)}`)
              yield* TestClock.adjust(step.millis)
            }
            assert.deepStrictEqual(elapsed, expected)
            assert.strictEqual(timers.size, pending.length)
          }
        }).pipe(Effect.scoped, Effect.provide(TestClock.layer()), Effect.runPromise)),
      { numRuns: 200 }
    ),
  60_000
)

it.effect("one that throws keeps no other from elapsing, those of its own instant included", () =>
  Effect.gen(function*() {
    const timers = yield* Timers.make
    const elapsed: Array<string> = []
    timers.add(
      new Entry(timers.now() + 10, () => {
        throw new Error("a bug")
      })
    )
    timers.add(new Entry(timers.now() + 10, () => elapsed.push("same")))
    timers.add(new Entry(timers.now() + 30, () => elapsed.push("later")))
    yield* TestClock.adjust(20)
    assert.deepStrictEqual(elapsed, ["same"])
    timers.add(new Entry(timers.now() + 5, () => elapsed.push("added")))
    yield* TestClock.adjust(20)
    assert.deepStrictEqual(elapsed, ["same", "added", "later"])
  }))
