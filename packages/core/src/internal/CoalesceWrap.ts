import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Coalesce from "../Coalesce.ts"
import { Flights } from "./Flights.ts"
import { heldIn } from "./Held.ts"
import type { Policy, Spec } from "./Policy.ts"

/** What a command says of it. */
export const coalesceOptions = Schema.Struct({ key: Schema.Unknown })

/** The flights of a group's commands. By the command itself, not by its name: two of one name may answer different things. */
type Shared = WeakMap<Spec, Flights>

// `any`: the arguments are the command's, which makes the key of what it was called with.
type CommandOptions = Coalesce.CommandOptions<any>

/** Calls with one key share a run. Inside of their deadlines, and outside of all that is done about the dependency. */
export const coalesce: Policy<Shared> = {
  name: "coalesce",
  command: { coalesce: Schema.optional(coalesceOptions) },
  share: () => Effect.succeed(new WeakMap()),
  settings: (spec) => spec["coalesce"] === undefined ? undefined : {},
  wrap: (spec, group) => {
    const all = group.shared(coalesce)!
    let flights = all.get(spec)
    if (flights === undefined) all.set(spec, flights = new Flights(() => group.timers.now()))
    const join = joining(flights, (spec["coalesce"] as CommandOptions).key)
    return (inside, args) =>
      Effect.withFiber(({ context }) => {
        // The run is inside of no permit. A caller who is would keep the run from the permit that it needs, and wait for it.
        const reentered = group.pool.reentered(heldIn(context), spec.key)
        return reentered === undefined ? join(inside, args) : Effect.fail(reentered)
      })
  }
}

/** A key function that throws is a defect of that call. */
export const joining = (flights: Flights, keyOf: CommandOptions["key"]) =>
(
  run: Effect.Effect<unknown, unknown, unknown>,
  args: ReadonlyArray<unknown>
): Effect.Effect<unknown, unknown, unknown> => Effect.suspend(() => flights.join(keyOf(...args), run))
