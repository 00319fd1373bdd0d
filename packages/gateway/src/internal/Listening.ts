import { InvalidOptions } from "@blackgate/core"
import { Server } from "@blackgate/node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { CannotListen } from "../CannotListen.ts"
import { ConfigError, type Problem } from "../ConfigError.ts"
import type { ListenerPlan } from "./options.ts"
import type { Plan } from "./Plan.ts"

/** A listener that is open. */
export interface Listening {
  readonly plan: ListenerPlan
  readonly server: Server.Server["Service"]
  readonly port: number
  readonly address: string
  readonly scope: Scope.Closeable
}

/** What each kind of listener answers. */
export type Answers = {
  readonly [role in ListenerPlan["role"]]: Layer.Layer<never, never, Layer.Success<ReturnType<typeof Server.layer>>>
}

/** Those of a kind. */
export const of = (role: ListenerPlan["role"], listening: ReadonlyArray<Listening>): ReadonlyArray<Listening> =>
  listening.filter(({ plan }) => plan.role === role)

/** Drains them, all at once. */
export const closeAll = (listening: ReadonlyArray<Listening>): Effect.Effect<void> =>
  Effect.forEach(listening, ({ scope }) => Scope.close(scope, Exit.void), { concurrency: "unbounded", discard: true })

/** Opens them all, or none. */
export const openAll = (
  plan: Plan,
  plans: ReadonlyArray<ListenerPlan>,
  answers: Answers
): Effect.Effect<ReadonlyArray<Listening>, ConfigError | CannotListen> =>
  Effect.gen(function*() {
    const opened: Array<Listening> = []
    for (const each of plans) {
      opened.push(yield* Effect.onError(open(plan, each, answers), () => closeAll(opened)))
    }
    return opened
  })

const open = (
  { loaded: { file, place } }: Plan,
  plan: ListenerPlan,
  answers: Answers
): Effect.Effect<Listening, ConfigError | CannotListen> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const built = yield* Layer.buildWithScope(
      answers[plan.role].pipe(Layer.provideMerge(Server.layer(plan.options))),
      scope
    ).pipe(
      Effect.mapError(({ cause }) => new CannotListen({ address: named(plan), cause })),
      Effect.catchDefect((defect) => {
        if (!(defect instanceof InvalidOptions.InvalidOptions)) return Effect.die(defect)
        const problem = { path: plan.path, message: defect.problem, place: place(plan.path) }
        return Effect.fail(new ConfigError({ file, problems: [problem] }))
      }),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    const { address } = Context.get(built, HttpServer.HttpServer)
    const port = "port" in address ? address.port : plan.options.port ?? 0
    return { plan, server: Context.get(built, Server.Server), port, address: addressOf(plan, port), scope }
  })

const addressOf = ({ options: { host = "0.0.0.0", tls } }: ListenerPlan, port: number): string =>
  `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`

const named = ({ options: { host, port } }: ListenerPlan): string =>
  host === undefined ? `port ${port}` : `${host}:${port}`

/** What becomes of the listeners. */
export const changes = (next: Plan, listening: ReadonlyArray<Listening>) => {
  const stay: Array<readonly [Listening, ListenerPlan]> = []
  const opened: Array<ListenerPlan> = []
  for (const plan of next.listeners) {
    const same = listening.find((each) => each.plan.key === plan.key)
    if (same === undefined) opened.push(plan)
    else stay.push([same, plan])
  }
  const closed = listening.filter((each) => !stay.some(([kept]) => kept === each))
  const problems = opened.flatMap((plan): ReadonlyArray<Problem> => {
    const before = closed.find((each) => isTaken(plan, each.plan))
    if (before === undefined) return []
    const message =
      `${named(plan)} can't be opened before ${named(before.plan)} is closed, and that one serves until then: `
      + "it changes with a restart only"
    return [{ path: plan.path, message, place: next.loaded.place(plan.path) }]
  })
  return problems.length > 0
    ? Effect.fail(new ConfigError({ file: next.loaded.file, problems }))
    : Effect.succeed({ stay, opened, closed })
}

// Whoever listens on all addresses listens on each of them.
const isTaken = ({ options: one }: ListenerPlan, { options: other }: ListenerPlan): boolean => {
  if (one.port === 0 || one.port !== other.port) return false
  return one.host === other.host || [one.host, other.host].some((host) => host === undefined || /^[0.:]+$/.test(host))
}

/** A listener that stays, as the next config has it. */
export const staying = (listening: Listening, plan: ListenerPlan): Listening => ({
  ...listening,
  plan,
  address: addressOf(plan, listening.port)
})

/** Gives the listeners that stay what the next config says of them; if one of them can't be given it, none is. */
export const changeAll = (
  next: Plan,
  stay: ReadonlyArray<readonly [Listening, ListenerPlan]>
): Effect.Effect<void, ConfigError> =>
  Effect.gen(function*() {
    const { file, place } = next.loaded
    const done: Array<Listening> = []
    for (const [listening, { options, path }] of stay) {
      if (JSON.stringify(options) === JSON.stringify(listening.plan.options)) continue
      yield* change(listening, options).pipe(
        Effect.mapError(({ problem }) =>
          new ConfigError({ file, problems: [{ path, message: problem, place: place(path) }] })
        ),
        Effect.onError(() => Effect.forEach(done, (each) => Effect.ignore(change(each, each.plan.options))))
      )
      done.push(listening)
    }
  })

const change = ({ server }: Listening, { host: _host, port: _port, ...options }: ListenerPlan["options"]) =>
  server.change(options)
