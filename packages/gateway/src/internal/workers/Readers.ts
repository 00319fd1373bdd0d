import type { GroupEvents } from "@blackgate/core"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Scope } from "effect/Scope"
import * as Stream from "effect/Stream"

type Event = GroupEvents.Event

// Of messages from workers, each with the events of one turn.
const mostWaiting = 256

interface Reader {
  readonly queue: Queue.Queue<ReadonlyArray<Event>>
  readonly lost: Map<string, number>
}

/** Those who read what happens in the workers. Who is slow loses what comes, and finds how much. */
export class Readers {
  private readonly readers = new Set<Reader>()
  private readonly tell: (on: boolean) => Effect.Effect<void>

  /** `tell` is run when there is somebody to tell, and when there is nobody any more. */
  constructor(tell: (on: boolean) => Effect.Effect<void>) {
    this.tell = tell
  }

  get areThere(): boolean {
    return this.readers.size > 0
  }

  readonly happened = (events: ReadonlyArray<Event>): void => {
    for (const { lost, queue } of this.readers) {
      const missing = [...lost].map(([group, count]): Event => ({ _tag: "Lost", group, count }))
      if (Queue.offerUnsafe(queue, [...missing, ...events])) lost.clear()
      else for (const { group } of events) lost.set(group, (lost.get(group) ?? 0) + 1)
    }
  }

  /** What happens from when it is run. */
  readonly stream: Stream.Stream<Event> = Stream.unwrap(
    Effect.suspend(() => Effect.map(this.enter, ({ queue }) => Stream.flattenIterable(Stream.fromQueue(queue))))
  )

  private readonly enter: Effect.Effect<Reader, never, Scope> = Effect.acquireRelease(
    Effect.gen({ self: this }, function*() {
      const reader = { queue: yield* Queue.dropping<ReadonlyArray<Event>>(mostWaiting), lost: new Map() }
      this.readers.add(reader)
      if (this.readers.size === 1) yield* this.tell(true)
      return reader
    }),
    (reader) =>
      Effect.suspend(() => {
        this.readers.delete(reader)
        return this.readers.size === 0 ? this.tell(false) : Effect.void
      })
  )
}
