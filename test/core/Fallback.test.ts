import { Command, Group, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Option, type Tracer } from "effect"
import { TestClock } from "effect/testing"
import { afterFirstSleep, ending, state, Work } from "./calls.ts"

class Expired extends Data.TaggedError("Expired")<{ readonly cookie: string }> {}

const make = (maxConcurrent = 1, maxQueued = 0) => Group.make("g", { pool: { maxConcurrent, maxQueued } })
const activeIn = (group: Group.Group) => Effect.map(Pool.statistics(group.pool), ({ active }) => active)

const failures = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? exit.cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error : reason._tag) : []

/** What a failed exit was a fallback for, and what that was one for, and so on. */
const primaries = (exit: Exit.Exit<unknown, unknown>): Array<unknown> => {
  const found: Array<unknown> = []
  let cause = Exit.isFailure(exit) ? Command.primary(exit.cause) : Option.none()
  while (Option.isSome(cause)) {
    found.push(Cause.squash(cause.value))
    cause = Command.primary(cause.value)
  }
  return found
}

describe("29. a fallback is handed the failure", () => {
  it.effect("typed, and the arguments", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const command = Command.make(
        "k",
        (cookie: string, n: number) => n > 0 ? Effect.succeed(n) : Effect.fail(new Expired({ cookie })),
        {
          group,
          timeout: "1 second",
          fallback: (failure, cookie, n) => Effect.succeed([failure._tag === "Expired" && failure.cookie, cookie, n])
        }
      )
      assert.strictEqual(yield* command("a", 1), 1)
      assert.deepStrictEqual(yield* command("a", 0), ["a", "a", 0])
    }))

  it.effect("a failure of the machinery as well: too many, too slow", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const command = Command.make("k", () => Effect.never, {
        group,
        timeout: 10,
        fallback: (failure) => Effect.succeed(failure._tag)
      })
      const slow = yield* Command.queue(command())
      assert.strictEqual(yield* command(), "PoolFull")
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* Fiber.join(slow), "CommandTimeout")
    }))

  it.effect("and is not asked when all is well", () =>
    Effect.gen(function*() {
      const group = yield* make()
      let asked = 0
      const command = Command.make("k", () => Effect.succeed(1), {
        group,
        fallback: () => Effect.sync(() => ++asked)
      })
      assert.strictEqual(yield* command(), 1)
      assert.strictEqual(asked, 0)
    }))
})

describe("29. it runs outside the pool", () => {
  it.effect("after the permit is back, also of a call that failed, and of one that was too slow", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make(1)
      const command = Command.make(
        "k",
        (run: Effect.Effect<number, string>) => run.pipe(Effect.ensuring(Effect.sleep(5))),
        {
          group,
          timeout: 10,
          fallback: () => activeIn(group)
        }
      )
      const fiber = yield* Command.queue(Effect.all([command(Effect.fail("no")), command(Effect.never)]))
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(yield* Fiber.join(fiber), [0, 0])
    }))

  it.effect("so that with one permit it may be a command of the same group", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const cached = Command.make("cached", () => activeIn(group), { group })
      const command = Command.make("k", () => Effect.fail("no"), { group, fallback: () => cached() })
      assert.strictEqual(yield* command(), 1)
    }))

  it.effect("and outside of the deadline", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const command = Command.make("k", () => Effect.never, {
        group,
        timeout: 10,
        fallback: () => Effect.as(Effect.sleep(1000), "late")
      })
      const fiber = yield* Command.queue(command())
      yield* TestClock.adjust(1010)
      assert.strictEqual(yield* Fiber.join(fiber), "late")
    }))

  it.effect("by hand as well: Command.orElse behind Pool.withPermit", () =>
    Effect.gen(function*() {
      const group = yield* make(1)
      const call = Effect.fail("no").pipe(Pool.withPermit(group), Command.orElse(() => activeIn(group)))
      assert.strictEqual(yield* call, 0)
    }))
})

describe("23. never for a defect or an interruption:", () => {
  const ways: ReadonlyArray<readonly [string, Effect.Effect<number, string>, string]> = [
    ["a defect", Effect.die("bug"), "Die"],
    ["an interruption from inside", Effect.interrupt, "Interrupt"],
    ["a failure whose finalizer died", Effect.fail("no").pipe(Effect.ensuring(Effect.die("bug"))), "Die"]
  ]
  for (const [name, run, expected] of ways) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const group = yield* make()
        let asked = 0
        const fallback = () => Effect.sync(() => ++asked)
        const made = Command.make("k", () => run, { group, fallback })
        const piped = run.pipe(Command.within(group, { key: "k" }), Command.orElse(fallback))
        for (const call of [made(), piped]) assert.include(ending(yield* Effect.exit(call)), expected)
        assert.strictEqual(asked, 0)
      }))
  }

  it.effect("a deadline whose finalizer died: the bug is not hidden", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const command = Command.make("k", () => Effect.never.pipe(Effect.ensuring(Effect.die("bug"))), {
        group,
        timeout: 10,
        fallback: () => Effect.succeed("fine")
      })
      const fiber = yield* Command.queue(command())
      yield* TestClock.adjust(10)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
    }))

  it.effect("an interruption of the caller", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = new Work()
      let asked = 0
      const command = Command.make("k", () => work.run, { group, fallback: () => Effect.sync(() => ++asked) })
      const fiber = yield* Command.queue(command())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state(fiber), "Interrupt")
      assert.strictEqual(asked, 0)
    }))
})

describe("29. when it fails too", () => {
  const calls = Effect.gen(function*() {
    const group = yield* make()
    return {
      made: Command.make("k", () => Effect.fail("down"), { group, fallback: () => Effect.fail("no cache") })(),
      piped: Effect.fail("down").pipe(Command.orElse(() => Effect.fail("no cache")))
    }
  })

  it.effect("its failure is the failure, alone in the cause", () =>
    Effect.gen(function*() {
      for (const call of Object.values(yield* calls)) {
        assert.deepStrictEqual(failures(yield* Effect.exit(call)), ["no cache"])
      }
    }))

  it.effect("the first one is on the cause", () =>
    Effect.gen(function*() {
      for (const call of Object.values(yield* calls)) {
        assert.deepStrictEqual(primaries(yield* Effect.exit(call)), ["down"])
      }
      assert.isTrue(Option.isNone(Command.primary(Cause.fail("first of all"))))
    }))

  it.effect("and on the span", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const fallbackOf = (failure: unknown) =>
        Effect.gen(function*() {
          const span = yield* Effect.currentSpan
          const command = Command.make("k", () => Effect.fail(failure), {
            group,
            fallback: () => Effect.fail("no cache")
          })
          yield* Effect.ignore(command())
          return (span as Tracer.NativeSpan).attributes.get("blackgate.fallback_of")
        }).pipe(Effect.withSpan("call"))
      assert.strictEqual(yield* fallbackOf(new Expired({ cookie: "a" })), "Expired")
      assert.strictEqual(yield* fallbackOf(new TypeError("no")), "TypeError")
      assert.strictEqual(yield* fallbackOf("down"), "string")
    }))

  it.effect("a fallback that dies, or throws, is a defect, with the first failure on its cause", () =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      const thrown = () => {
        throw bug
      }
      for (const fallback of [() => Effect.die(bug), thrown]) {
        const exit = yield* Effect.exit(Effect.fail("down").pipe(Command.orElse(fallback)))
        assert.deepStrictEqual(failures(exit), ["Die"])
        assert.deepStrictEqual(primaries(exit), ["down"])
      }
    }))

  it.effect("and leaves no trace when it answers", () =>
    Effect.gen(function*() {
      const span = yield* Effect.currentSpan
      yield* Effect.fail("down").pipe(Command.orElse(() => Effect.void))
      assert.isFalse((span as Tracer.NativeSpan).attributes.has("blackgate.fallback_of"))
    }).pipe(Effect.withSpan("call")))
})

describe("31. fallbacks chain", () => {
  it.effect("each is handed the failure of the one before", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const command = Command.make("k", () => Effect.fail("1"), {
        group,
        fallback: (failure) => Effect.fail(`${failure}, 2`)
      })
      const answer = command().pipe(
        Command.orElse((failure) => Effect.fail(`${failure}, 3`)),
        Command.orElse((failure) => Effect.succeed(`${failure}, done`))
      )
      assert.strictEqual(yield* answer, "1, 2, 3, done")
    }))

  it.effect("and the causes do, back to the first", () =>
    Effect.gen(function*() {
      const chain = Effect.fail("1").pipe(
        Command.orElse(() => Effect.fail("2")),
        Command.orElse(() => Effect.fail("3"))
      )
      const exit = yield* Effect.exit(chain)
      assert.deepStrictEqual(failures(exit), ["3"])
      assert.deepStrictEqual(primaries(exit), ["2", "1"])
    }))

  it.effect("also when a fallback has fallbacks of its own", () =>
    Effect.gen(function*() {
      const second = Effect.fail("2").pipe(Command.orElse(() => Effect.fail("3")))
      const exit = yield* Effect.exit(Effect.fail("1").pipe(Command.orElse(() => second)))
      assert.deepStrictEqual(failures(exit), ["3"])
      assert.deepStrictEqual(primaries(exit), ["2", "1"])
    }))

  it.effect("data first", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Command.orElse(Effect.fail("down"), (failure) => Effect.succeed(failure)), "down")
    }))
})
