import * as Duration from "effect/Duration"
import { PoolFull, PoolReentered } from "../CommandError.ts"
import type * as Pool from "../Pool.ts"
import { expire } from "./Boundary.ts"
import type { Call } from "./Call.ts"
import type { Events } from "./Events.ts"
import type { Admission } from "./Gate.ts"
import { holder, Permit } from "./Held.ts"
import type { PoolGate } from "./PoolGate.ts"
import { PoolLine } from "./PoolLine.ts"
import { priorities } from "./priorities.ts"
import type { Served, SharedPermits } from "./SharedPermits.ts"
import type { Standing } from "./Standing.ts"
import type { Timers } from "./Timers.ts"

export const PoolTypeId = "~@blackgate/core/Pool"

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
  readonly gates: Array<PoolGate | undefined> = []
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
