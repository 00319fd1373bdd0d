/**
 * A gateway that runs a config, and can change to another one without losing a request.
 *
 * A new config is built whole beside the old one, then all requests that come take the new one, in one step; those that are under way
 * end in the old one. What both have keeps its state: listeners, groups, connections to upstreams. It reads no files and hears no signals.
 *
 * @since 0.1.0
 */
import { Server } from "@blackgate/node"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { ConfigError } from "./ConfigError.ts"
import { buildGeneration, type Generation } from "./internal/Generation.ts"
import { makeKept } from "./internal/Kept.ts"
import type { ListenerPlan } from "./internal/options.ts"
import type { Plan } from "./internal/Plan.ts"

/**
 * An address that can't be listened on.
 *
 * @category errors
 * @since 0.1.0
 */
export class CannotListen extends Data.TaggedError("CannotListen")<{
  readonly address: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `can't listen on ${this.address}: ${whyNot(this.cause)}`
  }
}

const whyNot = (cause: unknown): string => {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === "EADDRINUSE") return "it is in use by another program (EADDRINUSE)"
  if (code === "EACCES") return "it takes more rights than this user has (EACCES)"
  if (code === "EADDRNOTAVAIL") return "this machine does not have that address (EADDRNOTAVAIL)"
  return message
}

/**
 * A gateway that runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gateway {
  /** Where it listens, as URLs. */
  readonly addresses: Effect.Effect<ReadonlyArray<string>>
  /** Changes to another config. If that can't be built nothing changes. */
  readonly reload: (plan: Plan) => Effect.Effect<void, ConfigError | CannotListen>
}

interface Listening {
  readonly plan: ListenerPlan
  readonly server: Server.Server["Service"]
  readonly address: string
  readonly scope: Scope.Closeable
}

/**
 * Starts a gateway, and drains it with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (plan: Plan): Effect.Effect<Gateway, ConfigError | CannotListen, Scope.Scope> =>
  Effect.gen(function*() {
    const kept = yield* makeKept
    let current: Generation = yield* buildGeneration(plan, kept)
    // After the listeners: what is under way has ended by then.
    yield* Effect.addFinalizer(() => current.close())
    const answer = Effect.suspend(() => current.answer)
    let listening: ReadonlyArray<Listening> = []
    yield* Effect.addFinalizer(() => closeAll(listening))
    listening = yield* openAll(plan, plan.listeners, answer)
    const one = yield* Semaphore.make(1)

    const reload = (next: Plan) =>
      Effect.gen(function*() {
        const changed = changes(next, listening)
        if (changed.problems.length > 0) {
          return yield* new ConfigError({ file: next.loaded.file, problems: changed.problems })
        }
        const generation = yield* buildGeneration(next, kept)
        yield* Effect.gen(function*() {
          const opened = yield* openAll(next, changed.opened, answer)
          yield* Effect.onError(reloadTls(next, changed.stay), () => closeAll(opened))
          const old = current
          current = generation
          listening = [...changed.stay.map(([each, plan]) => ({ ...each, plan })), ...opened]
          yield* old.retire()
          yield* Effect.forkDetach(closeAll(changed.closed))
        }).pipe(Effect.onError(() => generation.close()))
      })

    return {
      addresses: Effect.sync(() => listening.map(({ address }) => address)),
      reload: (next) => Effect.uninterruptible(Semaphore.withPermit(one, reload(next)))
    }
  })

/**
 * Builds all of a config that needs no network, and lets go of it again.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check = (plan: Plan): Effect.Effect<void, ConfigError> =>
  Effect.scoped(Effect.gen(function*() {
    const generation = yield* buildGeneration(plan, yield* makeKept)
    yield* generation.close()
  }))

type Answering = Generation["answer"]

const closeAll = (listening: ReadonlyArray<Listening>): Effect.Effect<void> =>
  Effect.forEach(listening, ({ scope }) => Scope.close(scope, Exit.void), { concurrency: "unbounded", discard: true })

const openAll = (
  plan: Plan,
  plans: ReadonlyArray<ListenerPlan>,
  answer: Answering
): Effect.Effect<ReadonlyArray<Listening>, ConfigError | CannotListen> =>
  Effect.gen(function*() {
    const opened: Array<Listening> = []
    for (const each of plans) {
      opened.push(yield* Effect.onError(open(plan, each, answer), () => closeAll(opened)))
    }
    return opened
  })

const open = (
  { loaded: { file, place } }: Plan,
  plan: ListenerPlan,
  answer: Answering
): Effect.Effect<Listening, ConfigError | CannotListen> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const built = yield* Layer.buildWithScope(
      HttpServer.serve(answer).pipe(Layer.provideMerge(Server.layer(plan.options))),
      scope
    ).pipe(
      Effect.mapError(({ cause }) => new CannotListen({ address: named(plan), cause })),
      Effect.catchDefect((defect) => {
        if (!(defect instanceof Error) || !("problem" in defect)) return Effect.die(defect)
        const message = String(defect.problem)
        return Effect.fail(new ConfigError({ file, problems: [{ path: plan.path, message, place: place(plan.path) }] }))
      }),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    const { address } = Context.get(built, HttpServer.HttpServer)
    const scheme = plan.options.tls === undefined ? "http" : "https"
    const port = "port" in address ? address.port : plan.options.port
    const host = plan.options.host ?? "0.0.0.0"
    return {
      plan,
      server: Context.get(built, Server.Server),
      address: `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`,
      scope
    }
  })

const named = ({ options: { host, port } }: ListenerPlan): string =>
  host === undefined ? `port ${port}` : `${host}:${port}`

/** What becomes of the listeners. */
const changes = (next: Plan, listening: ReadonlyArray<Listening>) => {
  const stay: Array<readonly [Listening, ListenerPlan]> = []
  const opened: Array<ListenerPlan> = []
  const problems: Array<ConfigError["problems"][number]> = []
  for (const plan of next.listeners) {
    const same = listening.find((each) => each.plan.key === plan.key)
    if (same === undefined) opened.push(plan)
    else {
      stay.push([same, plan])
      if (withoutTls(plan) !== withoutTls(same.plan)) {
        problems.push({
          path: plan.path,
          message:
            `${
              named(plan)
            } stays open through a reload, and what it is opened with (its limits, drain, http2, whether it has tls) `
            + "changes with a restart only",
          place: next.loaded.place(plan.path)
        })
      }
    }
  }
  return { stay, opened, problems, closed: listening.filter((each) => !stay.some(([kept]) => kept === each)) }
}

const withoutTls = ({ options: { tls, ...rest } }: ListenerPlan): string =>
  JSON.stringify({ ...rest, tls: tls !== undefined })

/** New certificates for the connections to come; if one of them can't be used, none is. */
const reloadTls = (
  next: Plan,
  stay: ReadonlyArray<readonly [Listening, ListenerPlan]>
): Effect.Effect<void, ConfigError> =>
  Effect.gen(function*() {
    const { file, place } = next.loaded
    const done: Array<Listening> = []
    for (const [listening, { options: { tls }, path }] of stay) {
      if (tls === undefined || JSON.stringify(tls) === JSON.stringify(listening.plan.options.tls)) continue
      yield* listening.server.reload(tls).pipe(
        Effect.mapError(({ problem }) =>
          new ConfigError({ file, problems: [{ path, message: problem, place: place(path) }] })
        ),
        Effect.onError(() =>
          Effect.forEach(done, ({ plan, server }) => Effect.ignore(server.reload(plan.options.tls!)))
        )
      )
      done.push(listening)
    }
  })
