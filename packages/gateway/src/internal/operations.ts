import { Circuit, type Group, GroupEvents, GroupSnapshot, Pool } from "@blackgate/core"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { type GroupChange, NoSuchGroup, Refused, type Route } from "../AdminApi.ts"
import { formatPath } from "../ConfigError.ts"
import { groupOf, policies } from "./explain.ts"
import type { Serving } from "./Serving.ts"
import { inSnakeCase } from "./snakeCase.ts"

/** What happens in the groups, and how they stand every second. */
export type Happening =
  | { readonly event: "snapshot"; readonly data: GroupSnapshot.GroupSnapshot }
  | { readonly event: "event"; readonly data: GroupEvents.Event }

/** What operators ask about the groups of a gateway, and do to them; wherever these are. */
export interface Operations {
  readonly metrics: Effect.Effect<ReadonlyArray<Metric.Metric.Snapshot>>
  readonly groups: Effect.Effect<ReadonlyArray<GroupSnapshot.GroupSnapshot>>
  readonly change: (
    name: string,
    change: typeof GroupChange.Type
  ) => Effect.Effect<GroupSnapshot.GroupSnapshot, NoSuchGroup | Refused>
  readonly routes: Effect.Effect<ReadonlyArray<typeof Route.Type>>
  readonly happenings: Stream.Stream<Happening>
}

/** Changes one of the groups. */
export const changeGroup = (
  groups: ReadonlyArray<Group.Group>,
  name: string,
  { circuit, pool }: typeof GroupChange.Type
): Effect.Effect<Group.Group, NoSuchGroup | Refused> =>
  Effect.gen(function*() {
    const group = groups.find((group) => group.name === name)
    if (group === undefined) return yield* new NoSuchGroup({ group: name })
    if (circuit !== undefined && (yield* GroupSnapshot.take(group)).circuits === null) {
      return yield* new Refused({ message: `the group ${group.name} has no circuits` })
    }
    if (pool !== undefined) {
      const { max_concurrent: maxConcurrent, max_queued: maxQueued } = pool
      yield* Effect.mapError(
        Pool.resize(group.pool, {
          ...(maxConcurrent === undefined ? {} : { maxConcurrent }),
          ...(maxQueued === undefined ? {} : { maxQueued })
        }),
        ({ problem }) => new Refused({ message: inSnakeCase(problem) })
      )
    }
    if (circuit !== undefined) {
      yield* Effect.mapError(
        Circuit.force(group, circuit.key, circuit.to),
        () => new Refused({ message: "the store of the circuits does not answer" })
      )
    }
    return group
  })

/** What happens in these groups. */
export const eventsOf = (groups: ReadonlyArray<Group.Group>): Stream.Stream<GroupEvents.Event> =>
  Stream.flatMap(Stream.fromIterable(groups), (group) => GroupEvents.stream(group), { concurrency: "unbounded" })

/** Of what this thread serves. */
export const operationsOf = (serving: () => Serving): Operations => {
  const groups = () => serving().groups()
  return {
    metrics: Metric.snapshot,
    groups: Effect.suspend(() => Effect.forEach(groups(), (group) => GroupSnapshot.take(group))),
    change: (name, change) =>
      Effect.flatMap(
        Effect.suspend(() => changeGroup(groups(), name, change)),
        (group) => GroupSnapshot.take(group)
      ),
    routes: Effect.sync(() => {
      const { code, plan } = serving()
      const { proxies, routes } = plan()
      return [...code()?.all ?? [], ...routes, ...proxies].map((route) => ({
        at: formatPath(route.path),
        name: route.name,
        matches: route.matches,
        goes: route.goes,
        group: groupOf(route) ?? null,
        policies: route.target._tag === "proxy" ? policies(route.target) : []
      }))
    }),
    happenings: Stream.suspend(() => {
      const snapshots = Stream.flatMap(
        Stream.fromIterable(groups()),
        (group) => GroupSnapshot.every(group, "1 second"),
        { concurrency: "unbounded" }
      )
      return Stream.merge(
        Stream.map(snapshots, (data): Happening => ({ event: "snapshot", data })),
        Stream.map(eventsOf(groups()), (data): Happening => ({ event: "event", data }))
      )
    })
  }
}
