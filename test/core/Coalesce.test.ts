import {
  Circuit,
  Coalesce,
  Command,
  CommandError,
  CommandMetrics,
  Group,
  InvalidOptions,
  Pool,
  TestDependency,
  TestOutcomes
} from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Metric, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { enclosedBy } from "../../packages/core/src/internal/Enclosing.ts"
import { Flights } from "../../packages/core/src/internal/Flights.ts"
import type { GroupState } from "../../packages/core/src/internal/GroupState.ts"
import { afterFirstSleep, ending, idle, state, Work } from "./calls.ts"

const { after, byArgs, byNumber, fail, hang, lingering, sequence, succeed, uninterruptible } = TestDependency

const make = (more: Partial<Group.Options> = {}) =>
  Group.make("g", { pool: { maxConcurrent: 10, maxQueued: 10 }, ...more })

const coalesce = { key: (id: string) => id }

/** What is shared, which ends when the test says so. */
const hanging = TestDependency.make<void, never, [id: string]>(hang)

describe("25. callers with one key share one run", () => {
  it.effect("and its value; another key is another run, and after the end there is a new one", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const counts = byNumber((run) => byArgs((id: string) => after(10, succeed({ id, run }))))
      const { call } = yield* TestDependency.make(counts)
      const get = Command.make("get", call, { group, coalesce })
      const first = yield* Command.queue(Effect.all([get("a"), get("a"), get("b")], { concurrency: "unbounded" }))
      yield* TestClock.adjust(5)
      const late = yield* Command.queue(get("a"))
      assert.strictEqual((yield* Pool.statistics(group.pool)).active, 2)
      yield* TestClock.adjust(5)
      const [a, again, b] = yield* Fiber.join(first)
      assert.strictEqual(a, again)
      assert.strictEqual(yield* Fiber.join(late), a)
      assert.deepStrictEqual([a, b], [{ id: "a", run: 1 }, { id: "b", run: 2 }])
      const next = yield* Command.queue(get("a"))
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(next)).run, 3)
      yield* TestOutcomes.expect(group, "get", { success: 5 })
      assert.strictEqual((yield* Pool.statistics(group.pool)).admitted, 3)
      yield* idle(group)
    }))

  it.effect("a run that ends at once is over before the next caller comes", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const { call } = yield* TestDependency.make<number, never, [id: string]>(byNumber((run) => succeed(run)))
      const get = Command.make("get", call, { group, coalesce })
      assert.deepStrictEqual(yield* Effect.all([get("a"), get("a")]), [1, 2])
      yield* idle(group)
    }))

  it.effect("one leaving does not cancel the others", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* hanging
      const get = Command.make("get", work.call, { group, coalesce })
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 3; i++) fibers.push(yield* Command.queue(get("a")))
      // The first one too: the run is not its own.
      yield* Fiber.interrupt(fibers[0]!)
      yield* Fiber.interrupt(fibers[1]!)
      assert.deepStrictEqual(fibers.map(state), ["Interrupt", "Interrupt", "running"])
      assert.deepStrictEqual([work.calls.length, work.inFlight], [1, 1])
      yield* work.recover(succeed())
      assert.strictEqual(state(fibers[2]!), "Success")
      yield* TestOutcomes.expect(group, "get", { success: 1, interrupted: 2 })
      yield* idle(group)
    }))

  it.effect("the last one leaving does, and waits for the finalizers; whoever comes meanwhile starts anew", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* TestDependency.make<void, never, [id: string]>(lingering(100, hang))
      const get = Command.make("get", work.call, { group, coalesce })
      const first = yield* Command.queue(get("a"))
      const second = yield* Command.queue(get("a"))
      first.interruptUnsafe()
      yield* TestClock.adjust(1)
      assert.strictEqual(state(first), "Interrupt")
      second.interruptUnsafe()
      yield* TestClock.adjust(50)
      assert.strictEqual(state(second), "running")
      const third = yield* Command.queue(get("a"))
      assert.deepStrictEqual([work.calls.length, work.inFlight], [2, 2])
      yield* TestClock.adjust(50)
      assert.strictEqual(state(second), "Interrupt")
      assert.strictEqual(state(third), "running")
      third.interruptUnsafe()
      yield* TestClock.adjust(100)
      yield* idle(group)
    }))

  it.effect("defects of those finalizers are heard by the last one", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const { call } = yield* hanging
      const get = Command.make("get", (id: string) => Effect.ensuring(call(id), Effect.die("bug")), { group, coalesce })
      const first = yield* Command.queue(get("a"))
      const second = yield* Command.queue(get("a"))
      yield* Fiber.interrupt(first)
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual([first, second].map(state), ["Interrupt", "Interrupt+Die"])
      yield* idle(group)
    }))

  it.effect("a failure, a defect and a refusal are those of all, and every caller counts its own outcome", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1 } })
      const work = yield* TestDependency.make<void, string, [id: string]>(hang)
      const get = Command.make("get", work.call, { group, coalesce })
      const both = (id: string) => Effect.all([get(id), get(id)].map(Effect.exit), { concurrency: "unbounded" })
      const failing = yield* Command.queue(both("a"))
      const full = yield* both("b")
      assert.deepStrictEqual(full.map(ending), ["PoolFull", "PoolFull"])
      yield* work.recover(fail("down"))
      assert.deepStrictEqual((yield* Fiber.join(failing)).map(ending), ["down", "down"])
      const dying = Command.make("dying", (_id: string) => Effect.andThen(Effect.yieldNow, Effect.die("bug")), {
        group,
        coalesce
      })
      const died = yield* Effect.all([dying("a"), dying("a")].map(Effect.exit), { concurrency: "unbounded" })
      assert.deepStrictEqual(died.map(ending), ["Die", "Die"])
      yield* TestOutcomes.expect(group, "get", { failure: 2, rejected: 2 })
      yield* TestOutcomes.expect(group, "dying", { defect: 2 })
      yield* idle(group)
    }))

  it.effect("the run belongs to no single caller's deadline", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* TestDependency.make<void, never, [id: string]>(after(150, succeed()))
      const get = Command.make("get", work.call, { group, coalesce, timeout: 100 })
      const first = yield* Command.queue(get("a"))
      yield* TestClock.adjust(60)
      const second = yield* Command.queue(get("a"))
      yield* TestClock.adjust(40)
      assert.deepStrictEqual([first, second].map(state), ["CommandTimeout", "running"])
      assert.strictEqual(work.inFlight, 1)
      yield* TestClock.adjust(50)
      assert.strictEqual(state(second), "Success")
      yield* TestOutcomes.expect(group, "get", { timeout: 1, success: 1 })
      yield* idle(group)
    }))

  it.effect("one that outlasts a deadline takes in nobody new: a run that hangs is not shared for ever", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* TestDependency.make<string, never, [id: string]>(hang)
      const get = Command.make("get", work.call, { group, coalesce, timeout: 100 })
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      // Somebody comes every 30 ms; so somebody would always be waiting for the first run.
      for (let i = 0; i < 4; i++) {
        fibers.push(yield* Command.queue(get("a")))
        yield* TestClock.adjust(30)
      }
      assert.deepStrictEqual(fibers.map(state), ["CommandTimeout", "running", "running", "running"])
      yield* work.become(succeed("up again"))
      assert.strictEqual(yield* get("a"), "up again")
      assert.deepStrictEqual([work.calls.length, work.inFlight], [2, 1])
      yield* TestClock.adjust(70)
      assert.deepStrictEqual(new Set(fibers.map(state)), new Set(["CommandTimeout"]))
      assert.strictEqual(work.inFlight, 0)
      yield* idle(group)
    }))

  it.effect("8. of a deadline that passes while the shared run waits, it is said so", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 5 } })
      const busy = yield* TestDependency.make<void>(hang)
      yield* Command.queue(busy.call().pipe(Command.within(group, { key: "busy" })))
      const work = yield* hanging
      const get = Command.make("get", work.call, { group, coalesce, timeout: 100 })
      const both = yield* Command.queue(
        Effect.all([get("a"), get("a")].map((get) => Effect.flip(get)), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust(100)
      for (const failure of yield* Fiber.join(both)) {
        assert.deepInclude({ ...failure }, { option: "timeout", started: false })
      }
      assert.strictEqual(work.calls.length, 0)
      assert.strictEqual((yield* Pool.statistics(group.pool)).queued, 0)
      yield* busy.recover(succeed())
      yield* idle(group)
    }))
})

describe("14. the circuit, behind a shared run,", () => {
  const setup = Effect.fnUntraced(function*(options: { readonly timeout?: number } = {}) {
    const group = yield* make({ circuit: { consecutive: 1 } })
    const work = yield* hanging
    const get = Command.make("get", work.call, { group, coalesce, ...options })
    return { group, work, get, circuit: Circuit.state(group, "get") }
  })

  it.effect("counts one that the last caller left by its deadline", () =>
    Effect.gen(function*() {
      const { circuit, get, group } = yield* setup({ timeout: 100 })
      yield* Command.queue(get("a"))
      yield* TestClock.adjust(50)
      yield* Command.queue(get("a"))
      yield* TestClock.adjust(50)
      assert.strictEqual(yield* circuit, "closed")
      yield* TestClock.adjust(50)
      assert.strictEqual(yield* circuit, "open")
      yield* idle(group)
    }))

  it.effect("ignores one that the last caller left because it was interrupted", () =>
    Effect.gen(function*() {
      const { circuit, get, group } = yield* setup({ timeout: 100 })
      const first = yield* Command.queue(get("a"))
      const second = yield* Command.queue(get("a"))
      yield* Fiber.interrupt(first)
      yield* Fiber.interrupt(second)
      assert.strictEqual(yield* circuit, "closed")
      yield* idle(group)
    }))

  it.effect("counts a failure once, however many share it", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: { consecutive: 2 } })
      const fail = Command.make("get", (_id: string) => Effect.andThen(Effect.yieldNow, Effect.fail("down")), {
        group,
        coalesce
      })
      const several = Effect.all([fail("a"), fail("a"), fail("a")].map(Effect.exit), { concurrency: "unbounded" })
      yield* several
      assert.strictEqual(yield* Circuit.state(group, "get"), "closed")
      yield* several
      assert.strictEqual(yield* Circuit.state(group, "get"), "open")
    }))
})

describe("10. re-entry", () => {
  it.effect("is each caller's own: one inside of the pool is refused, the others and the run are not", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* hanging
      const get = Command.make("get", work.call, { group, coalesce })
      const inside = Command.make("inside", () => get("a"), { group })
      assert.deepInclude({ ...yield* Effect.flip(inside()) }, { key: "get", heldBy: "inside" })
      const outside = yield* Command.queue(get("a"))
      assert.deepInclude({ ...yield* Effect.flip(inside()) }, { key: "get", heldBy: "inside" })
      assert.strictEqual(state(outside), "running")
      yield* TestOutcomes.expect(group, "get", { rejected: 2 })
      yield* work.recover(succeed())
      yield* idle(group)
    }))

  it.effect("does not misfire for the run of a caller who is inside of another pool, that the run calls into", () =>
    Effect.gen(function*() {
      const [front, back] = [yield* Group.make("front", { pool: { maxConcurrent: 5 } }), yield* make()]
      const work = yield* hanging
      const leaf = Command.make("leaf", () => Effect.succeed("leaf"), { group: front })
      const get = Command.make("get", (id: string) => Effect.andThen(work.call(id), leaf()), {
        group: back,
        coalesce
      })
      const inside = yield* Command.queue(Command.make("page", () => get("a"), { group: front })())
      const outside = yield* Command.queue(get("a"))
      yield* work.recover(succeed())
      assert.deepStrictEqual([yield* Fiber.join(inside), yield* Fiber.join(outside)], ["leaf", "leaf"])
      yield* idle(front)
      yield* idle(back)
    }))

  it.effect("of a run into itself does not wait for itself: what it calls is run", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 10, reentrant: true } })
      const depths: Array<number> = []
      const down: Command.Command<[number], number> = Command.make(
        "down",
        (depth: number): Effect.Effect<number> =>
          Effect.suspend(() => {
            depths.push(depth)
            return depth === 0 ? Effect.succeed(0) : Effect.map(Effect.orDie(down(depth - 1)), (n) => n + 1)
          }),
        { group, coalesce: { key: () => "same" }, fallback: (failure) => Effect.die(failure) }
      )
      assert.strictEqual(yield* down(3), 3)
      assert.deepStrictEqual(depths, [3, 2, 1, 0])
      yield* idle(group)
    }))
})

describe("a shared run", () => {
  class Locale extends Context.Service<Locale, string>()("Locale") {}

  it.effect("has the first caller's services, and none of its permits", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* hanging
      const get = Command.make("get", (id: string) => Effect.andThen(work.call(id), Locale), { group, coalesce })
      const first = yield* Command.queue(Effect.provideService(get("a"), Locale, "de"))
      const second = yield* Command.queue(Effect.provideService(get("a"), Locale, "fr"))
      yield* Fiber.interrupt(first)
      yield* work.recover(succeed())
      assert.strictEqual(yield* Fiber.join(second), "de")
    }))

  it.effect("is not shared between groups, nor between commands of one name", () =>
    Effect.gen(function*() {
      class Api extends Group.Service<Api>()("api") {}
      const work = yield* hanging
      const get = Command.make("get", work.call, { group: Api, coalesce })
      const groups = yield* Effect.all([make(), make()])
      for (const group of [...groups, ...groups]) yield* Command.queue(Effect.provideService(get("a"), Api, group))
      assert.strictEqual(work.calls.length, 2)
      const other = Command.make("get", work.call, { group: Api, coalesce })
      yield* Command.queue(Effect.provideService(other("a"), Api, groups[0]))
      assert.strictEqual(work.calls.length, 3)
      yield* work.recover(succeed())
    }))

  it.effect("keeps its permit, and its last caller, until it has ended; with detach the caller is let go", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const work = yield* TestDependency.make<void, never, [id: string]>(uninterruptible(hang))
      const stubborn = (detach: boolean) =>
        Command.make("stubborn", work.call, {
          group,
          coalesce,
          timeout: 10,
          detach
        })
      const waits = yield* Command.queue(stubborn(false)("a"))
      const goes = yield* Command.queue(stubborn(true)("a"))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([waits, goes].map(state), ["running", "CommandTimeout"])
      assert.deepInclude(yield* Pool.statistics(group.pool), { active: 2, overdue: 2 })
      yield* work.recover(succeed())
      assert.strictEqual(state(waits), "CommandTimeout")
      yield* idle(group)
    }))

  it.effect("tells its callers of its attempts and its wait, each as far as it was there", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("coalesce.wait", { pool: { maxConcurrent: 1, maxQueued: 5 } })
      yield* Command.queue(Effect.sleep(1000).pipe(Command.within(group, { key: "busy" })))
      const get = Command.make("get", (_id: string) => Effect.sleep(1000), { group, coalesce })
      yield* Command.queue(get("a"))
      yield* TestClock.adjust(750)
      yield* Command.queue(get("a"))
      yield* TestClock.adjust(500)
      yield* Command.queue(get("a"))
      yield* TestClock.adjust(1000)
      const attributes = { group: "coalesce.wait", key: "get" }
      const wait = yield* Metric.value(Metric.withAttributes(CommandMetrics.queueWait, attributes))
      assert.deepStrictEqual([wait.count, wait.sum], [3, 1.25])
      const attempts = yield* Metric.value(Metric.withAttributes(CommandMetrics.attempts, attributes))
      assert.deepStrictEqual([attempts.count, attempts.sum], [3, 3])
    }))

  it.effect("1. stands inside of the deadline, and outside of what is done about the dependency", () =>
    Effect.gen(function*() {
      const group = yield* make({ circuit: {}, rateLimit: { limit: 1, window: "1 minute" } })
      const work = yield* hanging
      const get = Command.make("get", work.call, {
        group,
        coalesce,
        timeout: 1000,
        attemptTimeout: 500,
        retry: {},
        fallback: () => Effect.void
      })
      assert.deepStrictEqual((yield* Command.policies(get)).map(({ policy }) => policy), [
        "fallback",
        "outcomes",
        "timeout",
        "coalesce",
        "retry",
        "rateLimit",
        "circuit",
        "pool",
        "attemptTimeout"
      ])
      // Three callers, one token.
      for (let i = 0; i < 3; i++) yield* Command.queue(get("a"))
      assert.strictEqual(work.calls.length, 1)
      yield* work.recover(succeed())
      yield* TestOutcomes.expect(group, "get", { success: 3 })
    }))

  it.effect("21. retries for as long as any of its callers has time", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const ends = (retryAfter: number) =>
        Effect.gen(function*() {
          const { call } = yield* TestDependency.make(sequence(fail({ _tag: "Busy", retryAfter }), succeed()))
          const get = Command.make("get", (id: string) => call(id), {
            group,
            coalesce,
            timeout: 1000,
            retry: { base: 1, max: 1 }
          })
          const fiber = yield* Command.queue(get("a"))
          const before = state(fiber)
          yield* TestClock.adjust(1000)
          return [before, state(fiber)]
        })
      assert.deepStrictEqual(yield* ends(500), ["running", "Success"])
      assert.deepStrictEqual(yield* ends(2000), ["Busy", "Busy"])
    }))

  it.effect("a key function that throws is a defect of that call", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const get = Command.make("get", (_id: string) => Effect.void, {
        group,
        coalesce: {
          key: (id) => {
            throw new Error(id)
          }
        }
      })
      assert.strictEqual(ending(yield* Effect.exit(get("a"))), "Die")
      yield* TestOutcomes.expect(group, "get", { defect: 1 })
    }))

  it.effect("12. is refused where it makes no sense, by name", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const refused = (make: () => unknown) => {
        try {
          make()
        } catch (error) {
          if (error instanceof InvalidOptions.InvalidOptions) return error.problem
        }
        return undefined
      }
      const run = () => Effect.void
      assert.match(refused(() => Command.make("k", run, { group, coalesce: {} as never }))!, /^coalesce\.key: /)
      assert.match(
        refused(() => Command.make("k", run, { group, coalesce: { key: () => "", ttl: 1 } as never }))!,
        /^coalesce\.ttl: /
      )
      assert.match(refused(() => Command.within(Effect.void, group, { key: "k", coalesce } as never))!, /^coalesce: /)
      assert.match(refused(() => Command.callback("k", () => {}, { group, coalesce } as never))!, /^coalesce: /)
      assert.match(refused(() => Coalesce.by(run, {} as never))!, /^key: /)
    }))
})

describe("3. alone, as a combinator", () => {
  it.effect("by shares the runs of any function, data first and last", () =>
    Effect.gen(function*() {
      const work = yield* hanging
      const run = (id: string) => Effect.as(work.call(id), id)
      for (const get of [Coalesce.by(run, coalesce), Coalesce.by(coalesce)(run)]) {
        const before = work.calls.length
        const fiber = yield* Command.queue(Effect.all([get("a"), get("a"), get("b")], { concurrency: "unbounded" }))
        assert.strictEqual(work.calls.length - before, 2)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(work.inFlight, 0)
      }
    }))

  it.effect("the last one to leave hears of defects, and a run that interrupts itself interrupts all", () =>
    Effect.gen(function*() {
      const get = Coalesce.by((_id: string) => Effect.andThen(Effect.yieldNow, Effect.interrupt), coalesce)
      const exits = yield* Effect.all([get("a"), get("a")].map(Effect.exit), { concurrency: "unbounded" })
      assert.deepStrictEqual(exits.map(ending), ["Interrupt", "Interrupt"])
      assert.isTrue(exits.every((exit) => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)))
    }))
})

type Step =
  | { readonly step: "arrive"; readonly key: string }
  | { readonly step: "leave"; readonly which: number }
  | { readonly step: "finish"; readonly key: string; readonly fails: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ step: fc.constant("arrive" as const), key: fc.constantFrom("a", "b", "c") }) },
  { weight: 3, arbitrary: fc.record({ step: fc.constant("leave" as const), which: fc.nat({ max: 30 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant("finish" as const),
      key: fc.constantFrom("a", "b", "c"),
      fails: fc.boolean()
    })
  }
)

it.effect("25. at random: at most one run of a key at a time, and it is cancelled if and only if all have left", () =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) =>
        Effect.runPromise(Effect.scoped(Effect.gen(function*() {
          const group = yield* make()
          const dependency = yield* TestDependency.make<number, string, [key: string]>(hang)
          const runs = dependency.calls
          const get = Command.make("get", dependency.call, { group, coalesce })
          const callers: Array<
            { readonly key: string; readonly run: number; readonly fiber: Fiber.Fiber<number, unknown> }
          > = []
          const running = (key: string) =>
            runs.findIndex(({ args, hangs }) => args[0] === key && hangs)
          const waiting = () => callers.filter(({ fiber }) => state(fiber) === "running")
          for (const step of steps) {
            const before = waiting()
            if (step.step === "arrive") {
              const [had, fiber] = [running(step.key), yield* Command.queue(get(step.key))]
              const run = had === -1 ? runs.length - 1 : had
              callers.push({ key: step.key, run, fiber })
            } else if (step.step === "finish") {
              const run = running(step.key)
              if (run === -1) continue
              yield* step.fails ? runs[run]!.fail("down") : runs[run]!.succeed(run)
              yield* Effect.yieldNow
              for (const caller of before.filter(({ key }) => key === step.key)) {
                assert.strictEqual(caller.run, run)
                assert.strictEqual(state(caller.fiber), step.fails ? "down" : "Success")
              }
            } else if (before.length > 0) {
              const leaver = before[step.which % before.length]!
              yield* Fiber.interrupt(leaver.fiber)
              assert.strictEqual(state(leaver.fiber), "Interrupt")
            }
            for (const [index, { args: [key], state }] of runs.entries()) {
              const aboard = waiting().filter(({ run }) => run === index)
              if (state === "running") {
                assert.isNotEmpty(aboard)
                assert.strictEqual(running(key), runs.findLastIndex(({ args, hangs }) => args[0] === key && hangs))
              } else assert.isEmpty(aboard)
            }
          }
          yield* Effect.forEach(waiting(), ({ fiber }) => Fiber.interrupt(fiber))
          assert.strictEqual(dependency.inFlight, 0)
          yield* idle(group)
        }))))
    )
  ))

it.effect("7. wherever the scheduler yields, an interruption there leaves no run and no permit behind", () =>
  Effect.gen(function*() {
    yield* afterFirstSleep
    const group = yield* make()
    const yields = TestDependency.effect(Effect.andThen(Effect.yieldNow, Effect.yieldNow))
    const work = yield* TestDependency.make<void, never, [id: string]>(yields)
    const get = Command.make("get", work.call, { group, coalesce, timeout: "1 minute" })
    for (let ops = 3; ops <= 16; ops++) {
      const caller = get("a").pipe(
        Effect.ignore,
        Effect.forever,
        Effect.provideService(Scheduler.MaxOpsBeforeYield, ops)
      )
      for (let turns = 0; turns < 14; turns++) {
        const callers = [yield* Command.queue(caller), yield* Command.queue(caller), yield* Command.queue(caller)]
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        for (const fiber of callers) yield* Fiber.interrupt(fiber)
        for (let turn = 0; turn < 20 && work.inFlight > 0; turn++) yield* Effect.yieldNow
        assert.strictEqual(work.inFlight, 0, `${ops} ops, ${turns} turns`)
        yield* idle(group)
      }
    }
    assert.isAbove(work.calls.length, 100)
  }))

describe("25. with deadlines that differ", () => {
  // Each caller as a call with a deadline of its own would be.
  const callers = Effect.gen(function*() {
    const group = (yield* make()) as GroupState
    const flights = new Flights()
    const work = new Work()
    const call = Effect.fnUntraced(function*(millis: number) {
      const enclosing = {
        rejection: undefined as CommandError.CommandTimeout | undefined,
        deadlineAt: group.timers.now() + millis
      }
      const fiber = yield* Command.queue(
        Effect.contextWith((context: Context.Context<never>) =>
          Effect.provideContext(
            flights.join("a", work.around(Effect.never), group.timers) as Effect.Effect<unknown, unknown>,
            enclosedBy(context, enclosing)
          )
        )
      )
      const passes = Effect.suspend(() => {
        enclosing.rejection = new CommandError.CommandTimeout("g", "k", "timeout", Duration.millis(millis), true)
        return Fiber.interrupt(fiber)
      })
      return { fiber, passes }
    })
    return { call, work }
  })

  it.effect("those with little time leave a run open to others: no number of them starts a run each", () =>
    Effect.gen(function*() {
      const { call, work } = yield* callers
      const patient = yield* call(1000)
      for (let i = 0; i < 100; i++) {
        const hasty = yield* call(1)
        yield* TestClock.adjust(1)
        yield* hasty.passes
      }
      assert.deepStrictEqual([work.started, work.active], [1, 1])
      yield* Fiber.interrupt(patient.fiber)
      assert.strictEqual(work.active, 0)
    }))

  it.effect("a run takes in nobody new once it has lasted for as long as the most patient of them had", () =>
    Effect.gen(function*() {
      const { call, work } = yield* callers
      const first = yield* call(100)
      yield* TestClock.adjust(40)
      const second = yield* call(100)
      yield* TestClock.adjust(60)
      yield* first.passes
      const third = yield* call(100)
      assert.deepStrictEqual([work.started, work.active], [2, 2])
      yield* TestClock.adjust(40)
      yield* second.passes
      assert.deepStrictEqual([work.started, work.active], [2, 1])
      yield* Fiber.interrupt(third.fiber)
      assert.strictEqual(work.active, 0)
    }))

  it.effect("one without any does not make a run that hangs everybody's", () =>
    Effect.gen(function*() {
      const { call, work } = yield* callers
      const endless = yield* call(Infinity)
      const first = yield* call(100)
      yield* TestClock.adjust(100)
      yield* first.passes
      const second = yield* call(100)
      assert.deepStrictEqual([work.started, work.active], [2, 2])
      yield* Fiber.interrupt(endless.fiber)
      yield* Fiber.interrupt(second.fiber)
      assert.strictEqual(work.active, 0)
    }))
})

it.effect("only keys under way are known", () =>
  Effect.gen(function*() {
    const flights = new Flights()
    const work = yield* hanging
    const fibers = yield* Effect.forEach(
      Array.from({ length: 1000 }, (_, i) => `user ${i}`),
      (key) => Command.queue(flights.join(key, work.call(key)) as Effect.Effect<unknown, unknown>)
    )
    assert.strictEqual(flights.size, 1000)
    yield* Fiber.interruptAll(fibers.slice(0, 500))
    assert.strictEqual(flights.size, 500)
    yield* work.recover(succeed())
    yield* Effect.yieldNow
    assert.strictEqual(flights.size, 0)
  }))
