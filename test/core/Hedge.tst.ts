import { Command, type CommandError, Group, Hedge } from "@blackgate/core"
import { Context, Data, Duration, type Effect } from "effect"
import { describe, expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}
class HttpClient extends Context.Service<HttpClient, { readonly get: string }>()("HttpClient") {}
class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number }> {}

declare const fetchSession: (cookie: string) => Effect.Effect<string, HttpError, HttpClient>
declare const group: Group.Group

describe("a command's hedge", () => {
  it("adds no failure and no requirement", () => {
    expect(Command.make("k", fetchSession, { group: Session, hedge: { after: "50 millis" } })).type.toBe<
      Command.Command<[cookie: string], string, HttpError | CommandError.GroupError, HttpClient | Session>
    >()
    expect(fetchSession("a").pipe(Command.within(Session, { key: "k", hedge: { after: "p95", max: 2 } }))).type.toBe<
      Effect.Effect<string, HttpError | CommandError.GroupError, HttpClient | Session>
    >()
  })

  it("is a duration or a quantile", () => {
    const hedge = (after: Hedge.Options["after"]) => Command.make("k", fetchSession, { group, hedge: { after } })
    expect(hedge).type.toBeCallableWith(50)
    expect(hedge).type.toBeCallableWith("50 millis")
    expect(hedge).type.toBeCallableWith(Duration.millis(50))
    expect(hedge).type.toBeCallableWith("p90")
    expect(hedge).type.toBeCallableWith("p99")
    expect(hedge).type.not.toBeCallableWith("p42")
    expect(hedge).type.not.toBeCallableWith(undefined)
  })

  it("is not for callbacks", () => {
    expect(Command.callback).type.not.toBeCallableWith("k", () => {}, { group, hedge: { after: 50 } })
  })
})

describe("Hedge.withBudget", () => {
  it("adds nothing but the group's class to the requirements", () => {
    expect(fetchSession("a").pipe(Hedge.withBudget(Session, { after: 50 }))).type.toBe<
      Effect.Effect<string, HttpError, HttpClient | Session>
    >()
    expect(Hedge.withBudget(fetchSession("a"), group, { after: "p95", key: "k" })).type.toBe<
      Effect.Effect<string, HttpError, HttpClient>
    >()
  })

  it("remaining needs the group's class, or nothing", () => {
    expect(Hedge.remaining(Session)).type.toBe<Effect.Effect<number, never, Session>>()
    expect(Hedge.remaining(group)).type.toBe<Effect.Effect<number>>()
  })
})
