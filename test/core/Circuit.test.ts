import {
  Circuit,
  type CircuitStore,
  Command,
  CommandError,
  Group,
  InvalidOptions,
  Pool,
  TestDependency
} from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import { afterFirstSleep, ending, state } from "./calls.ts"

const { fail, hang, succeed, uninterruptible } = TestDependency

const make = (circuit: Circuit.Options, pool: Pool.Options = { maxConcurrent: 100 }) =>
  Group.make("g", { pool, circuit })

type Ending = "ok" | "fail" | "die"
const run = (how: Ending) =>
  how === "ok" ? Effect.void : how === "fail" ? Effect.fail("no" as const) : Effect.die("bug")

/** A command that ends as it is told, in a circuit of the key `"k"`. */
const command = (group: Group.Group) => Command.make("k", run, { group })

/** How calls end, one after another. */
const calls = (group: Group.Group, ...hows: ReadonlyArray<Ending>) =>
  Effect.forEach(hows, (how) => Effect.map(Effect.exit(command(group)(how)), ending))

/** A call that is under way until it is told how to end. */
const call = Effect.fnUntraced(function*(group: Group.Group, options: { readonly timeout?: number } = {}) {
  const dependency = yield* TestDependency.make<void, "no">(hang)
  const fiber = yield* Command.queue(dependency.call().pipe(Command.within(group, { key: "k", ...options })))
  return {
    fiber,
    succeed: dependency.recover(succeed()),
    fail: dependency.recover(fail("no")),
    interrupt: Fiber.interrupt(fiber)
  }
})

const stands = Effect.fnUntraced(function*(group: Group.Group, expected: CircuitStore.State, key = "k") {
  assert.strictEqual(yield* Circuit.state(group, key), expected)
})

/** Opens the circuit of a group with `consecutive: 1`, and waits until its time has passed. */
const pastOpening = Effect.fnUntraced(function*(group: Group.Group) {
  yield* calls(group, "fail")
  yield* stands(group, "open")
  yield* TestClock.adjust("5 seconds")
})

const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    lines.push(`${logLevel} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
  })
  // With a registry of its own, where no other group has the name of this one: that would be a line too.
  return { lines, layer: Layer.merge(Logger.layer([logger]), Layer.succeed(Metric.MetricRegistry, new Map())) }
}

describe("14. what counts as a failure of the dependency", () => {
  it.effect("a failure and a defect do", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2 })
      assert.deepStrictEqual(yield* calls(group, "fail", "die", "ok"), ["no", "Die", "CircuitOpen"])
    }))

  it.effect("an attempt's timeout does", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const fiber = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "k", attemptTimeout: 10 })))
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "CommandTimeout")
      yield* stands(group, "open")
    }))

  it.effect("the deadline does, although it stands outside, if it passes while the effect runs", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const { fiber } = yield* call(group, { timeout: 10 })
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "CommandTimeout")
      yield* stands(group, "open")
    }))

  for (const detach of [false, true]) {
    it.effect(`and does so when it passes, once, for an effect that can't be interrupted${detach ? ", detached" : ""}`, () =>
      Effect.gen(function*() {
        const group = yield* make({ consecutive: 2 })
        const work = yield* TestDependency.make<void>(uninterruptible(hang))
        const hung = work.call().pipe(Command.within(group, { key: "k", timeout: 10, detach }))
        yield* calls(group, "fail")
        yield* Command.queue(hung)
        yield* TestClock.adjust(9)
        yield* stands(group, "closed")
        yield* TestClock.adjust(1)
        yield* stands(group, "open")
        yield* Circuit.force(group, "k", "auto")
        yield* Command.queue(hung)
        yield* TestClock.adjust(10)
        yield* work.recover(succeed()) // its end is no second failure
        yield* afterFirstSleep
        yield* stands(group, "closed")
        yield* calls(group, "fail")
        yield* stands(group, "open")
      }))
  }

  it.effect("a deadline that passes in the queue counts as nothing", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 }, { maxConcurrent: 1, maxQueued: 1 })
      const first = yield* call(group)
      const second = yield* call(group, { timeout: 10 })
      yield* TestClock.adjust(10)
      assert.strictEqual(state(second.fiber), "CommandTimeout")
      yield* stands(group, "closed")
      yield* first.succeed
    }))

  it.effect("although an attempt before it has run", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2 }, { maxConcurrent: 1, maxQueued: 1 })
      const get = Command.make("k", () => run("fail"), { group, timeout: "1 second", retry: { times: 1, base: 10 } })
      const fiber = yield* Command.queue(get())
      const other = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "other" })))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(state(fiber), "CommandTimeout")
      yield* stands(group, "closed")
      yield* Fiber.interrupt(other)
    }))

  it.effect("nor do refusals by the pool: full, waited too long, entered twice", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 }, { maxConcurrent: 1, maxQueued: 1, queueTimeout: 10 })
      const inside = Effect.exit(command(group)("ok"))
      assert.strictEqual(ending(yield* inside.pipe(Command.within(group, { key: "outer" }))), "PoolReentered")
      const first = yield* call(group)
      const waits = yield* call(group)
      assert.deepStrictEqual(yield* calls(group, "ok"), ["PoolFull"])
      yield* TestClock.adjust(10)
      assert.strictEqual(state(waits.fiber), "QueueTimeout")
      yield* stands(group, "closed")
      yield* first.succeed
    }))

  describe("nor does a refusal of a command inside, of another group: its own dependency was not asked", () => {
    const refusals: ReadonlyArray<readonly [of: string, failure: CommandError.CommandError]> = [
      ["PoolFull", new CommandError.PoolFull("inner", "k", { active: 1, maxConcurrent: 1, queued: 0, maxQueued: 0 })],
      ["QueueTimeout", new CommandError.QueueTimeout("inner", "k", Duration.seconds(1))],
      ["PoolReentered", new CommandError.PoolReentered("inner", "k", "k")],
      ["CircuitOpen", new CommandError.CircuitOpen("inner", "k", "k", "open", 1000)],
      ["RateLimited", new CommandError.RateLimited("inner", "k", undefined, 1, 1000, false)]
    ]
    for (const [of, failure] of refusals) {
      it.effect(of, () =>
        Effect.gen(function*() {
          const group = yield* make({ consecutive: 1 })
          const run = Effect.fail(failure).pipe(Command.within(group, { key: "k" }))
          assert.strictEqual(ending(yield* Effect.exit(run)), of)
          yield* stands(group, "closed")
        }))
    }

    it.effect("in fact", () =>
      Effect.gen(function*() {
        const inner = yield* Group.make("inner", { pool: { maxConcurrent: 1 }, circuit: {} })
        const outer = yield* make({ consecutive: 1 })
        yield* Circuit.force(inner, "inner", "open")
        const nested = Effect.void.pipe(
          Command.within(inner, { key: "inner" }),
          Command.within(outer, { key: "k" })
        )
        assert.strictEqual(ending(yield* Effect.exit(nested)), "CircuitOpen")
        yield* stands(outer, "closed")
      }))

    it.effect("a probe that meets one is no proof: it gives its place back", () =>
      Effect.gen(function*() {
        const group = yield* make({ consecutive: 1 })
        yield* pastOpening(group)
        const probe = Effect.fail(refusals[0]![1]).pipe(Command.within(group, { key: "k" }))
        yield* Effect.exit(probe)
        yield* stands(group, "half-open")
        assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
        yield* stands(group, "closed")
      }))

    it.effect("although isFailure is against it, it is no success either; a predicate that is for it makes it a failure", () =>
      Effect.gen(function*() {
        const group = yield* make({ consecutive: 2 })
        const run = (isFailure: boolean) =>
          Effect.exit(Command.within(Effect.fail(refusals[0]![1]), group, {
            key: "k",
            circuit: { isFailure: () => isFailure }
          }))
        yield* calls(group, "fail")
        yield* run(false)
        yield* calls(group, "fail")
        yield* stands(group, "open")
        yield* Circuit.force(group, "k", "auto")
        yield* run(true)
        yield* run(true)
        yield* stands(group, "open")
      }))

    it.effect("but its timeout does, and so does a defect beside a refusal", () =>
      Effect.gen(function*() {
        for (
          const cause of [
            Cause.fail(new CommandError.CommandTimeout("inner", "k", "timeout", Duration.seconds(1), true)),
            Cause.combine(Cause.fail(refusals[0]![1]), Cause.die("bug"))
          ]
        ) {
          const group = yield* make({ consecutive: 1 })
          yield* Effect.exit(Effect.failCause(cause).pipe(Command.within(group, { key: "k" })))
          yield* stands(group, "open")
        }
      }))
  })

  it.effect("nor does an interruption from outside", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const { interrupt } = yield* call(group)
      yield* interrupt
      yield* stands(group, "closed")
    }))

  it.effect("which typed failures do is a predicate's business: one that doesn't is a success", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2 })
      const get = Command.make("k", (status: number) => Effect.fail({ status }), {
        group,
        circuit: { isFailure: ({ status }) => status >= 500 }
      })
      for (const status of [500, 404, 500]) yield* Effect.flip(get(status))
      yield* stands(group, "closed")
      yield* Effect.flip(get(500))
      yield* stands(group, "open")
    }))

  it.effect("a predicate that throws hides nothing: the call has failed, with its own failure", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const get = Command.make("k", () => run("fail"), {
        group,
        circuit: {
          isFailure: () => {
            throw new Error("a bug of the predicate")
          }
        }
      })
      assert.strictEqual(ending(yield* Effect.exit(get())), "no")
      yield* stands(group, "open")
    }))

  it.effect("a key that throws is the caller's bug: the call dies, no circuit hears of it, no permit is kept", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const get = Command.make("k", (host: string) => Effect.succeed(host), {
        group,
        circuit: { key: (host) => new URL(host).host }
      })
      assert.strictEqual(ending(yield* Effect.exit(get("nonsense"))), "Die")
      assert.strictEqual(yield* get("http://a.example"), "http://a.example")
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 0)
      assert.deepStrictEqual(yield* Circuit.open(group), [])
    }))
})

describe("14. slow-call time", () => {
  const slow = { slowCallRate: 1, slowerThan: 100, minimumCalls: 1, window: { calls: 1 } }

  it.effect("is measured from the start of the effect, not of the wait", () =>
    Effect.gen(function*() {
      const group = yield* make(slow, { maxConcurrent: 1, maxQueued: 1 })
      const first = yield* call(group)
      const second = yield* call(group)
      yield* TestClock.adjust(99)
      yield* first.succeed
      yield* TestClock.adjust(99)
      yield* second.succeed
      yield* stands(group, "closed")
      const third = yield* call(group)
      yield* TestClock.adjust(100)
      yield* third.succeed
      yield* stands(group, "open")
    }))

  it.effect("ends with the answer: who reads it slowly is not the dependency", () =>
    Effect.gen(function*() {
      const group = yield* make(slow)
      const ends: Array<() => void> = []
      const get = Command.callback("k", (call: Command.Completion<string>, after: number) => {
        if (after === 0) call.answer("head")
        ends.push(() => call.end(Exit.succeed("whole")))
      }, { group })
      yield* get(0)
      yield* TestClock.adjust(1000)
      ends[0]!()
      yield* stands(group, "closed")
      const fiber = yield* Command.queue(get(1))
      yield* TestClock.adjust(1000)
      ends[1]!()
      yield* Fiber.join(fiber)
      yield* stands(group, "open")
    }))
})

describe("15. an outcome from before a transition changes nothing after it", () => {
  it.effect("a success of then does not close what has opened since", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const [early, late] = [yield* call(group), yield* call(group)]
      yield* calls(group, "fail")
      yield* early.succeed
      yield* stands(group, "open")
      yield* TestClock.adjust("5 seconds")
      const probe = yield* call(group)
      yield* late.succeed
      yield* stands(group, "half-open")
      yield* probe.fail
      yield* stands(group, "open")
    }))

  it.effect("a failure of then does not open what has closed since, nor make it stay open longer", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const [early, late] = [yield* call(group), yield* call(group)]
      yield* calls(group, "fail")
      yield* TestClock.adjust("4 seconds")
      yield* early.fail
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
      yield* late.fail
      yield* stands(group, "closed")
    }))

  it.effect("and what was counted before it closes counts for nothing after", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 3, failureRate: 0.5, minimumCalls: 4 })
      yield* calls(group, "fail", "fail", "fail")
      yield* TestClock.adjust("5 seconds")
      yield* calls(group, "ok", "fail", "fail")
      yield* stands(group, "closed")
    }))

  it.effect("a probe of an earlier try is no probe of this one", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, probes: 2 })
      yield* pastOpening(group)
      const [first, second] = [yield* call(group), yield* call(group)]
      yield* first.fail
      yield* TestClock.adjust("5 seconds")
      const third = yield* call(group)
      yield* second.succeed
      yield* third.succeed
      yield* stands(group, "half-open")
    }))
})

describe("16. half-open", () => {
  it.effect("lets one probe through, by default, and turns the others away at once", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      yield* pastOpening(group)
      yield* stands(group, "open") // until somebody comes
      const probe = yield* call(group)
      const refused = yield* Effect.flip(Effect.void.pipe(Command.within(group, { key: "k" })))
      assert.deepInclude({ ...refused }, { group: "g", key: "k", circuit: "k", state: "half-open" })
      yield* probe.succeed
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
      yield* stands(group, "closed")
    }))

  it.effect("lets as many through as have to succeed, and closes when all have", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, probes: 3 })
      yield* pastOpening(group)
      const probes = [yield* call(group), yield* call(group), yield* call(group)]
      assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
      yield* probes[0]!.succeed
      assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
      yield* probes[1]!.succeed
      yield* stands(group, "half-open")
      yield* probes[2]!.succeed
      yield* stands(group, "closed")
    }))

  it.effect("opens again, for as long as before, when one fails", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 5, probes: 3 })
      yield* calls(group, "fail", "fail", "fail", "fail", "fail")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* calls(group, "ok", "fail"), ["Success", "no"])
      yield* TestClock.adjust(4999)
      const refused = yield* Effect.flip(command(group)("ok"))
      assert.isTrue(refused instanceof CommandError.CircuitOpen && Duration.toMillis(refused.retryAfter) === 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* calls(group, "ok", "ok", "ok"), ["Success", "Success", "Success"])
      yield* stands(group, "closed")
    }))

  it.effect("a probe that is interrupted gives its place back, running or waiting", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 }, { maxConcurrent: 1, maxQueued: 1 })
      yield* pastOpening(group)
      const running = yield* call(group)
      yield* running.interrupt
      const other = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "other" })))
      const waiting = yield* call(group)
      yield* waiting.interrupt
      yield* Fiber.interrupt(other)
      yield* stands(group, "half-open")
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
      yield* stands(group, "closed")
    }))

  it.effect("and so does one that the pool refuses", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 }, { maxConcurrent: 1 })
      yield* pastOpening(group)
      const other = yield* Command.queue(Effect.never.pipe(Command.within(group, { key: "other" })))
      assert.deepStrictEqual(yield* calls(group, "ok", "ok"), ["PoolFull", "PoolFull"])
      yield* Fiber.interrupt(other)
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
      yield* stands(group, "closed")
    }))

  it.effect("one that hangs gives it up when its lease is over; what is heard of it after that is nothing", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, probeLease: "10 seconds" })
      yield* pastOpening(group)
      const hung = yield* call(group)
      yield* TestClock.adjust(9999)
      assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
      yield* TestClock.adjust(1)
      const second = yield* call(group)
      yield* hung.fail
      yield* stands(group, "half-open")
      yield* second.succeed
      yield* stands(group, "closed")
    }))

  it.effect("one that is late, but whose place nobody has taken, is heard", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, probeLease: "10 seconds" })
      yield* pastOpening(group)
      const late = yield* call(group)
      yield* TestClock.adjust("1 minute")
      yield* late.succeed
      yield* stands(group, "closed")
    }))

  it.effect("says when to come back: when a lease may be over, and not later than an opening lasts", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, probeLease: "10 seconds" })
      const wait = Effect.map(Circuit.open(group), ([first]) => first!.retryAfter)
      yield* pastOpening(group)
      assert.strictEqual(yield* wait, 0)
      yield* call(group)
      assert.strictEqual(yield* wait, 5000)
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual(yield* wait, 3000)
    }))
})

describe("17. it trips", () => {
  it.effect("on so many failures in a row; a success begins anew", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 3 })
      yield* calls(group, "fail", "fail", "ok", "fail", "fail")
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
    }))

  it.effect("on a failure rate of a half over the last 100 calls, from the tenth on, by default", () =>
    Effect.gen(function*() {
      const group = yield* make({})
      yield* calls(group, ...Array.from({ length: 9 }, () => "fail" as const))
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
    }))

  it.effect("on the call that makes the window full enough, a success too", () =>
    Effect.gen(function*() {
      const group = yield* make({ failureRate: 0.5, minimumCalls: 4 })
      yield* calls(group, "fail", "fail", "ok")
      yield* stands(group, "closed")
      yield* calls(group, "ok")
      yield* stands(group, "open")
    }))

  it.effect("at the rate itself, whatever its binary digits: 7 of 100 are 0.07, although 0.07 * 100 > 7", () =>
    Effect.gen(function*() {
      const group = yield* make({ failureRate: 0.07, minimumCalls: 100 })
      yield* calls(group, ...Array.from({ length: 99 }, (_, i) => i < 6 ? "fail" as const : "ok" as const))
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
    }))

  it.effect("over the last calls alone: an older failure has left the window", () =>
    Effect.gen(function*() {
      const group = yield* make({ failureRate: 0.5, window: { calls: 40 }, minimumCalls: 40 })
      const oks = Array.from({ length: 21 }, () => "ok" as const)
      const fails = Array.from({ length: 19 }, () => "fail" as const)
      yield* calls(group, ...fails, ...oks)
      for (let i = 0; i < 19; i++) yield* calls(group, "fail") // each takes the place of one
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
    }))

  it.effect("over a time window: what is older than it has left", () =>
    Effect.gen(function*() {
      const group = yield* make({ failureRate: 0.5, window: { time: "10 seconds" }, minimumCalls: 4 })
      yield* calls(group, "fail", "fail", "fail")
      yield* TestClock.adjust("10 seconds")
      yield* calls(group, "ok", "ok", "ok", "fail")
      yield* stands(group, "closed")
      yield* TestClock.adjust("9 seconds")
      yield* calls(group, "fail")
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
    }))

  it.effect("over a time window after a pause of any length", () =>
    Effect.gen(function*() {
      const group = yield* make({ failureRate: 0.5, window: { time: "1 second" }, minimumCalls: 2 })
      for (const pause of ["1 second", "1 hour", "1 millis", "365 days", "1 second"] as const) {
        yield* calls(group, "ok", "ok", "fail")
        yield* stands(group, "closed")
        yield* TestClock.adjust(pause)
      }
      yield* calls(group, "fail", "fail")
      yield* stands(group, "open")
    }))

  it.effect("on a slow-call rate, failures or not", () =>
    Effect.gen(function*() {
      const group = yield* make({ slowCallRate: 0.5, slowerThan: 100, window: { calls: 4 }, minimumCalls: 4 })
      const takes = Effect.fnUntraced(function*(millis: number) {
        const one = yield* call(group)
        yield* TestClock.adjust(millis)
        yield* one.succeed
      })
      for (const millis of [99, 100, 0, 0]) yield* takes(millis)
      yield* stands(group, "closed")
      yield* takes(200)
      yield* stands(group, "open")
      // A slow probe shows that it is slow still.
      yield* TestClock.adjust("5 seconds")
      yield* takes(100)
      yield* stands(group, "open")
      yield* TestClock.adjust("5 seconds")
      yield* takes(99)
      yield* stands(group, "closed")
    }))

  it.effect("on whichever reason comes first", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 3, failureRate: 0.5, minimumCalls: 10 })
      yield* calls(group, "fail", "fail", "fail")
      yield* stands(group, "open")
    }))

  it.effect("by a clock that can't be set: wall time may jump as it likes", () =>
    Effect.gen(function*() {
      let wall = 0
      const clock = yield* Clock.Clock
      const jumping = new Proxy(clock, {
        get: (target, name) => name === "currentTimeMillisUnsafe" ? () => wall : Reflect.get(target, name)
      })
      const group = yield* Effect.provideService(make({ consecutive: 1 }), Clock.Clock, jumping)
      yield* calls(group, "fail")
      wall = 1e15
      assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
      wall = -1e15
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
    }))
})

describe("a clock that is set back, although it should never be,", () => {
  /** The clock of a group, and a hand on it. */
  const jumping = Effect.map(Clock.Clock, (clock) => {
    const hand = { ahead: 1e9 }
    const monotonic = () => clock.monotonicTimeNanosUnsafe() + BigInt(hand.ahead) * 1_000_000n
    return {
      hand,
      clock: new Proxy(clock, {
        get: (target, name) => name === "monotonicTimeNanosUnsafe" ? monotonic : Reflect.get(target, name)
      })
    }
  })
  const hour = 3_600_000

  it.effect("keeps a circuit open for no longer than an opening lasts", () =>
    Effect.gen(function*() {
      const { clock, hand } = yield* jumping
      const group = yield* Effect.provideService(make({ consecutive: 1 }), Clock.Clock, clock)
      yield* calls(group, "fail")
      hand.ahead -= hour
      const refused = yield* Effect.flip(command(group)("ok"))
      assert.instanceOf(refused, CommandError.CircuitOpen)
      assert.deepStrictEqual(refused.retryAfter, Duration.seconds(5))
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
    }))

  it.effect("does not lengthen the lease of a probe that hangs", () =>
    Effect.gen(function*() {
      const { clock, hand } = yield* jumping
      const group = yield* Effect.provideService(make({ consecutive: 1 }), Clock.Clock, clock)
      yield* pastOpening(group)
      yield* call(group)
      hand.ahead -= hour
      assert.deepStrictEqual((yield* Circuit.open(group)).map(({ retryAfter }) => retryAfter), [5000])
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
    }))

  it.effect("begins a window of time anew, which would hold its calls until the clock has caught up", () =>
    Effect.gen(function*() {
      const { clock, hand } = yield* jumping
      const group = yield* Effect.provideService(
        make({ failureRate: 0.5, window: { time: "10 seconds" }, minimumCalls: 4 }),
        Clock.Clock,
        clock
      )
      yield* calls(group, "fail", "fail", "fail")
      hand.ahead -= hour
      yield* calls(group, "fail", "ok", "ok", "ok")
      yield* stands(group, "closed")
      yield* TestClock.adjust("11 seconds")
      yield* calls(group, "fail", "fail", "fail")
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
    }))
})

describe("18. circuits are kept per key", () => {
  const keyed = (group: Group.Group) =>
    Command.make("k", (_key: string, how: Ending) => run(how), { group, circuit: { key: (key) => key } })

  it.effect("one that is open leaves the others alone; by default the key is the command's", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      yield* Effect.exit(keyed(group)("a", "fail"))
      yield* keyed(group)("b", "ok")
      yield* calls(group, "ok")
      assert.strictEqual(ending(yield* Effect.exit(keyed(group)("a", "ok"))), "CircuitOpen")
      assert.deepStrictEqual(yield* Circuit.open(group), [{
        circuit: "a",
        state: "open",
        forced: false,
        retryAfter: 5000
      }])
    }))

  it.effect("and two groups of one name have circuits of their own", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* make({ consecutive: 1 }), yield* make({ consecutive: 1 })]
      yield* calls(one, "fail")
      yield* stands(other, "closed")
    }))

  it.effect("the number of keys is bounded: the closed one that was not used for longest goes first", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2, maxKeys: 3 })
      const fails = (key: string) => Effect.exit(keyed(group)(key, "fail"))
      yield* fails("a")
      yield* fails("b")
      yield* fails("c")
      yield* keyed(group)("c", "ok")
      yield* fails("d") // a is gone, and its failure with it
      yield* fails("a") // now b is
      yield* stands(group, "closed", "a")
      yield* fails("d")
      yield* stands(group, "open", "d")
    }))

  it.effect("however early it came: what is in use is not what goes", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2, maxKeys: 3 })
      const fails = (key: string) => Effect.exit(keyed(group)(key, "fail"))
      yield* fails("busy")
      for (let i = 0; i < 100; i++) {
        yield* keyed(group)(`passer-by ${i}`, "ok")
        if (i % 2 === 0) yield* Effect.exit(keyed(group)("busy", i === 98 ? "fail" : "ok"))
      }
      yield* fails("busy")
      yield* stands(group, "open", "busy")
    }))

  it.effect("an open one is the last to be forgotten, but for one that is held", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, maxKeys: 500 })
      const known = Effect.map(Circuit.open(group), (all) => all.map(({ circuit }) => circuit))
      yield* Circuit.force(group, "held", "closed")
      const opened = Array.from({ length: 400 }, (_, i) => `open ${i}`)
      for (const key of opened) yield* Effect.exit(keyed(group)(key, "fail"))
      for (let i = 0; i < 2000; i++) yield* keyed(group)(`closed ${i}`, "ok")
      assert.deepStrictEqual(yield* known, ["held", ...opened])
      for (let i = 0; i < 600; i++) yield* Effect.exit(keyed(group)(`more ${i}`, "fail"))
      const left = yield* known
      assert.strictEqual(left.length, 500)
      assert.strictEqual(left[0], "held")
      assert.strictEqual(left[1], "more 101")
    }))

  it.effect("however many keys there are, of any kind, as many as may be are kept", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, maxKeys: 100 })
      const get = keyed(group)
      yield* Effect.exit(get("__proto__", "fail"))
      for (let i = 0; i < 20_000; i++) yield* Effect.exit(get(`${i} ${"x".repeat(i % 100)}`, "ok"))
      yield* stands(group, "open", "__proto__")
      yield* stands(group, "closed", "constructor")
    }))

  it.effect("what is heard of a circuit that was forgotten changes nothing, and is no transition", () =>
    Effect.gen(function*() {
      const log = logged()
      const group = yield* Effect.provide(make({ consecutive: 1, maxKeys: 1 }), log.layer)
      const late = yield* call(group)
      yield* keyed(group)("other", "ok")
      yield* late.fail
      yield* stands(group, "closed")
      assert.deepStrictEqual(log.lines, [])
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
    }))
})

describe("19. an operator", () => {
  it.effect("holds a circuit open, whatever the time and the probes", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const early = yield* call(group)
      yield* Circuit.force(group, "k", "open")
      yield* early.succeed
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
      assert.deepStrictEqual(yield* Circuit.open(group), [{
        circuit: "k",
        state: "open",
        forced: true,
        retryAfter: 5000
      }])
    }))

  it.effect("holds one closed, whatever fails", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      yield* calls(group, "fail")
      yield* Circuit.force(group, "k", "closed")
      assert.deepStrictEqual(yield* calls(group, "fail", "fail", "ok"), ["no", "no", "Success"])
      assert.deepStrictEqual(yield* Circuit.open(group), [{
        circuit: "k",
        state: "closed",
        forced: true,
        retryAfter: 0
      }])
    }))

  it.effect("and lets go of it, closed, with nothing counted", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2 })
      yield* calls(group, "fail")
      yield* Circuit.force(group, "k", "closed")
      yield* calls(group, "fail")
      const during = yield* call(group)
      yield* Circuit.force(group, "k", "auto")
      yield* during.fail
      yield* calls(group, "fail")
      yield* stands(group, "closed")
      yield* calls(group, "fail")
      yield* stands(group, "open")
      yield* Circuit.force(group, "k", "auto")
      yield* stands(group, "closed")
      assert.deepStrictEqual(yield* Circuit.open(group), [])
    }))

  it.effect("of a group that has no circuits holds nothing", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      yield* Circuit.force(group, "k", "open")
      assert.deepStrictEqual(yield* calls(group, "ok"), ["Success"])
      yield* stands(group, "closed")
      assert.deepStrictEqual(yield* Circuit.open(group), [])
      assert.deepStrictEqual(yield* Stream.runCollect(Circuit.transitions(group)), [])
    }))
})

describe("19. transitions", () => {
  it.effect("are logged once each, and are a stream", () =>
    Effect.gen(function*() {
      const log = logged()
      const group = yield* Effect.provide(make({ consecutive: 1 }), log.layer)
      const seen: Array<CircuitStore.Transition> = []
      yield* Effect.forkChild(
        Stream.runForEach(Circuit.transitions(group), (one) => Effect.sync(() => seen.push(one))),
        {
          startImmediately: true
        }
      )
      yield* pastOpening(group)
      yield* calls(group, "ok")
      yield* Circuit.force(group, "k", "open")
      yield* Circuit.force(group, "k", "open")
      yield* Circuit.force(group, "k", "auto")
      yield* afterFirstSleep
      const of = (from: CircuitStore.State, to: CircuitStore.State, forced = false) => ({
        group: "g",
        circuit: "k",
        from,
        to,
        forced
      })
      assert.deepStrictEqual(seen, [
        of("closed", "open"),
        of("open", "half-open"),
        of("half-open", "closed"),
        of("closed", "open", true),
        of("open", "closed", true)
      ])
      assert.deepStrictEqual(log.lines, [
        "Warn circuit k of g: closed -> open",
        "Info circuit k of g: open -> half-open",
        "Info circuit k of g: half-open -> closed",
        "Warn circuit k of g: closed -> open (forced)",
        "Info circuit k of g: open -> closed (forced)"
      ])
    }))

  it.effect("are a line each, whatever a client has put into the key", () =>
    Effect.gen(function*() {
      const log = logged()
      const group = yield* Effect.provide(make({ consecutive: 1 }), log.layer)
      yield* Circuit.force(group, "a\n[12:00:00] ERROR forged\r\u001b[2J\u2028b", "open")
      yield* afterFirstSleep
      assert.deepStrictEqual(log.lines, [
        "Warn circuit a\\u000a[12:00:00] ERROR forged\\u000d\\u001b[2J\\u2028b of g: closed -> open (forced)"
      ])
    }))

  it.effect("33. are kept for nobody: a reader hears those that come after it", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      for (const to of ["open", "closed", "open"] as const) yield* Circuit.force(group, "k", to)
      const heard: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(Circuit.transitions(group), ({ from, to }) => Effect.sync(() => heard.push(`${from} ${to}`))),
        { startImmediately: true }
      )
      yield* afterFirstSleep
      assert.deepStrictEqual(heard, [])
      yield* Circuit.force(group, "k", "closed")
      yield* afterFirstSleep
      assert.deepStrictEqual(heard, ["open closed"])
    }))

  it.effect("reach a reader that is slow: it loses the oldest, not the latest", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 })
      const gate = yield* Deferred.make<void>()
      const seen: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(Circuit.transitions(group), ({ circuit }) =>
          Effect.andThen(Effect.sync(() => seen.push(circuit)), Deferred.await(gate))),
        { startImmediately: true }
      )
      for (let i = 0; i < 1000; i++) {
        yield* Circuit.force(group, String(i), "open")
      }
      yield* Deferred.succeed(gate, undefined)
      yield* afterFirstSleep
      assert.strictEqual(seen.at(-1), "999")
      assert.isAtLeast(seen.length, 128)
    }).pipe(Effect.provide(Logger.layer([]))))

  it.effect("end with the group", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.scoped(Effect.gen(function*() {
        const group = yield* make({})
        return yield* Effect.forkDetach(Stream.runDrain(Circuit.transitions(group)), { startImmediately: true })
      }))
      yield* afterFirstSleep
      assert.notStrictEqual(state(fiber), "running")
    }))
})

describe("20. a rejection", () => {
  it.effect("captures no stack, takes no permit and starts nothing", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1 }, { maxConcurrent: 1 })
      yield* calls(group, "fail")
      const work = yield* TestDependency.make(hang)
      const refused = yield* Effect.flip(work.call().pipe(Command.within(group, { key: "k" })))
      assert.instanceOf(refused, Error)
      assert.strictEqual(refused.stack, "CircuitOpen: the circuit k of g is open")
      assert.deepStrictEqual(work.calls, [])
      assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 1)
    }))

  it.effect("goes to the fallback, with what was measured", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 1, openFor: "10 seconds" })
      const get = Command.make("k", () => run("fail"), { group, fallback: (failure) => Effect.succeed(failure) })
      yield* get()
      yield* TestClock.adjust("4 seconds")
      const failure = yield* get()
      if (!(failure instanceof CommandError.CircuitOpen)) return assert.fail(String(failure))
      assert.deepStrictEqual(Duration.toMillis(failure.retryAfter), 6000)
    }))
})

describe("3. alone, as a combinator", () => {
  it.effect("withCircuit counts and refuses any effect, data first and last, by the class of the group too", () =>
    Effect.gen(function*() {
      class G extends Group.Service<G>()("g") {}
      const program = Effect.gen(function*() {
        const group = yield* G
        const fails = Effect.exit(Circuit.withCircuit(Effect.fail("no"), G, { key: "k" }))
        assert.strictEqual(ending(yield* fails), "no")
        assert.strictEqual(ending(yield* fails), "no")
        assert.strictEqual(ending(yield* fails), "CircuitOpen")
        // It is the circuit of the commands of that key.
        assert.deepStrictEqual(yield* calls(group, "ok"), ["CircuitOpen"])
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Effect.succeed(1).pipe(Circuit.withCircuit(group, { key: "k" })), 1)
        yield* stands(group, "closed")
        // Under the group's own name, by default.
        const bare = Effect.void.pipe(Circuit.withCircuit(G))
        yield* bare
        yield* Circuit.force(group, "g", "open")
        assert.deepInclude({ ...yield* Effect.flip(bare) }, { group: "g", key: "g", circuit: "g" })
        // No pool has seen any of it, not even the command, which was refused.
        assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 0)
      })
      yield* Effect.provide(program, G.layer({ pool: { maxConcurrent: 1 }, circuit: { consecutive: 2 } }))
    }))

  it.effect("14. knows what is slow, what is no failure, and what an interruption is", () =>
    Effect.gen(function*() {
      const group = yield* make({ consecutive: 2, slowCallRate: 0.5, slowerThan: 10, window: { calls: 4 } })
      const within = <A, E>(self: Effect.Effect<A, E>) => Circuit.withCircuit(self, group, { key: "k" })
      yield* Effect.exit(within(Effect.fail("no")))
      const left = yield* Command.queue(within(Effect.never))
      yield* Fiber.interrupt(left)
      yield* Effect.exit(Circuit.withCircuit(Effect.fail(404), group, { key: "k", isFailure: (n) => n >= 500 }))
      yield* Effect.exit(within(Effect.fail("no")))
      yield* stands(group, "closed")
      const slow = yield* Command.queue(Effect.all([within(Effect.sleep(10)), within(Effect.sleep(10))]))
      yield* TestClock.adjust(20)
      yield* Fiber.join(slow)
      yield* stands(group, "open")
    }))

  it.effect("in a group without circuits it only runs the effect; options that make no sense are refused", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      assert.strictEqual(yield* Circuit.withCircuit(Effect.succeed(1), group), 1)
      assert.throws(
        () => Circuit.withCircuit(Effect.void, group, { keys: "k" } as never),
        InvalidOptions.InvalidOptions,
        /keys/
      )
    }))
})

describe("12. options that make no sense are refused, by name:", () => {
  for (
    const [problem, options] of [
      ["circuit.consecutive", { consecutive: 0 }],
      ["circuit.failureRate", { failureRate: 0 }],
      ["circuit.failureRate", { failureRate: 50 }],
      ["circuit.slowCallRate", { slowCallRate: NaN, slowerThan: 1 }],
      ["circuit.slowerThan", { slowCallRate: 0.5 }],
      ["circuit.slowCallRate", { slowerThan: 100 }],
      ["circuit.window", { window: { calls: 0 } }],
      ["circuit.window", { window: { calls: Infinity } }],
      ["circuit.window", { window: { time: 0 } }],
      ["circuit.window", { window: { time: 9 } }],
      ["circuit.window", { window: { calls: 10, time: 10 } }],
      ["circuit.minimumCalls", { minimumCalls: 0 }],
      ["circuit.minimumCalls", { minimumCalls: 11, window: { calls: 10 } }],
      ["circuit.minimumCalls", { minimumCalls: 101 }],
      ["circuit.openFor", { openFor: 0 }],
      ["circuit.openFor", { openFor: Infinity }],
      ["circuit.probes", { probes: Infinity }],
      ["circuit.probes", { probes: 1.5 }],
      ["circuit.probeLease", { probeLease: -1 }],
      ["circuit.maxKeys", { maxKeys: 0 }],
      ["circuit.maxKeys", { maxKeys: Infinity }],
      ["circuit.treshold", { treshold: 1 }]
    ] as const
  ) {
    it.effect(`${problem}, in ${JSON.stringify(options, (_, value: unknown) => typeof value === "number" ? String(value) : value)}`, () =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(make(options as Circuit.Options))
        assert.isTrue(refused.problem.startsWith(problem), refused.problem)
      }))
  }

  it.effect("and a layer made of them dies", () =>
    Effect.gen(function*() {
      class Session extends Group.Service<Session>()("service.session") {}
      const layer = Session.layer({ pool: { maxConcurrent: 1 }, circuit: { probes: 0 } })
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
      assert.isTrue(exit._tag === "Failure" && Cause.hasDies(exit.cause))
    }))
})
