import { SharedLimits } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Scope, Semaphore } from "effect"
import { Worker, type WorkerOptions } from "node:worker_threads"
import { Member, Region, SharedMemory } from "../../packages/core/src/internal/SharedMemory.ts"
import type { Plan } from "../../packages/gateway/src/internal/Plan.ts"
import type { Sourced } from "../../packages/gateway/src/internal/workers/Coordinator.ts"
import { Workers } from "../../packages/gateway/src/internal/workers/Workers.ts"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import type { Script, Scripts } from "../harness/fakeWorker.ts"

// Real threads that fail as they are told. What the program's own do is another file's.

const entry = new URL("../harness/fakeWorker.ts", import.meta.url)
const fake = (options: WorkerOptions) => new Worker(entry, options)

const sourced = (scripts: Scripts): Sourced => ({
  files: new Map(),
  module: { entry: undefined, sources: new Map() },
  plan: { listeners: [], groups: [], loaded: { file: JSON.stringify(scripts) } } as unknown as Plan
})

/** A config of two workers, with what the second one does. */
const config = (version: number, second: Omit<Script, "version"> = {}): Sourced =>
  sourced({ 1: { version }, 2: { version, ...second } })

const begun = (first: Sourced, startThread: (options: WorkerOptions) => Worker = fake) =>
  Effect.gen(function*() {
    const limits = SharedLimits.make({ members: 2, maxGroups: 1 })
    const lines: Array<string> = []
    const one = yield* Semaphore.make(1)
    const workers = new Workers({
      count: 2,
      first,
      format: undefined,
      limits,
      lock: Semaphore.withPermit(one),
      // A third of a second.
      look: { every: 20, atMost: 15 },
      startThread
    })
    const logger = Logger.make<unknown, void>(({ cause, message }) => {
      lines.push([message].flat().map(String).join(" ") + cause.reasons.map(String).join(" "))
    })
    const logged = Effect.provide(Logger.layer([logger]))
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    yield* workers.start.pipe(Scope.provide(scope), logged)
    const reload = (next: Sourced) =>
      workers.lock(Effect.flatMap(workers.prepare(next), ({ commit }) => commit)).pipe(logged)
    const versions = Effect.map(
      workers.askAll("routes", undefined),
      (answers) => answers.map(({ place, value }) => [place + 1, ...value as ReadonlyArray<unknown>])
    )
    const memory = SharedMemory.of(limits)!
    const word = (at: number) => Atomics.load(memory.words, memory.region(0) + at)
    return {
      workers,
      lines,
      reload,
      /** The worker and the config of each that answers. */
      versions,
      end: Scope.close(scope, Exit.void),
      taken: () => word(Region.total),
      held: (member: number) => word(memory.of(0, member) + Member.held)
    }
  })

const says = (lines: ReadonlyArray<string>, what: RegExp) =>
  eventually(String(what), () => lines.some((line) => what.test(line)), () => lines.join("\n"))

describe("a worker that fails while all change to another config", { concurrent: false }, () => {
  it.live("by its end as it prepares: none changes, it is replaced by one of the old config, and the next change is made", () =>
    Effect.gen(function*() {
      const { lines, reload, versions } = yield* begun(config(1))
      const { message } = yield* Effect.flip(reload(config(2, { prepare: "exit" })))
      assert.strictEqual(message, "worker 2 has ended with 7")
      yield* says(lines, /worker 2 is replaced/)
      yield* eventuallyEqual("the old config", [[1, 1], [2, 1]], versions)
      yield* reload(config(3))
      assert.deepStrictEqual(yield* versions, [[1, 3], [2, 3]])
    }))

  it.live("by hanging as it prepares: nobody waits for longer than it takes to see that, and it is replaced", () =>
    Effect.gen(function*() {
      const { lines, reload, versions } = yield* begun(config(1))
      const { message } = yield* Effect.flip(reload(config(2, { prepare: "hang" })))
      assert.match(message, /^worker 2 has been ended: it has hung for 0.3 s/)
      yield* says(lines, /worker 2 is replaced/)
      yield* eventuallyEqual("the old config", [[1, 1], [2, 1]], versions)
      yield* reload(config(3))
      assert.deepStrictEqual(yield* versions, [[1, 3], [2, 3]])
    }))

  for (const how of ["refuse", "exit", "hang"] as const) {
    it.live(`as it should change (${how}), when the others have changed: it is replaced by one that has`, () =>
      Effect.gen(function*() {
        const { lines, reload, versions } = yield* begun(config(1))
        yield* reload(config(2, { commit: how }))
        yield* says(lines, /worker 2 is replaced/)
        yield* eventuallyEqual("the new config", [[1, 2], [2, 2]], versions)
      }))
  }

  it.live("by taking its time, it does not fail", () =>
    Effect.gen(function*() {
      const { lines, reload, versions } = yield* begun(config(1))
      yield* reload(config(2, { prepare: "is slow", commit: "is slow" }))
      assert.deepStrictEqual(yield* versions, [[1, 2], [2, 2]])
      // Twice as long as one may hang that does something else.
      yield* reload(config(3, { prepare: "builds" }))
      assert.deepStrictEqual(yield* versions, [[1, 3], [2, 3]])
      assert.deepStrictEqual(lines, [])
    }))
})

describe("a worker that hangs", { concurrent: false }, () => {
  it.live("is ended and replaced, and its permits come back", () =>
    Effect.gen(function*() {
      const { held, lines, reload, taken, versions } = yield* begun(config(1, { permits: 3 }))
      assert.deepStrictEqual([taken(), held(1)], [3, 3])
      yield* Effect.exit(reload(config(2, { prepare: "hang" })))
      yield* says(lines, /worker 2 is replaced/)
      // Its successor takes as many.
      yield* eventuallyEqual("the old config", [[1, 1], [2, 1]], versions)
      assert.deepStrictEqual([taken(), held(1)], [3, 3])
      assert.match(
        lines.join("\n"),
        /worker 2 has ended, and is replaced.*it has hung for 0.3 s: something in it does not end/
      )
    }))

  it.live("is not taken for one because whoever looks after it was held up", () =>
    Effect.gen(function*() {
      const { lines, versions } = yield* begun(config(1))
      for (let i = 0; i < 3; i++) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
        yield* Effect.yieldNow
      }
      assert.deepStrictEqual(yield* versions, [[1, 1], [2, 1]])
      assert.deepStrictEqual(lines, [])
    }))
})

describe("a worker", { concurrent: false }, () => {
  it.live("that says what no worker says is not heard", () =>
    Effect.gen(function*() {
      const posts =
        `[null, undefined, 1, "lines", [], {}, { _tag: "nothing" }, { _tag: "lines" }, { _tag: "lines", to: "disk", text: "" },
          { _tag: "listens" }, { _tag: "cannot" }, { _tag: "refusal", id: 0 }, { _tag: "happened", events: null }]`
      const { lines, versions } = yield* begun(config(1, { posts }))
      assert.deepStrictEqual(yield* versions, [[1, 1], [2, 1]])
      assert.deepStrictEqual(lines, [])
    }))

  for (
    const throws of [
      "null",
      "{ toString: 1, valueOf: 1 }",
      "Symbol('a')",
      "Object.assign(new Error(), { message: { toString: 1 } })",
      "new Proxy({}, { get() { throw 1 } })"
    ]
  ) {
    it.live(`that dies of ${throws} is replaced`, () =>
      Effect.gen(function*() {
        const { lines } = yield* begun(config(1, { throws }))
        yield* says(lines, /worker 2 has ended, and is replaced/)
        yield* says(lines, /worker 2 is replaced/)
      }))
  }

  it.live("that the system has no room for is started as soon as there is some", () =>
    Effect.gen(function*() {
      let started = 0
      const { lines, reload, versions } = yield* begun(config(1), (options) => {
        if (++started === 3) throw new Error("no room for a thread")
        return fake(options)
      })
      yield* Effect.exit(reload(config(2, { prepare: "exit" })))
      yield* says(lines, /^worker 2 can't be replaced yet: worker 2 can't be started: .*no room for a thread/)
      yield* says(lines, /worker 2 is replaced/)
      yield* eventuallyEqual("both", [[1, 1], [2, 1]], versions)
    }))

  it.live("that dies in a drain gives back what it had to those who wait in others", () =>
    Effect.gen(function*() {
      const { end, reload, taken, workers } = yield* begun(config(1, { permits: 3, drain: "exit" }))
      assert.strictEqual(taken(), 3)
      yield* end
      assert.strictEqual(taken(), 0)
      assert.isFalse(yield* workers.areReady)
      assert.strictEqual((yield* Effect.flip(reload(config(2)))).message, "the program is about to end")
    }))
})
