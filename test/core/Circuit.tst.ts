import { Circuit, CircuitStore, Command, type CommandError, Group } from "@blackgate/core"
import { Effect, type Layer, type Stream } from "effect"
import type { Redis } from "effect/persistence"
import { describe, expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}

class NotFound {
  readonly _tag = "NotFound"
}
class Status {
  readonly _tag = "Status"
  readonly status = 500
}
declare const get: (host: string, path: string) => Effect.Effect<string, NotFound | Status>

describe("a command's circuit", () => {
  it("knows its arguments and its failures without an annotation, and changes neither", () => {
    const command = Command.make("get", get, {
      group: Session,
      circuit: {
        key: (host, path) => {
          expect(host).type.toBe<string>()
          expect(path).type.toBe<string>()
          return host
        },
        isFailure: (failure) => {
          expect(failure).type.toBe<NotFound | Status>()
          return failure._tag === "Status" && failure.status >= 500
        }
      }
    })
    expect(command).type.toBe<
      Command.Command<[host: string, path: string], string, NotFound | Status | CommandError.GroupError, Session>
    >()
  })

  it("beside a fallback, a deadline and an inline function too", () => {
    const command = Command.make(
      "get",
      (id: number, verbose?: boolean) => id > 0 ? Effect.succeed(verbose) : Effect.fail(new NotFound()),
      {
        group: Session,
        timeout: "1 second",
        circuit: { key: (id) => String(id), isFailure: (failure) => failure._tag !== "NotFound" },
        fallback: (failure) => Effect.succeed(failure._tag)
      }
    )
    expect(command).type.toBeCallableWith(1)
    expect(command).type.toBeCallableWith(1, true)
    expect(command(1)).type.toBeAssignableTo<Effect.Effect<unknown, never, Session>>()
  })

  it("of a callback too", () => {
    Command.callback("get", (_call: Command.Completion<string, Status>, host: string) => void host, {
      group: Session,
      circuit: {
        key: (host) => host,
        isFailure: (failure) => {
          expect(failure).type.toBe<Status>()
          return true
        }
      }
    })
  })

  it("of one effect has no arguments, and its failures", () => {
    const effect = Command.within(get("a", "/"), Session, {
      key: "get",
      circuit: {
        key: (...args) => {
          expect(args).type.toBe<[]>()
          return "a"
        },
        isFailure: (failure) => {
          expect(failure).type.toBe<NotFound | Status>()
          return true
        }
      }
    })
    expect(effect).type.toBe<Effect.Effect<string, NotFound | Status | CommandError.GroupError, Session>>()
  })

  it("can fail with CircuitOpen, which a fallback sees", () => {
    Command.make("get", get, {
      group: Session,
      fallback: (failure) => {
        expect<CommandError.CircuitOpen>().type.toBeAssignableTo<typeof failure>()
        return Effect.succeed("")
      }
    })
  })

  it("has a key that is a string, and no other options", () => {
    expect(Command.make).type.not.toBeCallableWith("get", get, { group: Session, circuit: { key: () => 1 } })
    expect(Command.make).type.not.toBeCallableWith("get", get, { group: Session, circuit: { openFor: 1 } })
  })
})

describe("a group's circuits", () => {
  it("have a window of calls or of time", () => {
    expect(Session.layer).type.toBeCallableWith({ pool: { maxConcurrent: 1 }, circuit: { window: { calls: 1 } } })
    expect(Session.layer).type.toBeCallableWith({
      pool: { maxConcurrent: 1 },
      circuit: { window: { time: "1 second" } }
    })
    expect(Session.layer).type.not.toBeCallableWith({ pool: { maxConcurrent: 1 }, circuit: { window: { size: 1 } } })
  })

  it("are seen, and held by an operator, through the group", () => {
    const group = null! as Group.Group
    expect(Circuit.state(group, "k")).type.toBe<Effect.Effect<"closed" | "open" | "half-open">>()
    expect(Circuit.open(group)).type.toBe<Effect.Effect<ReadonlyArray<CircuitStore.Standing>>>()
    expect(Circuit.force(group, "k", "auto")).type.toBe<Effect.Effect<void, CircuitStore.StoreUnavailable>>()
    expect(Circuit.transitions(group)).type.toBe<Stream.Stream<CircuitStore.Transition>>()
    expect(Circuit.force).type.not.toBeCallableWith(group, "k", "half-open")
  })

  it("are in memory, unless a layer is provided that needs Redis, and provides nothing that has to be", () => {
    expect(CircuitStore.layerRedis()).type.toBe<Layer.Layer<never, never, Redis.Redis>>()
    expect(CircuitStore.layerRedis).type.toBeCallableWith({
      onStoreError: "refuse",
      timeout: "50 millis",
      prefix: "a:"
    })
    expect(CircuitStore.layerRedis).type.not.toBeCallableWith({ onStoreError: "fail" })
  })
})

describe("withCircuit", () => {
  it("adds CircuitOpen, and the group if that is a class; data first it knows the failures", () => {
    class G extends Group.Service<G>()("g") {}
    const fails = Effect.fail("no" as const)
    expect(fails.pipe(Circuit.withCircuit(G))).type.toBe<
      Effect.Effect<never, "no" | CommandError.CircuitOpen, G>
    >()
    expect(Circuit.withCircuit(fails, G, {
      isFailure: (failure) => {
        expect(failure).type.toBe<"no">()
        return true
      }
    })).type.toBe<Effect.Effect<never, "no" | CommandError.CircuitOpen, G>>()
    expect(fails.pipe(Circuit.withCircuit({} as Group.Group))).type.toBe<
      Effect.Effect<never, "no" | CommandError.CircuitOpen>
    >()
  })
})
