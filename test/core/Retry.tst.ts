import { Command, type CommandError, Group, type InvalidOptions, Retry, RetryBudget } from "@blackgate/core"
import { Context, Data, type Duration, Effect, Schedule, type Scope } from "effect"
import { describe, expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}
class HttpClient extends Context.Service<HttpClient, { readonly get: string }>()("HttpClient") {}
class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number; readonly after: Duration.Duration }> {}

declare const fetchSession: (cookie: string) => Effect.Effect<string, HttpError, HttpClient>
declare const group: Group.Group
declare const budget: RetryBudget.RetryBudget

describe("a command's retry", () => {
  it("adds no failure and no requirement", () => {
    expect(Command.make("k", fetchSession, { group: Session, retry: { times: 3 } })).type.toBe<
      Command.Command<[cookie: string], string, HttpError | CommandError.GroupError, HttpClient | Session>
    >()
  })

  it("asks about what the effect can fail with, and about timeouts, without annotations", () => {
    Command.make("k", fetchSession, {
      group: Session,
      retry: {
        while: (failure) => {
          expect(failure).type.toBe<HttpError | CommandError.CommandTimeout>()
          return failure._tag === "CommandTimeout" || failure.status === 503
        },
        retryAfter: (failure) => {
          expect(failure).type.toBe<HttpError | CommandError.CommandError>()
          return failure._tag === "HttpError" ? failure.after : undefined
        }
      }
    })
  })

  it("takes a schedule of those, or of anything, that needs nothing and can't fail", () => {
    const retry = (schedule: Retry.Options<HttpError>["schedule"]) =>
      Command.make("k", fetchSession, { group: Session, retry: { schedule } })
    expect(retry).type.toBeCallableWith(Schedule.exponential("10 millis"))
    expect(retry).type.toBeCallableWith(
      Schedule.recurs(3).pipe(Schedule.setInputType<HttpError | CommandError.CommandError>())
    )
    expect(retry).type.not.toBeCallableWith(Schedule.recurs(3).pipe(Schedule.setInputType<"other">()))
    expect(retry).type.not.toBeCallableWith(
      Schedule.spaced(1).pipe(Schedule.addDelay(() => Effect.map(HttpClient, () => 1)))
    )
    expect(retry).type.not.toBeCallableWith(Schedule.spaced(1).pipe(Schedule.addDelay(() => Effect.fail("bad"))))
  })

  it("waits for some refusals, not for those that no waiting helps", () => {
    expect<NonNullable<Retry.Options["waitFor"]>[number]>().type.toBe<
      "CircuitOpen" | "RateLimited" | "PoolFull" | "QueueTimeout"
    >()
  })

  it("knows no option that it hasn't got", () => {
    expect(Command.make).type.not.toBeCallableWith("k", fetchSession, { group: Session, retry: { attempts: 3 } })
  })

  it("in a pipe, and for a callback", () => {
    expect(fetchSession("a").pipe(Command.within(Session, { key: "k", retry: { times: 3 } }))).type.toBe<
      Effect.Effect<string, HttpError | CommandError.GroupError, HttpClient | Session>
    >()
    Command.callback("k", (call: Command.Completion<string, HttpError>) => call.answer("session"), {
      group,
      retry: { while: (failure) => expect(failure).type.toBe<HttpError | CommandError.CommandTimeout>() !== undefined }
    })
  })
})

describe("Retry.withBudget", () => {
  it("adds nothing but the group's class to the requirements", () => {
    expect(fetchSession("a").pipe(Retry.withBudget(Session, { times: 3 }))).type.toBe<
      Effect.Effect<string, HttpError, HttpClient | Session>
    >()
    expect(fetchSession("a").pipe(Retry.withBudget(group))).type.toBe<Effect.Effect<string, HttpError, HttpClient>>()
    expect(fetchSession("a").pipe(Retry.withBudget(budget))).type.toBe<Effect.Effect<string, HttpError, HttpClient>>()
    expect(Retry.withBudget(fetchSession("a"), Session)).type.toBe<
      Effect.Effect<string, HttpError, HttpClient | Session>
    >()
  })

  it("data first or last, it knows the failures without annotations", () => {
    const first = Retry.withBudget(fetchSession("a"), budget, {
      while: (failure) => {
        expect(failure).type.toBe<HttpError | CommandError.CommandTimeout>()
        return true
      }
    })
    const last = fetchSession("a").pipe(Retry.withBudget(budget, {
      while: (failure) => {
        expect(failure).type.toBe<HttpError | CommandError.CommandTimeout>()
        return true
      }
    }))
    expect(first).type.toBe<Effect.Effect<string, HttpError, HttpClient>>()
    expect(last).type.toBe<typeof first>()
  })

  it("takes nothing else for a budget", () => {
    expect(Retry.withBudget<HttpError>).type.not.toBeCallableWith("Session")
  })
})

describe("RetryBudget", () => {
  it("make needs a scope, and says what is wrong", () => {
    expect(RetryBudget.make("mail", { ratio: 0.1 })).type.toBe<
      Effect.Effect<RetryBudget.RetryBudget, InvalidOptions.InvalidOptions, Scope.Scope>
    >()
  })

  it("remaining needs the group's class, or nothing", () => {
    expect(RetryBudget.remaining(Session)).type.toBe<Effect.Effect<number, never, Session>>()
    expect(RetryBudget.remaining(group)).type.toBe<Effect.Effect<number>>()
    expect(RetryBudget.remaining(budget)).type.toBe<Effect.Effect<number>>()
  })
})
