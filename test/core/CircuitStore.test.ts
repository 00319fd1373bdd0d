import { Circuit, CircuitStore, Command, Group, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Queue,
  Scope,
  Stream
} from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { afterFirstSleep, ending, state, Work } from "./calls.ts"

type Said = CircuitStore.Ticket | CircuitStore.Refusal

/** A store that is elsewhere: it says what it is told to, when it is told to. */
class Elsewhere implements CircuitStore.CircuitStore {
  readonly asked: Array<string> = []
  readonly settled: Array<string> = []
  readonly said = Deferred.makeUnsafe<Said>()
  readonly ticket: CircuitStore.Ticket = {
    _tag: "Ticket",
    settle: (outcome, slow) => this.settled.push(slow ? `${outcome}, slowly` : outcome)
  }

  circuits(): Effect.Effect<CircuitStore.Circuits, never, Scope.Scope> {
    return Effect.succeed({
      admit: (key) => {
        this.asked.push(key)
        return Deferred.await(this.said)
      },
      state: () => Effect.succeed("closed" as const),
      force: (circuit) => Effect.fail(new CircuitStore.StoreUnavailable({ circuit })),
      known: () => ({ circuits: [], omitted: 0, shared: true }),
      open: Effect.succeed([]),
      transitions: Stream.empty
    })
  }

  readonly group = Effect.suspend(() =>
    Effect.provideService(
      Group.make("g", { pool: { maxConcurrent: 1 }, circuit: {} }),
      CircuitStore.CircuitStore,
      this
    )
  )

  says(said: Said) {
    return Deferred.succeed(this.said, said)
  }
}

/** A store with a bug: its tickets throw when they are told how the call ended. */
const throwing = {
  group: Effect.provideService(
    Group.make("g", { pool: { maxConcurrent: 3 }, circuit: {} }),
    CircuitStore.CircuitStore,
    CircuitStore.CircuitStore.of({
      circuits: () =>
        Effect.succeed({
          admit: () => ({
            _tag: "Ticket" as const,
            settle: () => {
              throw new Error("a bug of the store")
            }
          }),
          state: () => Effect.succeed("closed" as const),
          force: () => Effect.void,
          open: Effect.succeed([]),
          known: () => ({ circuits: [], omitted: 0, shared: false }),
          transitions: Stream.empty
        })
    })
  )
}

describe("a store that is elsewhere", () => {
  it.effect("is asked for the key, and the call waits for its answer, without a permit", () =>
    Effect.gen(function*() {
      const store = new Elsewhere()
      const group = yield* store.group
      const work = new Work()
      const fiber = yield* Command.queue(work.run.pipe(Command.within(group, { key: "k" })))
      assert.deepStrictEqual(store.asked, ["k"])
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
      yield* store.says(store.ticket)
      yield* Effect.yieldNow
      assert.strictEqual(work.active, 1)
      assert.deepStrictEqual(store.settled, [])
      yield* work.finish
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(store.settled, ["success"])
    }))

  it.effect("refuses", () =>
    Effect.gen(function*() {
      const store = new Elsewhere()
      const group = yield* store.group
      yield* store.says({ _tag: "Refusal", state: "half-open", retryAfter: 10 })
      const refused = yield* Effect.flip(Effect.void.pipe(Command.within(group, { key: "k" })))
      assert.deepInclude({ ...refused }, { circuit: "k", state: "half-open" })
    }))

  for (const how of ["deadline", "interruption"] as const) {
    it.effect(`a ${how} while it is asked ends the call; the effect never starts, and nothing is kept`, () =>
      Effect.gen(function*() {
        const store = new Elsewhere()
        const group = yield* store.group
        const work = new Work()
        const fiber = yield* Command.queue(work.run.pipe(Command.within(group, { key: "k", timeout: 10 })))
        if (how === "deadline") yield* TestClock.adjust(10)
        else yield* Fiber.interrupt(fiber)
        assert.strictEqual(state(fiber), how === "deadline" ? "CommandTimeout" : "Interrupt")
        yield* store.says(store.ticket)
        yield* afterFirstSleep
        assert.strictEqual(work.started, 0)
        assert.deepStrictEqual(store.settled, [])
      }))
  }

  it.effect("that has a bug is the death of the call, and of no more", () =>
    Effect.gen(function*() {
      const store = new Elsewhere()
      const group = yield* store.group
      yield* Deferred.die(store.said, new Error("a bug of the store"))
      const exit = yield* Effect.exit(Effect.void.pipe(Command.within(group, { key: "k" })))
      assert.strictEqual(ending(exit), "Die")
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
    }))

  it.effect("whose ticket throws is the death of that call: its caller goes on, and its permit is back", () =>
    Effect.gen(function*() {
      const group = yield* throwing.group
      const work = new Work()
      const call = work.run.pipe(Command.within(group, { key: "k" }))
      const fiber = yield* Command.queue(call)
      yield* work.finish
      yield* afterFirstSleep
      assert.strictEqual(state(fiber), "Die")
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
      assert.strictEqual(ending(yield* Effect.exit(call)), "Die")
    }))

  it.effect("whose ticket throws when a deadline passes keeps nobody else from theirs", () =>
    Effect.gen(function*() {
      const group = yield* throwing.group
      const options = { key: "k", timeout: 10, detach: true }
      const hung = yield* Command.queue(
        Effect.uninterruptible(Effect.sleep(20)).pipe(Command.within(group, options))
      )
      const other = yield* Command.queue(Effect.never.pipe(Command.within(group, options)))
      yield* TestClock.adjust(10)
      assert.strictEqual(state(hung), "CommandTimeout")
      assert.strictEqual(state(other), "CommandTimeout+Die")
      const later = yield* Command.queue(Effect.never.pipe(Command.within(group, options)))
      yield* TestClock.adjust(10)
      assert.strictEqual(state(later), "CommandTimeout+Die")
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
    }))

  it.effect("that can't do what an operator asks says so", () =>
    Effect.gen(function*() {
      const group = yield* new Elsewhere().group
      const failure = yield* Effect.flip(Circuit.force(group, "k", "open"))
      assert.strictEqual(failure.message, "the circuit store does not answer: nothing is known of k")
    }))

  it.effect("is the one that the group's layer was built with, not the caller's", () =>
    Effect.gen(function*() {
      const store = new Elsewhere()
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 }, circuit: {} })
      yield* Effect.provideService(
        Effect.void.pipe(Command.within(group, { key: "k" })),
        CircuitStore.CircuitStore,
        store
      )
      assert.deepStrictEqual(store.asked, [])
    }))
})

/** A Redis that answers as it is told to, or not at all. */
class FakeRedis {
  /** What it does of scripts and commands. */
  answers: Effect.Effect<unknown, Redis.RedisError> = Effect.never
  asked = 0
  readonly lines: Array<string> = []

  readonly down = Effect.fail(new Redis.RedisError({ cause: new Error("connection refused") }))

  readonly redis = Layer.succeed(
    Redis.Redis,
    Redis.Redis.of({
      send: () => this.answer as Effect.Effect<never, Redis.RedisError>,
      // An outcome moves nothing.
      eval: () => (...params) =>
        (params[1] === "settle" ? Effect.as(this.answer, null) : this.answer) as Effect.Effect<
          never,
          Redis.RedisError
        >,
      subscribe: () => Queue.unbounded<Redis.RedisMessage, Redis.RedisError>(),
      reserve: Effect.die("not used")
    })
  )

  readonly layer = (options: CircuitStore.RedisOptions) =>
    CircuitStore.layerRedis(options).pipe(
      Layer.provide(this.redis),
      Layer.provide(Logger.layer([
        Logger.make<unknown, void>(({ message }) => this.lines.push([message].flat().map(String)[0]!))
      ]))
    )

  private readonly answer = Effect.suspend(() => {
    this.asked++
    return this.answers
  })

  group(options: CircuitStore.RedisOptions = {}) {
    class G extends Group.Service<G>()("g") {}
    const layer = G.layer({ pool: { maxConcurrent: 1000 }, circuit: {} }).pipe(Layer.provide(this.layer(options)))
    return Effect.map(Layer.build(layer), (context) => Context.get(context, G))
  }
}

const call = (group: Group.Group, circuit?: Circuit.CommandOptions<[], unknown>) =>
  Effect.succeed("ok").pipe(Command.within(group, { key: "k", circuit }))

describe("when Redis does not answer", () => {
  for (
    const [onStoreError, expected] of [[undefined, "Success"], ["allow", "Success"], ["refuse", "CircuitOpen"]] as const
  ) {
    it.effect(`onStoreError: ${String(onStoreError)} holds after the timeout, then at once, then no longer than it has to`, () =>
      Effect.gen(function*() {
        const redis = new FakeRedis()
        const group = yield* redis.group({ onStoreError, timeout: 50 })
        const first = yield* Command.queue(call(group))
        yield* TestClock.adjust(49)
        assert.strictEqual(state(first), "running")
        yield* TestClock.adjust(2)
        assert.strictEqual(state(first), expected)
        for (let i = 0; i < 100; i++) assert.strictEqual(ending(yield* Effect.exit(call(group))), expected)
        assert.strictEqual(yield* Circuit.state(group, "k"), expected === "Success" ? "closed" : "open")
        yield* Effect.flip(Circuit.force(group, "k", "closed"))
        yield* TestClock.adjust("1 hour")
        // One question at a time, whatever is called meanwhile.
        assert.isBelow(redis.asked, 1 + 60 * 60)

        redis.answers = Effect.succeed(["closed", "0"])
        yield* TestClock.adjust("10 seconds")
        const asked = redis.asked
        assert.strictEqual(ending(yield* Effect.exit(call(group))), "Success")
        assert.isAbove(redis.asked, asked)
        assert.deepStrictEqual(redis.lines.map((line) => line.replace(/after .*;/, "after a while;")), [
          `Redis does not answer in time: until it does, circuits ${onStoreError ?? "allow"} every call`,
          "Redis answers again after a while; 0 outcomes were not sent to it"
        ])
      }))
  }

  it.effect("an error is an outage at once", () =>
    Effect.gen(function*() {
      const redis = new FakeRedis()
      redis.answers = redis.down
      const group = yield* redis.group()
      assert.strictEqual(yield* call(group), "ok")
      const asked = redis.asked
      assert.strictEqual(yield* call(group), "ok")
      assert.strictEqual(redis.asked, asked)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(redis.lines.length, 1)
    }))

  it.effect("a key that is none is a bug of its call, and no outage for the others", () =>
    Effect.gen(function*() {
      const redis = new FakeRedis()
      redis.answers = Effect.succeed(["closed", "0"])
      const group = yield* redis.group()
      for (const key of [5, undefined, {}, Symbol("key")]) {
        const odd = call(group, { key: () => key as never })
        assert.strictEqual(ending(yield* Effect.exit(odd)), "Die", String(key))
      }
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(redis.lines, [])
      assert.strictEqual(yield* call(group), "ok")
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 0, queued: 0 })
    }))

  it.effect("an answer that is late, while others are not, is an outage for its call alone", () =>
    Effect.gen(function*() {
      const redis = new FakeRedis()
      const group = yield* redis.group()
      const late = yield* Command.queue(call(group))
      yield* TestClock.adjust(90)
      redis.answers = Effect.succeed(["closed", "0"])
      yield* call(group)
      yield* TestClock.adjust(20)
      assert.strictEqual(state(late), "Success")
      assert.deepStrictEqual(redis.lines, [])
    }))

  it.effect("a probe's place that is granted too late is given back", () =>
    Effect.gen(function*() {
      const redis = new FakeRedis()
      const granted = yield* Deferred.make<unknown>()
      const group = yield* redis.group()
      redis.answers = Deferred.await(granted)
      const fiber = yield* Command.queue(call(group))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(redis.asked, 1)
      yield* Deferred.succeed(granted, ["probe", "1:1", 0])
      yield* afterFirstSleep
      assert.strictEqual(redis.asked, 2)
    }))

  it.effect("as many outcomes may be under way as maxPending says: what comes on top is dropped, and told", () =>
    Effect.gen(function*() {
      const redis = new FakeRedis()
      const group = yield* redis.group({ maxPending: 2 })
      const work = new Work()
      redis.answers = Effect.succeed(["closed", "0"])
      const fibers = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () => Command.queue(work.run.pipe(Command.within(group, { key: "k" })))
      )
      redis.answers = Effect.never
      yield* work.finish
      yield* Effect.forEach(fibers, Fiber.join)
      redis.answers = Effect.succeed("OK")
      yield* TestClock.adjust(100)
      assert.strictEqual(redis.lines.at(-1), "Redis answers again after 100ms; 3 outcomes were not sent to it")
    }))
})

describe("when the layer is closed", () => {
  for (const [onStoreError, expected] of [["allow", "Success"], ["refuse", "CircuitOpen"]] as const) {
    it.effect(`a call that waits for Redis, and one that comes after, do so no longer: ${onStoreError} holds`, () =>
      Effect.gen(function*() {
        const redis = new FakeRedis()
        const scope = yield* Scope.make()
        const group = yield* Scope.provide(redis.group({ onStoreError, timeout: "1 second" }), scope)
        const waiting = yield* Command.queue(call(group))
        assert.strictEqual(state(waiting), "running")
        yield* Scope.close(scope, Exit.void)
        yield* Effect.yieldNow
        assert.strictEqual(state(waiting), expected)
        assert.strictEqual(state(yield* Command.queue(call(group))), expected)
      }))
  }
})

it.effect("18. groups that come and go, under names that do not come again, leave nothing behind", () =>
  Effect.gen(function*() {
    const context = yield* Layer.build(new FakeRedis().layer({}))
    const store = Context.get(context, CircuitStore.CircuitStore)
    for (let i = 0; i < 1000; i++) {
      yield* Effect.scoped(
        Effect.provideService(
          Group.make(`tenant ${i}`, { pool: { maxConcurrent: 1 }, circuit: {} }),
          CircuitStore.CircuitStore,
          store
        )
      )
    }
    assert.strictEqual((store as unknown as { readonly groups: Map<string, unknown> }).groups.size, 0)
  }))

describe("options of the store in Redis from Config", () => {
  const build = (env: Record<string, string>) =>
    Effect.scoped(Layer.build(
      CircuitStore.layerRedisConfig({
        prefix: Config.String("PREFIX").pipe(Config.withDefault("p:")),
        timeout: Config.Duration("TIMEOUT").pipe(Config.withDefault("1 second"))
      }).pipe(Layer.provide(new FakeRedis().redis))
    )).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
      Effect.map((context) => Context.get(context, CircuitStore.CircuitStore) as unknown as { means: unknown })
    )

  it.effect("are those of the environment, or the defaults", () =>
    Effect.gen(function*() {
      assert.deepInclude((yield* build({ PREFIX: "mine:", TIMEOUT: "50 millis" })).means, {
        prefix: "mine:",
        timeout: 50
      })
      assert.deepInclude((yield* build({})).means, { prefix: "p:", timeout: 1000 })
    }))

  it.effect("12. that make no sense are refused, typed", () =>
    Effect.gen(function*() {
      assert.strictEqual(ending(yield* Effect.exit(build({ TIMEOUT: "soon" }))), "ConfigError")
      const refused = yield* Effect.flip(build({ TIMEOUT: "0 seconds" }))
      assert.match(refused.message, /CircuitStore\.layerRedis: timeout: /)
    }))
})

describe("options of the store in Redis that make no sense are refused, by name:", () => {
  for (
    const [problem, options] of [
      ["timeout", { timeout: 0 }],
      ["onStoreError", { onStoreError: "panic" }],
      ["idleTimeToLive", { idleTimeToLive: "never" }],
      ["maxPending", { maxPending: 0 }],
      ["prefx", { prefx: "" }]
    ] as const
  ) {
    it.effect(problem, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(
          Effect.scoped(Layer.build(new FakeRedis().layer(options as CircuitStore.RedisOptions)))
        )
        assert.match(
          Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "",
          new RegExp(`CircuitStore.layerRedis: ${problem}`)
        )
      }))
  }
})
