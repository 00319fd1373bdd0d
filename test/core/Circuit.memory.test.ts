import { Effect, Logger, type Scope } from "effect"
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "vitest"
import type { CircuitStore } from "../../packages/core/src/index.ts"
import { memory } from "../../packages/core/src/internal/memoryCircuits.ts"

// Apart from the other tests of circuits, and from each other: they take a second each, without a pause.

const settings: CircuitStore.Settings = {
  consecutive: 1,
  failureRate: Infinity,
  slowCallRate: Infinity,
  window: { calls: 100 },
  minimumCalls: 10,
  openFor: 60_000,
  probes: 1,
  probeLease: 30_000,
  maxKeys: 100_000
}

interface Kept extends CircuitStore.Circuits {
  readonly circuits: ReadonlyMap<string, unknown>
  readonly line: { readonly length: number }
}

const withCircuits = (more: Partial<CircuitStore.Settings>, use: (circuits: Kept) => Effect.Effect<void>) => {
  const program: Effect.Effect<void, never, Scope.Scope> = Effect.flatMap(
    memory.circuits("g", { ...settings, ...more }),
    (circuits) => use(circuits as Kept)
  )
  return Effect.runPromise(Effect.provide(Effect.scoped(program), Logger.layer([])))
}

/** Asks, and tells how it ended; or answers that it was turned away. */
const call = (circuits: Kept, key: string, outcome: CircuitStore.Outcome): boolean => {
  const said = circuits.admit(key) as CircuitStore.Ticket | CircuitStore.Refusal
  if (said._tag === "Refusal") return false
  said.settle(outcome, false)
  return true
}

describe("in memory", { concurrent: false, timeout: 60_000 }, () => {
  it("18. a million keys from user input: maxKeys are kept, an open circuit and one in use among them", () =>
    withCircuits({ maxKeys: 1000, consecutive: 2 }, (circuits) =>
      Effect.gen(function*() {
        yield* Effect.orDie(circuits.force("held", "closed"))
        for (let i = 0; i < 100; i++) {
          call(circuits, `down ${i}`, "failure")
          call(circuits, `down ${i}`, "failure")
        }
        call(circuits, "busy", "failure")
        for (let i = 0; i < 1_000_000; i++) {
          call(circuits, `user ${i}`, i % 3 === 0 ? "failure" : "success")
          if (i % 500 === 0) call(circuits, "busy", "ignored")
        }
        assert.strictEqual(circuits.circuits.size, 1000)
        assert.strictEqual(circuits.line.length, 1000)
        const open = yield* circuits.open
        assert.strictEqual(open.length, 101)
        for (let i = 0; i < 100; i++) assert.isFalse(call(circuits, `down ${i}`, "success"))
        // The second failure in a row of the one that was in use all the time.
        call(circuits, "busy", "failure")
        assert.isFalse(call(circuits, "busy", "success"))
      })))

  it("18. 100,000 keys are kept by a bound of 100,000, and no key more", () =>
    withCircuits({}, (circuits) =>
      Effect.sync(() => {
        for (let i = 0; i < 150_000; i++) call(circuits, `user ${i}`, "success")
        assert.strictEqual(circuits.circuits.size, 100_000)
        assert.isFalse(circuits.circuits.has("user 49999"))
        assert.isTrue(circuits.circuits.has("user 50000"))
      })))

  // What docs/circuit.md says of the size of a circuit: its key is 35 to 40 bytes here.
  for (
    const [reason, more, most] of [
      ["failures in a row", {}, 240],
      ["a rate over 100 calls", { consecutive: Infinity, failureRate: 1 }, 440],
      ["a rate over a time", { consecutive: Infinity, failureRate: 1, window: { millis: 60_000 } }, 690]
    ] as const
  ) {
    it(`100,000 circuits take ${most} bytes each at the most, their keys included: ${reason}`, () =>
      withCircuits(more, (circuits) =>
        Effect.sync(() => {
          setFlagsFromString("--expose-gc")
          const gc = runInNewContext("gc") as () => void
          gc()
          const before = getHeapStatistics().used_heap_size
          for (let i = 0; i < 100_000; i++) call(circuits, `tenant-${i}@example.com`, "success")
          gc()
          const bytes = (getHeapStatistics().used_heap_size - before) / 100_000
          assert.strictEqual(circuits.circuits.size, 100_000)
          assert.isBelow(bytes, most)
        })))
  }
})
