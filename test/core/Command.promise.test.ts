import { Command, Group, Pool, TestOutcomes } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, ManagedRuntime, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { ending, idle, state } from "./calls.ts"

const make = (more: Partial<Group.Options> = {}) =>
  Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 10 }, ...more })

/** Promises that are settled by the test. */
class Promises {
  readonly signals: Array<AbortSignal> = []
  private readonly resolvers: Array<PromiseWithResolvers<string>> = []

  readonly run = ({ signal }: Command.Attempt): Promise<string> => {
    this.signals.push(signal)
    const resolvers = Promise.withResolvers<string>()
    this.resolvers.push(resolvers)
    return resolvers.promise
  }

  get started(): number {
    return this.resolvers.length
  }

  /** Settles one, and lets whoever waits for it go on. */
  settle(index: number, how: { readonly value: string } | { readonly error: unknown }): Effect.Effect<void> {
    const { reject, resolve } = this.resolvers[index]!
    if ("value" in how) resolve(how.value)
    else reject(how.error)
    return turn
  }
}

// A promise tells of its end in a microtask.
const turn = Effect.promise(() => Promise.resolve().then(() => {}))

describe("a promise function", () => {
  it.effect("is handed the arguments, and answers with its value", () =>
    Effect.gen(function*() {
      const add = Command.promise("add", async (_, a: number, b: number) => a + b, { group: yield* make() })
      assert.strictEqual(yield* add(1, 2), 3)
    }))

  it.effect("a rejection, or what it throws, is a failure: what `catch` makes of it, or an UnknownError", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const bug = new Error("down")
      const rejected = Command.promise("k", () => Promise.reject(bug), { group })
      const thrown = Command.promise("k", (): Promise<string> => {
        throw bug
      }, { group })
      for (const call of [rejected, thrown]) {
        const failure = yield* Effect.flip(call() as Effect.Effect<unknown, unknown>)
        assert.isTrue(failure instanceof Cause.UnknownError && failure.cause === bug)
      }
      const mapped = Command.promise("k", () => Promise.reject(bug), { group, catch: (error) => ["mapped", error] })
      assert.deepStrictEqual(yield* Effect.flip(mapped() as Effect.Effect<unknown, unknown>), ["mapped", bug])
      yield* TestOutcomes.expect(group, "k", { failure: 3 })
      yield* idle(group)
    }))

  it.effect("a `catch` that throws is a defect, and gives its permit back", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const bug = new Error("bug")
      const command = Command.promise("k", () => Promise.reject("no"), {
        group,
        catch: () => {
          throw bug
        }
      })
      assert.deepStrictEqual(yield* Effect.exit(command()), Exit.die(bug))
      yield* idle(group)
    }))

  it.effect("its signal aborts when a deadline passes; one that asks late is told too", () =>
    Effect.gen(function*() {
      let late: Command.Attempt | undefined
      const group = yield* make()
      const command = Command.promise("k", (attempt) => {
        late = attempt
        return new Promise<never>(() => {})
      }, { group, timeout: 10 })
      const promises = new Promises()
      const other = Command.promise("k", promises.run, { group: yield* make(), timeout: 10 })
      const fibers = [yield* Command.queue(command()), yield* Command.queue(other())]
      assert.isFalse(promises.signals[0]!.aborted)
      yield* TestClock.adjust(10)
      assert.isTrue(promises.signals[0]!.aborted)
      assert.isTrue(late!.signal.aborted)
      assert.deepStrictEqual(fibers.map(state), ["CommandTimeout", "CommandTimeout"])
    }))

  it.effect("4, 9. keeps its permit until it is settled, although its caller goes on at once", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const promises = new Promises()
      const command = Command.promise("k", promises.run, { group, timeout: 10 })
      const first = yield* Command.queue(command())
      yield* TestClock.adjust(10)
      assert.strictEqual(state(first), "CommandTimeout")
      const { active, overdue } = yield* Pool.statistics(group.pool)
      assert.deepStrictEqual({ active, overdue }, { active: 1, overdue: 1 })
      const second = yield* Command.queue(command())
      assert.strictEqual(promises.started, 1)
      yield* promises.settle(0, { value: "late" })
      assert.strictEqual(promises.started, 2)
      yield* promises.settle(1, { value: "in time" })
      assert.strictEqual(yield* Fiber.join(second), "in time")
      yield* TestOutcomes.expect(group, "k", { timeout: 1, success: 1 })
      yield* idle(group)
    }))

  it.effect("4, 9. the same when its caller is interrupted, who does not wait", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const promises = new Promises()
      const command = Command.promise("k", promises.run, { group })
      const fiber = yield* Command.queue(command())
      yield* Fiber.interrupt(fiber)
      assert.isTrue(promises.signals[0]!.aborted)
      assert.strictEqual((yield* Pool.statistics(group.pool)).overdue, 1)
      yield* promises.settle(0, { error: new Error("aborted") })
      yield* TestOutcomes.expect(group, "k", { interrupted: 1 })
      yield* idle(group)
    }))

  it.effect("`detach: false` has the caller wait for it", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const promises = new Promises()
      const command = Command.promise("k", promises.run, { group, timeout: 10, detach: false })
      const fiber = yield* Command.queue(command())
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "running")
      yield* promises.settle(0, { value: "late" })
      assert.strictEqual(state(fiber), "CommandTimeout")
    }))

  it.effect("is tried again with a signal of its own", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const promises = new Promises()
      const command = Command.promise("k", promises.run, { group, retry: { times: 1 } })
      const fiber = yield* Command.queue(command())
      yield* promises.settle(0, { error: "no" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(promises.started, 2)
      assert.notStrictEqual(promises.signals[0], promises.signals[1])
      yield* promises.settle(1, { value: "yes" })
      assert.strictEqual(yield* Fiber.join(fiber), "yes")
    }))

  it.effect("a promise of another make that settles twice is heard once", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const odd = {
        // oxlint-disable-next-line unicorn/no-thenable
        then: (resolve: (value: string) => void, reject: (error: unknown) => void) => {
          resolve("first")
          reject("second")
          resolve("third")
        }
      } as PromiseLike<string>
      assert.strictEqual(yield* Command.promise("k", () => odd, { group })(), "first")
      yield* TestOutcomes.expect(group, "k", { success: 1 })
      yield* idle(group)
    }))
})

describe("promisify", () => {
  it.effect("resolves with what the command answers, and rejects with what it fails with", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const command = Command.make(
        "k",
        (ok: boolean) => ok ? Effect.succeed("yes") : Effect.fail("no"),
        { group }
      )
      const call = yield* Command.promisify(command)
      assert.strictEqual(yield* Effect.promise(() => call(true)), "yes")
      const rejection = yield* Effect.promise(() => call(false).catch(String))
      assert.strictEqual(rejection, "no")
      yield* TestOutcomes.expect(group, "k", { success: 1, failure: 1 })
    }))

  it.effect("runs in the context that it was made in, span included", () =>
    Effect.gen(function*() {
      class Session extends Group.Service<Session>()("service.session") {}
      const runtime = ManagedRuntime.make(Session.layer({ pool: { maxConcurrent: 1 } }))
      const command = Command.make("k", () => Effect.map(Session, ({ name }) => name), { group: Session })
      const call = yield* Effect.promise(() => runtime.runPromise(Command.promisify(command)))
      assert.strictEqual(yield* Effect.promise(() => call()), "service.session")
      yield* runtime.disposeEffect

      const span = yield* Effect.useSpan("request", (span) =>
        Effect.gen(function*() {
          const own = yield* Command.promisify(Command.make("k", () => Effect.void, { group: yield* make() }))
          yield* Effect.promise(() => own())
          return span
        }).pipe(Effect.provideService(Tracer.ParentSpan, span)))
      assert.strictEqual(span.attributes.get("blackgate.outcome"), "success")
    }))

  it.effect("a fallback answers, one that takes its time too; one that fails is what it rejects with", () =>
    Effect.gen(function*() {
      const group = yield* make()
      const call = (fallback: () => Effect.Effect<string, string>) =>
        Effect.flatMap(
          Command.promisify(Command.make("k", () => Effect.fail("down"), { group, fallback })),
          (call) => Effect.promise(() => call().then(String, (error) => `rejected: ${error}`))
        )
      assert.strictEqual(yield* call(() => Effect.succeed("at hand")), "at hand")
      assert.strictEqual(yield* call(() => Effect.as(Effect.yieldNow, "later")), "later")
      assert.strictEqual(yield* call(() => Effect.fail("no cache")), "rejected: no cache")
      yield* TestOutcomes.expect(group, "k", { failure: 3, degraded: 2 })
      yield* idle(group)
    }))

  it.effect("waits in the line like any other, and is refused like any other", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("g", { pool: { maxConcurrent: 1, maxQueued: 1 } })
      const promises = new Promises()
      const call = yield* Command.promisify(Command.promise("k", promises.run, { group }))
      const calls = [call(), call(), call()].map((promise) => promise.catch((error) => error._tag as string))
      assert.strictEqual(promises.started, 1)
      assert.strictEqual(yield* Effect.promise(() => calls[2]!), "PoolFull")
      yield* promises.settle(0, { value: "first" })
      yield* promises.settle(1, { value: "second" })
      assert.deepStrictEqual(yield* Effect.promise(() => Promise.all(calls.slice(0, 2))), ["first", "second"])
      yield* idle(group)
    }))
})

it.effect("within checks the options that it is given once, however many effects they are for", () =>
  Effect.gen(function*() {
    const group = yield* make()
    let read = 0
    const options = {
      key: "k",
      get timeout() {
        read++
        return 10
      }
    }
    const within = Command.within(group, options)
    yield* within(Effect.void)
    const before = read
    yield* within(Effect.void)
    assert.strictEqual(read, before)
    assert.strictEqual(ending(yield* Effect.exit(within(Effect.fail("no")))), "no")
  }))
