import { Group, type InvalidOptions, type Pool } from "@blackgate/core"
import { Config, type Context, Effect, type Layer, type Scope } from "effect"
import { describe, expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}
class Other extends Group.Service<Other>()("service.other") {}

describe("Group.Service", () => {
  it("is a service, known by its name", () => {
    expect(Effect.gen(function*() {
      return yield* Session
    })).type.toBe<Effect.Effect<Group.Group, never, Session>>()
    expect(Session.key).type.toBe<"service.session">()
    expect(Session).type.toBeAssignableTo<Context.Key<Session, Group.Group>>()
    expect(Session).type.toBeAssignableTo<Group.Ref<Session>>()
    expect(Session).type.not.toBeAssignableTo<Group.Ref<Other>>()
  })

  it("its layer provides it, needs nothing and can't fail", () => {
    expect(Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })).type.toBe<Layer.Layer<Session>>()
  })

  it("its layer can be a static, without an annotation", () => {
    class WithLive extends Group.Service<WithLive>()("with.live") {
      static readonly Live = this.layer({ pool: { maxConcurrent: 1 } })
    }
    expect(WithLive.Live).type.toBe<Layer.Layer<WithLive>>()
  })

  it("two groups of one shape are two: one's layer is no layer of the other", () => {
    expect(Other.layer({ pool: { maxConcurrent: 1 } })).type.not.toBeAssignableTo<Layer.Layer<Session>>()
    expect(Effect.provide(Session, Other.layer({ pool: { maxConcurrent: 1 } }))).type.toBe<
      Effect.Effect<Group.Group, never, Session>
    >()
  })

  it("options that it doesn't know, or lacks, are compile errors", () => {
    expect(Session.layer).type.toBeCallableWith({
      pool: { maxConcurrent: 1, queueTimeout: "1 second", reentrant: true }
    })
    expect(Session.layer).type.not.toBeCallableWith({ pool: { maxConcurrent: 1, maxQueue: 2 } })
    expect(Session.layer).type.not.toBeCallableWith({ pool: { maxQueued: 2 } })
    expect(Session.layer).type.not.toBeCallableWith({})
    expect(Session.layer).type.not.toBeCallableWith({ pool: { maxConcurrent: "10" } })
  })

  it("layerConfig can fail, and says with what", () => {
    expect(Session.layerConfig({ pool: { maxConcurrent: Config.Int("SESSION_POOL") } })).type.toBe<
      Layer.Layer<Session, Config.ConfigError | InvalidOptions.InvalidOptions>
    >()
    expect(Session.layerConfig(Config.succeed({ pool: { maxConcurrent: 1 } }))).type.toBe<
      Layer.Layer<Session, Config.ConfigError | InvalidOptions.InvalidOptions>
    >()
    expect(Session.layerConfig).type.not.toBeCallableWith({ pool: { maxConcurrent: 10 } })
    expect(Session.layerConfig).type.not.toBeCallableWith({ pool: { maxConcurrent: Config.String("SESSION_POOL") } })
  })
})

describe("Group.make", () => {
  it("makes a value, for as long as a scope is open, and can be refused", () => {
    expect(Group.make("service.session", { pool: { maxConcurrent: 10 } })).type.toBe<
      Effect.Effect<Group.Group, InvalidOptions.InvalidOptions, Scope.Scope>
    >()
  })

  it("a group has a name and a pool, and nobody else can make one", () => {
    expect<Group.Group["name"]>().type.toBe<string>()
    expect<Group.Group["pool"]>().type.toBe<Pool.Pool>()
    expect<{ name: string; pool: Pool.Pool }>().type.not.toBeAssignableTo<Group.Group>()
  })

  it("isGroup narrows", () => {
    const u: unknown = undefined
    if (Group.isGroup(u)) expect(u).type.toBe<Group.Group>()
  })
})
