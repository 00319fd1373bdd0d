import type { AdaptiveLimit } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { goodput, mean, p99, phaseOf, play, type Scenario, type Second } from "./simulation.ts"

// 20 servers of 100 milliseconds are 200 calls a second, and 300 come. Then there are 10 servers, then 20 again.
const halves: Scenario = {
  seed: 1,
  rate: 300,
  serviceMillis: 100,
  deadlineMillis: 1000,
  maxQueued: 20,
  phaseSeconds: 30,
  phases: [{ servers: 20 }, { servers: 10 }, { servers: 20 }]
}

// 180 come, which is what 20 servers can do; meanwhile each call takes eight times as long.
const spike: Scenario = {
  ...halves,
  rate: 180,
  phases: [{ servers: 20 }, { servers: 20, slowdown: 8 }, { servers: 20 }]
}

const ceiling = 400
const min = 3

const algorithms: Record<string, AdaptiveLimit.Options> = {
  gradient: { min },
  aimd: { algorithm: "aimd", min, target: 2 * halves.serviceMillis }
}

const limits = [10, 15, 20, 30, 40, 60]

// Seconds in which the limit was not held at the floor for a baseline.
const moving = (seconds: ReadonlyArray<Second>) => seconds.filter(({ limit }) => limit > min)

const seeded = Random.withSeed("a simulation")

describe("26. an upstream whose capacity halves, and is back", () => {
  it.effect(
    "is followed: as much is done as under the best limit of each time, and no call waits for long",
    () =>
      Effect.gen(function*() {
        const fixed = yield* Effect.forEach(limits, (maxConcurrent) => play(halves, { maxConcurrent }))
        const best = halves.phases.map((_, phase) =>
          Math.max(...fixed.map((seconds) => goodput(phaseOf(halves, seconds, phase))))
        )
        for (const [name, adaptiveLimit] of Object.entries(algorithms)) {
          const seconds = yield* play(halves, { maxConcurrent: ceiling, adaptiveLimit })
          halves.phases.forEach(({ servers }, phase) => {
            const inPhase = `${name}, ${servers} servers, phase ${phase}`
            const good = goodput(phaseOf(halves, seconds, phase))
            assert.isAtLeast(good, 0.9 * best[phase]!, `${inPhase}: answers in time, a second`)
            const settled = phaseOf(halves, seconds, phase, 5)
            assert.isAtLeast(moving(settled).length, settled.length - 3, `${inPhase}: seconds without a baseline`)
            for (const { limit } of moving(settled)) {
              assert.isAtLeast(limit, servers, inPhase)
              assert.isAtMost(limit, 2.5 * servers, inPhase)
            }
            // Of which a full line waits for 100 or 200 milliseconds.
            assert.isAtMost(mean(settled), 4.5 * halves.serviceMillis, `${inPhase}: mean latency`)
            assert.isAtMost(p99(settled), 8 * halves.serviceMillis, `${inPhase}: p99`)
          })
        }
      }).pipe(seeded),
    60_000
  )

  it.effect("is lost under a limit that is too large: every call takes all of its time", () =>
    Effect.gen(function*() {
      const seconds = yield* play({ ...halves, phaseSeconds: 10 }, { maxConcurrent: ceiling })
      const last = phaseOf({ ...halves, phaseSeconds: 10 }, seconds, 2)
      assert.strictEqual(goodput(last), 0)
      assert.isAtLeast(mean(last), halves.deadlineMillis)
    }), 60_000)
})

describe("26. it recovers after a spike", () => {
  for (const [name, adaptiveLimit] of Object.entries(algorithms)) {
    it.effect(
      `${name}: the limit goes to the floor, and ten seconds after the spike all calls are answered`,
      () =>
        Effect.gen(function*() {
          const seconds = yield* play(spike, { maxConcurrent: ceiling, adaptiveLimit })
          assert.strictEqual(phaseOf(spike, seconds, 1).at(-1)!.limit, min)
          const after = phaseOf(spike, seconds, 2, 10)
          assert.isAtLeast(goodput(after), 0.98 * spike.rate)
          assert.isAtMost(p99(after), 3 * spike.serviceMillis)
          for (const { limit } of moving(after)) assert.isAtLeast(limit, 20)
        }).pipe(seeded),
      60_000
    )
  }

  it.effect("a limit that is too large does not, although it did as well before", () =>
    Effect.gen(function*() {
      const seconds = yield* play(spike, { maxConcurrent: ceiling })
      assert.isAtLeast(goodput(phaseOf(spike, seconds, 0)), 0.98 * spike.rate)
      assert.strictEqual(goodput(phaseOf(spike, seconds, 2)), 0)
    }), 60_000)
})
