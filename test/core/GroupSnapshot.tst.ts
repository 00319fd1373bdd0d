import { type CommandMetrics, type Group, GroupSnapshot } from "@blackgate/core"
import { type Effect, Schema, type Stream } from "effect"
import { expect, test } from "tstyche"

declare const group: Group.Group
declare const snapshot: GroupSnapshot.GroupSnapshot

test("it is taken without needs and failures", () => {
  expect(GroupSnapshot.take(group)).type.toBe<Effect.Effect<GroupSnapshot.GroupSnapshot>>()
  expect(GroupSnapshot.every(group, "1 second")).type.toBe<Stream.Stream<GroupSnapshot.GroupSnapshot>>()
  expect(GroupSnapshot.take).type.toBeCallableWith(group, { maxKeys: 10, maxCircuits: 10 })
  expect(GroupSnapshot.take).type.not.toBeCallableWith(group, { keys: 10 })
  expect(GroupSnapshot.every).type.not.toBeCallableWith(group)
})

test("calls are counted by every outcome, and all that is a limit may be none", () => {
  expect(snapshot.total.outcomes).type.toBe<{ readonly [outcome in CommandMetrics.Outcome]: number }>()
  expect(snapshot.keys[0]!).type.toBeAssignableTo<GroupSnapshot.Calls>()
  expect(snapshot.total.latency).type.toBe<GroupSnapshot.Latency | null>()
  expect(snapshot.pool.maxQueued).type.toBe<number | null>()
})

test("it is its own JSON", () => {
  expect(Schema.encodeSync(GroupSnapshot.GroupSnapshot)(snapshot)).type.toBe<GroupSnapshot.GroupSnapshot>()
})
