import { Command, Group, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Call } from "../../packages/core/src/internal/Call.ts"
import type { Admission, Gate } from "../../packages/core/src/internal/Gate.ts"
import { heldIn } from "../../packages/core/src/internal/Held.ts"
import { pass } from "../../packages/core/src/internal/pass.ts"
import { PoolGate } from "../../packages/core/src/internal/PoolGate.ts"
import type { PoolState } from "../../packages/core/src/internal/PoolState.ts"
import { Rejection } from "../../packages/core/src/internal/Rejection.ts"
import { afterFirstSleep, ending, idle, state, Work } from "./calls.ts"

describe("gates", () => {
  class Refused extends Rejection {
    declare readonly _tag: "Refused"
    readonly message = "no"
  }
  Refused.define("Refused", "rejected")

  const makeLog = () => {
    const log: Array<string> = []
    const admission = (name: string): Admission => ({
      leave: (_, exit) => void log.push(`leave ${name}: ${ending(exit)}`),
      answered: () => void log.push(`answered ${name}`),
      linger: () => void log.push(`linger ${name}`)
    })
    const open = (name: string): Gate => ({
      enter: () => {
        log.push(`enter ${name}`)
        return admission(name)
      }
    })
    const work = (end: Effect.Effect<unknown, unknown>) => Effect.andThen(Effect.sync(() => log.push("work")), end)
    return { log, admission, open, work }
  }

  const through = (gates: ReadonlyArray<Gate>, detach = false) => (effect: Effect.Effect<unknown, unknown>) =>
    pass({ key: "k", gates, keeps: true, detach, clock: undefined }, [], effect) as Effect.Effect<unknown, unknown>

  it.effect("are passed from the outside in, and told how the call ended from the inside out, once each", () =>
    Effect.gen(function*() {
      for (
        const [name, end] of [["Success", Effect.void], ["no", Effect.fail("no")], ["Die", Effect.die("bug")]] as const
      ) {
        const { log, open, work } = makeLog()
        const exit = yield* Effect.exit(through([open("a"), open("b"), open("c")])(work(end)))
        assert.strictEqual(ending(exit), name)
        assert.deepStrictEqual(log, [
          "enter a",
          "enter b",
          "enter c",
          "work",
          `leave c: ${name}`,
          `leave b: ${name}`,
          `leave a: ${name}`
        ])
      }
    }))

  it.effect("one that refuses ends the call: those before it are told, those behind it and the work never hear of it", () =>
    Effect.gen(function*() {
      const { log, open, work } = makeLog()
      const refusing: Gate = { enter: (call) => call.refuse(new Refused("g", call.plan.key)) }
      const exit = yield* Effect.exit(through([open("a"), refusing, open("c")])(work(Effect.void)))
      assert.strictEqual(ending(exit), "Refused")
      assert.deepStrictEqual(log, ["enter a", "leave a: Refused"])
    }))

  const holding = (log: Array<string>, admission: Admission) => {
    let held: Call | undefined
    const gate: Gate = {
      enter: (call) => {
        held = call
        return call.hold({ quit: () => void log.push("quit") })
      }
    }
    return { gate, admit: () => held!.admit(admission) }
  }

  it.effect("one that holds the call admits it later", () =>
    Effect.gen(function*() {
      const { admission, log, open, work } = makeLog()
      const { admit, gate } = holding(log, admission("b"))
      const fiber = yield* Command.queue(through([open("a"), gate, open("c")])(work(Effect.void)))
      assert.deepStrictEqual(log, ["enter a"])
      admit()
      assert.deepStrictEqual(log.slice(1), [
        "enter c",
        "work",
        "leave c: Success",
        "leave b: Success",
        "leave a: Success"
      ])
      assert.strictEqual(state(fiber), "Success")
    }))

  it.effect("a call that is interrupted there quits its place, and those before are told", () =>
    Effect.gen(function*() {
      const { admission, log, open, work } = makeLog()
      const { gate } = holding(log, admission("b"))
      const fiber = yield* Command.queue(through([open("a"), gate, open("c")])(work(Effect.void)))
      fiber.interruptUnsafe()
      assert.strictEqual(state(fiber), "Interrupt")
      assert.deepStrictEqual(log, ["enter a", "quit", "leave a: Interrupt"])
    }))

  /** Keeps a failed call for another attempt, until `retry`. */
  const retrying = (log: Array<string>, attempts: number) => {
    let retry = () => {}
    const gate: Gate = {
      enter: () => ({
        again: (call, exit) => {
          if (exit._tag === "Success" || --attempts === 0) return exit
          call.hold({ quit: () => void log.push("quit") })
          retry = () => call.advance()
          return undefined
        },
        leave: (_, exit) => void log.push(`leave retry: ${ending(exit)}`)
      })
    }
    return { gate, retry: () => retry() }
  }

  it.effect("one may keep the call for another attempt: those behind it are left and passed again", () =>
    Effect.gen(function*() {
      const { log, open, work } = makeLog()
      const { gate, retry } = retrying(log, 2)
      const fiber = yield* Command.queue(through([open("a"), gate, open("c")])(work(Effect.fail("no"))))
      assert.deepStrictEqual(log, ["enter a", "enter c", "work", "leave c: no"])
      assert.strictEqual(state(fiber), "running")
      retry()
      assert.deepStrictEqual(log.slice(4), ["enter c", "work", "leave c: no", "leave retry: no", "leave a: no"])
      assert.strictEqual(state(fiber), "no")
    }))

  it.effect("each attempt holds a permit of its own, and one at a time", () =>
    Effect.gen(function*() {
      const pool = yield* Pool.make("p", { maxConcurrent: 1 })
      const { log } = makeLog()
      const { gate, retry } = retrying(log, 3)
      const permits: Array<number> = []
      const work = Effect.contextWith((context: Context.Context<never>) => {
        let held = 0
        for (let permit = heldIn(context); permit !== undefined; permit = permit.outer) held++
        permits.push(held)
        return Effect.fail("no")
      })
      const fiber = yield* Command.queue(through([gate, PoolGate.of(pool as PoolState)])(work))
      for (const _ of [2, 3]) {
        assert.strictEqual((yield* Pool.statistics(pool)).active, 0)
        retry()
      }
      assert.strictEqual(state(fiber), "no")
      assert.deepStrictEqual(permits, [1, 1, 1])
      assert.deepInclude(yield* Pool.statistics(pool), { active: 0, admitted: 3 })
    }))

  it.effect("but a call that was ended from the outside gets none, be it at work or between two attempts", () =>
    Effect.gen(function*() {
      for (const [end, expected] of [[Effect.never, []], [Effect.fail("no"), ["quit"]]] as const) {
        const { log, open, work } = makeLog()
        const { gate } = retrying(log, 10)
        const fiber = yield* Command.queue(through([open("a"), gate])(work(end)))
        fiber.interruptUnsafe()
        assert.strictEqual(state(fiber), "Interrupt")
        assert.deepStrictEqual(log, ["enter a", "work", ...expected, "leave retry: Interrupt", "leave a: Interrupt"])
      }
    }))

  it.effect("one that ends the call counts as far out as it stands: an outer one may try again, an inner one not", () =>
    Effect.gen(function*() {
      const aborting = (into: { abort: () => void }): Gate => ({
        enter: (call) => {
          const { depth } = call
          into.abort = () => call.abort(depth, new Refused("g", "k"))
          return { leave: () => {} }
        }
      })
      const { log, work } = makeLog()
      const timer = { abort: () => {} }
      const { gate, retry } = retrying(log, 2)
      const fiber = yield* Command.queue(through([gate, aborting(timer)])(work(Effect.never)))
      timer.abort()
      assert.strictEqual(state(fiber), "running")
      retry()
      timer.abort()
      assert.deepStrictEqual(log, ["work", "work", "leave retry: Refused"])
      assert.strictEqual(state(fiber), "Refused")

      const inside = makeLog()
      const outer = { abort: () => {} }
      const never = retrying(inside.log, 10)
      const call = yield* Command.queue(through([aborting(outer), never.gate])(inside.work(Effect.never)))
      outer.abort()
      assert.deepStrictEqual(inside.log, ["work", "leave retry: Refused"])
      assert.strictEqual(state(call), "Refused")
    }))

  it.effect("hear once that the work lingers, and that its caller was let go", () =>
    Effect.gen(function*() {
      const { log, open } = makeLog()
      const work = new Work()
      const fiber = yield* Command.queue(through([open("a"), open("b")], true)(Effect.uninterruptible(work.run)))
      fiber.interruptUnsafe()
      assert.deepStrictEqual(log.splice(0), ["enter a", "enter b", "linger a", "linger b", "answered a", "answered b"])
      assert.strictEqual(state(fiber), "Interrupt")
      yield* work.finish
      assert.deepStrictEqual(log, ["leave b: Interrupt", "leave a: Interrupt"])
    }))
})

describe("Command.callback", () => {
  const make = (pool: Partial<Pool.Options> = {}) => Group.make("g", { pool: { maxConcurrent: 1, ...pool } })

  const active = (group: Group.Group) => Effect.map(Pool.statistics(group.pool), (statistics) => statistics.active)

  /** A client whose calls the test drives. */
  class Client {
    calls: Array<Command.Completion<string, string>> = []
    aborts = 0
    readonly request = (call: Command.Completion<string, string>) => {
      this.calls.push(call)
      return () => {
        this.aborts++
      }
    }
    get call() {
      return this.calls.at(-1)!
    }
  }

  it.effect("is handed the arguments, once a permit is free", () =>
    Effect.gen(function*() {
      const group = yield* make({ maxQueued: 1 })
      const seen: Array<unknown> = []
      const command = Command.callback(
        "k",
        (call: Command.Completion<string>, method: string, n: number) => {
          seen.push([method, n])
          call.end(Exit.succeed("ok"))
        },
        { group }
      )
      const work = new Work()
      yield* Command.queue(work.run.pipe(Pool.withPermit(group)))
      const fiber = yield* Command.queue(command("GET", 1))
      assert.deepStrictEqual(seen, [])
      yield* work.finish
      assert.deepStrictEqual(seen, [["GET", 1]])
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      yield* idle(group)
    }))

  it.effect("is never called when the pool is full", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const client = new Client()
      const command = Command.callback("k", client.request, { group })
      yield* Command.queue(command())
      assert.strictEqual(ending(yield* Effect.exit(command())), "PoolFull")
      assert.strictEqual(client.calls.length, 1)
    }))

  describe("the answer", () => {
    it.effect("lets the caller go on; the permit stays until the end", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const fiber = yield* Command.queue(Command.callback("k", client.request, { group })())
        assert.strictEqual(state(fiber), "running")
        client.call.answer("head")
        assert.strictEqual(yield* Fiber.join(fiber), "head")
        assert.strictEqual(yield* active(group), 1)
        client.call.end(Exit.succeed("done"))
        yield* idle(group)
        assert.strictEqual(client.aborts, 0)
      }))

    for (
      const [name, end, expected] of [
        ["success", Exit.succeed("done"), "Success"],
        ["failure", Exit.fail("reset"), "reset"],
        ["defect", Exit.die("bug"), "Die"],
        ["interruption", Exit.interrupt(), "Interrupt"]
      ] as const
    ) {
      it.effect(`is the end, where there is none before: ${name}`, () =>
        Effect.gen(function*() {
          const group = yield* make()
          const client = new Client()
          const fiber = yield* Command.queue(Command.callback("k", client.request, { group })())
          client.call.end(end)
          assert.strictEqual(state(fiber), expected)
          yield* idle(group)
        }))
    }

    it.effect("may come at once, and the end with it", () =>
      Effect.gen(function*() {
        const group = yield* make()
        let aborts = 0
        const command = Command.callback("k", (call: Command.Completion<string>) => {
          call.answer("head")
          call.end(Exit.succeed("done"))
          return () => {
            aborts++
          }
        }, { group, timeout: 10, total: 20 })
        assert.strictEqual(yield* command(), "head")
        yield* idle(group)
        yield* TestClock.adjust(100)
        assert.strictEqual(aborts, 0)
      }))

    it.effect("and the end are the first of their kind; what comes later is not heard", () =>
      Effect.gen(function*() {
        const group = yield* make({ maxConcurrent: 2 })
        const client = new Client()
        const other = new Work()
        yield* Command.queue(other.run.pipe(Pool.withPermit(group)))
        const fiber = yield* Command.queue(Command.callback("k", client.request, { group })())
        client.call.answer("first")
        client.call.answer("second")
        client.call.end(Exit.fail("late"))
        client.call.end(Exit.succeed("later"))
        client.call.answer("last")
        assert.strictEqual(yield* Fiber.join(fiber), "first")
        assert.strictEqual(yield* active(group), 1)
        yield* other.finish
        yield* idle(group)
      }))
  })

  describe("timeout and attemptTimeout", () => {
    for (const option of ["timeout", "attemptTimeout"] as const) {
      it.effect(`${option} is over with the answer`, () =>
        Effect.gen(function*() {
          const group = yield* make()
          const client = new Client()
          const fiber = yield* Command.queue(Command.callback("k", client.request, { group, [option]: 10 })())
          yield* TestClock.adjust(9)
          client.call.answer("head")
          yield* TestClock.adjust(1000)
          assert.strictEqual(yield* Fiber.join(fiber), "head")
          assert.strictEqual(client.aborts, 0)
          assert.strictEqual(yield* active(group), 1)
          client.call.end(Exit.succeed("done"))
          yield* idle(group)
        }))

      it.effect(`${option} aborts a call that has not answered`, () =>
        Effect.gen(function*() {
          const group = yield* make()
          const client = new Client()
          const fiber = yield* Command.queue(
            Effect.flip(Command.callback("k", client.request, { group, [option]: 10 })())
          )
          yield* TestClock.adjust(10)
          assert.deepInclude(yield* Fiber.join(fiber), { _tag: "CommandTimeout", option, started: true } as never)
          assert.strictEqual(client.aborts, 1)
          yield* idle(group)
          client.call.answer("late")
          client.call.end(Exit.succeed("late"))
          yield* idle(group)
        }))
    }
  })

  describe("total", () => {
    it.effect("bounds the end: after the answer it aborts, and the permit is back", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const command = Command.callback("k", client.request, { group, timeout: 10, total: 100 })
        const fiber = yield* Command.queue(command())
        client.call.answer("head")
        yield* TestClock.adjust(99)
        assert.strictEqual(client.aborts, 0)
        yield* TestClock.adjust(1)
        assert.strictEqual(client.aborts, 1)
        assert.strictEqual(yield* Fiber.join(fiber), "head")
        yield* idle(group)
      }))

    it.effect("before the answer it fails the caller, as any bound does", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const fiber = yield* Command.queue(Effect.flip(Command.callback("k", client.request, { group, total: 100 })()))
        yield* TestClock.adjust(100)
        assert.deepInclude(yield* Fiber.join(fiber), { _tag: "CommandTimeout", option: "total" } as never)
        assert.strictEqual(client.aborts, 1)
        yield* idle(group)
      }))

    it.effect("the wait for a permit included", () =>
      Effect.gen(function*() {
        const group = yield* make({ maxQueued: 1 })
        const client = new Client()
        const work = new Work()
        yield* Command.queue(work.run.pipe(Pool.withPermit(group)))
        const fiber = yield* Command.queue(Command.callback("k", client.request, { group, total: 100 })())
        yield* TestClock.adjust(100)
        assert.strictEqual(state(fiber), "CommandTimeout")
        yield* work.finish
        assert.strictEqual(client.calls.length, 0)
        yield* idle(group)
      }))
  })

  describe("an interruption of the caller", () => {
    it.effect("before the answer aborts, and the permit is back", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const fiber = yield* Command.queue(Command.callback("k", client.request, { group, timeout: 10, total: 20 })())
        fiber.interruptUnsafe()
        assert.strictEqual(state(fiber), "Interrupt")
        assert.strictEqual(client.aborts, 1)
        yield* idle(group)
      }))

    it.effect("after the answer is none of the call's business", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const command = Command.callback("k", client.request, { group })
        const fiber = yield* Command.queue(Effect.andThen(command(), Effect.never))
        client.call.answer("head")
        fiber.interruptUnsafe()
        assert.strictEqual(state(fiber), "Interrupt")
        assert.strictEqual(client.aborts, 0)
        assert.strictEqual(yield* active(group), 1)
        client.call.end(Exit.succeed("done"))
        yield* idle(group)
      }))

    it.effect("while waiting for a permit: the callback is never called", () =>
      Effect.gen(function*() {
        const group = yield* make({ maxQueued: 1 })
        const client = new Client()
        const work = new Work()
        yield* Command.queue(work.run.pipe(Pool.withPermit(group)))
        const fiber = yield* Command.queue(Command.callback("k", client.request, { group })())
        yield* Fiber.interrupt(fiber)
        yield* work.finish
        assert.strictEqual(client.calls.length, 0)
        yield* idle(group)
      }))
  })

  describe("abort", () => {
    it.effect("is called at most once, whatever else happens", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const command = Command.callback("k", client.request, { group, timeout: 10, attemptTimeout: 10, total: 10 })
        const fiber = yield* Command.queue(command())
        yield* TestClock.adjust(10)
        fiber.interruptUnsafe()
        yield* TestClock.adjust(100)
        client.call.end(Exit.succeed("late"))
        assert.strictEqual(client.aborts, 1)
        yield* idle(group)
      }))

    it.effect("even if it has the caller interrupted", () =>
      Effect.gen(function*() {
        const group = yield* make()
        let aborts = 0
        let caller: Fiber.Fiber<unknown, unknown> | undefined
        const command = Command.callback("k", (_call: Command.Completion<void>) => () => {
          aborts++
          caller!.interruptUnsafe()
        }, { group, timeout: 10 })
        caller = yield* Command.queue(command())
        yield* TestClock.adjust(10)
        assert.strictEqual(aborts, 1)
        assert.strictEqual(state(caller), "Interrupt")
        yield* idle(group)
      }))

    it.effect("is not called after the end", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const client = new Client()
        const fiber = yield* Command.queue(Command.callback("k", client.request, { group, timeout: 10, total: 10 })())
        client.call.end(Exit.succeed("done"))
        yield* TestClock.adjust(100)
        assert.strictEqual(client.aborts, 0)
        assert.strictEqual(yield* Fiber.join(fiber), "done")
      }))

    it.effect("what is said from inside of it is not heard", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const says: ReadonlyArray<(call: Command.Completion<string, string>) => void> = [
          (call) => call.answer("late"),
          (call) => call.end(Exit.succeed("late")),
          (call) => call.end(Exit.fail("late"))
        ]
        for (const say of says) {
          const command = Command.callback(
            "k",
            (call: Command.Completion<string, string>) => () => say(call),
            { group, timeout: 10 }
          )
          const fiber = yield* Command.queue(command())
          yield* TestClock.adjust(10)
          assert.strictEqual(state(fiber), "CommandTimeout")
          yield* idle(group)
        }
      }))

    it.effect("one that throws is a defect beside the timeout, and the permit is back", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const command = Command.callback("k", (_call: Command.Completion<void>) => () => {
          throw new Error("bug")
        }, { group, timeout: 10 })
        const fiber = yield* Command.queue(command())
        yield* TestClock.adjust(10)
        assert.strictEqual(state(fiber), "CommandTimeout+Die")
        yield* idle(group)
      }))

    it.effect("asked for from inside the callback, which has not given it yet, is done when it is given", () =>
      Effect.gen(function*() {
        const group = yield* make({ maxQueued: 1 })
        const work = new Work()
        let aborts = 0
        let caller: Fiber.Fiber<unknown, unknown> | undefined
        const command = Command.callback("k", (call: Command.Completion<string>) => {
          caller!.interruptUnsafe()
          call.answer("late")
          return () => {
            aborts++
          }
        }, { group })
        yield* Command.queue(work.run.pipe(Pool.withPermit(group)))
        caller = yield* Command.queue(command())
        yield* work.finish
        assert.strictEqual(aborts, 1)
        assert.strictEqual(state(caller), "Interrupt")
        yield* idle(group)
      }))

    it.effect("one that was not given is not missed: the permit is back at once", () =>
      Effect.gen(function*() {
        const group = yield* make()
        const command = Command.callback("k", (_call: Command.Completion<void>) => {}, { group, timeout: 10 })
        const fiber = yield* Command.queue(command())
        yield* TestClock.adjust(10)
        assert.strictEqual(state(fiber), "CommandTimeout")
        yield* idle(group)
      }))
  })

  it.effect("a callback that throws is a defect, and the permit is back", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const bug = new Error("bug")
      const thrower = Command.callback("k", (_call: Command.Completion<void>) => {
        throw bug
      }, { group, timeout: 10 })
      assert.deepStrictEqual(yield* Effect.exit(thrower()), Exit.die(bug))
      yield* idle(group)
    }))

  it.effect("one that throws after its answer ends the call; the answer stands", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const command = Command.callback("k", (call: Command.Completion<string>) => {
        call.answer("head")
        throw new Error("bug")
      }, { group, total: 10 })
      assert.strictEqual(yield* command(), "head")
      yield* idle(group)
    }))

  it.effect("has a fallback for what happens before the answer, not for what happens after", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const group = yield* make()
      const client = new Client()
      const command = Command.callback(
        "k",
        (call: Command.Completion<string, string>, _name: string) => client.request(call),
        {
          group,
          timeout: 10,
          fallback: (failure, name) =>
            Effect.map(active(group), (active) => [typeof failure === "string" ? failure : failure._tag, name, active])
        }
      )
      const failed = yield* Command.queue(command("a"))
      client.call.end(Exit.fail("reset"))
      assert.deepStrictEqual(yield* Fiber.join(failed), ["reset", "a", 0])
      const slow = yield* Command.queue(command("b"))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* Fiber.join(slow), ["CommandTimeout", "b", 0])
      const answered = yield* Command.queue(command("c"))
      client.call.answer("head")
      client.call.end(Exit.fail("reset"))
      assert.strictEqual(yield* Fiber.join(answered), "head")
    }))
})
