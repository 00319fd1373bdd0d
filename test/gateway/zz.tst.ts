import { Effect } from "effect"
import { expect, test } from "tstyche"
test("x", () => { expect(Effect.succeed(1)).type.toBe<Effect.Effect<number>>() })
