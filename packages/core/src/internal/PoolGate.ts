import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { Criticality, levels } from "../Criticality.ts"
import { InvalidOptions } from "../InvalidOptions.ts"
import type * as Pool from "../Pool.ts"
import type { Call } from "./Call.ts"
import type { Admission, Gate } from "./Gate.ts"
import type { Policy } from "./Policy.ts"
import { poolOptions } from "./poolOptions.ts"
import type { PoolState } from "./PoolState.ts"
import { priorities } from "./priorities.ts"
import { Standing } from "./Standing.ts"

/** The gate of a command: its priority in the line of the group's pool. */
export class PoolGate implements Gate {
  private readonly pool: PoolState
  private readonly priority: number

  private constructor(pool: PoolState, priority: Pool.Priority) {
    this.pool = pool
    this.priority = priorities.indexOf(priority)
    if (this.priority === -1) {
      throw new InvalidOptions({ subject: pool.name, problem: `priority: expected one of ${priorities.join(", ")}` })
    }
  }

  /** The one of a pool for a priority: a gateway's many routes have it in common. */
  static of(pool: PoolState, priority: Pool.Priority = "normal"): PoolGate {
    const index = priorities.indexOf(priority)
    return pool.gates[index] ?? (pool.gates[index] = new PoolGate(pool, priority))
  }

  enter(call: Call): Admission | undefined {
    const { pool } = this
    const reentered = pool.reentered(call)
    if (reentered !== undefined) return call.refuse(reentered)
    // Whoever waits goes first, so that nobody overtakes.
    const { shared } = pool
    const isNext = pool.active < pool.maxConcurrent && pool.queued === 0
    if (isNext && (shared === undefined || shared.take())) return pool.take(call)
    if (pool.maxQueued === 0) return pool.refuse(call)
    if (isNext && shared!.takeOrWait()) return pool.take(call)
    const level = levelIn(call.context)
    if (pool.queued < pool.maxQueued) return this.wait(call, level)
    const shed = pool.line.lastBelow(level)
    if (shed === undefined) return pool.refuse(call)
    // Its place is taken before it hears of that: whatever it does then finds the line full.
    shed.quit()
    this.wait(call, level)
    shed.giveWay()
    return undefined
  }

  private wait(call: Call, level: number): undefined {
    const { pool } = this
    const place = new Standing(pool, call, this.priority, level)
    call.hold(place)
    // Of two that are due at one instant the outer one comes first, and what stands outside was set by now.
    if (place.at !== Infinity) pool.timers.add(place)
    return undefined
  }
}

// A value that is no level, which only `provideService` lets in, is the usual one: under overload is no time to find that out.
const levelIn = (context: Context.Context<never>): number => {
  const said = Context.getOrUndefined(context, Criticality)
  const level = said === undefined ? -1 : levels.indexOf(said)
  return level === -1 ? usual : level
}
const usual = levels.indexOf("critical")

/** Whoever has passed it holds a permit. */
export const pool: Policy = {
  name: "pool",
  command: { priority: Schema.optional(Schema.Literals(priorities)) },
  group: { pool: poolOptions },
  settings: (spec, { pool }) => ({
    group: pool.name,
    maxConcurrent: pool.maxConcurrent,
    maxQueued: pool.maxQueued,
    ...(pool.queueTimeoutMillis === Infinity ? {} : { queueTimeout: Duration.millis(pool.queueTimeoutMillis) }),
    priority: spec.priority ?? "normal"
  }),
  gate: (spec, group) => PoolGate.of(group.pool, spec.priority)
}
