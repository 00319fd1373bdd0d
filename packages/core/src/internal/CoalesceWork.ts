import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Coalesce from "../Coalesce.ts"
import type { Call } from "./Call.ts"
import { Flights } from "./Flights.ts"
import type { Ending, Plan, Running, Work } from "./Gate.ts"
import type { GroupState } from "./GroupState.ts"
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
  between: (spec, group, inner) => {
    const all = group.shared(coalesce)!
    let flights = all.get(spec)
    if (flights === undefined) all.set(spec, flights = new Flights())
    return new Joining(group, flights, (spec["coalesce"] as CommandOptions).key, inner)
  }
}

/** A key function that throws is a defect of that call. */
export const joining = (flights: Flights, keyOf: CommandOptions["key"]) =>
(
  run: Effect.Effect<unknown, unknown, unknown>,
  args: ReadonlyArray<unknown>
): Effect.Effect<unknown, unknown, unknown> => Effect.suspend(() => flights.join(keyOf(...args), run))

/** The run of a call that shares it: one call of the inner plan for all who want it. */
class Joining implements Work {
  private readonly group: GroupState
  private readonly flights: Flights
  private readonly keyOf: CommandOptions["key"]
  private readonly inner: Plan

  constructor(group: GroupState, flights: Flights, keyOf: CommandOptions["key"], inner: Plan) {
    this.group = group
    this.flights = flights
    this.keyOf = keyOf
    this.inner = inner
  }

  start(call: Call): void {
    const { flights, group: { pool, timers }, inner } = this
    // The run is inside of no permit. A caller who is would keep the run from the permit that it needs, and wait for it.
    const reentered = pool.reentered(call)
    if (reentered !== undefined) return call.end(Exit.fail(reentered))
    let key: string
    try {
      key = this.keyOf(...call.args)
    } catch (defect) {
      return call.end(Exit.die(defect))
    }
    const end = (exit: Ending) => call.end(exit)
    const { held } = call
    call.running = flights.board(
      key,
      timers,
      call.now(timers),
      held,
      call,
      end,
      (flight, ended) => call.enclose(inner, flight, flight, Infinity, ended)
    ) ?? call.enclose(inner, call, held, call.deadlineAt, end) // it would wait for itself
  }

  stop(call: Call): void {
    const running = call.running as Running | undefined
    running?.cancel((exit) => call.end(exit))
  }
}
