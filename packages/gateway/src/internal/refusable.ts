import { InvalidOptions } from "@blackgate/core"
import * as Effect from "effect/Effect"

/** What refuses options by throwing. What else it would throw is no mistake of the file. */
export const refusable = <A>(make: () => A): Effect.Effect<A, InvalidOptions.InvalidOptions> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(make())
    } catch (refused) {
      return refused instanceof InvalidOptions.InvalidOptions ? Effect.fail(refused) : Effect.die(refused)
    }
  })
