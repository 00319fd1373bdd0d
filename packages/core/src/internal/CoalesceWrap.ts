import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Coalesce from "../Coalesce.ts"
import { Call, type MakeWork, type Plan, type Work } from "./Call.ts"
import { enclosedBy } from "./Enclosing.ts"
import { Flights, type Seat } from "./Flights.ts"
import type { GroupState } from "./GroupState.ts"
import { heldBy } from "./Held.ts"
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
  between: (spec, group) => {
    const all = group.shared(coalesce)!
    let flights = all.get(spec)
    if (flights === undefined) all.set(spec, flights = new Flights(() => group.timers.now()))
    const shared = flights
    const { key } = spec["coalesce"] as CommandOptions
    return (inner, makeWork) => new Joining(group, shared, key, inner, makeWork)
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
  private readonly makeWork: MakeWork
  private seat: Seat | undefined = undefined

  constructor(group: GroupState, flights: Flights, keyOf: CommandOptions["key"], inner: Plan, makeWork: MakeWork) {
    this.group = group
    this.flights = flights
    this.keyOf = keyOf
    this.inner = inner
    this.makeWork = makeWork
  }

  start(call: Call): void {
    const { group, inner, makeWork } = this
    // The run is inside of no permit. A caller who is would keep the run from the permit that it needs, and wait for it.
    const reentered = group.pool.reentered(call.context, call.plan.key)
    if (reentered !== undefined) return call.end(Exit.fail(reentered))
    let key: string
    try {
      key = this.keyOf(...call.args)
    } catch (defect) {
      return call.end(Exit.die(defect))
    }
    this.seat = this.flights.board(key, call.context, call, (exit) => call.end(exit), (context, ended) => {
      const run = Call.inside(call, inner, makeWork, context, ended)
      run.advance()
      return run
    })
    if (this.seat !== undefined) return
    // It would wait for itself.
    const own = Call.inside(call, inner, makeWork, enclosedBy(heldBy(call), call), (exit) => call.end(exit))
    this.seat = { leave: (left) => own.cancel(left) }
    own.advance()
  }

  stop(call: Call): void {
    this.seat?.leave((exit) => call.end(exit))
  }
}
