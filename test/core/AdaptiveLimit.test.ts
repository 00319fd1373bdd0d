import { AdaptiveLimit, Command, CommandMetrics, Group, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Metric, Random } from "effect"
import { TestClock } from "effect/testing"
import { ending, state, Work } from "./calls.ts"

const make = (adaptiveLimit: AdaptiveLimit.Options, pool: Pool.Options = { maxConcurrent: 100, maxQueued: 100 }) =>
  Group.make("g", { pool, adaptiveLimit })

/** Moves at the end of every call that counts: from 2 to 3 for a quick one, to 1 for a slow one. */
const jumpy: AdaptiveLimit.Options = {
  algorithm: "aimd",
  target: 100,
  min: 1,
  initial: 2,
  window: 1,
  minimumCalls: 1,
  backoff: 0.5
}

const known = (group: Group.Group) => Effect.map(AdaptiveLimit.state(group), (state) => state!)
const limitOf = (group: Group.Group) => Effect.map(Pool.statistics(group.pool), ({ maxConcurrent }) => maxConcurrent)

/** So many calls at once, that take so long. */
const calls = Effect.fnUntraced(function*(group: Group.Group, many: number, millis: number) {
  const call = Effect.sleep(millis).pipe(Command.within(group, { key: "k" }))
  const fibers = yield* Effect.replicateEffect(Command.queue(call), many)
  yield* TestClock.adjust(millis)
  return fibers.map(state)
})

describe("26. the adaptive limit drives the pool:", () => {
  it.effect("what is in force is the pool's maxConcurrent, in its statistics and on the gauge", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("on the gauge", {
        pool: { maxConcurrent: 100 },
        adaptiveLimit: { algorithm: "aimd", target: 100, initial: 10, window: 1, minimumCalls: 1, quantile: 1 }
      })
      const gauge = Effect.map(
        Metric.value(Metric.withAttributes(CommandMetrics.poolMaxConcurrent, { group: "on the gauge" })),
        ({ value }) => value
      )
      const seen: Array<unknown> = []
      const look = Effect.gen(function*() {
        seen.push([(yield* known(group)).limit, yield* limitOf(group), yield* gauge])
      })
      yield* look
      yield* calls(group, 10, 50)
      yield* look
      yield* calls(group, 1, 101)
      yield* look
      assert.deepStrictEqual(seen, [[10, 10, 10], [11, 11, 11], [9, 9, 9]])
    }))

  it.effect("growing lets waiters in at once, before the permit of the call that made it grow is back", () =>
    Effect.gen(function*() {
      const group = yield* make(jumpy)
      const work = new Work()
      let answer = () => {}
      const stream = Command.callback("stream", (call: Command.Completion<void>) => {
        answer = () => call.answer()
      }, { group })
      yield* Command.queue(stream())
      yield* Effect.replicateEffect(Command.queue(Command.within(work.run, group, { key: "long" })), 3)
      assert.strictEqual(work.active, 1)
      yield* TestClock.adjust(50)
      answer() // the stream goes on, and holds its permit
      assert.deepInclude(yield* Pool.statistics(group.pool), { maxConcurrent: 3, active: 3, queued: 1 })
      assert.strictEqual(work.active, 2)
    }))

  it.effect("shrinking cancels nobody, and lets nobody in until enough have ended", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, initial: 4 })
      const work = new Work()
      const running = yield* Effect.replicateEffect(Command.queue(Command.within(work.run, group, { key: "long" })), 3)
      yield* calls(group, 1, 150)
      assert.deepInclude(yield* Pool.statistics(group.pool), { maxConcurrent: 2, active: 3 })
      const late = yield* Command.queue(Effect.void.pipe(Command.within(group, { key: "late" })))
      yield* Fiber.interrupt(running[0]!)
      assert.strictEqual(state(late), "running")
      yield* Fiber.interrupt(running[1]!)
      assert.deepStrictEqual([state(late), state(running[2]!)], ["Success", "running"])
    }))

  it.effect("the wait for a permit is not measured", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, initial: 1 })
      yield* calls(group, 1, 90)
      assert.strictEqual(yield* limitOf(group), 2)
      const fresh = yield* make({ ...jumpy, initial: 1 }, { maxConcurrent: 1, maxQueued: 10 })
      yield* calls(fresh, 5, 90)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(yield* Effect.map(known(fresh), ({ latency }) => latency), Duration.millis(90))
    }))

  it.effect("permits that are taken without a command are seen as use, and not measured", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, initial: 10 })
      yield* Effect.replicateEffect(Command.queue(Effect.sleep(500).pipe(Pool.withPermit(group))), 5)
      yield* TestClock.adjust(1)
      yield* calls(group, 1, 50)
      assert.strictEqual(yield* limitOf(group), 11)
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* limitOf(group), 11)
    }))
})

describe("26. what is measured:", () => {
  // Whether the limit has grown, fallen or stayed, after one call.
  const after = Effect.fnUntraced(function*(call: (group: Group.Group) => Effect.Effect<unknown>, options = jumpy) {
    const group = yield* make(options)
    yield* call(group)
    return Math.sign((yield* limitOf(group)) - 2)
  })
  const within = <A, E>(effect: Effect.Effect<A, E>, options: Command.Policies = {}) => (group: Group.Group) =>
    Effect.gen(function*() {
      yield* Command.queue(effect.pipe(Command.within(group, { key: "k", ...options })))
      yield* TestClock.adjust(50)
    })

  it.effect("a success counts, by its time", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(within(Effect.sleep(50))), 1)
      assert.strictEqual(yield* after(within(Effect.sleep(50)), { ...jumpy, target: 49 }), -1)
    }))

  it.effect("a failure or a defect counts as nothing, however quick", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(within(Effect.andThen(Effect.sleep(10), Effect.fail("no")))), 0)
      assert.strictEqual(yield* after(within(Effect.andThen(Effect.sleep(10), Effect.die("bug")))), 0)
    }))

  it.effect("an attempt's timeout counts as slow, although it came before the target", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(within(Effect.never, { attemptTimeout: 20 })), -1)
    }))

  it.effect("so does a deadline that passes while the effect runs", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(within(Effect.never, { timeout: 20 })), -1)
    }))

  for (const detach of [false, true]) {
    it.effect(`and does so when it passes, once, where the effect can't be interrupted${detach ? ", detached" : ""}`, () =>
      Effect.gen(function*() {
        const group = yield* make(jumpy)
        const work = new Work()
        const call = Effect.uninterruptible(work.run).pipe(Command.within(group, { key: "k", timeout: 20, detach }))
        yield* Command.queue(call)
        yield* TestClock.adjust(20)
        assert.strictEqual((yield* known(group)).estimate, 1)
        yield* TestClock.adjust(20)
        yield* work.finish
        yield* TestClock.adjust(1)
        assert.deepInclude(yield* known(group), { estimate: 1, latency: Duration.infinity })
      }))
  }

  it.effect("a deadline that was spent in the queue counts as nothing", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, initial: 1 }, { maxConcurrent: 1, maxQueued: 10 })
      yield* Command.queue(Effect.fail("no").pipe(Effect.delay(60), Command.within(group, { key: "first" })))
      const waiting = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k", timeout: 50 })))
      const late = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k", timeout: 100 })))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([state(waiting), state(late)], ["CommandTimeout", "CommandTimeout"])
      assert.isUndefined((yield* known(group)).latency)
    }))

  it.effect("but does when the effect ran for longer than what is slow", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, target: 30, initial: 1 }, { maxConcurrent: 1, maxQueued: 10 })
      yield* Command.queue(Effect.fail("no").pipe(Effect.delay(60), Command.within(group, { key: "first" })))
      yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k", timeout: 100 })))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual((yield* known(group)).latency, Duration.infinity)
    }))

  for (const detach of [false, true]) {
    it.effect(`an interruption from outside counts as nothing${detach ? ", detached" : ""}`, () =>
      Effect.gen(function*() {
        const group = yield* make(jumpy)
        const interrupted = Effect.fnUntraced(function*(run: Effect.Effect<unknown>) {
          const fiber = yield* Command.queue(run.pipe(Command.within(group, { key: "k", detach })))
          yield* TestClock.adjust(20)
          fiber.interruptUnsafe()
          yield* TestClock.adjust(200)
        })
        yield* interrupted(Effect.never)
        yield* interrupted(Effect.uninterruptible(Effect.sleep(50)))
        assert.deepInclude(yield* known(group), { estimate: 2, latency: undefined })
      }))
  }

  it.effect("a refusal counts as nothing: of the pool, of the circuit", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", {
        pool: { maxConcurrent: 100 },
        adaptiveLimit: { ...jumpy, initial: 1 },
        circuit: { consecutive: 1 }
      })
      const failing = yield* Command.queue(
        Effect.fail("no").pipe(Effect.delay(20), Command.within(group, { key: "k" }))
      )
      const call = Effect.exit(Effect.void.pipe(Command.within(group, { key: "k" })))
      const full = ending(yield* call)
      yield* TestClock.adjust(20)
      assert.deepStrictEqual([full, state(failing), ending(yield* call)], ["PoolFull", "no", "CircuitOpen"])
      assert.isUndefined((yield* known(group)).latency)
    }))

  it.effect("an answer counts at its head, and its body does not", () =>
    Effect.gen(function*() {
      const group = yield* make(jumpy)
      let call: Command.Completion<void> | undefined
      const stream = Command.callback("k", (completion: Command.Completion<void>) => {
        call = completion
      }, { group })
      yield* Command.queue(stream())
      yield* TestClock.adjust(20)
      call!.answer()
      assert.deepInclude(yield* known(group), { estimate: 3, latency: Duration.millis(20) })
      yield* TestClock.adjust(1000)
      call!.end(Exit.void)
      assert.deepInclude(yield* known(group), { estimate: 3, latency: Duration.millis(20) })
    }))

  it.effect("the attempts of a hedge count by themselves: the winner's time, not the loser's; the deadline, for both", () =>
    Effect.gen(function*() {
      const attempts = Effect.fnUntraced(function*(run: Effect.Effect<void>) {
        const group = yield* make({ ...jumpy, initial: 8, window: 50, minimumCalls: 2 })
        yield* Command.queue(run.pipe(Command.within(group, { key: "k", timeout: 100, hedge: { after: 10 } })))
        yield* TestClock.adjust(100)
        return (yield* known(group)).latency
      })
      let first = true
      const winner = Effect.suspend(() => {
        if (!first) return Effect.sleep(50)
        first = false
        return Effect.never
      })
      assert.isUndefined(yield* attempts(winner)) // of two, one was measured
      assert.deepStrictEqual(yield* attempts(Effect.never), Duration.infinity)
    }))

  it.effect("each attempt counts by itself", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, initial: 1 })
      let attempts = 0
      const call = Effect.suspend(() => {
        attempts++
        return attempts === 1 ? Effect.never : Effect.sleep(30)
      }).pipe(Command.within(group, { key: "k", attemptTimeout: 40, retry: { base: 1 } }))
      const fiber = yield* Command.queue(call)
      yield* TestClock.adjust(40)
      assert.deepStrictEqual((yield* known(group)).latency, Duration.infinity)
      yield* TestClock.adjust(40)
      assert.strictEqual(state(fiber), "Success")
      assert.deepStrictEqual((yield* known(group)).latency, Duration.millis(30))
    }))
})

describe("26. the baseline:", () => {
  const quick = { window: 10, minimumCalls: 2, baseline: { calls: 4, every: "10 seconds", jitter: 0 } } as const

  it.effect("is measured with the limit at the floor, and the limit is back at once", () =>
    Effect.gen(function*() {
      const group = yield* make(quick)
      assert.deepInclude(yield* known(group), { limit: 3, estimate: 20, measuring: true, baseline: undefined })
      const work = new Work()
      const call = work.around(Effect.sleep(40)).pipe(Command.within(group, { key: "k" }))
      yield* Effect.replicateEffect(Command.queue(call), 30)
      assert.strictEqual(work.active, 3)
      yield* TestClock.adjust(40)
      assert.deepInclude(yield* known(group), { limit: 3, measuring: true })
      yield* TestClock.adjust(40)
      assert.strictEqual(work.active, 20)
      assert.deepInclude(yield* known(group), { limit: 20, measuring: false, baseline: Duration.millis(40) })
    }))

  it.effect("is measured again after a tenth of the time, and then every so often", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...quick, smoothing: 1e-9 })
      const measured: Array<number> = []
      let was = false
      for (let second = 0; second < 40; second++) {
        for (let i = 0; i < 10; i++) {
          const { measuring } = yield* known(group)
          if (measuring && !was) measured.push(second)
          was = measuring
          yield* calls(group, 4, 20)
          yield* TestClock.adjust(80)
        }
      }
      assert.deepStrictEqual(measured, [0, 1, 11, 21, 31])
    }))

  it.effect("jitter puts it off by a random share, from Random", () =>
    Effect.gen(function*() {
      const measuredAt = Effect.gen(function*() {
        const group = yield* make({ ...quick, baseline: { ...quick.baseline, jitter: 1 } })
        let at = 0
        yield* calls(group, 4, 20)
        yield* calls(group, 4, 20)
        while (!(yield* known(group)).measuring) {
          yield* calls(group, 2, 20)
          at += 20
        }
        return at
      })
      const seeded = (seed: string) => Random.withSeed(measuredAt, seed)
      const [a, again, b] = [yield* seeded("a"), yield* seeded("a"), yield* seeded("b")]
      assert.strictEqual(a, again)
      assert.notStrictEqual(a, b)
      for (const at of [a, b]) {
        assert.isAtLeast(at, 960)
        assert.isAtMost(at, 2020)
      }
    }))

  it.effect("is given up where all calls fail: the limit is back, and neither grows nor falls", () =>
    Effect.gen(function*() {
      const group = yield* make(quick)
      const failing = Effect.fail("no").pipe(Effect.delay(1), Command.within(group, { key: "k" }))
      for (let i = 0; i < 16; i++) {
        assert.strictEqual((yield* known(group)).measuring, true)
        yield* Command.queue(failing)
        yield* TestClock.adjust(1)
      }
      assert.deepInclude(yield* known(group), { limit: 20, measuring: false, baseline: undefined })
      yield* calls(group, 20, 20)
      yield* calls(group, 20, 20)
      assert.deepInclude(yield* known(group), { limit: 20, baseline: undefined, latency: Duration.millis(20) })
    }))

  it.effect("is not given up for calls that were interrupted", () =>
    Effect.gen(function*() {
      const group = yield* make(quick)
      for (let i = 0; i < 100; i++) {
        const fiber = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k" })))
        yield* TestClock.adjust(1)
        yield* Fiber.interrupt(fiber)
      }
      assert.isTrue((yield* known(group)).measuring)
    }))

  it.effect("is measured again where the limit stays at the floor, so that a slower dependency is not held there", () =>
    Effect.gen(function*() {
      const group = yield* make(quick)
      yield* calls(group, 3, 20)
      yield* calls(group, 3, 20)
      assert.deepStrictEqual((yield* known(group)).baseline, Duration.millis(20))
      let rounds = 0
      while (Duration.toMillis((yield* known(group)).baseline!) < 400) {
        yield* calls(group, 20, 400)
        yield* TestClock.adjust(400 * 10)
        if (rounds++ > 100) return assert.fail("never")
      }
      while ((yield* known(group)).limit < 20) {
        yield* calls(group, 20, 400)
        yield* TestClock.adjust(400 * 10)
        if (rounds++ > 200) return assert.fail("never back")
      }
    }))
})

describe("26. between a floor and a ceiling:", () => {
  it.effect("an operator's resize moves the ceiling, and the limit with it only if that is above", () =>
    Effect.gen(function*() {
      const group = yield* make({ ...jumpy, min: 2, initial: 10 })
      yield* Pool.resize(group.pool, { maxConcurrent: 50 })
      assert.deepInclude(yield* known(group), { limit: 10, min: 2, max: 50 })
      yield* Pool.resize(group.pool, { maxConcurrent: 5, maxQueued: 0 })
      assert.deepInclude(yield* known(group), { limit: 5, estimate: 5, max: 5 })
      assert.deepInclude(yield* Pool.statistics(group.pool), { maxConcurrent: 5, maxQueued: 0 })
      yield* calls(group, 5, 50)
      assert.strictEqual(yield* limitOf(group), 5)
      yield* Pool.resize(group.pool, { maxConcurrent: 1 })
      assert.deepInclude(yield* known(group), { limit: 1, min: 1, max: 1 })
      yield* Pool.resize(group.pool, { maxConcurrent: 100 })
      assert.deepInclude(yield* known(group), { limit: 2, min: 2, max: 100 })
    }))

  it.effect("a resize while a baseline is measured keeps the floor", () =>
    Effect.gen(function*() {
      const group = yield* make({})
      yield* Pool.resize(group.pool, { maxConcurrent: 10 })
      assert.deepInclude(yield* known(group), { limit: 3, estimate: 10, max: 10, measuring: true })
    }))

  it.effect("a resize to Infinity is refused: a limit that moves needs a ceiling", () =>
    Effect.gen(function*() {
      const group = yield* make({})
      const { message } = yield* Effect.flip(Pool.resize(group.pool, { maxConcurrent: Infinity }))
      assert.strictEqual(message, "g: maxConcurrent: expected a finite number")
      yield* Pool.resize(group.pool, { maxQueued: Infinity })
    }))

  it.effect("a small pool has a small floor and begins at its ceiling", () =>
    Effect.gen(function*() {
      const group = yield* make({ algorithm: "aimd", target: 100 }, { maxConcurrent: 2 })
      assert.deepInclude(yield* known(group), { limit: 2, min: 2, max: 2 })
    }))
})

describe("12. options that make no sense are refused by name:", () => {
  const target = 100
  const cases: ReadonlyArray<[unknown, string]> = [
    [{ min: 0 }, "adaptiveLimit.min: expected a whole number of at least 1 (or Infinity), got 0"],
    [{ min: Infinity }, "adaptiveLimit.min: expected a finite number"],
    [{ min: 11 }, "adaptiveLimit.min: expected at most pool.maxConcurrent, which is 10, got 11"],
    [{ initial: 1.5 }, "adaptiveLimit.initial: expected a whole number of at least 1 (or Infinity), got 1.5"],
    [{ initial: 11 }, "adaptiveLimit.initial: expected at most pool.maxConcurrent, which is 10, got 11"],
    [{ min: 5, initial: 4 }, "adaptiveLimit.initial: expected at least min, which is 5, got 4"],
    [{ minimumCalls: 0 }, "adaptiveLimit.minimumCalls: expected a whole number from 1 to 1000, got 0"],
    [{ minimumCalls: 1001 }, "adaptiveLimit.minimumCalls: expected a whole number from 1 to 1000, got 1001"],
    [{ quantile: 0 }, "adaptiveLimit.quantile: expected a number of more than 0 and at most 1, got 0"],
    [{ tolerance: 0.9 }, "adaptiveLimit.tolerance: expected a number of at least 1, got 0.9"],
    [{ tolerance: Infinity }, "adaptiveLimit.tolerance: expected a number of at least 1, got Infinity"],
    [{ smoothing: 0 }, "adaptiveLimit.smoothing: expected a number of more than 0 and at most 1, got 0"],
    [{ baseline: { calls: NaN } }, "adaptiveLimit.baseline.calls: expected a whole number from 1 to 1000, got NaN"],
    [{ baseline: { jitter: -1 } }, "adaptiveLimit.baseline.jitter: expected a number from 0 to 1, got -1"],
    [{ target }, "adaptiveLimit.target: expected with the algorithm \"aimd\" only"],
    [
      { algorithm: "aimd" },
      "adaptiveLimit.target: expected, because of the algorithm \"aimd\": from when on is a call slow?"
    ],
    [
      { algorithm: "aimd", target, tolerance: 2 },
      "adaptiveLimit.tolerance: expected with the algorithm \"gradient\" only"
    ],
    [
      { algorithm: "aimd", target, backoff: 1 },
      "adaptiveLimit.backoff: expected a number of more than 0 and less than 1, got 1"
    ],
    [{ algorithm: "aimd", target, increase: 0 }, "adaptiveLimit.increase: expected a number of more than 0, got 0"],
    [{ max: 10 }, "adaptiveLimit.max: Expected no excess property"]
  ]
  for (const [adaptiveLimit, problem] of cases) {
    it.effect(problem, () =>
      Effect.gen(function*() {
        const options = { pool: { maxConcurrent: 10 }, adaptiveLimit: adaptiveLimit as AdaptiveLimit.Options }
        assert.strictEqual((yield* Effect.flip(Group.make("g", options))).problem, problem)
      }))
  }

  for (const [option, value] of [["window", 0], ["window", "1 second ago"], ["target", -1]] as const) {
    it.effect(`${option}: ${value}`, () =>
      Effect.gen(function*() {
        const adaptiveLimit = { algorithm: "aimd", target, [option]: value } as AdaptiveLimit.Options
        const { problem } = yield* Effect.flip(Group.make("g", { pool: { maxConcurrent: 10 }, adaptiveLimit }))
        assert.match(problem, new RegExp(`^adaptiveLimit\\.${option}: .*a duration longer than zero`))
      }))
  }

  it.effect("a pool without a ceiling", () =>
    Effect.gen(function*() {
      const { problem } = yield* Effect.flip(make({}, { maxConcurrent: Infinity }))
      assert.strictEqual(
        problem,
        "pool.maxConcurrent: expected a finite ceiling for the adaptive limit, got Infinity"
      )
    }))

  it.effect("several at once", () =>
    Effect.gen(function*() {
      const { problem } = yield* Effect.flip(make({ min: 20, initial: 30 }, { maxConcurrent: 10 }))
      assert.deepStrictEqual(problem.split("; "), [
        "adaptiveLimit.min: expected at most pool.maxConcurrent, which is 10, got 20",
        "adaptiveLimit.initial: expected at most pool.maxConcurrent, which is 10, got 30"
      ])
    }))
})

describe("1. in the order of the policies", () => {
  it.effect("it stands just inside of the pool, and says what it is set to", () =>
    Effect.gen(function*() {
      const policies = Effect.fnUntraced(function*(adaptiveLimit: AdaptiveLimit.Options | undefined) {
        const group = yield* Group.make("g", { pool: { maxConcurrent: 50 }, adaptiveLimit })
        return yield* Command.policies(Command.make("k", () => Effect.void, { group, attemptTimeout: 100 }))
      })
      const all = yield* policies({})
      assert.deepStrictEqual(all.map(({ policy }) => policy), ["outcomes", "pool", "adaptiveLimit", "attemptTimeout"])
      assert.deepStrictEqual(all[2], {
        policy: "adaptiveLimit",
        algorithm: "gradient",
        min: 3,
        max: 50,
        initial: 20,
        window: Duration.millis(100),
        minimumCalls: 10,
        quantile: 0.5,
        tolerance: 1.5,
        smoothing: 0.2,
        baseline: { every: Duration.minutes(1), calls: 50, jitter: 0.15 }
      })
      assert.deepStrictEqual((yield* policies({ algorithm: "aimd", target: "1 second" }))[2], {
        policy: "adaptiveLimit",
        algorithm: "aimd",
        min: 3,
        max: 50,
        initial: 20,
        window: Duration.millis(100),
        minimumCalls: 10,
        quantile: 0.9,
        target: Duration.seconds(1),
        increase: 1,
        backoff: 0.9
      })
      assert.deepStrictEqual((yield* policies(undefined)).map(({ policy }) => policy), [
        "outcomes",
        "pool",
        "attemptTimeout"
      ])
    }))

  it.effect("a group without one has no state of it", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* AdaptiveLimit.state(yield* Group.make("g", { pool: { maxConcurrent: 1 } })))
    }))
})

describe("3. it stands alone too:", () => {
  it.effect("a pool that a limit drives, around any effect", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("alone", { maxConcurrent: 10 }, jumpy)
      const gate = yield* Deferred.make<void>()
      const call = Deferred.await(gate).pipe(AdaptiveLimit.withLimit(limit, { key: "k" }))
      const fibers = yield* Effect.replicateEffect(Effect.forkChild(call, { startImmediately: true }), 3)
      const refused = fibers[2]!.pollUnsafe()
      assert.strictEqual(refused === undefined ? "running" : ending(refused), "PoolFull")
      yield* TestClock.adjust(10)
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* AdaptiveLimit.state(limit), { limit: 3, max: 10, latency: Duration.millis(10) })
      assert.strictEqual((yield* Pool.statistics(limit.pool)).maxConcurrent, 3)
    }))

  it.effect("with the same options, refused by the same names", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(AdaptiveLimit.make("alone", { maxConcurrent: 2 }, { initial: 3 }))
      assert.strictEqual(message, "alone: limit.initial: expected at most pool.maxConcurrent, which is 2, got 3")
    }))
})
