import { Group, TestOutcomes } from "@blackgate/core"
import { Data, Effect } from "effect"
import { expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}
class Down extends Data.TaggedError("Down") {}

declare const group: Group.Group

it("need the group, if it is a class", () => {
  expect(TestOutcomes.of(Session)).type.toBe<Effect.Effect<TestOutcomes.Counts, never, Session>>()
  expect(TestOutcomes.of(group, "k")).type.toBe<Effect.Effect<TestOutcomes.Counts>>()
  expect(TestOutcomes.expectIdle(Session)).type.toBe<Effect.Effect<void, TestOutcomes.NotIdle, Session>>()
  expect(TestOutcomes.expect(Session, { success: 1 })).type.toBe<
    Effect.Effect<void, TestOutcomes.UnexpectedOutcomes, Session>
  >()
  expect(Effect.fail(new Down()).pipe(TestOutcomes.since(Session, "k"))).type.toBe<
    Effect.Effect<readonly [never, TestOutcomes.Counts], Down, Session>
  >()
})

it("are the ones that there are", () => {
  expect(TestOutcomes.expect).type.toBeCallableWith(group, "k", { "short-circuited": 1, degraded: 2 })
  expect(TestOutcomes.expect).type.not.toBeCallableWith(group, "k", { shortCircuited: 1 })
})
