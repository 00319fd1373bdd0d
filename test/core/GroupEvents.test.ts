import {
  Circuit,
  CircuitStore,
  Command,
  type CommandMetrics,
  Group,
  GroupEvents,
  InvalidOptions,
  Pool
} from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import { ending } from "./calls.ts"

const make = (more: Partial<Group.Options> = {}) => Group.make("g", { pool: { maxConcurrent: 1 }, ...more })

const ok = (group: Group.Group, key = "k") => Effect.void.pipe(Command.within(group, { key }))

/** A reader that is there at once, and what it has read by now. */
const read = Effect.fnUntraced(function*(group: Group.Group, options?: GroupEvents.Options) {
  const events: Array<GroupEvents.Event> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(GroupEvents.stream(group, options), (event) => Effect.sync(() => events.push(event))),
    { startImmediately: true }
  )
  const taken = Effect.map(settled, () => events.splice(0))
  return { fiber, taken }
})

// A reader is woken by the scheduler.
const settled = Effect.yieldNow.pipe(Effect.repeat({ times: 20 }))

/** A reader that reads only when it is told to. */
const slowly = Effect.fnUntraced(function*(group: Group.Group, options: GroupEvents.Options) {
  const pull = yield* Stream.toPull(GroupEvents.stream(group, options))
  // The stream is run by the first pull.
  const fiber = yield* Effect.forkScoped(pull, { startImmediately: true })
  yield* ok(group, "first")
  yield* Fiber.join(fiber)
  return pull
})

describe("33. nothing is paid for an event stream that nobody reads", () => {
  /** A clock that counts who asks. */
  const counting = Effect.map(Clock.Clock, (clock) => {
    const asked = { wall: 0, monotonic: 0 }
    return {
      asked,
      clock: {
        ...clock,
        currentTimeMillis: clock.currentTimeMillis,
        sleep: (duration) => clock.sleep(duration),
        currentTimeMillisUnsafe: () => {
          asked.wall++
          return clock.currentTimeMillisUnsafe()
        },
        monotonicTimeNanosUnsafe: () => {
          asked.monotonic++
          return clock.monotonicTimeNanosUnsafe()
        }
      } as Clock.Clock
    }
  })

  /** What is asked of the clock, and published, by a call, by one that is made anew, and by a resize. */
  const costs = Effect.gen(function*() {
    const { asked, clock } = yield* counting
    const group = yield* Effect.provideService(make({ circuit: {} }), Clock.Clock, clock)
    const { events } = group as GroupState
    let published = 0
    const { publish } = events
    events.publish = (event) => {
      published++
      publish.call(events, event)
    }
    const failing = Effect.gen(function*() {
      const call = Effect.fail("no").pipe(Command.within(group, { key: "fails", retry: { times: 1, base: 1 } }))
      const fiber = yield* Command.queue(Effect.ignore(call))
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
    })
    const cost = Effect.gen(function*() {
      const before = { ...asked, published }
      yield* ok(group)
      yield* failing
      yield* Pool.resize(group.pool, { maxConcurrent: 2 })
      return {
        wall: asked.wall - before.wall,
        monotonic: asked.monotonic - before.monotonic,
        published: published - before.published
      }
    })
    yield* cost // the first call of a key makes its record
    return { group, cost, events }
  })

  it.effect("no event is made, and no clock is read for one", () =>
    Effect.gen(function*() {
      const { cost, events } = yield* costs
      const first = yield* cost
      assert.isFalse(events.isRead)
      assert.deepInclude(first, { wall: 0, published: 0 })
      assert.deepStrictEqual(yield* cost, first)
    }))

  it.effect("with a reader there is; when it has left there is not, and nothing of it is left", () =>
    Effect.gen(function*() {
      const { cost, events, group } = yield* costs
      const before = yield* cost
      const { fiber } = yield* read(group)
      assert.isTrue(events.isRead)
      assert.deepInclude(yield* cost, { published: 4, wall: 4 })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(events.size, 0)
      assert.isFalse(events.isRead)
      assert.deepStrictEqual(yield* cost, before)
    }))

  it.effect("a reader that was interrupted does not listen to the circuits either", () =>
    Effect.gen(function*() {
      let listening = 0
      const transitions = Stream.callback<CircuitStore.Transition>(() =>
        Effect.andThen(
          Effect.acquireRelease(Effect.sync(() => listening++), () => Effect.sync(() => listening--)),
          Effect.never
        )
      )
      const group = yield* Effect.provideService(make({ circuit: {} }), CircuitStore.CircuitStore, {
        circuits: () =>
          Effect.succeed({
            admit: () => ({ _tag: "Ticket", settle: () => {} }),
            state: () => Effect.succeed("closed"),
            force: () => Effect.void,
            known: () => ({ circuits: [], omitted: 0, shared: false }),
            open: Effect.succeed([]),
            transitions
          })
      })
      yield* ok(group)
      assert.strictEqual(listening, 0)
      const { fiber } = yield* read(group)
      yield* settled
      assert.strictEqual(listening, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(listening, 0)
    }))
})

describe("a call that ended", () => {
  const heading = { _tag: "CallEnded", group: "g", key: "k" } as const

  it.effect("says when, how, how long it took and waited, and how often it was tried", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 1, maxQueued: 1 } })
      yield* TestClock.adjust(1000)
      const { taken } = yield* read(group)
      const call = Effect.sleep(10).pipe(Command.within(group, { key: "k" }))
      const both = yield* Command.queue(Effect.all([call, call], { concurrency: 2 }))
      yield* TestClock.adjust(10)
      yield* TestClock.adjust(10)
      yield* Fiber.join(both)
      assert.deepStrictEqual(yield* taken, [
        { ...heading, at: 1010, outcome: "success", durationMillis: 10, queuedMillis: 0, attempts: 1 },
        { ...heading, at: 1020, outcome: "success", durationMillis: 20, queuedMillis: 10, attempts: 1 }
      ])
    }))

  const own = (effect: Effect.Effect<unknown, unknown>) => (group: Group.Group) =>
    effect.pipe(Command.within(group, { key: "k" }))

  class Refused extends Error {
    override readonly name = "Refused"
  }
  const ends: ReadonlyArray<
    readonly [
      name: string,
      (group: Group.Group) => Effect.Effect<unknown, unknown>,
      { readonly outcome: CommandMetrics.Outcome; readonly failure?: string }
    ]
  > = [
    ["with a failure: its tag", own(Effect.fail({ _tag: "NoSuchUser" })), {
      outcome: "failure",
      failure: "NoSuchUser"
    }],
    ["with an error: its name", own(Effect.fail(new Refused("no"))), { outcome: "failure", failure: "Refused" }],
    ["with a failure that has no name: what it is", own(Effect.fail(7)), { outcome: "failure", failure: "number" }],
    ["with a defect: its name", own(Effect.die(new TypeError("bug"))), { outcome: "defect", failure: "TypeError" }],
    ["by an interruption", own(Effect.interrupt), { outcome: "interrupted" }],
    [
      "by its deadline",
      (group) => Effect.never.pipe(Command.within(group, { key: "k", timeout: 10 })),
      { outcome: "timeout", failure: "CommandTimeout" }
    ]
  ]
  for (const [name, go, expected] of ends) {
    it.effect(`ended ${name}`, () =>
      Effect.gen(function*() {
        const group = yield* make()
        const { taken } = yield* read(group)
        const fiber = yield* Command.queue(Effect.exit(go(group)))
        yield* TestClock.adjust(10)
        yield* Fiber.join(fiber)
        const [event, ...more] = yield* taken
        assert.deepStrictEqual(more, [])
        assert.deepInclude(event, { ...heading, ...expected })
        if (expected.failure === undefined) assert.notProperty(event, "failure")
      }))
  }

  it.effect("that the pool refused: by what", () =>
    Effect.gen(function*() {
      const group = yield* make()
      yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "slow" })))
      const { taken } = yield* read(group)
      assert.strictEqual(ending(yield* Effect.exit(ok(group))), "PoolFull")
      assert.deepStrictEqual(yield* taken, [
        {
          ...heading,
          at: 0,
          outcome: "rejected",
          durationMillis: 0,
          queuedMillis: 0,
          attempts: 0,
          failure: "PoolFull"
        }
      ])
    }))

  it.effect("that its circuit refused: which, and when it may be worth another try", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 1, openFor: 500 } })
      const get = Command.make("k", () => Effect.fail("no"), { group, circuit: { key: () => "a.example" } })
      yield* Effect.ignore(get())
      yield* TestClock.adjust(100)
      const { taken } = yield* read(group)
      yield* Effect.ignore(get())
      const [event] = yield* taken
      assert.deepInclude(event, {
        outcome: "short-circuited",
        failure: "CircuitOpen",
        circuit: "a.example",
        retryAfterMillis: 400
      })
    }))

  it.effect("that the rate limit refused: when it may be worth another try", () =>
    Effect.gen(function*() {
      const group = yield* make({ rateLimit: { limit: 1, window: 1000 } })
      yield* ok(group)
      const { taken } = yield* read(group)
      yield* Effect.ignore(ok(group))
      const [event] = yield* taken
      assert.deepInclude(event, { outcome: "rate-limited", failure: "RateLimited", retryAfterMillis: 1000 })
      assert.notProperty(event, "circuit")
    }))

  it.effect("with another group's refusal: by its name, but not as if the circuit were one of this group", () =>
    Effect.gen(function*() {
      const other = yield* Group.make("other", { pool: { maxConcurrent: 1 }, circuit: {} })
      yield* Circuit.force(other, "x", "open")
      const group = yield* make({ circuit: {} })
      const { taken } = yield* read(group)
      yield* Effect.ignore(ok(other, "x").pipe(Command.within(group, { key: "k" })))
      const [event] = yield* taken
      assert.deepInclude(event, { outcome: "failure", failure: "CircuitOpen" })
      assert.notProperty(event, "circuit")
      assert.notProperty(event, "retryAfterMillis")
    }))
})

describe("30. nothing hides that the dependency failed", () => {
  it.effect("a call that its fallback rescued has ended by its own outcome, and is degraded after that", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const { taken } = yield* read(group)
      const get = Command.make("k", () => Effect.fail("no"), { group, fallback: () => Effect.succeed("instead") })
      yield* get()
      const [ended, degraded] = yield* taken
      assert.deepInclude(ended, { _tag: "CallEnded", outcome: "failure" })
      assert.deepStrictEqual(degraded, { _tag: "CallDegraded", group: "g", at: 0, key: "k" })
    }))

  it.effect("and so is one that was answered with the last good value", () =>
    Effect.gen(function*() {
      const group = yield* make()
      let next: Effect.Effect<string, string> = Effect.succeed("fresh")
      const get = Command.make("k", () => Effect.suspend(() => next), { group, stale: { key: () => "", maxAge: 1000 } })
      yield* get()
      const { taken } = yield* read(group)
      next = Effect.fail("down")
      yield* get()
      assert.deepStrictEqual((yield* taken).map(({ _tag }) => _tag), ["CallEnded", "CallDegraded"])
    }))
})

describe("what happens to a call on its way", () => {
  it.effect("a retry: which one, after how long, and what for", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const { taken } = yield* read(group)
      const failing = Effect.fail({ _tag: "Busy" } as const)
      const fiber = yield* Command.queue(failing.pipe(
        Command.within(group, { key: "k", retry: { times: 2, schedule: Schedule.spaced(100) } }),
        Effect.ignore
      ))
      yield* TestClock.adjust(100)
      yield* TestClock.adjust(100)
      yield* Fiber.join(fiber)
      const retry = { _tag: "RetryScheduled", group: "g", key: "k", delayMillis: 100, failure: "Busy" } as const
      const [first, second, ended, ...more] = yield* taken
      assert.deepStrictEqual(first, { ...retry, at: 0, retry: 1 })
      assert.deepStrictEqual(second, { ...retry, at: 100, retry: 2 })
      assert.deepInclude(ended, { _tag: "CallEnded", at: 200, attempts: 3, outcome: "failure" })
      assert.deepStrictEqual(more, [])
    }))

  it.effect("no retry is announced that the budget did not pay for", () =>
    Effect.gen(function*() {
      const group = yield* make({ retryBudget: { ratio: 0, perSecond: 0 } })
      const { taken } = yield* read(group)
      yield* Effect.ignore(Effect.fail("no").pipe(Command.within(group, { key: "k", retry: { base: 1 } })))
      assert.deepStrictEqual((yield* taken).map(({ _tag }) => _tag), ["CallEnded"])
    }))

  it.effect("a hedge", () =>
    Effect.gen(function*() {
      const group = yield* make({ pool: { maxConcurrent: 2 } })
      const { taken } = yield* read(group)
      const fiber = yield* Command.queue(
        Effect.sleep(15).pipe(Command.within(group, { key: "k", hedge: { after: 10 } }))
      )
      yield* TestClock.adjust(10)
      yield* TestClock.adjust(5)
      yield* Fiber.join(fiber)
      const [hedge, ended] = yield* taken
      assert.deepStrictEqual(hedge, { _tag: "HedgeStarted", group: "g", at: 10, key: "k" })
      assert.deepInclude(ended, { _tag: "CallEnded", attempts: 2 })
    }))
})

describe("what happens to a group", () => {
  it.effect("19. transitions of its circuits, whoever made them", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 1, openFor: 100 } })
      const { taken } = yield* read(group)
      yield* Effect.ignore(Effect.fail("no").pipe(Command.within(group, { key: "k" })))
      yield* settled
      yield* TestClock.adjust(100)
      yield* Circuit.force(group, "k", "closed")
      const moved = (yield* taken).filter((event) => event._tag === "CircuitMoved")
      const heading = { _tag: "CircuitMoved", group: "g", circuit: "k" }
      assert.deepStrictEqual<unknown>(moved, [
        { ...heading, at: 0, from: "closed", to: "open", forced: false },
        { ...heading, at: 100, from: "open", to: "closed", forced: true }
      ])
    }))

  it.effect("new limits of its pool; null is none", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const { taken } = yield* read(group)
      yield* Pool.resize(group.pool, { maxConcurrent: 5, maxQueued: Infinity })
      assert.deepStrictEqual(yield* taken, [
        { _tag: "PoolResized", group: "g", at: 0, maxConcurrent: 5, maxQueued: null }
      ])
    }))
})

describe("readers", () => {
  const keys = (events: ReadonlyArray<GroupEvents.Event>) =>
    events.map((event) => event._tag === "Lost" ? `${event.count} lost` : "key" in event ? event.key : event._tag)

  it.effect("one that is slow slows nobody: it loses the oldest events, and is told how many", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const pull = yield* slowly(group, { buffer: 3 })
      const quick = yield* read(group)
      const all = Array.from({ length: 10 }, (_, i) => `${i}`)
      for (const key of all) yield* ok(group, key) // none of them waits for anybody
      assert.deepStrictEqual(keys(yield* quick.taken), all)
      assert.deepStrictEqual(yield* Effect.map(pull, keys), ["7 lost", "7", "8", "9"])
      yield* ok(group, "one more")
      assert.deepStrictEqual(yield* Effect.map(pull, keys), ["one more"])
    }))

  it.effect("whatever it reads and when: what it read and what it lost is all there was, in order", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 10 }),
        (buffer, bursts) =>
          Effect.runPromise(Effect.scoped(Effect.gen(function*() {
            const group = yield* make()
            const pull = yield* slowly(group, { buffer })
            let made = 0
            let next = 0
            for (const burst of bursts) {
              for (let i = 0; i < burst; i++) yield* ok(group, `${made++}`)
              for (const event of yield* pull) {
                if (event._tag === "Lost") next += event.count
                else assert.deepInclude(event, { key: `${next++}` })
              }
              assert.strictEqual(next, made)
            }
          })))
      ))
    ))

  it.effect("the end of its group ends the stream, when what was left has been read", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const group = yield* Scope.provide(make({ circuit: {} }), scope)
      const pull = yield* slowly(group, { buffer: 10 })
      const { fiber } = yield* read(group)
      yield* ok(group, "last")
      yield* Scope.close(scope, Exit.void)
      yield* ok(group, "too late")
      assert.deepStrictEqual(yield* Effect.map(pull, keys), ["last"])
      const exit = yield* Effect.exit(pull)
      assert.isTrue(exit._tag === "Failure" && Cause.isDone(Cause.squash(exit.cause)))
      assert.strictEqual(ending(yield* Fiber.await(fiber)), "Success")
      assert.deepStrictEqual(yield* Stream.runCollect(GroupEvents.stream(group)), [])
      assert.strictEqual((group as GroupState).events.size, 0)
    }))

  it.effect("a buffer that makes no sense is refused, by name", () =>
    Effect.gen(function*() {
      const group = yield* make()
      for (const buffer of [0, NaN, Infinity, 1.5]) {
        assert.throws(() => GroupEvents.stream(group, { buffer }), InvalidOptions.InvalidOptions, /g: buffer:/)
      }
      const misspelt: object = { bufer: 1 }
      assert.throws(() => GroupEvents.stream(group, misspelt), InvalidOptions.InvalidOptions, /bufer/)
    }))
})

it.effect("events are JSON as they are, and their Schema reads it", () =>
  Effect.gen(function*() {
    const group = yield* make({ circuit: { consecutive: 1 } })
    const pull = yield* slowly(group, { buffer: 5 })
    const get = Command.make("k", () => Effect.fail("no"), {
      group,
      retry: { times: 1, base: 1, waitFor: ["CircuitOpen"] },
      fallback: () => Effect.void
    })
    const fiber = yield* Command.queue(Effect.andThen(get(), get()))
    yield* TestClock.adjust(10_000)
    yield* TestClock.adjust(10_000)
    yield* Fiber.join(fiber)
    for (let i = 0; i < 3; i++) yield* ok(group)
    yield* Pool.resize(group.pool, { maxQueued: Infinity })
    yield* settled
    const events = yield* pull
    assert.isAbove(events.length, 5)
    const codec = Schema.Array(GroupEvents.Event)
    const json: unknown = JSON.parse(JSON.stringify(events))
    assert.deepStrictEqual(json, events)
    assert.deepStrictEqual(Schema.decodeUnknownSync(codec)(json), events)
    assert.deepStrictEqual(Schema.encodeSync(codec)(events), events)
  }))
