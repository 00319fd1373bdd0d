import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { ask } from "./ask.ts"
import { type Running, upstream } from "./gatewayFolder.ts"

/** A hundred SIGHUPs, and another file: that is what is served in the end, and the program ends as it should. */
export const stormOfHangups = <E, R>(
  begin: (config: string) => Effect.Effect<Running, E, R>,
  to: (url: string) => string
) =>
  Effect.gen(function*() {
    const a = yield* upstream("a")
    const b = yield* upstream("b")
    const program = yield* begin(to(a.url))
    for (let i = 0; i < 100; i++) yield* program.signal("SIGHUP")
    yield* program.reload(to(b.url), /INFO reloaded/)
    const last = Effect.map(ask(`${program.origin}/`), ({ body }) => body)
    yield* Effect.repeat(last, { until: (body) => body === "b /" })
    yield* program.signal("SIGTERM")
    assert.strictEqual(yield* program.ended, 0)
  })
