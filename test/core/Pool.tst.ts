import { Command, type CommandError, Group, type InvalidOptions, Pool } from "@blackgate/core"
import { type Cause, Context, Data, Effect, type Layer, type Scope } from "effect"
import { describe, expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}
class HttpClient extends Context.Service<HttpClient, { readonly get: string }>()("HttpClient") {}
class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number }> {}
class Cache extends Context.Service<Cache, { readonly pool: Pool.Pool; readonly size: number }>()("Cache") {}

declare const fetchSession: (cookie: string) => Effect.Effect<string, HttpError, HttpClient>
declare const group: Group.Group
declare const pool: Pool.Pool

describe("Pool.withPermit", () => {
  it("adds what a pool can refuse a call with, no more, and the group's class to the requirements", () => {
    expect(fetchSession("a").pipe(Pool.withPermit(Session))).type.toBe<
      Effect.Effect<string, HttpError | CommandError.PoolError, HttpClient | Session>
    >()
    expect<CommandError.PoolError>().type.toBe<
      CommandError.PoolFull | CommandError.QueueTimeout | CommandError.PoolReentered
    >()
  })

  it("a group or a pool as a value needs nothing", () => {
    expect(Effect.void.pipe(Pool.withPermit(group))).type.toBe<Effect.Effect<void, CommandError.PoolError>>()
    expect(Effect.void.pipe(Pool.withPermit(pool))).type.toBe<Effect.Effect<void, CommandError.PoolError>>()
  })

  it("takes any service that has a pool", () => {
    expect(Effect.void.pipe(Pool.withPermit(Cache))).type.toBe<Effect.Effect<void, CommandError.PoolError, Cache>>()
    expect(Pool.withPermit).type.not.toBeCallableWith(HttpClient)
  })

  it("data first", () => {
    expect(Pool.withPermit(fetchSession("a"), Session)).type.toBe<
      Effect.Effect<string, HttpError | CommandError.PoolError, HttpClient | Session>
    >()
    expect(Pool.withPermit(fetchSession("a"), pool, { key: "k", priority: "high" })).type.toBe<
      Effect.Effect<string, HttpError | CommandError.PoolError, HttpClient>
    >()
  })

  it("knows three priorities", () => {
    expect(Pool.withPermit).type.toBeCallableWith(pool, { priority: "low" })
    expect(Pool.withPermit).type.not.toBeCallableWith(pool, { priority: "urgent" })
  })
})

describe("by hand: a pool, Effect's timeout, a fallback", () => {
  const byHand = fetchSession("a").pipe(Pool.withPermit(Session), Effect.timeout("1 second"))
  const rescued = byHand.pipe(Command.orElse(() => Effect.succeed(null)))

  it("hands the fallback all that can happen", () => {
    const answer = Command.orElse(byHand, (failure) => {
      expect(failure).type.toBe<HttpError | CommandError.PoolError | Cause.TimeoutError>()
      return Effect.fail(failure._tag)
    })
    expect(answer).type.toBe<
      Effect.Effect<
        string,
        "HttpError" | "PoolFull" | "QueueTimeout" | "PoolReentered" | "TimeoutError",
        HttpClient | Session
      >
    >()
  })

  it("can't fail, and needs the group's layer and nothing else of ours", () => {
    expect(rescued).type.toBe<Effect.Effect<string | null, never, HttpClient | Session>>()
    expect(rescued.pipe(Effect.provide(Session.layer({ pool: { maxConcurrent: 10 } })))).type.toBe<
      Effect.Effect<string | null, never, HttpClient>
    >()
  })

  it("a forgotten pool is a compile error", () => {
    const program = Effect.provideService(rescued, HttpClient, { get: "" })
    expect(Effect.runPromise).type.not.toBeCallableWith(program)
    expect(Effect.runPromise).type.toBeCallableWith(
      Effect.provide(program, Session.layer({ pool: { maxConcurrent: 10 } }))
    )
  })
})

describe("Pool.make, resize, statistics", () => {
  it("a pool lives in a scope, and can be refused", () => {
    expect(Pool.make("printer", { maxConcurrent: 1 })).type.toBe<
      Effect.Effect<Pool.Pool, InvalidOptions.InvalidOptions, Scope.Scope>
    >()
    expect(Pool.make).type.not.toBeCallableWith("printer", {})
    expect(Pool.make).type.not.toBeCallableWith("printer", { maxConcurrent: 1, maxQueue: 1 })
  })

  it("resize takes some of the limits, data first or last; whether calls may re-enter is for good", () => {
    expect(Pool.resize(pool, { maxConcurrent: 2 })).type.toBe<Effect.Effect<void, InvalidOptions.InvalidOptions>>()
    expect(Pool.resize({ maxQueued: 2 })(pool)).type.toBe<Effect.Effect<void, InvalidOptions.InvalidOptions>>()
    expect(Pool.resize).type.toBeCallableWith(pool, {})
    expect(Pool.resize).type.not.toBeCallableWith(pool, { reentrant: true })
  })

  it("statistics need nothing and can't fail", () => {
    expect(Pool.statistics(pool)).type.toBe<Effect.Effect<Pool.Statistics>>()
    expect(Pool.statistics(group.pool)).type.toBe<Effect.Effect<Pool.Statistics>>()
  })

  it("nobody else can make one", () => {
    expect<{ name: string }>().type.not.toBeAssignableTo<Pool.Pool>()
  })

  it("isPool narrows", () => {
    const u: unknown = undefined
    if (Pool.isPool(u)) expect(u).type.toBe<Pool.Pool>()
  })

  it("a group's layer is the pool's", () => {
    expect(Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })).type.toBe<Layer.Layer<Session>>()
  })
})
