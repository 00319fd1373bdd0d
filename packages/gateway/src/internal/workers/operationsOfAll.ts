import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { NoSuchGroup, Refused } from "../../AdminApi.ts"
import type { Happening, Operations } from "../operations.ts"
import { Counted } from "./mergeMetrics.ts"
import { mergeSnapshots } from "./mergeSnapshots.ts"
import type { Workers } from "./Workers.ts"

/** Of what all workers serve, together. */
export const operationsOfAll = (workers: Workers): Operations => {
  const counted = new Counted()
  const groups: Operations["groups"] = Effect.map(
    workers.askAll("groups", undefined),
    (answers) => mergeSnapshots(answers.map(({ value }) => value))
  )
  return {
    metrics: Effect.map(workers.askAll("metrics", undefined), (answers) => counted.all(answers)),
    groups,
    change: (name, change) =>
      workers.lock(Effect.gen(function*() {
        const [first, ...others] = workers.alive
        if (first === undefined) return yield* new Refused({ message: "there is no worker now" })
        const asked = { group: name, change }
        // What one refuses, all do; what one takes, all do.
        yield* Effect.mapError(first[1].ask("change", asked), (error) =>
          error instanceof NoSuchGroup ? error : new Refused({ message: error.message }))
        yield* Effect.forEach(others, ([, thread]) =>
          Effect.ignore(thread.ask("change", asked)), {
          concurrency: "unbounded",
          discard: true
        })
        workers.changes.add(asked)
        const found = (yield* groups).find(({ group }) => group === name)
        return found ?? (yield* new NoSuchGroup({ group: name }))
      })),
    routes: Effect.map(workers.askAll("routes", undefined), ([first]) => first?.value ?? []),
    happenings: Stream.suspend(() =>
      Stream.merge(
        Stream.fromEffectSchedule(groups, Schedule.fixed("1 second")).pipe(
          Stream.flattenIterable,
          Stream.map((data): Happening => ({ event: "snapshot", data }))
        ),
        Stream.map(workers.readers.stream, (data): Happening => ({ event: "event", data }))
      )
    )
  }
}
