import { Command, Group, InvalidOptions, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Config,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Schedule,
  Scope
} from "effect"
import { TestClock } from "effect/testing"
import { state, Work } from "./calls.ts"

class Session extends Group.Service<Session>()("service.session") {}
class Billing extends Group.Service<Billing>()("service.billing") {}

const active = (group: Group.Group) => Effect.map(Pool.statistics(group.pool), (statistics) => statistics.active)

describe("a group is its state", () => {
  it.effect("two commands of one group share its pool", () =>
    Effect.gen(function*() {
      const work = new Work()
      const first = Command.make("first", () => work.run, { group: Session })
      const second = Command.make("second", () => Effect.void, { group: Session })
      yield* Command.queue(first())
      const full = yield* Effect.flip(second())
      assert.deepInclude({ ...full }, { group: "service.session", key: "second", active: 1, maxConcurrent: 1 })
      yield* work.finish
      yield* second()
    }).pipe(Effect.provide(Session.layer({ pool: { maxConcurrent: 1 } }))))

  it.effect("two groups have a pool each", () =>
    Effect.gen(function*() {
      const work = new Work()
      yield* Command.queue(work.run.pipe(Command.within(Session, { key: "k" })))
      yield* Effect.void.pipe(Command.within(Billing, { key: "k" }))
      assert.deepStrictEqual(yield* Effect.all([active(yield* Session), active(yield* Billing)]), [1, 0])
    }).pipe(Effect.provide([
      Session.layer({ pool: { maxConcurrent: 1 } }),
      Billing.layer({ pool: { maxConcurrent: 1 } })
    ])))

  it.effect("of data alone: a plain value, under the name it was given", () =>
    Effect.gen(function*() {
      const groups = yield* Effect.forEach(["a", "b"], (name) => Group.make(name, { pool: { maxConcurrent: 1 } }))
      assert.deepStrictEqual(groups.map(({ name }) => name), ["a", "b"])
      assert.deepStrictEqual(groups.map(({ pool }) => pool.name), ["a", "b"])
      assert.notStrictEqual(groups[0]!.pool, groups[1]!.pool)
      const command = Command.make("k", (n: number) => Effect.succeed(n + 1), { group: groups[0]! })
      assert.strictEqual(yield* command(1), 2)
    }))

  it.effect("isGroup tells groups from other things", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      assert.isTrue(Group.isGroup(group))
      for (const other of [Session, group.pool, {}, null, undefined]) assert.isFalse(Group.isGroup(other))
    }))
})

describe("a layer", () => {
  class A extends Context.Service<A, Group.Group>()("A") {}
  class B extends Context.Service<B, Group.Group>()("B") {}
  const groups = Effect.all([A, B])
  const needs = (live: Layer.Layer<Session>, other: Layer.Layer<Session>) =>
    Layer.merge(
      Layer.effect(A, Effect.map(Session, (group) => group)).pipe(Layer.provide(live)),
      Layer.effect(B, Effect.map(Session, (group) => group)).pipe(Layer.provide(other))
    )
  const live = Session.layer({ pool: { maxConcurrent: 1 } })

  it.effect("provided twice is one pool", () =>
    Effect.gen(function*() {
      const [a, b] = yield* groups
      assert.strictEqual(a.pool, b.pool)
    }).pipe(Effect.provide(needs(live, live))))

  it.effect("made twice is two pools", () =>
    Effect.gen(function*() {
      const [a, b] = yield* groups
      assert.notStrictEqual(a.pool, b.pool)
    }).pipe(Effect.provide(needs(live, Session.layer({ pool: { maxConcurrent: 1 } })))))

  it.effect("names the pool as the class is named", () =>
    Effect.gen(function*() {
      const group = yield* Session
      assert.strictEqual(group.name, "service.session")
      assert.strictEqual(group.pool.name, "service.session")
    }).pipe(Effect.provide(live)))

  it.effect("can be a static of its class", () =>
    Effect.gen(function*() {
      class WithLive extends Group.Service<WithLive>()("with.live") {
        static readonly Live = this.layer({ pool: { maxConcurrent: 7 } })
      }
      const { pool } = yield* Effect.provide(WithLive, WithLive.Live)
      assert.strictEqual((yield* Pool.statistics(pool)).maxConcurrent, 7)
    }))
})

describe("12. options that make no sense are refused when the group is built, with the name of the option:", () => {
  const bad = { pool: { maxConcurrent: 0 } }
  const named = (u: unknown) => {
    assert.instanceOf(u, InvalidOptions.InvalidOptions)
    assert.match(u.message, /^service\.session: pool\.maxConcurrent: .* got 0$/)
  }

  it.effect("a layer made in code dies with InvalidOptions", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Session.layer(bad))))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
      if (Exit.isFailure(exit)) named(Cause.squash(exit.cause))
    }))

  it.effect("Group.make fails with it", () =>
    Effect.gen(function*() {
      named(yield* Effect.flip(Group.make("service.session", bad)))
    }))

  it.effect("layerConfig fails with it, typed", () =>
    Effect.gen(function*() {
      const layer = Session.layerConfig({ pool: { maxConcurrent: Config.succeed(0) } })
      named(yield* Effect.flip(Effect.scoped(Layer.build(layer))))
    }))

  it.effect("but not before: a layer that nobody builds harms nobody", () =>
    Effect.sync(() => {
      assert.isTrue(Layer.isLayer(Session.layer(bad)))
    }))

  for (
    const [option, input] of [
      ["pool.maxQueued", { pool: { maxConcurrent: 1, maxQueued: -1 } }],
      ["pool.queueTimeout", { pool: { maxConcurrent: 1, queueTimeout: NaN } }],
      ["pool.maxQueue", { pool: { maxConcurrent: 1, maxQueue: 1 } }],
      ["pool", {}],
      ["pools", { pool: { maxConcurrent: 1 }, pools: {} }]
    ] as const
  ) {
    it.effect(`${option}, in ${JSON.stringify(input)}`, () =>
      Effect.gen(function*() {
        const failure = yield* Effect.flip(Group.make("g", input as never))
        assert.isTrue(failure.problem.startsWith(`${option}: `), failure.problem)
      }))
  }
})

describe("layerConfig", () => {
  const live = Session.layerConfig({
    pool: {
      maxConcurrent: Config.Int("SESSION_POOL").pipe(Config.withDefault(10)),
      maxQueued: Config.Int("SESSION_QUEUE").pipe(Config.withDefault(20)),
      queueTimeout: Config.Duration("SESSION_WAIT").pipe(Config.withDefault(Duration.seconds(1)))
    }
  })
  const limits = Effect.gen(function*() {
    const group = yield* Session
    const { maxConcurrent, maxQueued } = yield* Pool.statistics(group.pool)
    return { maxConcurrent, maxQueued }
  })
  const within = (env: Record<string, string>) =>
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

  it.effect("sizes the pool by the environment", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits, { maxConcurrent: 25, maxQueued: 20 })
    }).pipe(Effect.provide(live), within({ SESSION_POOL: "25" })))

  it.effect("has the defaults where the environment says nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* limits, { maxConcurrent: 10, maxQueued: 20 })
    }).pipe(Effect.provide(live), within({})))

  it.effect("bounds the wait, too", () =>
    Effect.gen(function*() {
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(Session)))
      const fiber = yield* Command.queue(work.run.pipe(Pool.withPermit(Session)))
      yield* TestClock.adjust("49 millis")
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(state(fiber), "QueueTimeout")
    }).pipe(Effect.provide(live), within({ SESSION_POOL: "1", SESSION_WAIT: "50 millis" })))

  it.effect("fails with ConfigError where the environment makes no sense, and InvalidOptions where its value doesn't", () =>
    Effect.gen(function*() {
      const failure = (env: Record<string, string>) => Effect.flip(Effect.provide(limits, live)).pipe(within(env))
      assert.strictEqual((yield* failure({ SESSION_POOL: "many" }))._tag, "ConfigError")
      const invalid = yield* failure({ SESSION_POOL: "-1" })
      assert.instanceOf(invalid, InvalidOptions.InvalidOptions)
      assert.match(invalid.problem, /^pool\.maxConcurrent: /)
    }))
})

describe("the Clock of a group", () => {
  it.effect("is the one that its layer was built on, not the caller's", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const callers = yield* TestClock.make()
      const fiber = yield* Command.queue(
        Effect.never.pipe(
          Command.within(group, { key: "k", timeout: 100 }),
          Effect.provideService(Clock.Clock, callers)
        )
      )
      yield* callers.adjust(1000)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(100)
      assert.strictEqual(state(fiber), "CommandTimeout")
    }))

  it.effect("is not the wall's, which may be set as one likes: every policy keeps its times", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      for (const jump of [1e12, -1e12]) {
        let wall = clock.currentTimeMillisUnsafe()
        const wallOf = (name: PropertyKey) =>
          name === "currentTimeMillisUnsafe"
            ? () => wall
            : name === "currentTimeNanosUnsafe"
            ? () => BigInt(wall) * 1_000_000n
            : name === "currentTimeMillis"
            ? Effect.sync(() => wall)
            : name === "currentTimeNanos"
            ? Effect.sync(() => BigInt(wall) * 1_000_000n)
            : undefined
        const jumping = new Proxy(clock, { get: (target, name) => wallOf(name) ?? Reflect.get(target, name) })
        const group = yield* Effect.provideService(
          Group.make(`wall ${jump}`, {
            pool: { maxConcurrent: 1, maxQueued: 9, queueTimeout: 50 },
            circuit: { consecutive: 1, openFor: 100 },
            rateLimit: { limit: 100, window: "1 minute" }
          }),
          Clock.Clock,
          jumping
        )
        const queue = (
          options: Command.Policies & Command.Distinctions<[], unknown>,
          work: Effect.Effect<unknown, unknown>
        ) =>
          Command.queue(
            work.pipe(Command.within(group, { key: "k", ...options }), Effect.provideService(Clock.Clock, jumping))
          )
        const slow = yield* queue({ timeout: 80, circuit: { key: () => "slow" } }, Effect.never)
        const waits = yield* queue({}, Effect.void)
        wall += jump
        yield* TestClock.adjust(49)
        assert.deepStrictEqual([slow, waits].map(state), ["running", "running"])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual([slow, waits].map(state), ["running", "QueueTimeout"])
        yield* TestClock.adjust(30)
        assert.deepStrictEqual(state(slow), "CommandTimeout")
        // The circuit of the slow one is open, for its time.
        wall -= jump
        const soon = yield* queue({ circuit: { key: () => "slow" } }, Effect.void)
        yield* TestClock.adjust(100)
        wall += jump
        const later = yield* queue({ circuit: { key: () => "slow" } }, Effect.void)
        assert.deepStrictEqual([soon, later].map(state), ["CircuitOpen", "Success"])
        // A retry comes after its delay, a schedule's too; a hedge after its own.
        let attempts = 0
        const flaky = Effect.suspend(() => ++attempts % 2 === 1 ? Effect.fail("no") : Effect.void)
        const isFailure = () => false
        const retried = yield* queue({ retry: { base: 10 }, circuit: { isFailure } }, flaky)
        wall -= jump
        yield* TestClock.adjust(20)
        const schedule = Schedule.fixed(30)
        const scheduled = yield* queue({ retry: { schedule }, circuit: { isFailure } }, flaky)
        wall += jump
        yield* TestClock.adjust(29)
        assert.deepStrictEqual([retried, scheduled].map(state), ["Success", "running"])
        yield* TestClock.adjust(1)
        assert.strictEqual(state(scheduled), "Success")
        assert.strictEqual(attempts, 4)
      }
    }))

  it.effect("stops with its scope: calls that are still under way end by themselves", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } }).pipe(Scope.provide(scope))
      const work = new Work()
      const fiber = yield* Command.queue(work.run.pipe(Command.within(group, { key: "k", timeout: 100 })))
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1000)
      assert.strictEqual(state(fiber), "running")
      yield* work.finish
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* active(group), 0)
    }))
})
