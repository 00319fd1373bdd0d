import { Command, type CommandError, Group, Stale } from "@blackgate/core"
import { Effect } from "effect"
import { expect, test } from "tstyche"

class Api extends Group.Service<Api>()("api") {}

const run = (_id: number): Effect.Effect<"user", "no", "needs"> => null!

test("a command with a last good value has the type of one without: it may still fail", () => {
  const get = Command.make("get", run, {
    group: Api,
    timeout: "1 second",
    stale: {
      key: (id) => `${id}`,
      maxAge: "1 minute",
      when: (failure) => {
        expect(failure).type.toBe<"no" | CommandError.CommandError>()
        return failure !== "no"
      }
    }
  })
  expect(get).type.toBe<Command.Command<[_id: number], "user", "no" | CommandError.CommandError, "needs" | Api>>()
})

test("a fallback behind it answers what is left", () => {
  const get = Command.make("get", run, {
    group: Api,
    stale: { key: (id) => `${id}`, maxAge: "1 minute" },
    fallback: (failure, id) => Effect.succeed([failure, id] as const)
  })
  expect(get).type.toBe<
    Command.Command<[_id: number], "user" | ["no" | CommandError.GroupError, number], never, "needs" | Api>
  >()
})

test("an age and a key there have to be", () => {
  expect(Command.make).type.not.toBeCallableWith("get", run, { group: Api, stale: { key: () => "" } })
  expect(Command.make).type.not.toBeCallableWith("get", run, { group: Api, stale: { maxAge: 1 } })
  expect(Command.within).type.not.toBeCallableWith(Effect.void, Api, { key: "k", stale: { key: () => "", maxAge: 1 } })
})

test("alone it keeps the function's type", () => {
  expect(Stale.ifError(run, { key: (id) => `${id}`, maxAge: 1 })).type.toBe<
    (_id: number) => Effect.Effect<"user", "no", "needs">
  >()
  expect(Stale.ifError({ key: (id: number) => `${id}`, maxAge: 1, when: (failure: "no") => failure === "no" })(run))
    .type.toBe<(id: number) => Effect.Effect<"user", "no", "needs">>()
})
