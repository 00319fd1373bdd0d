import { Coalesce, Command, type CommandError, Group } from "@blackgate/core"
import { Effect } from "effect"
import { expect, test } from "tstyche"

class Api extends Group.Service<Api>()("api") {}

const run = (_id: number, _full?: boolean): Effect.Effect<"user", "no", "needs"> => null!

test("a command that coalesces has the type of one that does not", () => {
  const get = Command.make("get", run, {
    group: Api,
    coalesce: {
      key: (id, full) => {
        expect(id).type.toBe<number>()
        expect(full).type.toBe<boolean | undefined>()
        return `${id} ${full}`
      }
    }
  })
  expect(get).type.toBe<
    Command.Command<[_id: number, _full?: boolean], "user", "no" | CommandError.GroupError, "needs" | Api>
  >()
})

test("a key is a string, and there has to be one", () => {
  expect(Command.make).type.not.toBeCallableWith("get", run, { group: Api, coalesce: { key: (id: number) => id } })
  expect(Command.make).type.not.toBeCallableWith("get", run, { group: Api, coalesce: {} })
})

test("only commands that are made of a function have it: an effect and a callback have nothing to share", () => {
  expect(Command.within).type.not.toBeCallableWith(Effect.void, Api, { key: "k", coalesce: { key: () => "" } })
  expect(Command.callback).type.not.toBeCallableWith("k", () => {}, { group: Api, coalesce: { key: () => "" } })
})

test("alone it keeps the function's type", () => {
  type Run = (_id: number, _full?: boolean) => Effect.Effect<"user", "no", "needs">
  expect(Coalesce.by(run, { key: (id) => `${id}` })).type.toBe<Run>()
  expect(Coalesce.by({ key: (id: number) => `${id}` })((_id: number) => Effect.succeed("user"))).type.toBe<
    (id: number) => Effect.Effect<string>
  >()
})
