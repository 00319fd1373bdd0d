import { Command, Group, InvalidOptions, TestDependency } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { ending, state } from "./calls.ts"

const {
  after,
  byArgs,
  byLoad,
  byNumber,
  capacity,
  die,
  during,
  effect,
  fail,
  forever,
  hang,
  lingering,
  make,
  sequence,
  succeed,
  times,
  uninterruptible,
  withProbability
} = TestDependency

type Scripted<A> = TestDependency.Behaviour<A, string>

/** What so many calls, one after another, are answered with. */
const answers = <A>(dependency: TestDependency.TestDependency<A, string>, count: number) =>
  Effect.replicateEffect(
    Effect.map(
      Effect.exit(dependency.call()),
      (exit) => Exit.isSuccess(exit) ? String(exit.value) : ending(exit)
    ),
    count
  )

const answersOf = <A>(script: Scripted<A>, count: number) =>
  Effect.flatMap(make(script), (dependency) => answers(dependency, count))

/** What a call at each of these times is answered with. */
const timeline = Effect.fnUntraced(function*<A>(script: Scripted<A>, ...moments: ReadonlyArray<number>) {
  const dependency = yield* make(script)
  const seen: Array<string> = []
  let now = 0
  for (const moment of moments) {
    yield* TestClock.adjust(moment - now)
    now = moment
    seen.push(...yield* answers(dependency, 1))
  }
  return seen
})

describe("an answer", () => {
  it.effect("succeeds, fails, dies, or is what an effect does; alone it is every call's", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* answersOf(succeed("up"), 3), ["up", "up", "up"])
      assert.deepStrictEqual(yield* answersOf(succeed(), 1), ["undefined"])
      assert.deepStrictEqual(yield* answersOf(fail("down"), 2), ["down", "down"])
      assert.deepStrictEqual(yield* answersOf(die("bug"), 1), ["Die"])
      assert.deepStrictEqual(yield* answersOf(effect(Effect.interrupt), 1), ["Interrupt"])
    }))

  it.effect("comes at once: a call that does not wait has ended when its fiber is there", () =>
    Effect.gen(function*() {
      const dependency = yield* make(succeed("up"))
      assert.strictEqual(state(yield* Command.queue(dependency.call())), "Success")
    }))

  it.effect("takes its time", () =>
    Effect.gen(function*() {
      const dependency = yield* make(after("1 second", fail("down")))
      const fiber = yield* Command.queue(dependency.call())
      yield* TestClock.adjust(999)
      assert.strictEqual(state(fiber), "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(state(fiber), "down")
      assert.strictEqual(dependency.calls[0]!.endedAt, 1000)
    }))

  it.effect("hangs until it is interrupted", () =>
    Effect.gen(function*() {
      const dependency = yield* make(hang)
      const fiber = yield* Command.queue(dependency.call())
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual([dependency.inFlight, dependency.states], [1, ["running"]])
      fiber.interruptUnsafe()
      assert.deepStrictEqual([dependency.inFlight, dependency.states], [0, ["Interrupt"]])
    }))

  it.effect("holds on against an interruption until it is over", () =>
    Effect.gen(function*() {
      const dependency = yield* make(uninterruptible(after("1 second", succeed())))
      const fiber = yield* Command.queue(dependency.call())
      fiber.interruptUnsafe()
      yield* TestClock.adjust(999)
      assert.deepStrictEqual([dependency.inFlight, state(fiber)], [1, "running"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([dependency.inFlight, dependency.states, state(fiber)], [0, ["Interrupt"], "Interrupt"])
    }))

  it.effect("cleans up for as long as it is told, when it is interrupted and not otherwise", () =>
    Effect.gen(function*() {
      const dependency = yield* make(sequence(lingering("1 second", succeed()), lingering("1 second", hang)))
      yield* dependency.call()
      const fiber = yield* Command.queue(dependency.call())
      fiber.interruptUnsafe()
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(dependency.states, ["Success", "running"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(dependency.states, ["Success", "Interrupt"])
    }))

  it.effect("is for so many at once; the others take their turn, and one that leaves makes room", () =>
    Effect.gen(function*() {
      const dependency = yield* make(capacity(2, after(100, succeed())))
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 6; i++) fibers.push(yield* Command.queue(dependency.call()))
      assert.strictEqual(dependency.maxInFlight, 6)
      yield* TestClock.adjust(50)
      fibers[0]!.interruptUnsafe() // it had a place
      fibers[3]!.interruptUnsafe() // it waited for one
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(dependency.calls.map(({ endedAt }) => endedAt), [50, 100, 150, 50, 200, 250])
    }))
})

describe("a script", () => {
  it.effect("is a sequence: each answer once, the last for ever", () =>
    Effect.gen(function*() {
      const script = sequence(fail("one"), fail("two"), succeed("up"))
      assert.deepStrictEqual(yield* answersOf(script, 5), ["one", "two", "up", "up", "up"])
    }))

  it.effect("a sequence in a sequence is as long as its parts", () =>
    Effect.gen(function*() {
      const script = sequence(sequence(fail("one"), fail("two")), sequence(succeed("three"), succeed("four")))
      assert.deepStrictEqual(yield* answersOf(script, 5), ["one", "two", "three", "four", "four"])
    }))

  it.effect("has so many answers; one that is over dies, and says of which call", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* answersOf(times(2, succeed("up")), 3), ["up", "up", "Die"])
      assert.deepStrictEqual(yield* answersOf(sequence(fail("one"), times(1, succeed("up"))), 3), ["one", "up", "Die"])
      const dependency = yield* make(sequence())
      const exit = yield* Effect.exit(dependency.call())
      assert.include(String(Exit.isFailure(exit) && exit.cause), "no answer to call 1")
    }))

  it.effect("times counts calls, through a sequence as often as needed", () =>
    Effect.gen(function*() {
      const script = sequence(times(3, sequence(fail("one"), fail("two"))), succeed("up"))
      assert.deepStrictEqual(yield* answersOf(script, 5), ["one", "two", "one", "up", "up"])
      assert.deepStrictEqual(yield* answersOf(sequence(times(0, fail("never")), succeed("up")), 1), ["up"])
    }))

  it.effect("forever begins anew, and nothing for ever is nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* answersOf(forever(sequence(fail("one"), succeed("two"))), 4), [
        "one",
        "two",
        "one",
        "two"
      ])
      assert.deepStrictEqual(yield* answersOf(forever(times(0, succeed("never"))), 1), ["Die"])
      assert.deepStrictEqual(yield* answersOf(forever(sequence()), 1), ["Die"])
    }))

  it.effect("goes by phases of time, whether somebody calls or not", () =>
    Effect.gen(function*() {
      const script = sequence(during(10, succeed("up")), during(10, fail("down")), succeed("up again"))
      assert.deepStrictEqual(yield* timeline(script, 0, 9, 10, 19, 20), ["up", "up", "down", "down", "up again"])
      assert.deepStrictEqual(yield* timeline(script, 19), ["down"])
      assert.deepStrictEqual(yield* timeline(script, 1000), ["up again"])
    }))

  it.effect("phases follow what was counted, and end early when what is in them is over", () =>
    Effect.gen(function*() {
      const counted = sequence(fail("first"), during(10, fail("down")), succeed("up"))
      assert.deepStrictEqual(yield* timeline(counted, 5, 14, 15), ["first", "down", "up"])
      const early = sequence(during(10, times(1, fail("once"))), during(10, succeed("then")), succeed("last"))
      assert.deepStrictEqual(yield* timeline(early, 2, 3, 11, 12), ["once", "then", "then", "last"])
    }))

  it.effect("phases come again and again", () =>
    Effect.gen(function*() {
      const script = forever(sequence(during(10, succeed("up")), during(1, fail("down"))))
      assert.deepStrictEqual(yield* timeline(script, 0, 10, 11, 21, 22, 1110, 1111), [
        "up",
        "down",
        "up",
        "down",
        "up",
        "down",
        "up"
      ])
    }))

  it.effect("is a value: each dependency begins it anew", () =>
    Effect.gen(function*() {
      const script = sequence(fail("one"), succeed("up"))
      assert.deepStrictEqual(yield* answersOf(script, 2), ["one", "up"])
      assert.deepStrictEqual(yield* answersOf(script, 2), ["one", "up"])
    }))
})

describe("a choice", () => {
  it.effect("by the arguments, with a function that throws as a defect of that call", () =>
    Effect.gen(function*() {
      const dependency = yield* make(byArgs((id: string) => {
        if (id === "") throw new Error("bug")
        return id === "1" ? succeed("user 1") : fail("unknown")
      }))
      assert.strictEqual(yield* dependency.call("1"), "user 1")
      assert.strictEqual(yield* Effect.flip(dependency.call("2")), "unknown")
      assert.strictEqual(ending(yield* Effect.exit(dependency.call(""))), "Die")
      assert.deepStrictEqual(dependency.calls.map(({ args }) => args), [["1"], ["2"], [""]])
      assert.strictEqual(dependency.inFlight, 0)
    }))

  it.effect("by the number of the call, and once where it is not the last part", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* answersOf(byNumber((n) => n % 2 === 0 ? fail("down") : succeed("up")), 3), [
        "up",
        "down",
        "up"
      ])
      assert.deepStrictEqual(yield* answersOf(sequence(byNumber((n) => succeed(n)), fail("down")), 2), ["1", "down"])
    }))

  it.effect("by how many are under way", () =>
    Effect.gen(function*() {
      const dependency = yield* make(byLoad((load) => after(load * 10, succeed())))
      for (let i = 0; i < 3; i++) yield* Command.queue(dependency.call())
      yield* TestClock.adjust(100)
      yield* Command.queue(dependency.call())
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(dependency.calls.map(({ endedAt }) => endedAt), [10, 20, 30, 110])
    }))

  it.effect("by chance, which is the caller's Random's, and goes on through both scripts", () =>
    Effect.gen(function*() {
      const script = withProbability(0.3, fail("down"), succeed("up"))
      const dependency = yield* make<string, string>(script)
      const seen = yield* answers(dependency, 1000).pipe(Random.withSeed("seed"))
      const failures = seen.filter((answer) => answer === "down").length
      assert.approximately(failures, 300, 60)
      assert.deepStrictEqual(yield* answersOf(script, 1000).pipe(Random.withSeed("seed")), seen)
      assert.deepStrictEqual(
        yield* answersOf(withProbability(1, sequence(fail("one"), succeed("two")), die("bug")), 2),
        [
          "one",
          "two"
        ]
      )
      assert.deepStrictEqual(yield* answersOf(withProbability(0, die("bug"), succeed("up")), 1), ["up"])
      const once = sequence(withProbability(1, fail("one"), die("bug")), succeed("up"))
      assert.deepStrictEqual(yield* answersOf(once, 2), ["one", "up"])
    }))
})

describe("the test takes over", () => {
  it.effect("becomes something else, for calls from now on, in phases from now on", () =>
    Effect.gen(function*() {
      const dependency = yield* make<string, string>(after(100, succeed("slow")))
      const early = yield* Command.queue(dependency.call())
      yield* TestClock.adjust(50)
      yield* dependency.become(sequence(during(10, fail("down")), succeed("up")))
      assert.deepStrictEqual(yield* answers(dependency, 2), ["down", "down"])
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* answers(dependency, 1), ["up"])
      assert.strictEqual(state(early), "running")
      yield* TestClock.adjust(40)
      assert.strictEqual(yield* Fiber.join(early), "slow")
    }))

  it.effect("recovers: calls that hang are answered too, in their order, and only they", () =>
    Effect.gen(function*() {
      const dependency = yield* make<string, string>(sequence(after(100, succeed("slow")), hang))
      const fibers: Array<Fiber.Fiber<string, string>> = []
      for (let i = 0; i < 4; i++) fibers.push(yield* Command.queue(dependency.call()))
      yield* dependency.recover(sequence(fail("down"), hang, succeed("up")))
      assert.deepStrictEqual(fibers.map(state), ["running", "down", "running", "Success"])
      assert.deepStrictEqual(yield* answers(dependency, 1), ["up"])
      yield* dependency.recover(succeed("up again"))
      assert.strictEqual(yield* Fiber.join(fibers[2]!), "up again")
      assert.strictEqual(dependency.calls.length, 5)
    }))

  it.effect("recovers where the answer to one call ends another", () =>
    Effect.gen(function*() {
      const dependency = yield* make<void, string>(hang)
      const fiber = yield* Command.queue(Effect.race(dependency.call(), dependency.call()))
      yield* dependency.arrived(2)
      yield* dependency.recover(succeed())
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(dependency.states, ["Success", "Interrupt"])
    }))

  it.effect("recovers in phases from now on", () =>
    Effect.gen(function*() {
      const dependency = yield* make<string, string>(hang)
      yield* Command.queue(dependency.call())
      yield* TestClock.adjust(100)
      yield* dependency.recover(sequence(succeed("one"), during(10, succeed("two")), succeed("three")))
      assert.deepStrictEqual(dependency.states, ["Success"])
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(yield* answers(dependency, 1), ["two"])
    }))

  it.effect("answers a call that hangs, by hand", () =>
    Effect.gen(function*() {
      const dependency = yield* make<string, string>(hang)
      const fibers = [yield* Command.queue(dependency.call()), yield* Command.queue(dependency.call())]
      const third = yield* Command.queue(dependency.call())
      yield* dependency.calls[2]!.die("bug")
      yield* dependency.calls[1]!.fail("down")
      yield* dependency.calls[0]!.succeed("up")
      assert.deepStrictEqual([...fibers, third].map(state), ["Success", "down", "Die"])
    }))

  it.effect("one that holds on against an interruption too", () =>
    Effect.gen(function*() {
      const dependency = yield* make<void>(uninterruptible(hang))
      const fiber = yield* Command.queue(dependency.call())
      fiber.interruptUnsafe()
      yield* (yield* dependency.next).succeed()
      assert.deepStrictEqual([dependency.states, state(fiber)], [["Interrupt"], "Interrupt"])
    }))

  it.effect("one that does not hang can't be: it says why", () =>
    Effect.gen(function*() {
      const dependency = yield* make<string>(sequence(succeed("up"), after(10, hang)))
      yield* dependency.call()
      yield* Command.queue(dependency.call())
      const why = (n: number) =>
        Effect.map(
          Effect.exit(dependency.calls[n - 1]!.succeed("late")),
          (exit) => String(Exit.isFailure(exit) && exit.cause)
        )
      assert.include(yield* why(1), "call 1 can't be answered by hand, because it has ended: Success")
      assert.include(yield* why(2), "call 2 can't be answered by hand, because it does not hang")
      yield* TestClock.adjust(10)
      assert.isTrue(dependency.calls[1]!.hangs)
      yield* dependency.calls[1]!.succeed("up")
      assert.include(yield* why(2), "it has ended: Success")
    }))

  it.effect("waits for the next call, and for the n-th, not for time", () =>
    Effect.gen(function*() {
      const dependency = yield* make(byArgs((name: string) => succeed(name)))
      const third = yield* Command.queue(dependency.arrived(3))
      const left = yield* Command.queue(dependency.arrived(3))
      const leaves = yield* Command.queue(dependency.next)
      const first = yield* Command.queue(dependency.next)
      yield* Fiber.interrupt(left)
      yield* Fiber.interrupt(leaves)
      for (const name of ["one", "two", "three"]) yield* dependency.call(name)
      assert.deepStrictEqual((yield* Fiber.join(first)).args, ["one"])
      assert.deepStrictEqual((yield* dependency.next).args, ["two"])
      assert.strictEqual((yield* Fiber.join(third)).number, 3)
      assert.strictEqual((yield* dependency.arrived(1)).number, 1)
    }))
})

describe("what is remembered", () => {
  it.effect("of each call: its number, arguments, start, end and exit", () =>
    Effect.gen(function*() {
      const dependency = yield* make(byArgs((_id: string, _page: number) => after(100, fail("down"))))
      yield* TestClock.adjust(5)
      const fiber = yield* Command.queue(dependency.call("a", 1))
      const [call] = dependency.calls
      assert.deepInclude(call, { number: 1, args: ["a", 1], startedAt: 5, endedAt: undefined, exit: undefined })
      assert.strictEqual(call!.state, "running")
      yield* TestClock.adjust(100)
      assert.deepInclude(call, { endedAt: 105, exit: fiber.pollUnsafe() })
      assert.deepStrictEqual([dependency.startedAt, dependency.states], [[5], ["down"]])
    }))

  it.effect("how many there are and were at once, finalizers included", () =>
    Effect.gen(function*() {
      const dependency = yield* make<void>(hang)
      const fibers = [yield* Command.queue(dependency.call()), yield* Command.queue(dependency.call())]
      yield* Fiber.interrupt(fibers[0]!)
      yield* Command.queue(dependency.call())
      assert.deepStrictEqual([dependency.inFlight, dependency.maxInFlight], [2, 2])
      yield* Fiber.interrupt(fibers[1]!)
      yield* dependency.become(succeed())
      yield* dependency.call()
      assert.deepStrictEqual([dependency.inFlight, dependency.maxInFlight], [1, 2])
    }))

  it.effect("nothing of a call that was never run", () =>
    Effect.gen(function*() {
      const dependency = yield* make(hang)
      const never = dependency.call()
      assert.isTrue(Effect.isEffect(never))
      assert.deepStrictEqual(dependency.calls, [])
    }))

  it.effect("wherever the scheduler yields, an interruption leaves no call under way", () =>
    Effect.gen(function*() {
      const dependency = yield* make(effect(Effect.andThen(Effect.yieldNow, Effect.yieldNow)))
      for (let ops = 3; ops <= 16; ops++) {
        const caller = Effect.forever(Effect.provideService(dependency.call(), Scheduler.MaxOpsBeforeYield, ops))
        for (let turns = 0; turns < 14; turns++) {
          const fiber = yield* Command.queue(caller)
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(dependency.inFlight, 0, `${ops} ops, ${turns} turns`)
        }
      }
      assert.isAbove(dependency.calls.length, 100)
    }))
})

it.effect("a command runs it as it is", () =>
  Effect.gen(function*() {
    const group = yield* Group.make("users", { pool: { maxConcurrent: 1, maxQueued: 1 } })
    const users = yield* make(byArgs((id: string) => after(10, succeed(`user ${id}`))))
    const getUser = Command.make("get_user", users.call, { group, coalesce: { key: (id) => id } })
    const fiber = yield* Command.queue(Effect.all([getUser("1"), getUser("2")], { concurrency: "unbounded" }))
    yield* TestClock.adjust(20)
    assert.deepStrictEqual(yield* Fiber.join(fiber), ["user 1", "user 2"])
    assert.deepStrictEqual([users.maxInFlight, users.startedAt], [1, [0, 10]])
  }))

describe("12. what makes no sense is refused, by name", () => {
  for (
    const [name, make] of [
      ["times", () => times(-1, hang)],
      ["times", () => times(1.5, hang)],
      ["capacity", () => capacity(0, hang)],
      ["withProbability", () => withProbability(2, hang, hang)],
      ["withProbability", () => withProbability(NaN, hang, hang)]
    ] as const
  ) {
    it(`${name}: ${make.toString()}`, () => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, InvalidOptions.InvalidOptions)
        assert.include(error.message, `TestDependency.${name}`)
        return
      }
      assert.fail("accepted")
    })
  }
})
