import { Command, CommandError, Group } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

/** Holds the only permit, until it is told to end. */
const busy = Effect.fnUntraced(function*(group: Group.Group) {
  const end = yield* Deferred.make<void>()
  yield* Command.queue(Deferred.await(end).pipe(Command.within(group, { key: "busy" })))
  return end
})

const failing = Effect.fnUntraced(
  function*(options: Partial<Group.Options>, timeout?: number, first?: Effect.Effect<unknown, unknown>) {
    const group = yield* Group.make("service.billing", { pool: { maxConcurrent: 1 }, ...options })
    if (first === undefined) yield* busy(group)
    else yield* Effect.exit(Command.within(first, group, { key: "pay" }))
    const fiber = yield* Command.queue(Effect.flip(Command.within(Effect.void, group, { key: "pay", timeout })))
    yield* TestClock.adjust(10)
    const exit = fiber.pollUnsafe()
    assert.isDefined(exit)
    return yield* exit!
  }
)

// Each as it comes out of a call: what is in it is what was measured there.
const failures: ReadonlyArray<
  readonly [tag: CommandError.CommandError["_tag"], call: ReturnType<typeof failing>, measured: object, said: string]
> = [
  [
    "PoolFull",
    failing({}),
    { active: 1, queued: 0, maxConcurrent: 1, maxQueued: 0 },
    "the pool of service.billing is full: 1 of 1 active, 0 of 0 queued"
  ],
  [
    "QueueTimeout",
    failing({ pool: { maxConcurrent: 1, maxQueued: 1, queueTimeout: 10 } }),
    { queueTimeout: Duration.millis(10) },
    "pay waited longer than 10ms for the pool of service.billing"
  ],
  [
    "CommandTimeout",
    failing({ pool: { maxConcurrent: 1, maxQueued: 1 } }, 10),
    { option: "timeout", timeout: Duration.millis(10), started: false },
    "pay took longer than 10ms (timeout, all of it in the queue)"
  ],
  [
    "CircuitOpen",
    failing({ circuit: { consecutive: 1, openFor: "3 seconds" } }, undefined, Effect.fail("no")),
    { circuit: "pay", state: "open", retryAfter: Duration.seconds(3) },
    "the circuit pay of service.billing is open"
  ],
  [
    "RateLimited",
    failing({ rateLimit: { limit: 1, window: "3 seconds" } }, undefined, Effect.void),
    { limitKey: undefined, limit: 1, unavailable: false, retryAfter: Duration.seconds(3) },
    "the rate limit of service.billing, 1, is used up for 3s"
  ],
  [
    "PoolReentered",
    Effect.gen(function*() {
      const group = yield* Group.make("service.billing", { pool: { maxConcurrent: 2 } })
      return yield* Effect.flip(
        Effect.void.pipe(Command.within(group, { key: "pay" }), Command.within(group, { key: "outer" }))
      )
    }),
    { heldBy: "outer" },
    "pay called into the pool of service.billing from inside outer, which holds a permit of it"
  ]
]

describe("28. a failure of the machinery", () => {
  for (const [tag, call, measured, said] of failures) {
    it.effect(`${tag} carries group and key, and what was measured`, () =>
      Effect.gen(function*() {
        const failure = yield* call
        assert.isTrue(CommandError.isCommandError(failure))
        assert.strictEqual(failure._tag, tag)
        assert.deepStrictEqual([failure.group, failure.key], ["service.billing", "pay"])
        for (const [name, value] of Object.entries(measured)) {
          assert.deepStrictEqual(failure[name as keyof typeof failure], value, name)
        }
        assert.strictEqual(failure.message, said)
        assert.strictEqual(failure.name, tag)
        assert.deepInclude(JSON.parse(JSON.stringify(failure)), { _tag: tag, group: "service.billing", key: "pay" })
      }))
  }

  it("is one of six: the union is closed", () => {
    const all = Object.values(CommandError).filter((exported) => exported.prototype instanceof Error)
    assert.deepStrictEqual(
      all.map(({ name }) => name).toSorted(),
      failures.map(([tag]) => tag).toSorted()
    )
  })

  it("20. is an Error by prototype, without a stack of its own", () => {
    const failure = new CommandError.PoolReentered("g", "k", "outer")
    assert.instanceOf(failure, Error)
    assert.isFalse(Object.hasOwn(failure, "stack"))
  })
})
