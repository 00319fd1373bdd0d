import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as CommandMetrics from "../CommandMetrics.ts"
import type * as Group from "../Group.ts"
import { Events } from "./Events.ts"
import type { Policy } from "./Policy.ts"
import { PoolState } from "./PoolState.ts"
import { outcomes, Record } from "./Record.ts"
import type { Timers } from "./Timers.ts"

export const GroupTypeId = "~@blackgate/core/Group"

/** How many keys are counted apart. */
const maxKeys = 1000
const others = "(other)"

/** How many groups of each name lend their metrics to one registry: of two, the later one hides the earlier. */
class Namesakes {
  private readonly live = new Map<string, number>()

  /** Whether it is the second one: a third is no news. */
  add(name: string): boolean {
    const others = this.live.get(name) ?? 0
    this.live.set(name, others + 1)
    return others === 1
  }

  remove(name: string): void {
    const left = this.live.get(name)! - 1
    if (left > 0) this.live.set(name, left)
    else this.live.delete(name)
  }
}

const registries = new WeakMap<Metric.MetricRegistry, Namesakes>()

const namesakesIn = (context: Context.Context<never>): Namesakes => {
  const registry = Context.get(context, Metric.MetricRegistry)
  let namesakes = registries.get(registry)
  if (namesakes === undefined) registries.set(registry, namesakes = new Namesakes())
  return namesakes
}

/** What the calls of a group share. */
export class GroupState implements Group.Group {
  readonly [GroupTypeId] = GroupTypeId
  readonly name: string
  readonly timers: Timers
  readonly pool: PoolState
  readonly events: Events
  readonly startedAt: number
  private readonly context: Context.Context<never>
  private readonly states = new Map<Policy, unknown>()
  private readonly records = new Map<string, Record>()
  private readonly registrations: Array<Metric.Registration> = []
  private closed = false
  private readonly namesakes: Namesakes
  /** Whether another group of this name lends its metrics to the same registry, and nobody was told yet. */
  readonly hides: boolean

  constructor(name: string, options: Group.Options, timers: Timers, context: Context.Context<never>) {
    this.name = name
    this.timers = timers
    this.context = context
    this.startedAt = timers.now()
    const events = this.events = new Events(name, timers)
    const pool = this.pool = new PoolState(name, options.pool, timers, events)
    this.namesakes = namesakesIn(context)
    this.hides = this.namesakes.add(name)
    // Of one without a limit there is nothing to be told before its first call, and a gateway has one for each of its routes.
    if (pool.maxConcurrent !== Infinity) this.lendPool()
  }

  private lendPool(): void {
    const { pool } = this
    const attributes = { group: this.name }
    this.lend(CommandMetrics.poolActive, attributes, () => ({ value: pool.active }))
    this.lend(CommandMetrics.poolQueued, attributes, () => ({ value: pool.queued }))
    this.lend(CommandMetrics.poolOverdue, attributes, () => ({ value: pool.overdue }))
    this.lend(CommandMetrics.poolMaxConcurrent, attributes, () => ({ value: pool.maxConcurrent }))
    this.lend(CommandMetrics.poolMaxQueued, attributes, () => ({ value: pool.maxQueued }))
  }

  /** What a policy keeps for all calls of the group, if it keeps anything. */
  shared<State>(policy: Policy<State>): State | undefined {
    return this.states.get(policy as Policy) as State | undefined
  }

  share(policy: Policy, state: unknown): void {
    this.states.set(policy, state)
  }

  /** The record of a key: its own, or, where there are too many, the one that the rest share. */
  record(key: string): Record {
    let record = this.records.get(key)
    if (record !== undefined) return record
    if (this.records.size >= maxKeys && key !== others) return this.record(others)
    record = this.open(key)
    this.records.set(key, record)
    return record
  }

  /** Of each key that has been called. */
  get all(): Iterable<Record> {
    return this.records.values()
  }

  /** The registry forgets the group, and whoever reads its events has read the last. */
  close(): void {
    this.closed = true
    this.events.close()
    this.namesakes.remove(this.name)
    for (const registration of this.registrations) registration.remove()
  }

  private open(key: string): Record {
    if (this.registrations.length === 0) this.lendPool()
    const record = new Record(this.events, key, this.timers, CommandMetrics.boundaries)
    const attributes = { group: this.name, key }
    for (const outcome of outcomes) {
      this.lend(CommandMetrics.calls, { ...attributes, outcome }, () => ({
        count: record.total(outcome),
        incremental: true
      }))
    }
    this.lend(CommandMetrics.degraded, attributes, () => ({ count: record.total("degraded"), incremental: true }))
    this.lend(CommandMetrics.attempts, attributes, () => record.attempts.state())
    this.lend(CommandMetrics.hedges, attributes, () => ({ count: record.total("hedges"), incremental: true }))
    this.lend(CommandMetrics.duration, attributes, () => record.duration.state())
    this.lend(CommandMetrics.queueWait, attributes, () => record.queueWait.state())
    return record
  }

  private lend<Input, State>(
    metric: Metric.Metric<Input, State>,
    attributes: { readonly [name: string]: string },
    get: () => State
  ): void {
    if (this.closed) return // a call that came after the end is counted nowhere
    this.registrations.push(
      Metric.registerUnsafe(Metric.withAttributes(metric, attributes), this.context, {
        get,
        update: () => {},
        modify: () => {}
      })
    )
  }
}

/** A group, given as a value, or as a class, whose service is in the context. */
export const groupOf = (ref: Group.Ref<unknown>, context: Context.Context<never>): GroupState => groupIn(ref)(context)

/** The same where the question is put again and again. */
export const groupIn = (ref: Group.Ref<unknown>): (context: Context.Context<never>) => GroupState => {
  // `GroupState` is the one class that implements a group.
  if (Context.isKey(ref)) return (context) => Context.getUnsafe(context, ref) as GroupState
  return () => ref as GroupState
}
