import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Transition } from "../CircuitStore.ts"
import { CircuitOpen, RateLimited } from "../CommandError.ts"
import type { Outcome } from "../CommandMetrics.ts"
import type { Event } from "../GroupEvents.ts"
import type { Call } from "./Call.ts"
import type { Ending } from "./Gate.ts"
import type { Timers } from "./Timers.ts"

/** What happens in a group, for whoever reads it. */
export class Events {
  readonly group: string
  /** All that a call looks at: whoever publishes asks before it makes anything. */
  isRead = false
  closed = false
  private readonly timers: Timers
  private readonly readers = new Set<Reader>()

  constructor(group: string, timers: Timers) {
    this.group = group
    this.timers = timers
  }

  get size(): number {
    return this.readers.size
  }

  /** A reader, for as long as the scope is open. */
  read(capacity: number): Effect.Effect<Reader, never, Scope.Scope> {
    const open = Effect.map(Queue.sliding<Event, Cause.Done>(capacity), (queue) => {
      const reader = new Reader(this.group, queue, capacity)
      if (this.closed) reader.close()
      else this.readers.add(reader)
      this.isRead = this.readers.size > 0
      return reader
    })
    return Effect.acquireRelease(open, (reader) =>
      Effect.sync(() => {
        this.readers.delete(reader)
        this.isRead = this.readers.size > 0
        reader.close()
      }))
  }

  close(): void {
    this.closed = true
    this.isRead = false
    for (const reader of this.readers) reader.close()
    this.readers.clear()
  }

  ended(call: Call, exit: Ending, outcome: Outcome, durationMillis: number): void {
    this.publish({
      _tag: "CallEnded",
      ...this.heading,
      key: call.plan.key,
      outcome,
      durationMillis,
      queuedMillis: call.queuedFor,
      attempts: call.attempts,
      ...this.reasonOf(exit)
    })
  }

  degraded(key: string): void {
    this.publish({ _tag: "CallDegraded", ...this.heading, key })
  }

  hedged(key: string): void {
    this.publish({ _tag: "HedgeStarted", ...this.heading, key })
  }

  retried(call: Call, retry: number, delayMillis: number, exit: Ending): void {
    this.publish({
      _tag: "RetryScheduled",
      ...this.heading,
      key: call.plan.key,
      retry,
      delayMillis,
      ...this.reasonOf(exit)
    })
  }

  resized({ maxConcurrent, maxQueued }: { readonly maxConcurrent: number; readonly maxQueued: number }): void {
    this.publish({
      _tag: "PoolResized",
      ...this.heading,
      maxConcurrent: limitOf(maxConcurrent),
      maxQueued: limitOf(maxQueued)
    })
  }

  moved({ circuit, forced, from, to }: Transition): Event {
    return { _tag: "CircuitMoved", ...this.heading, circuit, from, to, forced }
  }

  publish(event: Event): void {
    for (const reader of this.readers) reader.offer(event)
  }

  private get heading(): { readonly group: string; readonly at: number } {
    return { group: this.group, at: this.timers.wall() }
  }

  private reasonOf(
    exit: Ending
  ): { readonly failure?: string; readonly retryAfterMillis?: number; readonly circuit?: string } {
    if (exit._tag === "Success") return {}
    const reason = exit.cause.reasons.find(Cause.isFailReason) ?? exit.cause.reasons.find(Cause.isDieReason)
    if (reason === undefined) return {}
    const what = Cause.isFailReason(reason) ? reason.error : reason.defect
    const failure = nameOf(what)
    // Another group's says nothing of this one's circuits and limits.
    if (!(what instanceof CircuitOpen || what instanceof RateLimited) || what.group !== this.group) return { failure }
    const retryAfterMillis = Duration.toMillis(what.retryAfter)
    return what instanceof CircuitOpen
      ? { failure, retryAfterMillis, circuit: what.circuit }
      : { failure, retryAfterMillis }
  }
}

/** Has so many events that are still to be read, and forgets the oldest of what comes on top. */
export class Reader {
  private readonly group: string
  private readonly queue: Queue.Queue<Event, Cause.Done>
  private readonly capacity: number
  private lost = 0

  constructor(group: string, queue: Queue.Queue<Event, Cause.Done>, capacity: number) {
    this.group = group
    this.queue = queue
    this.capacity = capacity
  }

  offer(event: Event): void {
    if (Queue.sizeUnsafe(this.queue) >= this.capacity) this.lost++
    Queue.offerUnsafe(this.queue, event)
  }

  /** What is left can still be read. */
  close(): void {
    Queue.endUnsafe(this.queue)
  }

  get pull(): Pull.Pull<readonly [Event, ...Array<Event>]> {
    return Effect.map(Queue.takeAll(this.queue), (events) => {
      if (this.lost === 0) return events
      const count = this.lost
      this.lost = 0
      return [{ _tag: "Lost", group: this.group, count }, ...events]
    })
  }
}

/** JSON knows no Infinity. */
export const limitOf = (limit: number): number | null => limit === Infinity ? null : limit

const nameOf = (failure: unknown): string => {
  if (Predicate.hasProperty(failure, "_tag") && Predicate.isString(failure._tag)) return failure._tag
  return failure instanceof Error ? failure.name : typeof failure
}
