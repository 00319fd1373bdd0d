import type { Group, InvalidOptions } from "@blackgate/core"
import { Forwarded, Proxy, RequestPath, Transport, UpstreamError } from "@blackgate/http"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { EventEmitter } from "node:events"
import { ConfigError, type Problem } from "../ConfigError.ts"
import { AccessLog } from "./AccessLog.ts"
import { byPlace } from "./byPlace.ts"
import { type Answer, buildCode, type Code } from "./Code.ts"
import type { CodeRoutes } from "./CodeRoutes.ts"
import type { Path } from "./ConfigText.ts"
import { makeConnects } from "./connects.ts"
import { failure } from "./failure.ts"
import { fallbackOptions } from "./Fallback.ts"
import { groupOf, type Kept, telemetryOf, transportOf } from "./Kept.ts"
import { stdout } from "./Lines.ts"
import { Lookup } from "./Lookup.ts"
import type { Plan } from "./Plan.ts"
import type { Listed } from "./RoutePlan.ts"
import { Taken } from "./Taken.ts"
import type { Telemetry } from "./Telemetry.ts"
import { problemsOf } from "./wrongOptions.ts"

/** A route that is built. */
interface Route {
  readonly plan: Listed
  readonly answer: Answer | undefined
}

interface Built {
  readonly group: Group.Group
  readonly resize: (isNew: boolean) => Effect.Effect<void>
}

const notFound = failure(404, "not found")
const badRequest = failure(400, "bad request")

/** One config as it runs. It ends when it is retired, and its last request is over. */
export class Generation {
  readonly plan: Plan
  /** Those of the file. */
  readonly groups: ReadonlyArray<Group.Group>
  /** Whoever answers CONNECT, by the key of the listener. */
  readonly connects: ReadonlyMap<string, EventEmitter>
  readonly telemetry: Telemetry | undefined
  /** Those of a config module. */
  readonly code: CodeRoutes | undefined
  private readonly filtered: Answer | undefined
  private readonly built: ReadonlyArray<Built>
  private readonly scope: Scope.Closeable
  private readonly lookup: Lookup<Route>
  private readonly access: AccessLog | undefined
  private underWay = 0
  private retired = false

  constructor(
    plan: Plan,
    groups: ReadonlyArray<Built>,
    scope: Scope.Closeable,
    lookup: Lookup<Route>,
    connects: ReadonlyMap<string, EventEmitter>,
    telemetry: Telemetry | undefined,
    code: Code | undefined,
    worker: number | undefined
  ) {
    this.plan = plan
    this.connects = connects
    this.telemetry = telemetry
    this.code = code?.routes
    const { access } = plan.loaded.config.log ?? {}
    this.access = access === undefined ? undefined : new AccessLog(access, stdout, worker)
    this.groups = groups.map(({ group }) => group)
    this.built = groups
    this.scope = scope
    this.lookup = lookup
    this.filtered = code?.around(this.routed)
  }

  /** Answers one request. */
  get answer(): Answer {
    return this.filtered === undefined ? this.routed : this.throughFilter
  }

  private readonly routed: Answer = Effect.withFiber((fiber) => {
    const context = fiber.context as Context.Context<HttpServerRequest | Scope.Scope>
    const request = Context.get(context, HttpServerRequest)
    const read = RequestPath.of(request)
    const scope = Context.get(context, Scope.Scope)
    const found = read && this.lookup.find(read, request.method, (name) => request.headers[name], request.url)
    const route = found === "ambiguous" ? undefined : found
    const answer = read === undefined || found === "ambiguous"
      ? Effect.succeed(badRequest)
      : this.take(route, request, read, scope)
    if (this.filtered === undefined) {
      return this.observed(request, { plan: route?.plan, tell: undefined }, scope, answer)
    }
    const taken = Context.getOrUndefined(context, Taken)
    if (taken !== undefined) {
      taken.plan = route?.plan
      if (route !== undefined) taken.tell?.(route.plan)
    }
    return answer
  })

  // What a filter does is the config's, too: that does not end before.
  private readonly throughFilter: Answer = Effect.withFiber((fiber) => {
    const context = fiber.context as Context.Context<HttpServerRequest | Scope.Scope>
    const scope = Context.get(context, Scope.Scope)
    const answer = this.until(scope, this.filtered!)
    if (this.access === undefined && this.telemetry?.tracing === undefined) return answer
    // The filter may change the request before there is a route.
    const taken: Taken["Service"] = { plan: undefined, tell: undefined }
    return this.observed(
      Context.get(context, HttpServerRequest),
      taken,
      scope,
      Effect.provideService(answer, Taken, taken)
    )
  })

  /** With a span and a line of the log, if they are wanted. */
  private observed(request: HttpServerRequest, taken: Taken["Service"], scope: Scope.Scope, answer: Answer): Answer {
    const tracing = this.telemetry?.tracing
    const traced = tracing === undefined ? answer : tracing.around(request, taken, answer)
    return this.access === undefined ? traced : this.access.of(request, taken, scope, traced)
  }

  private take(
    route: Route | undefined,
    request: HttpServerRequest,
    { path, query }: RequestPath.RequestPath,
    scope: Scope.Scope
  ): Answer {
    if (route === undefined) return Effect.succeed(notFound)
    if (route.answer !== undefined) return this.until(scope, route.answer)
    const { target } = route.plan
    return Effect.succeed(target._tag === "redirect" ? target.answer(request, path, query) : notFound)
  }

  private until(scope: Scope.Scope, answer: Answer): Answer {
    this.underWay++
    return Effect.andThen(Scope.addFinalizer(scope, this.left), answer)
  }

  private readonly left: Effect.Effect<void> = Effect.suspend(() => {
    this.underWay--
    return this.closeIfOver()
  })

  /** Takes the place of another one, whose pools it has where their groups are the same: gives them the size that this config says. */
  after(before: Generation): Effect.Effect<void> {
    return Effect.suspend(() => {
      const known = new Set(before.groups)
      return Effect.forEach(this.built, ({ group, resize }) => resize(!known.has(group)), { discard: true })
    })
  }

  /** A tunnel is under way; to be told when it is closed. */
  readonly begin = (): () => void => {
    this.underWay++
    return () => void Effect.runFork(this.left)
  }

  /** No more requests come. */
  retire(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.retired = true
      return this.closeIfOver()
    })
  }

  // Whatever it takes to close, the last request has nothing to do with it.
  private closeIfOver(): Effect.Effect<void> {
    if (!this.retired || this.underWay > 0) return Effect.void
    return Effect.asVoid(Effect.forkDetach(Scope.close(this.scope, Exit.void)))
  }

  /** Closes it, whatever is under way. */
  close(): Effect.Effect<void> {
    return Scope.close(this.scope, Exit.void)
  }
}

/** Builds a config: its groups and transports, and the handlers of its routes; for a worker, if there are several. */
export const buildGeneration = (plan: Plan, kept: Kept, worker?: number): Effect.Effect<Generation, ConfigError> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const build = Effect.gen(function*() {
      const wrong: Array<Problem> = []
      const groups: Array<Built> = []
      for (const group of plan.groups) {
        const built = yield* Effect.result(groupOf(kept, group))
        if (Result.isSuccess(built)) groups.push(built.success)
        else wrong.push(...problemsOf(built.failure, group.path, plan.loaded))
      }
      if (wrong.length > 0) return yield* new ConfigError({ file: plan.loaded.file, problems: wrong.toSorted(byPlace) })
      const answers = new Map<Listed, Answer>()
      for (const route of [...plan.routes, ...plan.proxies]) {
        const { target } = route
        if (target._tag === "redirect") continue
        const { group } = yield* orConfigError(plan, target.group.path, groupOf(kept, target.group))
        const transport = yield* transportOf(kept, target.transport)
        const services = Context.make(Transport.Transport, transport).pipe(
          Context.add(Forwarded.Defaults, plan.forwarded),
          Context.add(UpstreamError.Report, kept.reachability.report)
        )
        const tunnels = target.tunnels &&
          (yield* orConfigError(plan, target.tunnels.path, groupOf(kept, target.tunnels)))
        const upgrade = tunnels === undefined
          ? target.options.upgrade
          : upgradeIn(tunnels.group, target.options.upgrade)
        const fallback = yield* orConfigError(plan, route.path, fallbackOptions(route.goes, target, kept, plan))
        const answer = Proxy.make({ ...target.options, ...fallback, upgrade, group })
        answers.set(route, yield* orConfigError(plan, route.path, Effect.provideContext(answer, services)))
      }
      const connects = new Map<string, EventEmitter>()
      for (const { connect, key, path } of plan.listeners) {
        if (connect === undefined) continue
        const { group } = yield* orConfigError(plan, connect.group.path, groupOf(kept, connect.group))
        connects.set(key, yield* orConfigError(plan, [...path, "connect"], makeConnects(connect, group)))
      }
      const { otlp } = plan.loaded.config.telemetry ?? {}
      // Series of the same name and attributes would be one.
      const told = otlp && worker !== undefined
        ? { ...otlp, attributes: { ...otlp.attributes, "blackgate.worker": String(worker) } }
        : otlp
      const telemetry = told && (yield* telemetryOf(kept, told))
      const code = plan.loaded.code && (yield* buildCode(
        plan,
        plan.loaded.code,
        {
          groups: groups.map(({ group }) => group),
          transport: yield* transportOf(kept, {}),
          context: kept.context,
          report: kept.reachability.report
        },
        scope
      ))
      const lookup = new Lookup(
        plan,
        (route): Route => ({ plan: route, answer: route.target._tag === "code" ? code?.answer : answers.get(route) }),
        code?.routes
      )
      return new Generation(plan, groups, scope, lookup, connects, telemetry, code, worker)
    })
    return yield* build.pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
  })

const upgradeIn = (group: Group.Group, upgrade: Proxy.Options["upgrade"]) =>
  typeof upgrade === "object" ? { ...upgrade, group } : { group }

const orConfigError = <A, R>(
  { loaded }: Plan,
  path: Path,
  effect: Effect.Effect<A, InvalidOptions.InvalidOptions, R>
): Effect.Effect<A, ConfigError, R> =>
  Effect.mapError(effect, (error) => new ConfigError({ file: loaded.file, problems: problemsOf(error, path, loaded) }))
