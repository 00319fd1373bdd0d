import { Command, type CommandError, type Group, TestDependency } from "@blackgate/core"
import { Data, Effect } from "effect"
import { describe, expect, it } from "tstyche"

class NotFound extends Data.TaggedError("NotFound") {}
class Down extends Data.TaggedError("Down") {}

declare const group: Group.Group

const { after, byArgs, byLoad, byNumber, capacity, die, during, effect, fail, forever, hang } = TestDependency
const { lingering, make, sequence, succeed, times, uninterruptible, withProbability } = TestDependency

type Dependency<A, E = never, Args = unknown> = Effect.Effect<TestDependency.TestDependency<A, E, Args>>

describe("a dependency has the types of its script", () => {
  it("of one answer", () => {
    expect(make(succeed("up"))).type.toBe<Dependency<string>>()
    expect(make(succeed())).type.toBe<Dependency<void>>()
    expect(make(fail(new Down()))).type.toBe<Dependency<never, Down>>()
    expect(make(fail("down"))).type.toBe<Dependency<never, "down">>()
    expect(make(die("bug"))).type.toBe<Dependency<never>>()
    expect(make(hang)).type.toBe<Dependency<never>>()
    expect(make(effect(Effect.succeed(1) as Effect.Effect<number, Down>))).type.toBe<Dependency<number, Down>>()
  })

  it("of several", () => {
    const script = sequence(
      times(2, fail(new Down())),
      during("1 second", after(10, succeed("up"))),
      forever(uninterruptible(lingering(10, capacity(2, succeed(1)))))
    )
    expect(make(script)).type.toBe<Dependency<string | number, Down>>()
    expect(make(withProbability(0.1, fail(new Down()), succeed("up")))).type.toBe<Dependency<string, Down>>()
    expect(make(byNumber((n) => n > 1 ? succeed(n) : fail(new Down())))).type.toBe<Dependency<number, Down>>()
    expect(make(byLoad((load) => after(load, succeed(load))))).type.toBe<Dependency<number>>()
  })

  it("with the arguments that it chooses by", () => {
    const find = byArgs((id: string) => id === "1" ? succeed("user 1") : fail(new NotFound()))
    expect(make(find)).type.toBe<Dependency<string, NotFound, [id: string]>>()
    expect(make(sequence(fail(new Down()), find))).type.toBe<Dependency<string, Down | NotFound, [id: string]>>()
    expect(make(after(10, find))).type.toBe<Dependency<string, NotFound, [id: string]>>()
  })

  it("or the ones that it is given", () => {
    expect(make<string, Down, [id: string]>(succeed("up"))).type.toBe<Dependency<string, Down, [id: string]>>()
    expect(make<string, Down, [id: string]>).type.not.toBeCallableWith(succeed(1))
    expect(make<string, Down, [id: string]>).type.not.toBeCallableWith(byArgs((id: number) => succeed(`${id}`)))
  })
})

declare const any: TestDependency.TestDependency<string>
declare const find: TestDependency.TestDependency<string, NotFound, [id: string]>
declare const users: TestDependency.TestDependency<string, Down>
declare const call: TestDependency.Call<string, Down>

describe("a call", () => {
  it("takes what the behaviours take, anything if none says", () => {
    expect(any.call).type.toBe<(...args: ReadonlyArray<unknown>) => Effect.Effect<string>>()
    expect(find.call).type.toBe<(id: string) => Effect.Effect<string, NotFound>>()
    expect(find.calls[0]!.args).type.toBe<[id: string]>()
  })

  it("is what a command runs, with its arguments, its success and its failure", () => {
    expect(Command.make("find", find.call, { group })).type.toBe<
      Command.Command<[id: string], string, NotFound | CommandError.GroupError>
    >()
    Command.make("find", find.call, {
      group,
      coalesce: {
        key: (id) => {
          expect(id).type.toBe<string>()
          return id
        }
      }
    })
  })

  it("is answered with nothing else", () => {
    expect(users.next).type.toBe<Effect.Effect<TestDependency.Call<string, Down>>>()
    expect(call.succeed).type.toBeCallableWith("user 1")
    expect(call.succeed).type.not.toBeCallableWith(1)
    expect(call.fail).type.toBeCallableWith(new Down())
    expect(call.fail).type.not.toBeCallableWith("down")
    expect(users.become).type.toBeCallableWith(fail(new Down()))
    expect(users.become).type.not.toBeCallableWith(fail("down"))
    expect(users.become).type.toBeCallableWith(sequence(times(2, fail(new Down())), succeed("user 1")))
    expect(users.recover).type.not.toBeCallableWith(succeed(1))
  })
})
