import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { PoolFull, PoolReentered, QueueTimeout } from "../CommandError.ts"
import { Criticality, levels } from "../Criticality.ts"
import { InvalidOptions } from "../InvalidOptions.ts"
import type * as Pool from "../Pool.ts"
import { expire } from "./Boundary.ts"
import type { Call } from "./Call.ts"
import type { Events } from "./Events.ts"
import type { Admission, Gate, Place } from "./Gate.ts"
import { holder, Permit } from "./Held.ts"
import type { Policy } from "./Policy.ts"
import { PoolLine, type Waiting } from "./PoolLine.ts"
import { poolOptions } from "./poolOptions.ts"
import type { Served, SharedPermits } from "./SharedPermits.ts"
import type { Timed, Timers } from "./Timers.ts"

export const PoolTypeId = "~@blackgate/core/Pool"

const priorities: ReadonlyArray<Pool.Priority> = ["high", "normal", "low"]

/** A semaphore of one-permit calls with a bounded line. It is also what an admitted call holds. */
export class PoolState implements Admission, Served {
  readonly [PoolTypeId] = PoolTypeId
  readonly name: string
  readonly timers: Timers
  readonly reentrant: boolean
  readonly line = new PoolLine<Standing>(priorities.length)
  maxConcurrent: number
  maxQueued: number
  queueTimeoutMillis = Infinity

  active = 0
  overdue = 0
  admitted = 0
  rejected = 0
  shed = 0
  queueTimeouts = 0
  waits = 0
  waitMillis = 0
  longestWaitMillis = 0

  /** Where the limit moves by itself: an operator sets how far. */
  moveCeiling: ((maxConcurrent: number) => void) | undefined = undefined

  /** Where all threads have one limit: what their permits are taken from. The own limit holds all the same. */
  shared: SharedPermits | undefined = undefined

  /** What lets calls in, by their priority. */
  readonly gates: { [P in Pool.Priority]?: PoolGate } = {}
  private readonly events: Events | undefined
  private granting = false

  constructor(name: string, options: Pool.Options, timers: Timers, events?: Events) {
    this.name = name
    this.events = events
    this.timers = timers
    this.reentrant = options.reentrant === true
    this.maxConcurrent = options.maxConcurrent
    this.maxQueued = options.maxQueued ?? 0
    if (options.queueTimeout !== undefined) this.queueTimeoutMillis = Duration.toMillis(options.queueTimeout)
  }

  resize(limits: Pool.Resize): void {
    const { maxConcurrent } = limits
    if (maxConcurrent !== undefined) {
      if (this.moveCeiling === undefined) this.maxConcurrent = maxConcurrent
      else this.moveCeiling(maxConcurrent)
    }
    this.maxQueued = limits.maxQueued ?? this.maxQueued
    if (limits.queueTimeout !== undefined) this.queueTimeoutMillis = Duration.toMillis(limits.queueTimeout)
    if (this.events?.isRead === true) this.events.resized(this)
    if (maxConcurrent !== undefined) this.shared?.resize(maxConcurrent)
    this.grant()
  }

  /** What moves the limit: those who wait go on at once, those who run go on in any case. */
  limitTo(maxConcurrent: number): void {
    const grows = maxConcurrent > this.maxConcurrent
    this.maxConcurrent = maxConcurrent
    if (this.events?.isRead === true) this.events.resized(this)
    if (grows) this.grant()
  }

  statistics(): Pool.Statistics {
    const oldest = this.line.oldest()
    return {
      maxConcurrent: this.maxConcurrent,
      maxQueued: this.maxQueued,
      active: this.active,
      queued: this.queued,
      overdue: this.overdue,
      admitted: this.admitted,
      rejected: this.rejected,
      queueTimeouts: this.queueTimeouts,
      shed: this.shed,
      wait: {
        count: this.waits,
        total: Duration.millis(this.waitMillis),
        longest: Duration.millis(this.longestWaitMillis),
        current: Duration.millis(oldest === undefined ? 0 : this.timers.now() - oldest.since)
      }
    }
  }

  get queued(): number {
    return this.line.length
  }

  /** The refusal of a call that comes from inside another one, unless that is allowed. */
  reentered(call: Call): PoolReentered | undefined {
    if (this.reentrant || call.held === undefined) return undefined
    const outer = holder(call.held, this)
    if (outer === undefined) return undefined
    this.rejected++
    return new PoolReentered(this.name, call.plan.key, outer.plan.key)
  }

  refuse(call: Call, shed = false): undefined {
    this.rejected++
    return call.refuse(new PoolFull(this.name, call.plan.key, this, shed))
  }

  take(call: Call): this {
    this.active++
    this.admitted++
    call.held = new Permit(this, call)
    return this
  }

  leave(call: Call): void {
    this.active--
    if (call.lingers) this.overdue--
    call.held = call.held?.outer
    if (this.shared === undefined) this.serveLine()
    else this.shared.give()
  }

  linger(): void {
    this.overdue++
  }

  waited(place: Standing): void {
    const millis = this.timers.now() - place.since
    place.call.waited(millis)
    this.waits++
    this.waitMillis += millis
    if (millis > this.longestWaitMillis) this.longestWaitMillis = millis
  }

  grant(): void {
    if (this.shared === undefined) this.serveLine()
    else this.shared.serve()
  }

  /** Whether a permit is all that somebody in the line waits for. */
  get wants(): boolean {
    return this.line.length > 0 && this.active < this.maxConcurrent
  }

  get idle(): boolean {
    return this.active === 0 && this.line.length === 0
  }

  leaveShared(): void {
    this.shared = undefined
  }

  // A call that is granted works here until it suspends, and may come back through `leave`: only the outermost loop grants, so
  // that a line of synchronous calls does not nest.
  serveLine(): void {
    if (this.granting) return
    this.granting = true
    try {
      while (this.active < this.maxConcurrent) {
        const place = this.line.first()
        if (place === undefined) return
        if (expire(place.call)) continue
        if (this.shared !== undefined && !this.shared.take()) return
        place.quit()
        place.call.admit(this.take(place.call))
      }
    } finally {
      this.granting = false
    }
  }
}

/** The gate of a command: its priority in the line of the group's pool. */
export class PoolGate implements Gate {
  private readonly pool: PoolState
  private readonly priority: number

  constructor(pool: PoolState, priority: Pool.Priority = "normal") {
    this.pool = pool
    this.priority = priorities.indexOf(priority)
    if (this.priority === -1) {
      throw new InvalidOptions({ subject: pool.name, problem: `priority: expected one of ${priorities.join(", ")}` })
    }
  }

  /** The one of a pool for a priority: a gateway's many routes have it in common. */
  static of(pool: PoolState, priority: Pool.Priority = "normal"): PoolGate {
    return pool.gates[priority] ??= new PoolGate(pool, priority)
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

/** A call in the line. */
class Standing implements Timed, Place, Waiting<Standing> {
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
