import { Command, CommandMetrics, Group } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Metric, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { state, Work } from "./calls.ts"

const outcomes: ReadonlyArray<CommandMetrics.Outcome> = [
  "success",
  "failure",
  "defect",
  "timeout",
  "rejected",
  "interrupted"
]

/** A registry of the test's own. */
const isolated = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(test, Metric.MetricRegistry, new Map()))

/** The state of the one series of a metric with these attributes; `undefined` where there is none. */
const series = <Input, State>(metric: Metric.Metric<Input, State>, attributes: Record<string, string>) =>
  Effect.map(Metric.snapshot, (snapshots) => {
    const found = snapshots.filter((snapshot) =>
      snapshot.id === metric.id &&
      Object.entries(attributes).every(([name, value]) => snapshot.attributes?.[name] === value)
    )
    assert.isAtMost(found.length, 1)
    return found[0]?.state as State | undefined
  })

/** How many calls of a key have ended, by outcome: those that are not zero. */
const counted = Effect.fnUntraced(function*(key: string) {
  const counts: { [outcome in CommandMetrics.Outcome]?: number } = {}
  for (const outcome of outcomes) {
    const { count } = (yield* series(CommandMetrics.calls, { key, outcome }))!
    if (count > 0) counts[outcome] = count
  }
  return counts
})

describe("32. every call ends in exactly one outcome", () => {
  it.effect("a deadline that has passed stays it, although its caller is interrupted while the work has not stopped", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const stubborn = Effect.sleep(20).pipe(Effect.uninterruptible)
      const caller = yield* Command.queue(stubborn.pipe(Command.within(group, { key: "k", timeout: 10 })))
      yield* TestClock.adjust(15)
      const interruption = yield* Command.queue(Fiber.interrupt(caller))
      yield* TestClock.adjust(5)
      yield* Fiber.join(interruption)
      assert.deepStrictEqual(yield* counted("k"), { timeout: 1 })
    }).pipe(isolated))

  it.effect("a call whose retry was refused ends by what it had failed with before, as its caller sees it", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 }, circuit: { consecutive: 1 } })
      const call = Effect.fail("no").pipe(Command.within(group, { key: "k", retry: { times: 1, base: 1 } }))
      const fiber = yield* Command.queue(Effect.flip(call))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "no")
      assert.deepStrictEqual(yield* counted("k"), { failure: 1 })
    }).pipe(isolated))

  const work = Effect.sync(() => new Work())
  /** Each makes one call with the key "k", to its end. */
  const ends: ReadonlyArray<
    readonly [name: string, outcome: CommandMetrics.Outcome, (group: Group.Group) => Effect.Effect<unknown, unknown>]
  > = [
    ["its effect succeeds", "success", (group) => Effect.void.pipe(Command.within(group, { key: "k" }))],
    ["its effect fails", "failure", (group) => Effect.fail("no").pipe(Command.within(group, { key: "k" }))],
    ["its effect dies", "defect", (group) => Effect.die("bug").pipe(Command.within(group, { key: "k" }))],
    [
      "its effect fails and a finalizer dies",
      "defect",
      (group) => Effect.fail("no").pipe(Effect.ensuring(Effect.die("bug")), Command.within(group, { key: "k" }))
    ],
    [
      "its effect interrupts itself",
      "interrupted",
      (group) => Effect.interrupt.pipe(Command.within(group, { key: "k" }))
    ],
    ["its deadline passes", "timeout", (group) => Effect.never.pipe(Command.within(group, { key: "k", timeout: 10 }))],
    [
      "its attempt's deadline passes",
      "timeout",
      (group) => Effect.never.pipe(Command.within(group, { key: "k", attemptTimeout: 10 }))
    ],
    [
      "its deadline passes, and its effect, which can't be interrupted, succeeds",
      "timeout",
      (group) => Effect.uninterruptible(Effect.sleep(20)).pipe(Command.within(group, { key: "k", timeout: 10 }))
    ],
    [
      "its deadline passes, and a finalizer dies",
      "timeout",
      (group) => Effect.never.pipe(Effect.ensuring(Effect.die("bug")), Command.within(group, { key: "k", timeout: 10 }))
    ],
    [
      "both its deadlines pass at one instant",
      "timeout",
      (group) => Effect.never.pipe(Command.within(group, { key: "k", timeout: 10, attemptTimeout: 10 }))
    ],
    [
      "its deadline passes in the queue",
      "timeout",
      (group) =>
        Effect.gen(function*() {
          const other = yield* work
          yield* Command.queue(other.run.pipe(Command.within(group, { key: "other" })))
          yield* Effect.ignore(Effect.void.pipe(Command.within(group, { key: "k", timeout: 10 })))
          yield* other.finish
        })
    ],
    [
      "it waits too long",
      "rejected",
      (group) =>
        Effect.gen(function*() {
          const other = yield* work
          yield* Command.queue(other.run.pipe(Command.within(group, { key: "other" })))
          yield* Effect.ignore(Effect.void.pipe(Command.within(group, { key: "k" })))
          yield* other.finish
        })
    ],
    [
      "the pool is full",
      "rejected",
      (group) =>
        Effect.gen(function*() {
          const other = yield* work
          for (const key of ["other", "another"]) yield* Command.queue(other.run.pipe(Command.within(group, { key })))
          yield* Effect.ignore(Effect.void.pipe(Command.within(group, { key: "k" })))
          yield* other.finish
        })
    ],
    [
      "it re-enters the pool",
      "rejected",
      (group) => Effect.void.pipe(Command.within(group, { key: "k" }), Command.within(group, { key: "outer" }))
    ],
    [
      "its caller is interrupted in the queue",
      "interrupted",
      (group) =>
        Effect.gen(function*() {
          const other = yield* work
          yield* Command.queue(other.run.pipe(Command.within(group, { key: "other" })))
          yield* Fiber.interrupt(yield* Command.queue(Effect.void.pipe(Command.within(group, { key: "k" }))))
          yield* other.finish
        })
    ],
    [
      "its caller is interrupted",
      "interrupted",
      (group) =>
        Effect.gen(function*() {
          yield* Fiber.interrupt(yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k" }))))
        })
    ],
    [
      "its caller is interrupted, and its deadline passes before its effect has stopped",
      "interrupted",
      (group) =>
        Effect.gen(function*() {
          const call = Effect.uninterruptible(Effect.sleep(20)).pipe(Command.within(group, { key: "k", timeout: 10 }))
          yield* Fiber.interrupt(yield* Command.queue(call))
        })
    ],
    [
      "its caller is let go, and its effect succeeds later",
      "timeout",
      (group) =>
        Effect.uninterruptible(Effect.sleep(20)).pipe(
          Command.within(group, { key: "k", timeout: 10, detach: true }),
          Effect.ignore,
          Effect.andThen(Effect.sleep(20))
        )
    ],
    [
      "a callback answers, and fails later",
      "failure",
      (group) => {
        let end = () => {}
        const command = Command.callback("k", (call: Command.Completion<void, string>) => {
          end = () => call.end(Exit.fail("no"))
          call.answer()
        }, { group })
        return Effect.andThen(command(), Effect.sync(() => end()))
      }
    ]
  ]
  for (const [name, outcome, call] of ends) {
    it.effect(`${name}: ${outcome}, with its latency and its wait`, () =>
      Effect.gen(function*() {
        const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 1, queueTimeout: 50 } })
        const fiber = yield* Command.queue(call(group))
        yield* TestClock.adjust(100)
        assert.notStrictEqual(state(fiber), "running")
        assert.deepStrictEqual(yield* counted("k"), { [outcome]: 1 })
        assert.strictEqual((yield* series(CommandMetrics.duration, { key: "k" }))!.count, 1)
        assert.strictEqual((yield* series(CommandMetrics.queueWait, { key: "k" }))!.count, 1)
      }).pipe(isolated))
  }

  it.effect("a rejection of a command inside is a failure of the one outside", () =>
    Effect.gen(function*() {
      const inner = yield* Group.make("inner", { pool: { maxConcurrent: 1 } })
      const outer = yield* Group.make("outer", { pool: { maxConcurrent: 10 } })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Command.within(inner, { key: "other" })))
      const nested = (effect: Effect.Effect<void>, key: string) =>
        effect.pipe(
          Command.within(inner, { key: `inner of ${key}`, timeout: 10 }),
          Command.within(outer, { key, timeout: 100 }),
          Effect.exit
        )
      yield* nested(Effect.void, "full")
      assert.deepStrictEqual(yield* counted("inner of full"), { rejected: 1 })
      assert.deepStrictEqual(yield* counted("full"), { failure: 1 })
      yield* work.finish
      yield* Command.queue(nested(Effect.never, "slow"))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* counted("inner of slow"), { timeout: 1 })
      assert.deepStrictEqual(yield* counted("slow"), { failure: 1 })
    }).pipe(isolated))

  it.effect("the commands of a group are counted apart, those of one key together", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 10 } })
      const a = Command.make("a", () => Effect.void, { group })
      yield* Effect.all([
        a(),
        a(),
        Effect.void.pipe(Command.within(group, { key: "a" })),
        Effect.exit(
          Effect.fail("no").pipe(Command.within(group, { key: "b" }))
        )
      ])
      assert.deepStrictEqual(yield* counted("a"), { success: 3 })
      assert.deepStrictEqual(yield* counted("b"), { failure: 1 })
    }).pipe(isolated))
})

describe("30. a call that its fallback rescued", () => {
  it.effect("is counted by its own outcome, and as degraded", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const command = Command.make("k", (ok: boolean) => ok ? Effect.void : Effect.fail("no"), {
        group,
        fallback: () => Effect.void
      })
      yield* Effect.all([command(true), command(false), command(false)])
      assert.deepStrictEqual(yield* counted("k"), { success: 1, failure: 2 })
      assert.strictEqual((yield* series(CommandMetrics.degraded, { group: "g", key: "k" }))!.count, 2)
    }).pipe(isolated))

  it.effect("is not degraded when the fallback fails too: nobody was answered", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const command = Command.make("k", () => Effect.fail("no"), { group, fallback: () => Effect.fail("no cache") })
      yield* Effect.ignore(command())
      assert.deepStrictEqual(yield* counted("k"), { failure: 1 })
      assert.strictEqual((yield* series(CommandMetrics.degraded, { key: "k" }))!.count, 0)
    }).pipe(isolated))
})

describe("32. the histograms", () => {
  it.effect("hold the latency of the whole call, and its wait, in seconds", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(12_345)
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 1 } })
      yield* Command.queue(Effect.sleep(30).pipe(Command.within(group, { key: "first" })))
      yield* Command.queue(Effect.sleep(70).pipe(Command.within(group, { key: "second" })))
      yield* TestClock.adjust(100)
      const at = (key: string) =>
        Effect.map(
          Effect.all([series(CommandMetrics.duration, { key }), series(CommandMetrics.queueWait, { key })]),
          (states) => states.map((state) => [state!.count, state!.sum, state!.min, state!.max])
        )
      assert.deepStrictEqual(yield* at("first"), [[1, 0.03, 0.03, 0.03], [1, 0, 0, 0]])
      assert.deepStrictEqual(yield* at("second"), [[1, 0.1, 0.1, 0.1], [1, 0.03, 0.03, 0.03]])
    }).pipe(isolated))

  it.effect("read as Effect's own would", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: Infinity } })
      const own = Metric.histogram("own", { boundaries: CommandMetrics.boundaries })
      for (const millis of [1, 2, 3, 100, 100, 101, 59_999, 60_000, 60_001, 3_600_000]) {
        yield* Command.queue(Effect.sleep(millis).pipe(Command.within(group, { key: "k" })))
        yield* Metric.update(own, millis / 1000)
      }
      yield* TestClock.adjust("1 hour")
      const state = (yield* series(CommandMetrics.duration, { key: "k" }))!
      const expected = yield* Metric.value(own)
      assert.deepStrictEqual({ ...state, sum: 0 }, { ...expected, sum: 0 })
      assert.closeTo(state.sum, expected.sum, 1e-6)
    }).pipe(isolated))

  it.effect("are empty before the first call has ended", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Command.within(group, { key: "k" })))
      const own = yield* Metric.value(Metric.histogram("own", { boundaries: CommandMetrics.boundaries }))
      assert.strictEqual((yield* series(CommandMetrics.duration, { key: "k" }))!.count, 0)
      assert.deepStrictEqual((yield* series(CommandMetrics.duration, { key: "k" }))!.buckets, own.buckets)
    }).pipe(isolated))
})

it.effect("32. saturation is a gauge: active, queued, overdue and both limits of each group", () =>
  Effect.gen(function*() {
    const group = yield* Group.make("g", { pool: { maxConcurrent: 2, maxQueued: 7 } })
    yield* Group.make("other", { pool: { maxConcurrent: 3 } })
    const gauges = (group: string) =>
      Effect.map(
        Effect.all([
          series(CommandMetrics.poolActive, { group }),
          series(CommandMetrics.poolQueued, { group }),
          series(CommandMetrics.poolOverdue, { group }),
          series(CommandMetrics.poolMaxConcurrent, { group }),
          series(CommandMetrics.poolMaxQueued, { group })
        ]),
        (states) => states.map((state) => state!.value)
      )
    const work = new Work()
    for (let i = 0; i < 3; i++) {
      yield* Command.queue(
        Effect.uninterruptible(work.run).pipe(Command.within(group, { key: "k", timeout: 10 * i + 10 }))
      )
    }
    assert.deepStrictEqual(yield* gauges("g"), [2, 1, 0, 2, 7])
    yield* TestClock.adjust(10)
    assert.deepStrictEqual(yield* gauges("g"), [2, 1, 1, 2, 7])
    assert.deepStrictEqual(yield* gauges("other"), [0, 0, 0, 3, 0])
    yield* work.finish
    assert.deepStrictEqual(yield* gauges("g"), [0, 0, 0, 2, 7])
  }).pipe(isolated))

it.effect("32. key cardinality is bounded: 1,000 keys are kept apart, the others are counted together", () =>
  Effect.gen(function*() {
    const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
    const call = (key: string) => Effect.void.pipe(Command.within(group, { key }))
    for (let i = 0; i < 1050; i++) yield* call(`key ${i}`)
    yield* call("key 0")
    yield* call("key 1049")
    const snapshots = yield* Metric.snapshot
    const keys = new Set(snapshots.flatMap(({ attributes }) => attributes?.["key"] ?? []))
    assert.strictEqual(keys.size, 1001)
    assert.isTrue(keys.has("key 999") && !keys.has("key 1000"))
    assert.deepStrictEqual(yield* counted("key 0"), { success: 2 })
    assert.deepStrictEqual(yield* counted("(other)"), { success: 51 })
  }).pipe(isolated))

describe("the series of a group", () => {
  it.effect("vanish from the registry when its layer closes, and no late call brings them back", () =>
    Effect.gen(function*() {
      const registry = yield* Metric.MetricRegistry
      const scope = yield* Scope.make()
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } }).pipe(Scope.provide(scope))
      yield* Effect.void.pipe(Command.within(group, { key: "early" }))
      assert.isAbove(registry.size, 0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(registry.size, 0)
      yield* Effect.void.pipe(Command.within(group, { key: "late" }))
      yield* Effect.void.pipe(Command.within(group, { key: "early" }))
      assert.strictEqual(registry.size, 0)
    }).pipe(isolated))

  it.effect("hide those of another one of its name, and the log says so, once", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) => lines.push(`${logLevel} ${String(message)}`))
      const make = Group.make("g", { pool: { maxConcurrent: 1 } }).pipe(Effect.provide(Logger.layer([logger])))
      const first = yield* Scope.make()
      yield* Scope.provide(make, first)
      yield* Group.make("other", { pool: { maxConcurrent: 1 } })
      assert.deepStrictEqual(lines, [])
      const second = yield* Scope.make()
      yield* Scope.provide(make, second)
      assert.deepStrictEqual(lines, ["Warn there is another group named g: its metrics are hidden by this one's"])
      yield* Effect.scoped(make)
      assert.strictEqual(lines.length, 1)
      // One that is made after the other has ended hides nothing.
      yield* Scope.close(first, Exit.void)
      yield* Scope.close(second, Exit.void)
      yield* make
      assert.strictEqual(lines.length, 1)
    }).pipe(isolated))

  it.effect("of a group of the same name, made since, stay", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const make = (scope: Scope.Scope) => Group.make("g", { pool: { maxConcurrent: 1 } }).pipe(Scope.provide(scope))
      yield* make(first)
      yield* make(second)
      yield* Scope.close(first, Exit.void)
      assert.strictEqual((yield* series(CommandMetrics.poolMaxConcurrent, { group: "g" }))!.value, 1)
    }).pipe(isolated))
})

describe("the caller's span", () => {
  /** The spans of a program, by name. */
  const traced = Effect.fnUntraced(function*<A, E, R>(program: Effect.Effect<A, E, R>) {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span(options) {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    yield* Effect.exit(program).pipe(Effect.provideService(Tracer.Tracer, tracer))
    return Object.fromEntries(spans.map((span) => [span.name, Object.fromEntries(span.attributes)]))
  })

  for (
    const [outcome, run] of [
      ["success", Effect.void],
      ["failure", Effect.fail("no")],
      ["defect", Effect.die("bug")]
    ] as const
  ) {
    it.effect(`carries group, key and outcome: ${outcome}`, () =>
      Effect.gen(function*() {
        const group = yield* Group.make("service.session", { pool: { maxConcurrent: 1 } })
        const command = Command.make("get_current_user", () => run, { group })
        assert.deepStrictEqual(yield* traced(Effect.withSpan(command(), "call")), {
          call: {
            "blackgate.group": "service.session",
            "blackgate.key": "get_current_user",
            "blackgate.outcome": outcome
          }
        })
      }).pipe(isolated))
  }

  it.effect("is the nearest: a command inside of a span inside of a command has its own", () =>
    Effect.gen(function*() {
      const inner = yield* Group.make("inner", { pool: { maxConcurrent: 1 } })
      const outer = yield* Group.make("outer", { pool: { maxConcurrent: 1 } })
      const program = Effect.fail("no").pipe(
        Command.within(inner, { key: "a" }),
        Effect.withSpan("inner"),
        Effect.ignore,
        Command.within(outer, { key: "b" }),
        Effect.withSpan("outer")
      )
      assert.deepStrictEqual(yield* traced(program), {
        outer: { "blackgate.group": "outer", "blackgate.key": "b", "blackgate.outcome": "success" },
        inner: { "blackgate.group": "inner", "blackgate.key": "a", "blackgate.outcome": "failure" }
      })
    }).pipe(isolated))

  it.effect("says rejected when the pool is full", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const work = new Work()
      yield* Command.queue(work.run.pipe(Command.within(group, { key: "other" })))
      const spans = yield* traced(Effect.void.pipe(Command.within(group, { key: "k" }), Effect.withSpan("call")))
      assert.strictEqual(spans["call"]!["blackgate.outcome"], "rejected")
    }).pipe(isolated))
})
