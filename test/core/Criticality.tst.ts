import { Criticality } from "@blackgate/core"
import { type Context, Effect, type Option, type Order } from "effect"
import { expect, test } from "tstyche"

type Level = Criticality.Criticality

test("a level changes no type of an effect, either way round", () => {
  const effect: Effect.Effect<1, "no", "needs"> = null!
  expect(Criticality.provide(effect, "sheddable")).type.toBe<Effect.Effect<1, "no", "needs">>()
  expect(effect.pipe(Criticality.provide("critical-plus"))).type.toBe<Effect.Effect<1, "no", "needs">>()
  expect(Criticality.provide).type.not.toBeCallableWith(effect, "urgent")
})

test("what is a level, and what is read of it", () => {
  expect<Level>().type.toBe<"critical-plus" | "critical" | "sheddable-plus" | "sheddable">()
  expect(Criticality.current).type.toBe<Effect.Effect<Level>>()
  expect(Criticality.Criticality).type.toBe<Context.Reference<Level>>()
  expect(Criticality.fromString("x")).type.toBe<Option.Option<Level>>()
  expect(Criticality.Order).type.toBe<Order.Order<Level>>()
  expect(Effect.provideService(Effect.void, Criticality.Criticality, "sheddable")).type.toBe<Effect.Effect<void>>()
})
