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
export const changes = (next: Plan, listening: ReadonlyArray<Listening>) => {
  const stay: Array<readonly [Listening, ListenerPlan]> = []
  const opened: Array<ListenerPlan> = []
  const problems: Array<Problem> = []
  for (const plan of next.listeners) {
    const same = listening.find((each) => each.plan.key === plan.key)
    if (same === undefined) opened.push(plan)
    else {
      stay.push([same, plan])
      if (withoutTls(plan) !== withoutTls(same.plan)) {
        problems.push({
          path: plan.path,
          message:
            `${named(plan)} stays open through a reload, and what it is opened with (limits, drain, http2, whether it `
            + "has tls) changes with a restart only",
          place: next.loaded.place(plan.path)
        })
      }
    }
  }
  const closed = listening.filter((each) => !stay.some(([kept]) => kept === each))
  return problems.length > 0
    ? Effect.fail(new ConfigError({ file: next.loaded.file, problems }))
    : Effect.succeed({ stay, opened, closed })
}

const withoutTls = ({ options: { tls, ...rest } }: ListenerPlan): string =>
  JSON.stringify({ ...rest, tls: tls !== undefined })

/** New certificates for the connections to come; if one of them can't be used, none is. */
export const reloadTls = (
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
