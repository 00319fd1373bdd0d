// Pools and deadlines, tested as a user would: no real time passes. `npx -y pnpm@12.21.0 test examples`
import { Command, Group, Pool } from "@blackgate/core"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

class Session extends Group.Service<Session>()("service.session") {}

const SessionLive = Session.layer({ pool: { maxConcurrent: 1, maxQueued: 1 } })

// A session service that takes a minute.
const getCurrentUser = Command.make("get_current_user", () => Effect.delay(Effect.succeed("user 1"), "1 minute"), {
  group: Session,
  timeout: "90 seconds"
})

it.effect("one call runs, one waits, the third is refused at once", () =>
  Effect.gen(function*() {
    const first = yield* Command.queue(getCurrentUser())
    const second = yield* Command.queue(getCurrentUser())
    const refused = yield* Effect.flip(getCurrentUser())
    assert.strictEqual(refused._tag, "PoolFull")

    const { active, queued } = yield* Pool.statistics((yield* Session).pool)
    assert.deepStrictEqual({ active, queued }, { active: 1, queued: 1 })

    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(first), "user 1")

    // The second waited a minute for the first, and its own 90 seconds count from when it was made.
    yield* TestClock.adjust("30 seconds")
    const late = yield* Effect.flip(Fiber.join(second))
    assert.strictEqual(late._tag, "CommandTimeout")
  }).pipe(Effect.provide(SessionLive)))
