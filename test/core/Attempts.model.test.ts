import { CircuitStore, Command, Group, Pool } from "@blackgate/core"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import { state, Work } from "./calls.ts"

// Random calls, with retries and hedges, whose attempts end at random: whatever happens, and when, nothing is left of it.

const times = (most: number) => fc.integer({ min: 1, max: most })
const maybe = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })

const ends: { readonly [how: string]: Effect.Effect<string, string> } = {
  succeed: Effect.succeed("good"),
  fail: Effect.fail("bad"),
  die: Effect.die("bug"),
  hang: Effect.never,
  interrupt: Effect.interrupt,
  linger: Effect.uninterruptible(Effect.as(Effect.sleep(25), "late"))
}

const attempt = fc.record({
  millis: fc.nat(30),
  how: fc.constantFrom(...Object.keys(ends)),
  cleanup: fc.oneof(fc.constant(0), times(5))
})

const call = fc.record({
  at: fc.nat(100),
  attempts: fc.array(attempt, { minLength: 1, maxLength: 4 }),
  interruptAfter: maybe(fc.nat(150)),
  timeout: maybe(times(100)),
  attemptTimeout: maybe(times(40)),
  retries: fc.nat(4),
  hedgeAfter: maybe(times(20)),
  detach: fc.boolean(),
  // Which function of the user's has a bug, and from which time on that it is called.
  throws: maybe(
    fc.record({
      what: fc.constantFrom(
        "circuit.key",
        "isFailure",
        "while",
        "retryAfter",
        "rateLimit.key",
        "coalesce.key",
        "stale.key"
      ),
      from: fc.nat(2)
    })
  ),
  chance: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
})

const scenario = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 12 }),
  maxConcurrent: times(4),
  maxQueued: fc.nat(4),
  circuit: maybe(times(5)),
  rateLimit: maybe(times(8)),
  // Its tickets throw now and then, if it is the user's.
  store: fc.constantFrom("memory", "buggy"),
  coalesce: fc.boolean()
})

let told = 0
const buggy = CircuitStore.CircuitStore.of({
  circuits: () =>
    Effect.succeed({
      admit: () => ({
        _tag: "Ticket" as const,
        settle: () => {
          if (++told % 3 === 0) throw new Error("a bug of the store")
        }
      }),
      state: () => Effect.succeed("closed" as const),
      force: () => Effect.void,
      open: Effect.succeed([]),
      known: () => ({ circuits: [], omitted: 0, shared: false }),
      transitions: Stream.empty
    })
})

type Value<A> = A extends fc.Arbitrary<infer T> ? T : never

const play = ({ calls, circuit, coalesce, maxConcurrent, maxQueued, rateLimit, store }: Value<typeof scenario>) =>
  Effect.gen(function*() {
    const make = Group.make("g", {
      pool: { maxConcurrent, maxQueued, queueTimeout: 50 },
      circuit: circuit === undefined ? undefined : { consecutive: circuit, openFor: 20 },
      rateLimit: rateLimit === undefined ? undefined : { limit: rateLimit, window: 20 }
    })
    const group = yield* store === "memory"
      ? make
      : Effect.provideService(make, CircuitStore.CircuitStore, buggy)
    const work = new Work()
    const start = Effect.fnUntraced(function*(call: Value<typeof scenario>["calls"][number]) {
      let started = 0
      let asked = 0
      const or = <A>(what: string, answer: A) => () => {
        if (call.throws?.what === what && asked++ >= call.throws.from) throw new Error(`a bug of ${what}`)
        return answer
      }
      const run = Effect.suspend(() => {
        const { cleanup, how, millis } = call.attempts[started++ % call.attempts.length]!
        const end = millis === 0 ? ends[how]! : Effect.andThen(Effect.sleep(millis), ends[how]!)
        return work.around(cleanup === 0 ? end : Effect.onExit(end, () => Effect.sleep(cleanup)))
      })
      const command = Command.make("k", () => run, {
        group,
        detach: call.detach,
        timeout: call.timeout ?? "10 seconds",
        attemptTimeout: call.attemptTimeout ?? "5 seconds",
        retry: {
          times: call.retries,
          base: 10,
          waitFor: ["CircuitOpen", "PoolFull", "RateLimited"],
          while: or("while", true),
          retryAfter: or("retryAfter", undefined)
        },
        circuit: { key: or("circuit.key", "k"), isFailure: or("isFailure", true) },
        rateLimit: { key: or("rateLimit.key", "k") },
        stale: { key: or("stale.key", "k"), maxAge: "1 second" },
        hedge: call.hedgeAfter === undefined ? undefined : { after: call.hedgeAfter, max: 2 },
        coalesce: coalesce ? { key: or("coalesce.key", "one") } : undefined
      })
      yield* Effect.sleep(call.at)
      const fiber = yield* command().pipe(
        Effect.provideService(Random.Random, { nextDoubleUnsafe: () => call.chance, nextIntUnsafe: () => 0 }),
        Command.queue
      )
      if (call.interruptAfter === undefined) return yield* Fiber.await(fiber)
      yield* Effect.sleep(call.interruptAfter)
      yield* Fiber.interrupt(fiber)
      return yield* Fiber.await(fiber)
    })
    const all = yield* Command.queue(Effect.forEach(calls, start, { concurrency: "unbounded" }))
    for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
    assert.strictEqual(state(all), "Success")
    assert.strictEqual(work.active, 0)
    assert.isAtMost(work.most, maxConcurrent)
    assert.deepInclude(yield* Pool.statistics(group.pool), { active: 0, queued: 0, overdue: 0 })
    assert.strictEqual((group as GroupState).timers.size, 0)
  })

it("7. no permit leaks, whatever fails, hangs, lingers, throws or is interrupted, and when", () =>
  fc.assert(
    fc.asyncProperty(scenario, (scenario) =>
      Effect.runPromise(play(scenario).pipe(Effect.scoped, Effect.provide([TestClock.layer(), Logger.layer([])])))),
    { numRuns: 200 }
  ), 60_000)
