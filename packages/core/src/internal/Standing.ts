import * as Duration from "effect/Duration"
import { QueueTimeout } from "../CommandError.ts"
import type { Call } from "./Call.ts"
import type { Place } from "./Gate.ts"
import { PoolLine, type Waiting } from "./PoolLine.ts"
import type { PoolState } from "./PoolState.ts"
import type { Timed } from "./Timers.ts"

/** A call in the line. */
export class Standing implements Timed, Place, Waiting<Standing> {
  index = -1
  order = 0
  next: Standing | undefined = undefined
  previous: Standing | undefined = undefined
  readonly pool: PoolState
  readonly call: Call
  readonly lane: number
  turn = 0
  readonly since: number
  readonly at: number

  constructor(pool: PoolState, call: Call, priority: number, level: number) {
    this.pool = pool
    this.call = call
    this.lane = PoolLine.lane(priority, level)
    this.since = call.now(pool.timers)
    this.at = this.since + pool.queueTimeoutMillis
    pool.line.join(this)
  }

  /** Gives up the place, granted or not. */
  quit(): void {
    this.pool.line.leave(this)
    this.pool.timers.remove(this)
    this.pool.waited(this)
    this.pool.shared?.left()
  }

  /** Its place went to a call that is more critical. */
  giveWay(): void {
    this.pool.shed++
    this.pool.refuse(this.call, true)
  }

  elapse(): void {
    const { call, pool } = this
    this.quit()
    pool.rejected++
    pool.queueTimeouts++
    // Its own bound: a resize of the pool is for those who come after.
    call.refuse(new QueueTimeout(pool.name, call.plan.key, Duration.millis(this.at - this.since)))
  }
}
