import { Command, Group, InvalidOptions, Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, ManagedRuntime, Option } from "effect"
import { TestClock } from "effect/testing"
import { afterFirstSleep, ending, state, Work } from "./calls.ts"

class Session extends Group.Service<Session>()("service.session") {}
const live = Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })

class Cookies
  extends Context.Service<Cookies, { readonly user: (cookie: string) => string | undefined }>()("Cookies")
{}

const fetchUser = Effect.fnUntraced(function*(cookie: string) {
  const user = (yield* Cookies).user(cookie)
  return user === undefined ? yield* Effect.fail("expired" as const) : user
})

describe("make", () => {
  const getCurrentUser = Command.make("get_current_user", fetchUser, { group: Session, timeout: "1 second" })

  it.effect("is a function of the arguments, run in the caller's context", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* getCurrentUser("session=1"), "user 1")
      assert.strictEqual(yield* Effect.flip(getCurrentUser("session=2")), "expired")
      assert.strictEqual(getCurrentUser.key, "get_current_user")
    }).pipe(
      Effect.provideService(Cookies, { user: (cookie) => cookie === "session=1" ? "user 1" : undefined }),
      Effect.provide(live)
    ))

  it.effect("a call does nothing until it is run, and runs anew each time", () =>
    Effect.gen(function*() {
      let runs = 0
      const command = Command.make("k", () => Effect.sync(() => ++runs), { group: Session })
      const call = command()
      assert.strictEqual(runs, 0)
      assert.deepStrictEqual(yield* Effect.all([call, call, command()]), [1, 2, 3])
    }).pipe(Effect.provide(live)))

  it.effect("a function that throws is a defect, and gives its permit back", () =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      const command = Command.make("k", (): Effect.Effect<void> => {
        throw bug
      }, { group: Session })
      assert.deepStrictEqual(yield* Effect.exit(command()), Exit.die(bug))
      assert.strictEqual((yield* Pool.statistics((yield* Session).pool)).active, 0)
    }).pipe(Effect.provide(live)))

  it.effect("runs in whatever group its context provides, call by call", () =>
    Effect.gen(function*() {
      const small = Session.layer({ pool: { maxConcurrent: 1 } })
      const limit = Command.make(
        "k",
        () =>
          Effect.flatMap(Session, ({ pool }) =>
            Effect.map(Pool.statistics(pool), ({ active, maxConcurrent }) => [active, maxConcurrent])),
        { group: Session }
      )
      assert.deepStrictEqual(yield* Effect.provide(limit(), small), [1, 1])
      assert.deepStrictEqual(yield* Effect.provide(limit(), live), [1, 10])
      assert.deepStrictEqual(yield* Effect.provide(limit(), small), [1, 1])
    }))

  it.effect("what its work forks ends with the work", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const child = new Work()
      const command = Command.make(
        "k",
        () => Effect.andThen(Effect.forkChild(child.run, { startImmediately: true }), Effect.sleep(10)),
        { group: Session }
      )
      const fiber = yield* Command.queue(command())
      assert.strictEqual(child.active, 1)
      yield* TestClock.adjust(10)
      assert.strictEqual(state(fiber), "Success")
      assert.strictEqual(child.active, 0)
    }).pipe(Effect.provide(live)))
})

describe("within", () => {
  it.effect("is a command of one effect, data first or last", () =>
    Effect.gen(function*() {
      const group = yield* Session
      const active = Effect.map(Pool.statistics(group.pool), (statistics) => statistics.active)
      assert.deepStrictEqual(
        yield* Effect.all([
          active.pipe(Command.within(Session, { key: "k" })),
          active.pipe(Command.within(group, { key: "k", timeout: "1 second" })),
          Command.within(active, Session, { key: "k" }),
          Command.within(active, group, { key: "k" }),
          active
        ]),
        [1, 1, 1, 1, 0]
      )
    }).pipe(Effect.provide(live)))

  it.effect("hands on what the effect ends with", () =>
    Effect.gen(function*() {
      const end = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.exit(effect.pipe(Command.within(Session, { key: "k" })))
      assert.deepStrictEqual(yield* end(Effect.succeed(1)), Exit.succeed(1))
      assert.deepStrictEqual(yield* end(Effect.fail("no")), Exit.fail("no"))
      assert.deepStrictEqual(yield* end(Effect.die("bug")), Exit.die("bug"))
      assert.strictEqual(ending(yield* end(Effect.interrupt)), "Interrupt")
    }).pipe(Effect.provide(live)))

  it.effect("its effect sees the span and the services around it", () =>
    Effect.gen(function*() {
      const seen = Effect.all([
        Effect.map(Effect.currentSpan, (span) => span.name),
        Effect.serviceOption(Cookies)
      ]).pipe(
        Command.within(Session, { key: "k" }),
        Effect.provideService(Cookies, { user: () => "me" }),
        Effect.withSpan("outer")
      )
      const [span, cookies] = yield* seen
      assert.strictEqual(span, "outer")
      assert.isTrue(Option.isSome(cookies))
    }).pipe(Effect.provide(live)))
})

describe("queue", () => {
  it.effect("runs from now on, in the background, and gives the fiber", () =>
    Effect.gen(function*() {
      const work = new Work()
      const command = Command.make("k", (n: number) => Effect.as(work.run, n), { group: Session })
      const fiber = yield* Command.queue(command(7))
      assert.strictEqual(work.active, 1)
      assert.strictEqual(state(fiber), "running")
      yield* work.finish
      assert.strictEqual(yield* Fiber.join(fiber), 7)
    }).pipe(Effect.provide(live)))

  it.effect("ends with the fiber that queued it, and gives its permit back", () =>
    Effect.gen(function*() {
      const { pool } = yield* Session
      const work = new Work()
      const parent = yield* Command.queue(
        Effect.andThen(Command.queue(work.run.pipe(Command.within(Session, { key: "k" }))), Effect.never)
      )
      assert.strictEqual((yield* Pool.statistics(pool)).active, 1)
      yield* Fiber.interrupt(parent)
      assert.strictEqual(work.active, 0)
      assert.strictEqual((yield* Pool.statistics(pool)).active, 0)
    }).pipe(Effect.provide(live)))

  it.effect("interrupting the fiber interrupts the work, and waits for its finalizers", () =>
    Effect.gen(function*() {
      yield* afterFirstSleep
      const fiber = yield* Command.queue(
        Effect.never.pipe(Effect.ensuring(Effect.sleep(10)), Command.within(Session, { key: "k", timeout: "1 second" }))
      )
      const interruption = yield* Command.queue(Fiber.interrupt(fiber))
      yield* TestClock.adjust(9)
      assert.strictEqual(state(interruption), "running")
      yield* TestClock.adjust(1)
      assert.strictEqual(state(interruption), "Success")
      assert.strictEqual(state(fiber), "Interrupt")
    }).pipe(Effect.provide(live)))
})

describe("from a promise world", () => {
  it("a ManagedRuntime of the group's layer runs it", async () => {
    const getCurrentUser = Command.make(
      "get_current_user",
      (cookie: string) => cookie === "session=1" ? Effect.succeed("user 1") : Effect.fail("expired" as const),
      { group: Session, timeout: "1 second" }
    )
    const runtime = ManagedRuntime.make(live)
    try {
      assert.strictEqual(await runtime.runPromise(getCurrentUser("session=1")), "user 1")
      const exit = await runtime.runPromiseExit(getCurrentUser("session=2"))
      assert.deepStrictEqual(exit, Exit.fail("expired" as const))
    } finally {
      await runtime.dispose()
    }
  })

  it("an aborted promise interrupts the work", async () => {
    const work = new Work()
    const runtime = ManagedRuntime.make(live)
    try {
      const controller = new AbortController()
      const promise = runtime.runPromiseExit(work.run.pipe(Command.within(Session, { key: "k" })), {
        signal: controller.signal
      })
      await runtime.runPromise(Effect.yieldNow)
      assert.strictEqual(work.active, 1)
      controller.abort()
      assert.strictEqual(ending(await promise), "Interrupt")
      assert.strictEqual(work.active, 0)
    } finally {
      await runtime.dispose()
    }
  })
})

describe("1. policies lists a command's own, from the outside in, with their settings", () => {
  it.effect("every policy that there is", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("service.session", {
        pool: { maxConcurrent: 10 },
        circuit: {},
        rateLimit: { limit: 10, window: "1 second" }
      })
      const command = Command.make("k", (id: string) => Effect.succeed(id), {
        group,
        fallback: () => Effect.succeed("none"),
        stale: { key: (id) => id, maxAge: "1 minute" },
        timeout: "2 seconds",
        coalesce: { key: (id) => id },
        retry: {},
        hedge: { after: "1 second" },
        attemptTimeout: "1 second"
      })
      assert.deepStrictEqual((yield* Command.policies(command)).map(({ policy }) => policy), [
        "fallback",
        "stale",
        "outcomes",
        "timeout",
        "coalesce",
        "retry",
        "hedge",
        "rateLimit",
        "circuit",
        "pool",
        "attemptTimeout"
      ])
    }))

  it.effect("all of them", () =>
    Effect.gen(function*() {
      const group = yield* Group.make("service.session", {
        pool: { maxConcurrent: 10, maxQueued: 20, queueTimeout: "1 second" }
      })
      const command = Command.make("k", () => Effect.void, {
        group,
        timeout: "2 seconds",
        attemptTimeout: 500,
        priority: "high",
        fallback: () => Effect.void
      })
      assert.deepStrictEqual(yield* Command.policies(command), [
        { policy: "fallback" },
        { policy: "outcomes" },
        { policy: "timeout", timeout: Duration.seconds(2) },
        {
          policy: "pool",
          group: "service.session",
          maxConcurrent: 10,
          maxQueued: 20,
          queueTimeout: Duration.seconds(1),
          priority: "high"
        },
        { policy: "attemptTimeout", attemptTimeout: Duration.millis(500) }
      ])
    }))

  it.effect("only those that it has, as they are now", () =>
    Effect.gen(function*() {
      const command = Command.make("k", () => Effect.void, { group: Session })
      const { pool } = yield* Session
      yield* Pool.resize(pool, { maxConcurrent: 3 })
      assert.deepStrictEqual(yield* Command.policies(command), [
        { policy: "outcomes" },
        { policy: "pool", group: "service.session", maxConcurrent: 3, maxQueued: 20, priority: "normal" }
      ])
    }).pipe(Effect.provide(live)))

  it.effect("of a callback, with the bound on its end", () =>
    Effect.gen(function*() {
      const command = Command.callback("k", (_call: Command.Completion<void>) => {}, {
        group: Session,
        total: "1 minute"
      })
      const [, total] = yield* Command.policies(command)
      assert.deepStrictEqual(total, { policy: "total", total: Duration.minutes(1) })
    }).pipe(Effect.provide(live)))
})

describe("12. options that make no sense throw InvalidOptions, with the name of the option:", () => {
  const refused: ReadonlyArray<readonly [option: string, options: object]> = [
    ...[0, -1, NaN, Infinity, "soon", "0 seconds"].flatMap((duration) => [
      ["timeout", { timeout: duration }] as const,
      ["attemptTimeout", { attemptTimeout: duration }] as const
    ]),
    ["priority", { priority: "urgent" }],
    ["detach", { detach: "yes" }],
    ["timeuot", { timeuot: 10 }]
  ]
  const thrownBy = (make: () => unknown): unknown => {
    try {
      make()
    } catch (thrown) {
      return thrown
    }
  }
  const names = (option: string, thrown: unknown) => {
    assert.instanceOf(thrown, InvalidOptions.InvalidOptions)
    assert.strictEqual(thrown.subject, "get_user")
    assert.isTrue(thrown.problem.startsWith(`${option}: `), thrown.problem)
  }
  for (const [option, options] of refused) {
    it(`${option}, in { ${Object.entries(options).map(([key, value]) => `${key}: ${value}`)} }`, () => {
      const group = Session
      names(option, thrownBy(() => Command.make("get_user", () => Effect.void, { group, ...options } as never)))
      names(option, thrownBy(() => Effect.void.pipe(Command.within(group, { key: "get_user", ...options } as never))))
      names(option, thrownBy(() => Command.callback("get_user", () => {}, { group, ...options } as never)))
    })
  }
  it("total, of a callback", () => {
    names("total", thrownBy(() => Command.callback("get_user", () => {}, { group: Session, total: NaN } as never)))
    names("total", thrownBy(() => Command.make("get_user", () => Effect.void, { group: Session, total: 10 } as never)))
  })
  it("but undefined is no option", () => {
    Command.make("k", () => Effect.void, {
      group: Session,
      timeout: undefined,
      attemptTimeout: undefined,
      priority: undefined,
      detach: undefined
    })
  })
})
