import { Circuit, Command, CommandMetrics, Group, InvalidOptions, Pool, RateLimit } from "@blackgate/core"
import { RateLimited } from "@blackgate/core/CommandError"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Layer, Logger, Metric } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { MemoryLimiter, ServiceLimiter } from "../../packages/core/src/internal/Limiter.ts"
import { afterFirstSleep, ending, state, Work } from "./calls.ts"
import { Hands, settings } from "./limits.ts"

const pool = { maxConcurrent: 10 }
const make = (rateLimit: RateLimit.Options, more: Omit<Group.Options, "pool"> = {}) =>
  Group.make("api", { pool, rateLimit, ...more })

/** How a call ends, in a word. */
const end = <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(call), ending)

const ends = <A, E, R>(call: Effect.Effect<A, E, R>, times: number) =>
  Effect.replicateEffect(end(call), times).pipe(Effect.map((all) => Array.from(all)))

const algorithms = ["token-bucket", "fixed-window"] as const

describe("as many calls as the limit says", () => {
  for (const algorithm of algorithms) {
    it.effect(`${algorithm}: then a refusal that says when to come back`, () =>
      Effect.gen(function*() {
        const group = yield* make({ limit: 3, window: "1 second", algorithm })
        const call = Effect.void.pipe(Command.within(group, { key: "get" }))
        assert.deepStrictEqual(yield* ends(call, 4), ["Success", "Success", "Success", "RateLimited"])
        const refused = yield* Effect.flip(call)
        if (refused._tag !== "RateLimited") return assert.fail(refused._tag)
        const { group: name, key, limit, limitKey, retryAfter, unavailable } = refused
        assert.deepStrictEqual({ name, key, limit, limitKey, unavailable }, {
          name: "api",
          key: "get",
          limit: 3,
          limitKey: undefined,
          unavailable: false
        })
        const millis = Duration.toMillis(retryAfter)
        assert.strictEqual(millis, algorithm === "token-bucket" ? 334 : 1000)
        yield* TestClock.adjust(millis - 1)
        assert.strictEqual(yield* end(call), "RateLimited")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* end(call), "Success")
      }))
  }

  it.effect("a token bucket gives its tokens back one by one, a fixed window all at once", () =>
    Effect.gen(function*() {
      const left = Effect.fnUntraced(function*(algorithm: RateLimit.Options["algorithm"]) {
        const group = yield* make({ limit: 4, window: "1 second", algorithm })
        const call = Effect.void.pipe(Command.within(group, { key: "k" }))
        yield* ends(call, 4)
        const counts: Array<number> = []
        for (let i = 0; i < 4; i++) {
          yield* TestClock.adjust(250)
          counts.push((yield* ends(call, 5)).filter((end) => end === "Success").length)
        }
        return counts
      })
      assert.deepStrictEqual(yield* left("token-bucket"), [1, 1, 1, 1])
      assert.deepStrictEqual(yield* left("fixed-window"), [0, 0, 0, 4])
    }))

  it.effect("a token bucket by default; without the option there is no limit", () =>
    Effect.gen(function*() {
      const limited = yield* make({ limit: 2, window: "1 second" })
      const free = yield* Group.make("free", { pool })
      const policies = (group: Group.Group) =>
        Effect.map(
          Command.policies(Command.make("k", () => Effect.void, { group })),
          (all) => all.find(({ policy }) => policy === "rateLimit")
        )
      assert.deepStrictEqual(yield* policies(limited), {
        policy: "rateLimit",
        limit: 2,
        window: Duration.seconds(1),
        algorithm: "token-bucket",
        tokens: 1,
        of: "the group"
      })
      assert.isUndefined(yield* policies(free))
      assert.deepStrictEqual(
        new Set(yield* ends(Effect.void.pipe(Command.within(free, { key: "k" })), 1000)),
        new Set(["Success"])
      )
    }))
})

describe("what is limited", () => {
  it.effect("is the group as a whole: its commands share one limit", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 2, window: "1 second" })
      const [a, b] = ["a", "b"].map((key) => Command.make(key, () => Effect.void, { group }))
      assert.deepStrictEqual([yield* end(a!()), yield* end(b!()), yield* end(a!())], [
        "Success",
        "Success",
        "RateLimited"
      ])
    }))

  it.effect("or a key that is made of the arguments: the commands of a group share it", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 1, window: "1 second" })
      const options = { group, rateLimit: { key: (tenant: string) => tenant } }
      const a = Command.make("a", (tenant: string) => Effect.succeed(tenant), options)
      const b = Command.make("b", (tenant: string) => Effect.succeed(tenant), options)
      const all = Command.make("all", () => Effect.void, { group })
      assert.strictEqual(yield* end(a("x")), "Success")
      const refused = yield* Effect.flip(b("x"))
      assert.deepInclude({ ...refused }, { group: "api", key: "b", limitKey: "x" })
      assert.strictEqual(yield* end(b("y")), "Success")
      assert.strictEqual(yield* end(all()), "Success")
    }))

  it.effect("a key of the group's own name is not the group", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 1, window: "1 second" })
      const keyed = Command.make("keyed", (key: string) => Effect.succeed(key), {
        group,
        rateLimit: { key: (key) => key }
      })
      for (const key of ["api", ""]) assert.strictEqual(yield* end(keyed(key)), "Success")
      assert.strictEqual(yield* end(Effect.void.pipe(Command.within(group, { key: "k" }))), "Success")
    }))

  it.effect("a call can take more than one token", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 5, window: "5 seconds" })
      const call = (tokens: number) => end(Effect.void.pipe(Command.within(group, { key: "k", rateLimit: { tokens } })))
      assert.deepStrictEqual([yield* call(3), yield* call(3), yield* call(2), yield* call(1)], [
        "Success",
        "RateLimited",
        "Success",
        "RateLimited"
      ])
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* call(5), "Success")
    }))

  it.effect("a key function that throws is a defect of that call, and costs no permit", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 1, window: "1 second" })
      const bad = Command.make("bad", (_id: string) => Effect.void, {
        group,
        rateLimit: {
          key: (name) => {
            throw new Error(name)
          }
        }
      })
      assert.strictEqual(yield* end(bad("x")), "Die")
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 0, admitted: 0 })
    }))
})

describe("14. a refusal by the limit", () => {
  it.effect("is no failure for the circuit, and takes no permit", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 1, window: "1 second" }, { circuit: { consecutive: 1 } })
      const call = Effect.void.pipe(Command.within(group, { key: "k" }))
      assert.deepStrictEqual(yield* ends(call, 3), ["Success", "RateLimited", "RateLimited"])
      assert.strictEqual(yield* Circuit.state(group, "k"), "closed")
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 0, admitted: 1, rejected: 0 })
    }))

  it.effect("1. comes before circuit and pool, which then know nothing of the call", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("api", {
        pool: { maxConcurrent: 1 },
        circuit: { consecutive: 1 },
        rateLimit: { limit: 2, window: "1 second" }
      })
      const work = new Work()
      const run = work.run.pipe(Command.within(group, { key: "k" }))
      yield* Command.queue(run)
      assert.strictEqual(yield* end(run), "PoolFull")
      assert.strictEqual(yield* end(run), "RateLimited")
      assert.strictEqual((yield* Pool.statistics(group.pool)).rejected, 1)
      yield* Circuit.force(group, "k", "open")
      assert.strictEqual(yield* end(run), "RateLimited")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* end(run), "CircuitOpen")
      const command = Command.make("k", () => Effect.void, { group, timeout: 1, attemptTimeout: 1 })
      assert.deepStrictEqual((yield* Command.policies(command)).map(({ policy }) => policy), [
        "outcomes",
        "timeout",
        "rateLimit",
        "circuit",
        "pool",
        "attemptTimeout"
      ])
    }))

  it.effect("32. is an outcome of its own", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("limit.metrics", { pool, rateLimit: { limit: 1, window: "1 second" } })
      yield* ends(Effect.void.pipe(Command.within(group, { key: "k" })), 3)
      const of = (outcome: CommandMetrics.Outcome) =>
        Effect.map(
          Metric.value(Metric.withAttributes(CommandMetrics.calls, { group: "limit.metrics", key: "k", outcome })),
          ({ count }) => count
        )
      assert.deepStrictEqual([yield* of("success"), yield* of("rate-limited"), yield* of("failure")], [1, 2, 0])
    }))

  it("20. is cheap: an Error by prototype, without a stack of its own", () => {
    const refused = new RateLimited("api", "k", "x", 3, 1500, false)
    assert.instanceOf(refused, Error)
    assert.isFalse(Object.hasOwn(refused, "stack"))
    assert.strictEqual(refused.stack, "RateLimited: the rate limit of x in api, 3, is used up for 1s 500ms")
    assert.strictEqual(
      new RateLimited("api", "k", undefined, 3, 1000, true).message,
      "the rate limiter of api is unavailable"
    )
  })

  it.effect("28. can be told from others by its tag, and waited for", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make({ limit: 1, window: "1 second" })
      const call = Effect.succeed("done").pipe(Command.within(group, { key: "k" }))
      yield* call
      const patient = Effect.catchTag(call, "RateLimited", ({ retryAfter }) => Effect.delay(call, retryAfter))
      const fiber = yield* Command.queue(patient)
      yield* TestClock.adjust(999)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "Success")
    }))
})

describe("12. options that make no sense are refused by name:", () => {
  const window = "1 second"
  for (
    const [option, rateLimit] of [
      ...[0, -1, 1.5, NaN, Infinity].map((limit) => ["limit", { limit, window }] as const),
      ...[0, -1, NaN, Infinity, "soon"].map((window) => ["window", { limit: 1, window }] as const),
      ["algorithm", { limit: 1, window, algorithm: "leaky-bucket" }],
      ["maxKeys", { limit: 1, window, maxKeys: 0 }],
      ["onStoreError", { limit: 1, window, onStoreError: "panic" }],
      ["storeTimeout", { limit: 1, window, storeTimeout: 0 }],
      ["key", { limit: 1, window, key: () => "k" }],
      ["window", { limit: 1 }]
    ] as const
  ) {
    it.effect(`rateLimit.${option}, in ${JSON.stringify({ ...rateLimit })}`, () =>
      Effect.gen(function*() {
        const failure = yield* Effect.flip(make(rateLimit as never))
        assert.match(failure.problem, new RegExp(`^rateLimit\\.${option}: `))
        const alone = yield* Effect.flip(RateLimit.make("alone", rateLimit as never))
        assert.match(alone.problem, new RegExp(`^${option}: `))
      }))
  }

  it.effect("rateLimit.tokens, when the command is made", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 1, window })
      for (const tokens of [0, -1, NaN, 0.5, Infinity]) {
        assert.throws(
          () => Command.make("k", () => Effect.void, { group, rateLimit: { tokens } }),
          /^k: rateLimit\.tokens: /
        )
      }
    }))

  it.effect("and more tokens than there are, when the command meets its group", () =>
    Effect.gen(function*() {
      const group = yield* make({ limit: 2, window })
      const exit = yield* Effect.exit(Effect.void.pipe(Command.within(group, { key: "k", rateLimit: { tokens: 3 } })))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, InvalidOptions.InvalidOptions)
      assert.strictEqual(
        (defect as Error).message,
        "k: rateLimit.tokens: expected at most the limit of api, which is 2, got 3"
      )
      const limit = yield* RateLimit.make("alone", { limit: 2, window })
      assert.throws(() => RateLimit.withLimit(limit, { tokens: 3 })(Effect.void), /^alone: rateLimit\.tokens: /)
    }))
})

describe("in memory", () => {
  const steps = fc.array(
    fc.record({ millis: fc.nat({ max: 700 }), key: fc.constantFrom("a", "b"), tokens: fc.integer({ min: 1, max: 4 }) }),
    { minLength: 1, maxLength: 60 }
  )
  const limits = fc.record({
    limit: fc.integer({ min: 4, max: 12 }),
    window: fc.integer({ min: 1, max: 2000 }),
    algorithm: fc.constantFrom(...algorithms)
  })

  it("no more than `limit` and the rate, in any span of time", () => {
    fc.assert(fc.property(limits, steps, (given, steps) => {
      const clock = new Hands()
      const limiter = new MemoryLimiter(settings(given), clock)
      const taken: Array<{ readonly at: number; readonly tokens: number }> = []
      for (const { millis, tokens } of steps) {
        clock.pass(millis)
        if (limiter.take("k", tokens) === 0) taken.push({ at: clock.monotonic, tokens })
      }
      for (let from = 0; from < taken.length; from++) {
        let sum = 0
        for (let to = from; to < taken.length; to++) {
          sum += taken[to]!.tokens
          const span = taken[to]!.at - taken[from]!.at
          assert.isAtMost(sum, given.limit * (1 + span / given.window) + 0.01)
        }
      }
    }))
  })

  it("no refusal without need, and none longer than it says", () => {
    fc.assert(fc.property(limits, steps, (given, steps) => {
      const clock = new Hands()
      const limiter = new MemoryLimiter(settings(given), clock)
      for (const { millis, tokens } of steps) {
        clock.pass(millis)
        const wait = limiter.take("k", tokens)
        if (wait === 0) continue
        assert.isAtMost(wait, given.window)
        clock.pass(Math.max(0, wait - 0.001))
        clock.pass(0.002)
        assert.strictEqual(limiter.take("k", tokens), 0)
      }
    }))
  })

  it.effect("decides as Effect's limiter does over its own memory", () =>
    Effect.gen(function*() {
      const theirs = yield* RateLimiter.make
      let runs = 0
      yield* Effect.promise(() =>
        fc.assert(fc.asyncProperty(
          limits,
          // Steps of whole refills are where two ways of counting could differ.
          fc.array(
            fc.record({ refills: fc.nat({ max: 3 }), part: fc.nat({ max: 9 }), tokens: fc.integer({ min: 1, max: 4 }) })
          ),
          (given, steps) => {
            const key = `run ${runs++}`
            const refill = given.window
            const options = { ...given, window: refill * given.limit } // so that a refill is a whole number of milliseconds
            const clock = new Hands()
            const ours = new MemoryLimiter(settings(options), clock)
            return Effect.runPromise(
              Effect.gen(function*() {
                for (const { part, refills, tokens } of steps) {
                  clock.pass(refills * refill + Math.floor(part * refill / 10))
                  const said = yield* theirs.consume({ ...options, key, tokens, onExceeded: "fail" }).pipe(
                    Effect.as(0),
                    Effect.catch(({ reason }) =>
                      reason._tag === "RateLimitExceeded"
                        ? Effect.succeed(Duration.toMillis(reason.retryAfter))
                        : Effect.die(reason)
                    )
                  )
                  const wait = ours.take(key, tokens)
                  assert.closeTo(wait, said, 1e-6)
                }
              }).pipe(Effect.provideService(Clock.Clock, clock))
            )
          }
        ))
      )
    }).pipe(Effect.provide(RateLimiter.layerStoreMemory)))
})

describe("clocks that jump", () => {
  for (const algorithm of algorithms) {
    it(`${algorithm}: the wall clock means nothing; the other one, set back, costs a window at the most`, () => {
      const clock = new Hands()
      const limiter = new MemoryLimiter(settings({ limit: 2, algorithm }), clock)
      const take = () => limiter.take("k", 1)
      assert.deepStrictEqual([take(), take()], [0, 0])
      clock.wall -= 3_600_000
      assert.isAtMost(take(), 1000)
      clock.wall += 7_200_000
      assert.isAbove(take(), 0)
      clock.monotonic -= 3_600_000
      assert.isAtMost(take(), 1000)
      clock.pass(1000)
      assert.strictEqual(take(), 0)
      clock.monotonic += 3_600_000_000
      assert.deepStrictEqual([take(), take(), take() > 0], [0, 0, true])
    })
  }

  it.effect("Effect's token bucket is refilled although the wall clock was set back", () =>
    Effect.gen(function*() {
      const clock = new Hands()
      const context = yield* Effect.context<never>()
      const limiter = new ServiceLimiter("api", settings({ limit: 1 }), yield* RateLimiter.make, clock, context)
      const take = Effect.suspend(() => {
        const said = limiter.take("k", 1)
        return Effect.isEffect(said) ? said : Effect.succeed(said)
      })
      assert.strictEqual(yield* take, 0)
      clock.wall -= 3_600_000
      clock.monotonic += 999
      assert.strictEqual(yield* take, 1)
      clock.monotonic += 1
      assert.strictEqual(yield* take, 0)
    }).pipe(Effect.provide(RateLimiter.layerStoreMemory)))
})

/** Effect's limiter, over something that may be away. */
class Remote {
  asked = 0
  /** The names of the buckets, as it heard them. */
  readonly keys: Array<string> = []
  mode: "up" | "down" | "hangs" | "dies" = "up"
  readonly layer = Layer.effect(
    RateLimiter.RateLimiter,
    Effect.map(RateLimiter.make, (limiter) =>
      RateLimiter.RateLimiter.of({
        ...limiter,
        consume: (options) =>
          Effect.suspend(() => {
            this.asked++
            this.keys.push(options.key)
            if (this.mode === "up") return limiter.consume(options)
            if (this.mode === "hangs") return Effect.never
            if (this.mode === "dies") return Effect.die("a bug")
            const reason = new RateLimiter.RateLimitStoreError({ message: "connection refused" })
            return Effect.fail(new RateLimiter.RateLimiterError({ reason }))
          })
      }))
  ).pipe(Layer.provide(RateLimiter.layerStoreMemory))
}

describe("a limiter that is provided to the group", () => {
  class Api extends Group.Service<Api>()("api") {}

  const setup = (rateLimit: Partial<RateLimit.Options> = {}) => {
    const remote = new Remote()
    const logged: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      logged.push(`${logLevel} ${String((message as ReadonlyArray<unknown>)[0])}`)
    })
    const live = Api.layer({ pool, rateLimit: { limit: 2, window: "1 minute", ...rateLimit } }).pipe(
      Layer.provide(remote.layer),
      Layer.provideMerge(Logger.layer([logger])),
      Layer.provide(Layer.succeed(Metric.MetricRegistry, new Map())) // where no other test has a group of this name
    )
    return { remote, logged, live }
  }
  const call = Effect.void.pipe(Command.within(Api, { key: "get" }))

  it.effect("is asked instead, in its own names for the group and its keys", () => {
    const { live, remote } = setup()
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* ends(call, 3), ["Success", "Success", "RateLimited"])
      assert.deepInclude({ ...yield* Effect.flip(call) }, { limit: 2, unavailable: false })
      const keyed = Command.make("keyed", (key: string) => Effect.succeed(key), {
        group: Api,
        rateLimit: { key: (key) => key }
      })
      for (const key of ["x", "x:refill", "50%"]) assert.strictEqual(yield* end(keyed(key)), "Success")
      // No key can name what the store keeps of another one.
      assert.deepStrictEqual(remote.keys.slice(4), ["api:x", "api:x%3Arefill", "api:50%25"])
    }).pipe(Effect.provide(live))
  })

  for (const mode of ["down", "hangs"] as const) {
    it.effect(`${mode}: calls are let in, are not held up by it, and the log says so once; then it heals`, () => {
      const { live, logged, remote } = setup()
      return Effect.gen(function*() {
        yield* afterFirstSleep
        remote.mode = mode
        const fiber = yield* Command.queue(call)
        if (mode === "hangs") {
          yield* TestClock.adjust(99)
          assert.strictEqual(state(fiber), "running")
          yield* TestClock.adjust(1)
        }
        assert.strictEqual(state(fiber), "Success")
        // From now on nobody waits, but for one call at a time that asks: after 100 ms, 200 ms and so on, up to a second.
        assert.strictEqual(remote.asked, 1)
        assert.deepStrictEqual(new Set(yield* ends(call, 100)), new Set(["Success"]))
        assert.strictEqual(remote.asked, 1)
        for (const pause of [100, 200, 400, 800, 1000, 1000]) {
          const { asked } = remote
          yield* TestClock.adjust(pause - 1)
          assert.strictEqual(yield* end(call), "Success")
          assert.strictEqual(remote.asked, asked)
          yield* TestClock.adjust(1)
          const asking = yield* Command.queue(call)
          assert.deepStrictEqual(new Set(yield* ends(call, 10)), new Set(["Success"]))
          assert.strictEqual(remote.asked, asked + 1)
          if (mode === "hangs") yield* TestClock.adjust(100)
          assert.strictEqual(state(asking), "Success")
        }
        assert.deepStrictEqual(logged, ["Warn the rate limiter of api is unavailable: calls are let in meanwhile"])
        remote.mode = "up"
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual(yield* ends(call, 3), ["Success", "Success", "RateLimited"])
        assert.deepStrictEqual(logged.slice(1), ["Info the rate limiter of api is back"])
        // Another outage is another line.
        remote.mode = "down"
        yield* ends(call, 3)
        assert.strictEqual(logged.length, 3)
      }).pipe(Effect.provide(live))
    })
  }

  it.effect("away, with onStoreError refuse: calls are refused, and told when to come back", () => {
    const { live, logged, remote } = setup({ onStoreError: "refuse" })
    return Effect.gen(function*() {
      remote.mode = "down"
      const refused = yield* Effect.flip(call)
      assert.deepInclude({ ...refused }, { limit: 2, unavailable: true })
      if (refused._tag === "RateLimited") assert.deepStrictEqual(refused.retryAfter, Duration.seconds(1))
      assert.deepStrictEqual(yield* ends(call, 2), ["RateLimited", "RateLimited"])
      assert.deepStrictEqual(logged, ["Warn the rate limiter of api is unavailable: calls are refused meanwhile"])
      remote.mode = "up"
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* end(call), "Success")
    }).pipe(Effect.provide(live))
  })

  it.effect("away, and the call that asks leaves before it has heard: another asks", () => {
    const { live, remote } = setup()
    return Effect.gen(function*() {
      yield* afterFirstSleep
      remote.mode = "hangs"
      yield* Command.queue(call)
      yield* TestClock.adjust(200)
      const asking = yield* Command.queue(call)
      assert.strictEqual(remote.asked, 2)
      yield* Fiber.interrupt(asking)
      remote.mode = "up"
      assert.strictEqual(yield* end(call), "Success")
      assert.strictEqual(remote.asked, 2)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* ends(call, 3), ["Success", "Success", "RateLimited"])
    }).pipe(Effect.provide(live))
  })

  it.effect("that answers with a defect is a bug, and not hidden", () => {
    const { live, remote } = setup()
    return Effect.gen(function*() {
      remote.mode = "dies"
      assert.strictEqual(yield* end(call), "Die")
      remote.mode = "up"
      assert.strictEqual(yield* end(call), "Success")
    }).pipe(Effect.provide(live))
  })

  it.effect("a call that leaves while it is asked leaves nothing behind", () => {
    const { live, remote } = setup({ storeTimeout: "1 minute" })
    return Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* Api
      remote.mode = "hangs"
      const work = new Work()
      const gone = yield* Command.queue(work.run.pipe(Command.within(Api, { key: "k" })))
      const late = yield* Command.queue(Effect.flip(work.run.pipe(Command.within(Api, { key: "k", timeout: 50 }))))
      gone.interruptUnsafe()
      yield* TestClock.adjust(50)
      assert.strictEqual(state(gone), "Interrupt")
      assert.strictEqual(state(late), "Success")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(work.started, 0)
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 0, admitted: 0, queued: 0 })
    }).pipe(Effect.provide(live))
  })
})

describe("3. alone, as a combinator", () => {
  it.effect("limits any effect, as a whole and by key, data first and last", () =>
    Effect.gen(function*() {
      const limit = yield* RateLimit.make("mail", { limit: 2, window: "1 second" })
      const whole = RateLimit.withLimit(Effect.void, limit)
      const keyed = (key: string) => Effect.void.pipe(RateLimit.withLimit(limit, { key }))
      assert.deepStrictEqual(yield* ends(whole, 3), ["Success", "Success", "RateLimited"])
      assert.deepStrictEqual(yield* ends(keyed("a"), 3), ["Success", "Success", "RateLimited"])
      assert.strictEqual(yield* end(Effect.void.pipe(RateLimit.withLimit(limit, { key: "b", tokens: 2 }))), "Success")
      assert.deepInclude({ ...yield* Effect.flip(keyed("a")) }, { group: "mail", key: "mail", limitKey: "a", limit: 2 })
    }))

  it.effect("the effect keeps its failures and its context, and can be interrupted", () =>
    Effect.gen(function*() {
      const limit = yield* RateLimit.make("mail", { limit: 5, window: "1 second" })
      assert.strictEqual(yield* Effect.flip(Effect.fail("no").pipe(RateLimit.withLimit(limit))), "no")
      const work = new Work()
      const fiber = yield* Command.queue(work.run.pipe(RateLimit.withLimit(limit)))
      fiber.interruptUnsafe()
      yield* Effect.yieldNow
      assert.deepStrictEqual([state(fiber), work.active], ["Interrupt", 0])
    }))
})
