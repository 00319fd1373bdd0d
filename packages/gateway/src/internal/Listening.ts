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
import { named, overlap } from "./overlap.ts"
import type { Plan } from "./Plan.ts"
import type { Prepared } from "./Prepared.ts"

/** A listener that is open. */
export interface Listening {
  readonly plan: ListenerPlan
  readonly server: Server.Server["Service"]
  readonly port: number
  readonly address: string
  readonly scope: Scope.Closeable
}

/** What a listener answers. */
export type Answer = Layer.Layer<never, never, Layer.Success<ReturnType<typeof Server.layer>>>

/** The ports that listeners have that may have any, by their keys: one after the other, as they stand in the config. */
export type Ports = { readonly [key: string]: ReadonlyArray<number> }

/** How they are opened. */
interface Opening {
  /** Whether others listen on the same addresses. */
  readonly reusePort: boolean
  readonly ports: Ports
}

/** Drains them, all at once. */
const closeAll = (listening: ReadonlyArray<Listening>): Effect.Effect<void> =>
  Effect.forEach(listening, ({ scope }) => Scope.close(scope, Exit.void), { concurrency: "unbounded", discard: true })

/** Opens them all, or none. */
const openAll = (
  plan: Plan,
  plans: ReadonlyArray<ListenerPlan>,
  answer: Answer,
  { ports, reusePort }: Opening
): Effect.Effect<ReadonlyArray<Listening>, ConfigError | CannotListen> =>
  Effect.gen(function*() {
    const opened: Array<Listening> = []
    for (const each of plans) {
      const port = ports[each.key]?.[opened.filter(({ plan }) => plan.key === each.key).length] ?? each.options.port
      const options = { ...each.options, port, reusePort }
      opened.push(yield* Effect.onError(open(plan, each, options, answer), () => closeAll(opened)))
    }
    return opened
  })

const open = (
  { loaded: { file, place } }: Plan,
  plan: ListenerPlan,
  options: Server.Options,
  answer: Answer
): Effect.Effect<Listening, ConfigError | CannotListen> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const built = yield* Layer.buildWithScope(
      answer.pipe(Layer.provideMerge(Server.layer(options))),
      scope
    ).pipe(
      Effect.mapError(({ cause }) => new CannotListen({ address: named(plan.options), cause })),
      Effect.catchDefect((defect) => {
        if (!(defect instanceof InvalidOptions.InvalidOptions)) return Effect.die(defect)
        const problem = { path: plan.path, message: defect.problem, place: place(plan.path) }
        return Effect.fail(new ConfigError({ file, problems: [problem] }))
      }),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    const { address } = Context.get(built, HttpServer.HttpServer)
    const port = "port" in address ? address.port : options.port!
    return { plan, server: Context.get(built, Server.Server), port, address: addressOf(plan, port), scope }
  })

const addressOf = ({ options: { host = "0.0.0.0", tls } }: ListenerPlan, port: number): string =>
  `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`

/** What becomes of the listeners. `before` has those of other kinds, too: an address can't change its kind while it is open. */
const changes = (
  plan: Plan,
  plans: ReadonlyArray<ListenerPlan>,
  listening: ReadonlyArray<Listening>,
  before: ReadonlyArray<ListenerPlan>
) => {
  const stay: Array<readonly [Listening, ListenerPlan]> = []
  const opened: Array<ListenerPlan> = []
  const closed = new Set(listening)
  for (const each of plans) {
    const same = [...closed].find(({ plan }) => plan.key === each.key)
    if (same === undefined) opened.push(each)
    else {
      stay.push([same, each])
      closed.delete(same)
    }
  }
  const leaving = before.filter((each) => !plan.listeners.some(({ key }) => key === each.key))
  const problems = opened.flatMap((each): ReadonlyArray<Problem> => {
    const last = leaving.find((other) => overlap(each.options, other.options))
    if (last === undefined) return []
    const message =
      `${named(each.options)} can't be opened before ${named(last.options)} is closed, and that one serves until then: `
      + "it changes with a restart only"
    return [{ path: each.path, message, place: plan.loaded.place(each.path) }]
  })
  return problems.length > 0
    ? Effect.fail(new ConfigError({ file: plan.loaded.file, problems }))
    : Effect.succeed({ stay, opened, closed: [...closed] })
}

/** What the next config says of the listeners that stay: found good, and not used yet. */
const prepareAll = (
  { loaded: { file, place } }: Plan,
  stay: ReadonlyArray<readonly [Listening, ListenerPlan]>
): Effect.Effect<ReadonlyArray<Effect.Effect<void>>, ConfigError> =>
  Effect.forEach(
    stay,
    ([{ plan, server }, { options, path }]) => {
      if (JSON.stringify(options) === JSON.stringify(plan.options)) return Effect.succeed(Effect.void)
      const { host: _host, port: _port, ...changed } = options
      return Effect.mapError(server.prepare(changed), ({ problem }) =>
        new ConfigError({ file, problems: [{ path, message: problem, place: place(path) }] }))
    }
  )

/** All listeners of a kind. */
export class Listeners {
  private readonly role: ListenerPlan["role"]
  private readonly answer: Answer
  private readonly reusePort: boolean
  /** Those that are open. */
  listening: ReadonlyArray<Listening> = []
  /** All that the config has that they are of. */
  private before: ReadonlyArray<ListenerPlan> = []

  constructor(role: ListenerPlan["role"], answer: Answer, reusePort = false) {
    this.role = role
    this.answer = answer
    this.reusePort = reusePort
  }

  get addresses(): ReadonlyArray<string> {
    return this.listening.map(({ address }) => address)
  }

  readonly areReady: Effect.Effect<boolean> = Effect.suspend(() =>
    Effect.map(Effect.forEach(this.listening, ({ server }) => server.isReady), (ready) => ready.every(Boolean))
  )

  /** Opens those that a config adds. With its commit those that it has no more drain, and nobody waits for that. */
  prepare(
    plan: Plan,
    ports: Ports = {}
  ): Effect.Effect<Prepared & { readonly ports: Ports }, ConfigError | CannotListen> {
    return Effect.gen({ self: this }, function*() {
      const plans = plan.listeners.filter(({ role }) => role === this.role)
      const { closed, opened, stay } = yield* changes(plan, plans, this.listening, this.before)
      const use = yield* prepareAll(plan, stay)
      const added = yield* openAll(plan, opened, this.answer, { reusePort: this.reusePort, ports })
      const next = [...stay.map(([each, plan]) => ({ ...each, plan, address: addressOf(plan, each.port) })), ...added]
      return {
        ports: portsOf(next),
        commit: Effect.gen({ self: this }, function*() {
          yield* Effect.all(use, { discard: true })
          this.listening = next
          this.before = plan.listeners
          yield* Effect.forkDetach(closeAll(closed))
        }),
        abort: closeAll(added)
      }
    })
  }

  /** Drains them all. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => closeAll(this.listening))
}

const portsOf = (listening: ReadonlyArray<Listening>): Ports => {
  const ports: { [key: string]: Array<number> } = {}
  for (const { plan: { key }, port } of listening) (ports[key] ??= []).push(port)
  return ports
}
