import { Command, type CommandError, Deadline, Group } from "@blackgate/core"
import { type Duration, Effect } from "effect"
import { expect, test } from "tstyche"

class Api extends Group.Service<Api>()("api") {}

const effect: Effect.Effect<1, "no", "needs"> = null!

test("whoever sets a deadline adds its failure, either way round", () => {
  expect(Deadline.within(effect, "1 second")).type.toBe<Effect.Effect<1, "no" | Deadline.DeadlineExceeded, "needs">>()
  expect(effect.pipe(Deadline.within(10))).type.toBe<Effect.Effect<1, "no" | Deadline.DeadlineExceeded, "needs">>()
  expect(Deadline.within).type.not.toBeCallableWith(effect, "soon")
})

test("with another effect instead it adds what that has", () => {
  const orElse = (): Effect.Effect<2, "neither", "more"> => null!
  expect(effect.pipe(Deadline.withinOrElse({ timeout: 10, orElse }))).type.toBe<
    Effect.Effect<1 | 2, "no" | "neither", "needs" | "more">
  >()
  expect(Deadline.withinOrElse(effect, { timeout: 10, orElse })).type.toBe<
    Effect.Effect<1 | 2, "no" | "neither", "needs" | "more">
  >()
})

test("the calls in it have no failure for it", () => {
  const call = effect.pipe(Command.within(Api, { key: "k" }))
  expect(call).type.toBe<Effect.Effect<1, "no" | CommandError.GroupError, "needs" | Api>>()
  expect(Effect.catchTag(Deadline.within(call, 10), "DeadlineExceeded", ({ timeout }) => Effect.succeed(timeout))).type
    .toBe<Effect.Effect<1 | Duration.Duration, "no" | CommandError.GroupError, "needs" | Api>>()
})

test("what is left is read without a failure; a callback is handed it, and need not take it", () => {
  expect(Deadline.remaining).type.toBe<Effect.Effect<Duration.Duration>>()
  const running = Command.callback("k", (call: Command.Running<string, "no">) => {
    expect(call.remaining()).type.toBe<Duration.Duration>()
  }, { group: Api })
  const completion = Command.callback("k", (call: Command.Completion<string, "no">) => call.answer("a"), { group: Api })
  expect(running).type.toBe<Command.Command<[], string, "no" | CommandError.GroupError, Api>>()
  expect(completion).type.toBe<Command.Command<[], string, "no" | CommandError.GroupError, Api>>()
})
