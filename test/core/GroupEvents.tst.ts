import { type CommandMetrics, type Group, GroupEvents } from "@blackgate/core"
import { Schema, type Stream } from "effect"
import { expect, test } from "tstyche"

declare const group: Group.Group
declare const event: GroupEvents.Event

test("the stream needs nothing and can't fail", () => {
  expect(GroupEvents.stream(group)).type.toBe<Stream.Stream<GroupEvents.Event>>()
  expect(GroupEvents.stream).type.toBeCallableWith(group, { buffer: 10 })
  expect(GroupEvents.stream).type.not.toBeCallableWith(group, { size: 10 })
})

test("an event is known by its tag", () => {
  expect(event._tag).type.toBe<
    | "CallEnded"
    | "CallDegraded"
    | "RetryScheduled"
    | "HedgeStarted"
    | "CircuitMoved"
    | "PoolResized"
    | "Lost"
  >()
  if (event._tag === "CallEnded") {
    expect(event.outcome).type.toBe<CommandMetrics.Outcome>()
    expect(event.failure).type.toBe<string | undefined>()
  }
  if (event._tag === "PoolResized") expect(event.maxQueued).type.toBe<number | null>()
  if (event._tag === "Lost") expect(event).type.not.toHaveProperty("at")
})

test("it is its own JSON", () => {
  expect(Schema.encodeSync(GroupEvents.Event)(event)).type.toBe<GroupEvents.Event>()
})
