import { Circuit, CircuitStore, Command, Group, GroupSnapshot, InvalidOptions, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { HeardCircuits } from "../../packages/core/src/internal/HeardCircuits.ts"
import { Latencies } from "../../packages/core/src/internal/Latencies.ts"
import { LatencyWindow } from "../../packages/core/src/internal/LatencyWindow.ts"
import { lately, Marks } from "../../packages/core/src/internal/Marks.ts"

const make = (more: Partial<Group.Options> = {}) => Group.make("g", { pool: { maxConcurrent: 10 }, ...more })

const ok = (group: Group.Group, key = "k") => Effect.void.pipe(Command.within(group, { key }))

const fails = (group: Group.Group, key = "k") => Effect.ignore(Effect.fail("no").pipe(Command.within(group, { key })))

/** One call, from its start to its end so many milliseconds later. */
const lasting = Effect.fnUntraced(function*(group: Group.Group, millis: number, key = "k") {
  const fiber = yield* Command.queue(Effect.sleep(millis).pipe(Command.within(group, { key })))
  yield* TestClock.adjust(millis)
  yield* Fiber.join(fiber)
})

const noLatency = { latency: null, latencyLately: null }

describe("32. what is counted of each key, with latency, queue wait and attempts", () => {
  it.effect("a group that was never called", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1000)
      const group = yield* make({ pool: { maxConcurrent: 3, maxQueued: Infinity } })
      yield* TestClock.adjust(500)
      const snapshot = yield* GroupSnapshot.take(group)
      assert.deepInclude(snapshot, { group: "g", at: 1500, upMillis: 500, keys: [], keysOmitted: 0 })
      assert.deepInclude(snapshot, { circuits: null, rateLimit: null })
      assert.deepStrictEqual(snapshot.pool, {
        maxConcurrent: 3,
        maxQueued: null,
        active: 0,
        queued: 0,
        overdue: 0,
        admitted: 0,
        rejected: 0,
        queueTimeouts: 0,
        shed: 0,
        waits: 0,
        waitTotalMillis: 0,
        waitLongestMillis: 0,
        waitCurrentMillis: 0
      })
      assert.deepInclude(snapshot.total, { calls: 0, attempts: 0, queuedMeanMillis: 0, ...noLatency })
      assert.deepInclude(snapshot.total.lately, { calls: 0, callsPerSecond: 0, errorPercent: 0, seconds: 1 })
    }))

  it.effect("calls by their outcome, of each key and of all", () =>
    Effect.gen(function*() {
      const group = yield* make()
      yield* ok(group, "a")
      yield* ok(group, "a")
      yield* fails(group, "b")
      yield* Effect.exit(Effect.die("bug").pipe(Command.within(group, { key: "b" })))
      const { keys, total } = yield* GroupSnapshot.take(group)
      const none = {
        success: 0,
        failure: 0,
        defect: 0,
        timeout: 0,
        rejected: 0,
        "short-circuited": 0,
        "rate-limited": 0,
        interrupted: 0
      }
      assert.deepStrictEqual(keys.map(({ calls, key, outcomes }) => ({ key, calls, outcomes })), [
        { key: "a", calls: 2, outcomes: { ...none, success: 2 } },
        { key: "b", calls: 2, outcomes: { ...none, failure: 1, defect: 1 } }
      ])
      assert.strictEqual(total.calls, 4)
      assert.deepStrictEqual(total.outcomes, { ...none, success: 2, failure: 1, defect: 1 })
    }))

  it.effect("degraded calls, hedges, attempts and the wait for permits", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 2 } })
      const call = Effect.sleep(10).pipe(Command.within(group, { key: "waits" }))
      const both = yield* Command.queue(Effect.all([call, call], { concurrency: 2 }))
      yield* TestClock.adjust(10)
      yield* TestClock.adjust(10)
      yield* Fiber.join(both)
      const rescued = Command.make("rescued", () => Effect.fail("no"), { group, fallback: () => Effect.void })
      yield* rescued()
      yield* Pool.resize(group.pool, { maxConcurrent: 2 })
      const hedged = yield* Command.queue(
        Effect.sleep(10).pipe(Command.within(group, { key: "hedged", hedge: { after: 5 } }))
      )
      yield* TestClock.adjust(5)
      yield* TestClock.adjust(5)
      yield* Fiber.join(hedged)
      const { keys, total } = yield* GroupSnapshot.take(group)
      const of = (key: string) => keys.find((known) => known.key === key)
      assert.deepInclude(of("waits"), { attempts: 2, queuedMeanMillis: 5, queuedMaxMillis: 10 })
      assert.deepInclude(of("rescued"), { degraded: 1, attempts: 1 })
      assert.deepInclude(of("hedged"), { hedges: 1, attempts: 2 })
      assert.deepInclude(total, { degraded: 1, hedges: 1, attempts: 5, queuedMeanMillis: 2.5, queuedMaxMillis: 10 })
      assert.deepInclude(total.lately, { degraded: 1, hedges: 1, attempts: 5, queuedMeanMillis: 2.5 })
    }))

  it.effect("saturation: who runs, who waits and for how long, who does not stop", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 5 } })
      const stubborn = Effect.uninterruptible(Effect.sleep(100)).pipe(
        Command.within(group, { key: "stubborn", timeout: 10 })
      )
      yield* Command.queue(stubborn)
      yield* TestClock.adjust(5)
      yield* Command.queue(ok(group))
      yield* TestClock.adjust(10)
      const { pool } = yield* GroupSnapshot.take(group)
      assert.deepInclude(pool, { active: 1, queued: 1, overdue: 1, waitCurrentMillis: 10 })
      yield* TestClock.adjust(100)
    }))

  it.effect("how long calls took: of those that were neither refused nor interrupted", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1 } })
      for (let millis = 1; millis <= 100; millis++) yield* lasting(group, millis)
      const slow = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k" })))
      for (let i = 0; i < 200; i++) yield* Effect.ignore(ok(group))
      yield* TestClock.adjust(1000)
      yield* Fiber.interrupt(slow)
      const { latency, outcomes } = (yield* GroupSnapshot.take(group)).total
      assert.deepInclude(outcomes, { success: 100, rejected: 200, interrupted: 1 })
      assert.deepInclude(latency, { calls: 100, meanMillis: 50.5, maxMillis: 100 })
      const quantiles = [[latency!.p50Millis, 50], [latency!.p90Millis, 90], [latency!.p95Millis, 95]] as const
      for (const [said, is] of [...quantiles, [latency!.p99Millis, 99]]) assert.closeTo(said!, is!, is! / 32)
    }))

  it.effect("key cardinality is bounded: what comes on top is one key, and those that are shown are the busiest of late", () =>
    Effect.gen(function*() {
      const group = yield* make()
      for (let i = 0; i < 1100; i++) yield* ok(group, `${i}`)
      for (let i = 0; i < 3; i++) yield* ok(group, "7")
      const { keys, keysOmitted, total } = yield* GroupSnapshot.take(group, { maxKeys: 2 })
      assert.deepStrictEqual(keys.map(({ calls, key }) => [key, calls]), [["(other)", 100], ["7", 4]])
      assert.strictEqual(keysOmitted, 999)
      assert.strictEqual(total.calls, 1103)
      assert.lengthOf((yield* GroupSnapshot.take(group)).keys, 100)
      yield* TestClock.adjust(20_000)
      yield* ok(group, "5")
      yield* ok(group, "6")
      yield* ok(group, "6")
      const later = yield* GroupSnapshot.take(group, { maxKeys: 2 })
      assert.deepStrictEqual(later.keys.map(({ key }) => key), ["6", "5"])
    }))
})

describe("lately", () => {
  it.effect("calls per second and the share of errors, of ten seconds; interrupted calls are nobody's error", () =>
    Effect.gen(function*() {
      const group = yield* make()
      for (let i = 0; i < 30; i++) yield* ok(group)
      yield* TestClock.adjust(20_000)
      for (let i = 0; i < 60; i++) yield* ok(group)
      for (let i = 0; i < 20; i++) yield* fails(group)
      yield* Effect.exit(Effect.interrupt.pipe(Command.within(group, { key: "k" })))
      yield* TestClock.adjust(9000)
      const { total } = yield* GroupSnapshot.take(group)
      assert.strictEqual(total.calls, 111)
      assert.deepInclude(total.lately, { calls: 81, seconds: 9, callsPerSecond: 9, errorPercent: 25 })
      assert.deepInclude(total.lately.outcomes, { success: 60, failure: 20, interrupted: 1 })
      yield* TestClock.adjust(1000)
      const { lately } = (yield* GroupSnapshot.take(group)).total
      assert.deepInclude(lately, { calls: 0, callsPerSecond: 0, errorPercent: 0 })
    }))

  it.effect("of a young group, the time there has been, and a second at the least", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(5300)
      const group = yield* make()
      for (let i = 0; i < 6; i++) yield* ok(group)
      const rate = Effect.map(GroupSnapshot.take(group), ({ total: { lately } }) => lately.callsPerSecond)
      assert.strictEqual(yield* rate, 6)
      yield* TestClock.adjust(3000)
      assert.strictEqual(yield* rate, 2)
    }))

  it.effect("latencies of the last half to whole minute, and all of them", () =>
    Effect.gen(function*() {
      const group = yield* make()
      yield* lasting(group, 5000)
      yield* TestClock.adjust(60_000)
      yield* lasting(group, 10)
      const { latency, latencyLately } = (yield* GroupSnapshot.take(group)).total
      assert.deepInclude(latency, { calls: 2, maxMillis: 5000 })
      assert.deepInclude(latencyLately, { calls: 1, maxMillis: 10, p99Millis: 10 })
      yield* TestClock.adjust(60_000)
      const later = (yield* GroupSnapshot.take(group)).total
      assert.isNull(later.latencyLately)
      assert.deepInclude(later.latency, { calls: 2, maxMillis: 5000 })
    }))

  it("counts what a list of all of it would, at every time", () => {
    const gaps = fc.array(fc.oneof(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 30_000 })))
    fc.assert(fc.property(fc.integer({ min: 0, max: 100_000 }), gaps, (start, gaps) => {
      const marks = new Marks(1, start)
      const totals = [0]
      const times: Array<number> = []
      let now = start
      for (const gap of gaps) {
        now += gap
        if (now >= marks.endsAt) marks.moveTo(now, totals)
        const since = (Math.floor(now / 1000) - lately + 1) * 1000
        assert.strictEqual(totals[0]! - marks.before(0), times.filter((at) => at >= since).length)
        totals[0]!++
        times.push(now)
      }
    }))
  })

  it("latencies too: all of the last 30 seconds are there, none that is older than 60, and each of all of them once", () => {
    const gaps = fc.array(fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 100_000 })))
    fc.assert(fc.property(gaps, (gaps) => {
      const window = new LatencyWindow(0)
      const times: Array<number> = []
      let now = 0
      for (const gap of gaps) {
        now += gap
        const latest = Latencies.sum(window.latest(now)).count
        assert.isAtLeast(latest, times.filter((at) => at > now - 30_000).length)
        assert.isAtMost(latest, times.filter((at) => at > now - 60_000).length)
        window.record(1, now)
        times.push(now)
        assert.strictEqual(Latencies.sum(window.all()).count, times.length)
      }
    }))
  })
})

describe("quantiles", () => {
  const millis = fc.double({ min: Math.log(1 / 16), max: Math.log(2_000_000), noNaN: true }).map(Math.exp)
  const share = fc.constantFrom(0.5, 0.9, 0.95, 0.99)

  it("are within 1/32 of the truth, from a sixteenth of a millisecond to half an hour; mean and maximum are exact", () => {
    fc.assert(
      fc.property(fc.array(millis, { minLength: 1, maxLength: 300 }), share, (values, share) => {
        const latencies = new Latencies()
        for (const value of values) latencies.record(value)
        const sorted = values.toSorted((a, b) => a - b)
        const truth = sorted[Math.max(0, Math.ceil(sorted.length * share - 1e-9) - 1)]!
        assert.closeTo(latencies.quantile(share), truth, truth / 32)
        assert.strictEqual(latencies.max, sorted.at(-1))
        assert.strictEqual(latencies.sum, values.reduce((sum, value) => sum + value, 0))
      }),
      { numRuns: 500 }
    )
  })

  it("below and above of that they stay in order, and end", () => {
    const latencies = new Latencies()
    for (const value of [0, 0.001, 0.01, 1, 1e7, 1e12, Infinity]) latencies.record(value)
    const all = [0.01, 0.3, 0.5, 0.7, 0.9, 1].map((share) => latencies.quantile(share))
    assert.deepStrictEqual(all, all.toSorted((a, b) => a - b))
    assert.isAtMost(all[0]!, 1 / 256)
  })

  it("of parts that were recorded apart are those of one that has all", () => {
    const values = fc.array(millis, { minLength: 1 })
    fc.assert(fc.property(values, values, share, (some, others, share) => {
      const [one, other, whole] = [new Latencies(), new Latencies(), new Latencies()]
      for (const value of some) one.record(value)
      for (const value of others) other.record(value)
      for (const value of [...some, ...others]) whole.record(value)
      assert.strictEqual(Latencies.sum([one, other]).quantile(share), whole.quantile(share))
    }))
  })
})

describe("circuits", () => {
  it.effect("18. in memory: held ones and open ones first, then those that were used last; the rest are counted", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 1, openFor: 1000 } })
      for (const key of ["a", "b", "c", "d"]) yield* ok(group, key)
      yield* fails(group, "broken")
      yield* Circuit.force(group, "held", "closed")
      yield* TestClock.adjust(400)
      const { circuits } = yield* GroupSnapshot.take(group, { maxCircuits: 4 })
      assert.deepStrictEqual(circuits, {
        circuits: [
          { circuit: "held", state: "closed", forced: true, retryAfterMillis: 0 },
          { circuit: "broken", state: "open", forced: false, retryAfterMillis: 600 },
          { circuit: "d", state: "closed", forced: false, retryAfterMillis: 0 },
          { circuit: "c", state: "closed", forced: false, retryAfterMillis: 0 }
        ],
        omitted: 2,
        shared: false
      })
    }))

  it.effect("elsewhere: the store is asked what it knows, and nothing is waited for", () =>
    Effect.gen(function*() {
      const known = [{ circuit: "x", state: "open", forced: false, retryAfter: 70 }] as const
      const group = yield* Effect.provideService(make({ circuit: {} }), CircuitStore.CircuitStore, {
        circuits: () =>
          Effect.succeed({
            admit: () => Effect.never,
            state: () => Effect.never,
            force: () => Effect.never,
            known: (most) => ({ circuits: known, omitted: most, shared: true }),
            open: Effect.never,
            transitions: Stream.never
          })
      })
      const fiber = yield* Effect.forkChild(GroupSnapshot.take(group, { maxCircuits: 9 }), { startImmediately: true })
      assert.deepStrictEqual((yield* Fiber.join(fiber)).circuits, {
        circuits: [{ circuit: "x", state: "open", forced: false, retryAfterMillis: 70 }],
        omitted: 9,
        shared: true
      })
    }))

  describe("what is heard of those that are elsewhere", () => {
    const heard = (maxKeys = 10) => {
      const clock = { time: 0, now: () => clock.time }
      return { clock, circuits: new HeardCircuits(clock, { maxKeys, openFor: 1000 }) }
    }
    const moved = (circuit: string, to: CircuitStore.State, forced = false) => (
      { group: "g", circuit, from: to === "open" ? "closed" : "open", to, forced } as const
    )

    it("one that opened is open until it is heard to be closed", () => {
      const { circuits, clock } = heard()
      circuits.moved(moved("a", "open"))
      clock.time = 300
      assert.deepStrictEqual(circuits.known(5), {
        circuits: [{ circuit: "a", state: "open", forced: false, retryAfter: 700 }],
        omitted: 0,
        shared: true
      })
      clock.time = 2000
      assert.deepInclude(circuits.known(5).circuits[0], { state: "open", retryAfter: 0 })
      circuits.moved(moved("a", "half-open"))
      assert.deepInclude(circuits.known(5).circuits[0], { state: "half-open", retryAfter: 0 })
      circuits.moved(moved("a", "closed"))
      assert.deepStrictEqual(circuits.known(5).circuits, [])
    })

    it("one that was open before this process began is known by its first refusal", () => {
      const { circuits, clock } = heard()
      circuits.refused("a", "open", 250)
      clock.time = 100
      assert.deepInclude(circuits.known(5).circuits[0], { circuit: "a", state: "open", retryAfter: 150 })
      circuits.closed("a")
      assert.deepStrictEqual(circuits.known(5).circuits, [])
    })

    it("one that an operator holds open stays held, whoever is refused", () => {
      const { circuits, clock } = heard()
      circuits.moved(moved("a", "open", true))
      circuits.refused("a", "open", 1000)
      clock.time = 5000
      assert.deepInclude(circuits.known(5).circuits[0], { forced: true, state: "open", retryAfter: 1000 })
    })

    it("the latest come first, and their number is bounded", () => {
      const { circuits } = heard(3)
      for (const key of ["a", "b", "c", "d"]) circuits.moved(moved(key, "open"))
      const { circuits: known, omitted } = circuits.known(2)
      assert.deepStrictEqual([known.map(({ circuit }) => circuit), omitted], [["d", "c"], 1])
      assert.deepStrictEqual(circuits.known(0), { circuits: [], omitted: 3, shared: true })
    })
  })
})

describe("budgets and limits", () => {
  it.effect("what is left of them", () =>
    Effect.gen(function*() {
      const group = yield* make({
        retryBudget: { ratio: 0, perSecond: 0.5 },
        hedgeBudget: { perSecond: Infinity },
        rateLimit: { limit: 5, window: 1000 }
      })
      yield* ok(group)
      yield* ok(group)
      const { hedgeBudget, rateLimit, retryBudget } = yield* GroupSnapshot.take(group)
      assert.deepStrictEqual(retryBudget, { remaining: 5, ratio: 0, perSecond: 0.5, windowMillis: 10_000 })
      assert.deepStrictEqual(hedgeBudget, { remaining: null, ratio: 0.1, perSecond: null, windowMillis: 10_000 })
      assert.deepStrictEqual(rateLimit, {
        limit: 5,
        windowMillis: 1000,
        algorithm: "token-bucket",
        left: 3,
        shared: false
      })
    }))

  for (const algorithm of ["token-bucket", "fixed-window"] as const) {
    it.effect(`${algorithm}: as many tokens are left as could be taken, at every time`, () =>
      Effect.promise(() =>
        fc.assert(fc.asyncProperty(
          fc.integer({ min: 1, max: 7 }),
          fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 20 }),
          (limit, gaps) =>
            Effect.runPromise(
              Effect.scoped(Effect.gen(function*() {
                const group = yield* make({ rateLimit: { limit, window: 1000, algorithm } })
                const left = Effect.map(GroupSnapshot.take(group), ({ rateLimit }) => rateLimit!.left)
                for (const gap of gaps) {
                  yield* TestClock.adjust(gap)
                  const before = yield* left
                  const exit = yield* Effect.exit(ok(group))
                  assert.strictEqual(exit._tag, before === 0 ? "Failure" : "Success")
                  if (exit._tag === "Success") assert.strictEqual(yield* left, before! - 1)
                }
              })).pipe(Effect.provide(TestClock.layer()))
            )
        ))
      ))
  }
})

describe("every", () => {
  it.effect("one at once, and one every so often, until the group is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const group = yield* Scope.provide(make(), scope)
      const seen: Array<number> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(GroupSnapshot.every(group, "1 second"), ({ at }) => Effect.sync(() => seen.push(at))),
        { startImmediately: true }
      )
      yield* TestClock.adjust(2500)
      assert.deepStrictEqual(seen, [0, 1000, 2000])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1000)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, [0, 1000, 2000])
    }))

  it.effect("options that make no sense are refused, by name", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const { InvalidOptions: refused } = InvalidOptions
      assert.throws(() => GroupSnapshot.every(group, 0), refused, /interval/)
      assert.throws(() => GroupSnapshot.every(group, "1 second", { maxKeys: -1 }), refused, /maxKeys/)
      assert.throws(() => GroupSnapshot.take(group, { maxCircuits: 0.5 }), refused, /maxCircuits/)
      const misspelt: object = { maxkeys: 1 }
      assert.throws(() => GroupSnapshot.take(group, misspelt), refused, /maxkeys/)
    }))
})

it.effect("a snapshot is JSON as it is, and its Schema reads it", () =>
  Effect.gen(function*() {
    const group = yield* make({
      pool: { maxConcurrent: Infinity, maxQueued: Infinity },
      circuit: { consecutive: 1 },
      rateLimit: { limit: 5, window: 1000 },
      retryBudget: { ratio: Infinity }
    })
    yield* lasting(group, 10)
    yield* fails(group, "broken")
    const snapshot = yield* GroupSnapshot.take(group)
    const json: unknown = JSON.parse(JSON.stringify(snapshot))
    assert.deepStrictEqual<unknown>(json, snapshot)
    assert.deepStrictEqual(Schema.decodeUnknownSync(GroupSnapshot.GroupSnapshot)(json), snapshot)
    assert.deepStrictEqual(Schema.encodeSync(GroupSnapshot.GroupSnapshot)(snapshot), snapshot)
  }))
