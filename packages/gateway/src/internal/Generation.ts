import { type Group, InvalidOptions } from "@blackgate/core"
import { Forwarded, Proxy, RequestPath, Transport } from "@blackgate/http"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import { ConfigError } from "../ConfigError.ts"
import { AccessLog } from "./AccessLog.ts"
import type { Path } from "./ConfigText.ts"
import { groupOf, type Kept, transportOf } from "./Kept.ts"
import { stdout } from "./Lines.ts"
import type { Plan } from "./Plan.ts"
import { type Asked, hostOf, RouteIndex } from "./RouteIndex.ts"
import type { RoutePlan } from "./RoutePlan.ts"

type Response = HttpServerResponse.HttpServerResponse
type Answer = Effect.Effect<Response, never, HttpServerRequest | Scope.Scope>

/** A route that is built. */
interface Route {
  readonly plan: RoutePlan
  readonly answer: Answer | undefined
}

const failure = (code: number, message: string): Response =>
  HttpServerResponse.jsonUnsafe({ code, message, errors: [] }, { status: code })
const notFound = failure(404, "not found")
const badRequest = failure(400, "bad request")

/** One config as it runs. It ends when it is retired, and its last request is over. */
export class Generation {
  readonly plan: Plan
  /** Those of the file. */
  readonly groups: ReadonlyArray<Group.Group>
  /** Gives the pools that others have made the size that this config says. */
  readonly resize: Effect.Effect<void>
  private readonly scope: Scope.Closeable
  private readonly lookup: Lookup<Route>
  private readonly access: AccessLog | undefined
  private underWay = 0
  private retired = false

  constructor(
    plan: Plan,
    groups: ReadonlyArray<{ readonly group: Group.Group; readonly resize: Effect.Effect<void> }>,
    scope: Scope.Closeable,
    lookup: Lookup<Route>,
    worker: number | undefined
  ) {
    this.plan = plan
    const { access } = plan.loaded.config.log ?? {}
    this.access = access === undefined ? undefined : new AccessLog(access, stdout, worker)
    this.groups = groups.map(({ group }) => group)
    this.resize = Effect.forEach(groups, ({ resize }) => resize, { discard: true })
    this.scope = scope
    this.lookup = lookup
  }

  /** Answers one request. */
  readonly answer: Answer = Effect.withFiber((fiber) => {
    const context = fiber.context as Context.Context<HttpServerRequest | Scope.Scope>
    const request = Context.get(context, HttpServerRequest)
    const read = RequestPath.of(request)
    const scope = Context.get(context, Scope.Scope)
    const found = read && this.lookup.find(read, request.method, (name) => request.headers[name])
    const route = found === "ambiguous" ? undefined : found
    const answer = read === undefined || found === "ambiguous"
      ? Effect.succeed(badRequest)
      : this.take(route, request, read, scope)
    return this.access === undefined ? answer : this.access.of(request, route?.plan, scope, answer)
  })

  private take(
    route: Route | undefined,
    request: HttpServerRequest,
    { path, query }: RequestPath.RequestPath,
    scope: Scope.Scope
  ): Answer {
    if (route === undefined) return Effect.succeed(notFound)
    const { answer, plan: { target } } = route
    if (target._tag === "redirect") return Effect.succeed(target.answer(request, path, query))
    this.underWay++
    return Effect.andThen(Scope.addFinalizer(scope, this.left), answer!)
  }

  private readonly left: Effect.Effect<void> = Effect.suspend(() => {
    this.underWay--
    return this.closeIfOver()
  })

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

/** Which route a request takes. */
export class Lookup<T> {
  private readonly strict: RouteIndex<T>
  private readonly lenient: RouteIndex<T>
  private readonly proxies: ReadonlyArray<readonly [RoutePlan, T]>

  constructor(plan: Plan, make: (route: RoutePlan) => T) {
    const routes = plan.routes.map((route) => [route.matching, make(route)] as const)
    this.strict = new RouteIndex(routes, false)
    this.lenient = new RouteIndex(routes, true)
    this.proxies = plan.proxies.map((route) => [route, make(route)] as const)
  }

  /** `ambiguous` if the upstream could take it for a request of another route. */
  find(
    read: RequestPath.RequestPath,
    method: string,
    header: (name: string) => string | undefined
  ): T | "ambiguous" | undefined {
    const asked = { host: hostOf(header("host") ?? ""), path: read.path, query: read.query, method, header }
    const found = this.findIn(this.strict, asked)
    if (found === undefined || read.lenient === undefined) return found
    // Where only doubled slashes and parameters are gone, the one at the end has its meaning still.
    const path = read.path.endsWith("/") && !read.lenient.endsWith("/") ? `${read.lenient}/` : read.lenient
    return this.findIn(this.lenient, { ...asked, path }) === found ? found : "ambiguous"
  }

  private findIn(index: RouteIndex<T>, asked: Asked): T | undefined {
    const found = index.find(asked)
    if (found !== undefined) return found
    for (const [{ matching: { path } }, value] of this.proxies) {
      if (path._tag === "regex" && path.pattern.matches(asked.path)) return value
    }
    return undefined
  }
}

/** Builds a config: its groups and transports, and the handlers of its routes; for a worker, if there are several. */
export const buildGeneration = (plan: Plan, kept: Kept, worker?: number): Effect.Effect<Generation, ConfigError> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const build = Effect.gen(function*() {
      const groups = yield* Effect.forEach(
        plan.groups,
        (group) => orConfigError(plan, group.path, groupOf(kept, group))
      )
      const answers = new Map<RoutePlan, Answer>()
      for (const route of [...plan.routes, ...plan.proxies]) {
        const { target } = route
        if (target._tag === "redirect") continue
        const { group } = yield* orConfigError(plan, target.group.path, groupOf(kept, target.group))
        const transport = yield* transportOf(kept, target.transport)
        const services = Context.make(Transport.Transport, transport).pipe(
          Context.add(Forwarded.Defaults, plan.forwarded)
        )
        const handler = yield* orConfigError(
          plan,
          route.path,
          Effect.suspend(() => {
            try {
              return Effect.succeed(Proxy.handler({ ...target.options, group }))
            } catch (refused) {
              // What else would be thrown is no mistake of the file.
              return refused instanceof InvalidOptions.InvalidOptions ? Effect.fail(refused) : Effect.die(refused)
            }
          })
        )
        answers.set(route, Effect.provideContext(handler, services))
      }
      const lookup = new Lookup(plan, (route): Route => ({ plan: route, answer: answers.get(route) }))
      return new Generation(plan, groups, scope, lookup, worker)
    })
    return yield* build.pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
  })

const orConfigError = <A, R>(
  { loaded: { file, place } }: Plan,
  path: Path,
  effect: Effect.Effect<A, InvalidOptions.InvalidOptions, R>
): Effect.Effect<A, ConfigError, R> =>
  Effect.mapError(effect, ({ problem }) => {
    const problems = inSnakeCase(problem).split("; ").map((each) => {
      const [, option, message = each] = /^([a-z_.]+): (.*)$/s.exec(each) ?? []
      const at = option === undefined ? path : [...path, ...option.split(".")]
      return { path: at, message, place: place(at, "key") }
    })
    return new ConfigError({ file, problems })
  })

// The libraries call an option as a program does.
const inSnakeCase = (text: string): string =>
  text.replaceAll(
    /\b[a-z]+(?:[A-Z][a-z]+)+\b/g,
    (name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  )
