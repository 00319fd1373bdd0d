import { Command, CommandError, Group, Pool } from "@blackgate/core"
import {
  type Cause,
  Context,
  Data,
  type Duration,
  Effect,
  type Fiber,
  ManagedRuntime,
  type Option,
  Schema,
  type Scope
} from "effect"
import { describe, expect, it } from "tstyche"

class Session extends Group.Service<Session>()("service.session") {}
class HttpClient extends Context.Service<HttpClient, { readonly get: string }>()("HttpClient") {}
class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number }> {}
class CacheError extends Schema.TaggedError<CacheError>()("CacheError", {}) {}

declare const fetchSession: (cookie: string) => Effect.Effect<string, HttpError, HttpClient>
declare const cache: Effect.Effect<number, CacheError, Scope.Scope>
declare const value: Group.Group

type GroupError = CommandError.GroupError
type CommandTimeout = CommandError.CommandTimeout

describe("the examples need no annotations", () => {
  const getCurrentUser = Command.make(
    "get_current_user",
    (cookie: string) => fetchSession(cookie),
    { group: Session, timeout: "1 second", fallback: () => Effect.succeed(null) }
  )

  it("a command is (cookie) => Effect<string | null, never, Session | HttpClient>", () => {
    expect(getCurrentUser).type.toBe<Command.Command<[cookie: string], string | null, never, HttpClient | Session>>()
    expect(getCurrentUser("session=1")).type.toBe<Effect.Effect<string | null, never, HttpClient | Session>>()
    expect(getCurrentUser).type.not.toBeCallableWith(1)
    expect(getCurrentUser).type.not.toBeCallableWith()
  })

  it("run here, in the background, composed by hand", () => {
    expect(Effect.gen(function*() {
      const userId = yield* getCurrentUser("session=1")
      const fiber = yield* Command.queue(getCurrentUser("session=1"))
      const same = yield* fetchSession("session=1").pipe(
        Command.within(Session, { key: "get_current_user", timeout: "1 second" }),
        Command.orElse(() => Effect.succeed(null))
      )
      return [userId, fiber, same] as const
    })).type.toBe<
      Effect.Effect<readonly [string | null, Fiber.Fiber<string | null>, string | null], never, HttpClient | Session>
    >()
  })

  it("from a promise world", () => {
    const runtime = ManagedRuntime.make(Session.layer({ pool: { maxConcurrent: 10 } }))
    const command = Command.make("k", () => Effect.succeed(1), { group: Session })
    expect(runtime.runPromise(command())).type.toBe<Promise<number>>()
    expect(runtime.runPromise).type.not.toBeCallableWith(getCurrentUser("session=1"))
  })
})

describe("without a fallback the error channel is exactly what can happen", () => {
  it("without a timeout: the effect's failures and the pool's", () => {
    const command = Command.make("k", (cookie: string) => fetchSession(cookie), { group: Session })
    expect(command).type.toBe<Command.Command<[cookie: string], string, HttpError | GroupError, HttpClient | Session>>()
  })

  it("with a timeout, or an attempt's: CommandTimeout, too", () => {
    const timeout = Command.make("k", (cookie: string) => fetchSession(cookie), { group: Session, timeout: "1 second" })
    expect(timeout("a")).type.toBe<
      Effect.Effect<string, HttpError | GroupError | CommandTimeout, HttpClient | Session>
    >()
    const attempt = Command.make("k", (cookie: string) => fetchSession(cookie), { group: Session, attemptTimeout: 10 })
    expect(attempt("a")).type.toBe<
      Effect.Effect<string, HttpError | GroupError | CommandTimeout, HttpClient | Session>
    >()
  })

  it("an undefined timeout is none; one that may be undefined is one", () => {
    const none = Command.make("k", () => Effect.void, { group: value, timeout: undefined })
    expect(none()).type.toBe<Effect.Effect<void, GroupError>>()
    const options: { readonly timeout: Duration.Input | undefined } = { timeout: 10 }
    const some = Command.make("k", () => Effect.void, { group: value, ...options })
    expect(some()).type.toBe<Effect.Effect<void, GroupError | CommandTimeout>>()
  })

  it("the other policies add nothing", () => {
    const command = Command.make("k", () => Effect.void, { group: value, priority: "high", detach: true })
    expect(command()).type.toBe<Effect.Effect<void, GroupError>>()
  })

  it("the union is closed: every tag can be caught, and then nothing is left", () => {
    const command = Command.make("k", () => Effect.void, { group: value, timeout: 10 })
    expect(
      command().pipe(Effect.catchTags({
        PoolFull: (full) => Effect.succeed(full.maxConcurrent),
        QueueTimeout: (late) => Effect.succeed(late.queueTimeout),
        PoolReentered: (nested) => Effect.succeed(nested.heldBy),
        CircuitOpen: (open) => Effect.succeed(open.circuit),
        RateLimited: (limited) => Effect.succeed(limited.retryAfter),
        CommandTimeout: (slow) => Effect.succeed(slow.option)
      }))
    ).type.toBe<
      Effect.Effect<void | number | Duration.Duration | string | "timeout" | "attemptTimeout" | "total">
    >()
    expect<CommandError.CommandError>().type.toBe<GroupError | CommandTimeout>()
  })

  it("any and unknown failures stay", () => {
    const command = Command.make("k", () => Effect.fail<unknown>(1), { group: Session })
    expect(command()).type.toBe<Effect.Effect<never, unknown, Session>>()
  })
})

describe("with a fallback it is the fallback's", () => {
  it("which is handed the typed failure and the arguments", () => {
    const command = Command.make("k", (cookie: string, n: number) => fetchSession(cookie + n), {
      group: Session,
      timeout: "1 second",
      fallback: (failure, cookie, n) => {
        expect(failure).type.toBe<HttpError | GroupError | CommandTimeout>()
        expect(cookie).type.toBe<string>()
        expect(n).type.toBe<number>()
        return failure._tag === "HttpError" ? cache : Effect.fail(failure)
      }
    })
    expect(command("a", 1)).type.toBe<
      Effect.Effect<string | number, CacheError | GroupError | CommandTimeout, HttpClient | Session | Scope.Scope>
    >()
  })

  it("whose failure has no CommandTimeout where there is no timeout", () => {
    Command.make("k", (cookie: string) => fetchSession(cookie), {
      group: Session,
      fallback: (failure) => {
        expect(failure).type.toBe<HttpError | GroupError>()
        return Effect.void
      }
    })
  })

  it("whatever the order of the properties", () => {
    const command = Command.make("k", (cookie: string) => fetchSession(cookie), {
      fallback: (failure, cookie) => {
        expect(failure).type.toBe<HttpError | GroupError | CommandTimeout>()
        expect(cookie).type.toBe<string>()
        return cache
      },
      timeout: 10,
      group: Session
    })
    expect(command("a")).type.toBe<Effect.Effect<string | number, CacheError, HttpClient | Session | Scope.Scope>>()
  })
})

describe("the run", () => {
  it("may be an Effect.fn, named or inline", () => {
    const run = Effect.fnUntraced(function*(cookie: string) {
      const body = yield* fetchSession(cookie)
      if (body === "") return yield* new CacheError()
      return body.length
    })
    const named = Command.make("k", run, {
      group: Session,
      fallback: (failure) => {
        expect(failure).type.toBe<HttpError | CacheError | GroupError>()
        return Effect.fail("no" as const)
      }
    })
    expect(named("a")).type.toBe<Effect.Effect<number, "no", HttpClient | Session>>()
    const inline = Command.make(
      "k",
      Effect.fn("k")(function*(cookie: string) {
        return yield* fetchSession(cookie)
      }),
      {
        group: Session,
        timeout: 10,
        fallback: (failure, cookie) => {
          expect(failure).type.toBe<HttpError | GroupError | CommandTimeout>()
          expect(cookie).type.toBe<string>()
          return Effect.succeed(null)
        }
      }
    )
    expect(inline("a")).type.toBe<Effect.Effect<string | null, never, HttpClient | Session>>()
  })

  it("without arguments, without failures", () => {
    const command = Command.make("k", () => Effect.succeed(1), { group: Session })
    expect(command()).type.toBe<Effect.Effect<number, GroupError, Session>>()
    expect(command).type.not.toBeCallableWith(1)
  })

  it("with optional and rest arguments", () => {
    const command = Command.make(
      "k",
      (a: string, b?: number, ...rest: Array<boolean>) => Effect.succeed(`${a}${b}${rest.join()}`),
      {
        group: Session,
        fallback: (_, a, b, ...rest) => Effect.succeed([a, b, rest] as [string, number | undefined, Array<boolean>])
      }
    )
    expect(command).type.toBeCallableWith("a")
    expect(command("a", 1, true)).type.toBe<
      Effect.Effect<string | [string, number | undefined, Array<boolean>], never, Session>
    >()
  })

  it("may return one effect here and another there", () => {
    const command = Command.make("k", (cookie: string) => cookie === "" ? cache : fetchSession(cookie), {
      group: Session,
      fallback: (failure) => {
        expect(failure).type.toBe<HttpError | CacheError | GroupError>()
        return failure._tag === "PoolFull" ? Effect.succeed(true) : Effect.fail(failure._tag)
      }
    })
    expect(command("a")).type.toBe<
      Effect.Effect<
        string | number | boolean,
        "HttpError" | "CacheError" | "QueueTimeout" | "PoolReentered" | "CircuitOpen" | "RateLimited",
        HttpClient | Scope.Scope | Session
      >
    >()
  })

  it("a generic function keeps its shape through an annotation only", () => {
    const command = Command.make("k", <T>(t: T) => Effect.succeed(t), { group: Session })
    expect(command(1)).type.toBe<Effect.Effect<unknown, GroupError, Session>>()
  })

  it("has to return an effect", () => {
    expect(Command.make).type.not.toBeCallableWith("k", () => 1, { group: Session })
  })
})

describe("the group", () => {
  it("as a class is in the requirements: a forgotten layer is a compile error", () => {
    const command = Command.make("k", () => Effect.succeed(1), { group: Session })
    expect(Effect.runPromise).type.not.toBeCallableWith(command())
    expect(Effect.runPromise).type.toBeCallableWith(
      Effect.provide(command(), Session.layer({ pool: { maxConcurrent: 1 } }))
    )
    class Other extends Group.Service<Other>()("service.other") {}
    expect(Effect.runPromise).type.not.toBeCallableWith(
      Effect.provide(command(), Other.layer({ pool: { maxConcurrent: 1 } }))
    )
  })

  it("as a value needs nothing", () => {
    const command = Command.make("k", () => Effect.succeed(1), { group: value })
    expect(command()).type.toBe<Effect.Effect<number, GroupError>>()
    const rescued = Command.make("k", (cookie: string) => fetchSession(cookie), {
      group: value,
      fallback: (failure) => Effect.fail(failure._tag)
    })
    expect(rescued("")).type.toBe<
      Effect.Effect<
        string,
        "HttpError" | "PoolFull" | "QueueTimeout" | "PoolReentered" | "CircuitOpen" | "RateLimited",
        HttpClient
      >
    >()
  })

  it("as either needs what the class needs", () => {
    const command = Command.make("k", () => Effect.succeed(1), { group: value as typeof Session | Group.Group })
    expect(command()).type.toBe<Effect.Effect<number, GroupError, Session>>()
  })

  it("is not any service, and not a pool", () => {
    const run = () => Effect.succeed(1)
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: HttpClient })
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: value.pool })
    expect(Command.make).type.not.toBeCallableWith("k", run, {})
  })
})

describe("the options", () => {
  it("that it doesn't know, or whose values make no sense, are compile errors", () => {
    const run = () => Effect.succeed(1)
    expect(Command.make).type.toBeCallableWith("k", run, { group: value, timeout: "1 second" })
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: value, timeuot: 1 })
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: value, timeout: "soon" })
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: value, priority: "urgent" })
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: value, total: 10 })
    expect(Command.make).type.not.toBeCallableWith("k", run, { group: value, fallback: () => null })
    expect(Command.within).type.not.toBeCallableWith(value, { key: "k", timeuot: 1 })
    expect(Command.within).type.not.toBeCallableWith(value, { timeout: 1 })
  })
})

describe("a promise function", () => {
  const fetchUser = async (_: Command.Attempt, id: string, deep?: boolean) => ({ id, deep })
  type User = { id: string; deep: boolean | undefined }

  it("its arguments are the command's, and a rejection is an UnknownError", () => {
    const command = Command.promise("k", fetchUser, { group: Session })
    expect(command).type.toBeCallableWith("1")
    expect(command).type.not.toBeCallableWith(1)
    expect(command("1", true)).type.toBe<Effect.Effect<User, Cause.UnknownError | GroupError, Session>>()
  })

  it("or what `catch` makes of it", () => {
    const command = Command.promise("k", fetchUser, {
      group: value,
      timeout: "1 second",
      catch: (error) => new HttpError({ status: Number(error) })
    })
    expect(command("1")).type.toBe<Effect.Effect<User, HttpError | GroupError | CommandTimeout>>()
  })

  it("its fallback is handed the failure and the arguments", () => {
    const command = Command.promise("k", fetchUser, {
      group: value,
      fallback: (failure, id, deep) => {
        expect(failure).type.toBe<Cause.UnknownError | GroupError>()
        expect(id).type.toBe<string>()
        expect(deep).type.toBe<boolean | undefined>()
        return Effect.succeed(null)
      }
    })
    expect(command("1")).type.toBe<Effect.Effect<User | null>>()
  })

  it("has to return a promise", () => {
    expect(Command.promise).type.not.toBeCallableWith("k", () => 1, { group: value })
  })

  it("promisify has its arguments and its value, and needs what it needs", () => {
    const command = Command.promise("k", fetchUser, { group: Session })
    expect(Command.promisify(command)).type.toBe<
      Effect.Effect<(id: string, deep?: boolean) => Promise<User>, never, Session>
    >()
  })
})

describe("a command", () => {
  const command = Command.make("k", (cookie: string) => fetchSession(cookie), { group: Session })

  it("is covariant in what it gives and contravariant in what it takes", () => {
    expect(command).type.toBeAssignableTo<Command.Command<[string], unknown, unknown, unknown>>()
    expect(command).type.toBeAssignableTo<
      Command.Command<["a"], string, HttpError | GroupError, HttpClient | Session>
    >()
    expect(command).type.not.toBeAssignableTo<Command.Command<[number], unknown, unknown, unknown>>()
    expect(command).type.not.toBeAssignableTo<Command.Command<[string], string, never, HttpClient | Session>>()
  })

  it("is a function", () => {
    expect(command).type.toBeAssignableTo<
      (cookie: string) => Effect.Effect<string, HttpError | GroupError, HttpClient | Session>
    >()
  })

  it("lists its policies where its group is", () => {
    expect(Command.policies(command)).type.toBe<
      Effect.Effect<ReadonlyArray<Command.Policy>, never, HttpClient | Session>
    >()
  })

  it("queued is a fiber", () => {
    expect(Command.queue(command("a"))).type.toBe<
      Effect.Effect<Fiber.Fiber<string, HttpError | GroupError>, never, HttpClient | Session>
    >()
  })
})

describe("within", () => {
  it("in a pipe", () => {
    const piped = fetchSession("c").pipe(
      Command.within(Session, { key: "k", timeout: "1 second" }),
      Command.orElse((failure) => {
        expect(failure).type.toBe<HttpError | GroupError | CommandTimeout>()
        return Effect.succeed(null)
      })
    )
    expect(piped).type.toBe<Effect.Effect<string | null, never, HttpClient | Session>>()
    expect(fetchSession("c").pipe(Command.within(value, { key: "k" }))).type.toBe<
      Effect.Effect<string, HttpError | GroupError, HttpClient>
    >()
  })

  it("data first", () => {
    expect(Command.within(fetchSession("c"), Session, { key: "k", attemptTimeout: 10 })).type.toBe<
      Effect.Effect<string, HttpError | GroupError | CommandTimeout, HttpClient | Session>
    >()
    expect(Command.within(fetchSession("c"), value, { key: "k" })).type.toBe<
      Effect.Effect<string, HttpError | GroupError, HttpClient>
    >()
  })
})

describe("orElse", () => {
  it("has the failure typed, and its own failure and requirements instead", () => {
    expect(fetchSession("c").pipe(Command.orElse((failure) => failure.status === 404 ? cache : Effect.fail("no")))).type
      .toBe<Effect.Effect<string | number, CacheError | string, HttpClient | Scope.Scope>>()
    expect(Command.orElse(fetchSession("c"), (failure) => Effect.succeed(failure.status))).type.toBe<
      Effect.Effect<string | number, never, HttpClient>
    >()
  })

  it("chains", () => {
    expect(
      fetchSession("c").pipe(
        Command.orElse((failure) => Effect.fail(failure.status)),
        Command.orElse((status) => {
          expect(status).type.toBe<number>()
          return Effect.void
        })
      )
    ).type.toBe<Effect.Effect<string | void, never, HttpClient>>()
  })

  it("primary is a cause, if any", () => {
    expect(Command.primary).type.toBeCallableWith(undefined as never as Cause.Cause<string>)
    expect<ReturnType<typeof Command.primary>>().type.toBe<Option.Option<Cause.Cause<unknown>>>()
  })
})

describe("callback", () => {
  it("is typed by the completion that its function takes", () => {
    const download = Command.callback("k", (call: Command.Completion<string, HttpError>, name: string) => {
      call.answer(name)
    }, { group: Session })
    expect(download).type.toBe<Command.Command<[name: string], string, HttpError | GroupError, Session>>()
  })

  it("has CommandTimeout where there is any bound", () => {
    const register = (_call: Command.Completion<string>) => () => {}
    const failures = [
      Command.callback("k", register, { group: value, timeout: 10 })(),
      Command.callback("k", register, { group: value, attemptTimeout: 10 })(),
      Command.callback("k", register, { group: value, total: 10 })()
    ] as const
    expect(failures).type.toBe<
      readonly [
        Effect.Effect<string, GroupError | CommandTimeout>,
        Effect.Effect<string, GroupError | CommandTimeout>,
        Effect.Effect<string, GroupError | CommandTimeout>
      ]
    >()
    expect(Command.callback("k", register, { group: value })()).type.toBe<Effect.Effect<string, GroupError>>()
  })

  it("with a fallback its failures are the fallback's", () => {
    const command = Command.callback("k", (_call: Command.Completion<string, HttpError>, _name: string) => {}, {
      group: Session,
      total: 10,
      fallback: (failure, name) => {
        expect(failure).type.toBe<HttpError | GroupError | CommandTimeout>()
        expect(name).type.toBe<string>()
        return cache
      }
    })
    expect(command("a")).type.toBe<Effect.Effect<string | number, CacheError, Session | Scope.Scope>>()
  })

  it("may give an abort, or nothing, but no effect", () => {
    expect(Command.callback).type.toBeCallableWith("k", (_call: Command.Completion<string>) => () => {}, {
      group: value
    })
    expect(Command.callback).type.not.toBeCallableWith("k", (_call: Command.Completion<string>) => Effect.void, {
      group: value
    })
  })
})

describe("the errors", () => {
  it("are errors with group and key, which isCommandError tells from others", () => {
    expect<CommandError.CommandError>().type.toBeAssignableTo<Error>()
    expect<CommandError.CommandError["group"]>().type.toBe<string>()
    expect<CommandError.CommandError["key"]>().type.toBe<string>()
    const u: unknown = undefined
    if (CommandError.isCommandError(u)) expect(u).type.toBe<CommandError.CommandError>()
  })

  it("a pool's refusals are not yieldable: making one is the machinery's business", () => {
    expect<CommandError.PoolFull>().type.not.toBeAssignableTo<Effect.Effect<never, unknown>>()
  })

  it("of a pool by hand are the pool's alone", () => {
    expect(Effect.void.pipe(Pool.withPermit(value))).type.toBe<Effect.Effect<void, CommandError.PoolError>>()
  })
})
