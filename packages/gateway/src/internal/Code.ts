import type { Group } from "@blackgate/core"
import { Forwarded, Transport, UpstreamError } from "@blackgate/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import { ConfigError } from "../ConfigError.ts"
import { type CodeRoutes, record } from "./CodeRoutes.ts"
import { failure } from "./failure.ts"
import type { Plan } from "./Plan.ts"
import { noQuitting } from "./quitting.ts"
import { type Imported, thrownBy } from "./thrown.ts"

export type Answer<E = never> = Effect.Effect<HttpServerResponse, E, HttpServerRequest | Scope.Scope>

/** What a config module has in code, built. */
export interface Code {
  readonly routes: CodeRoutes
  /** Answers what one of the routes takes. */
  readonly answer: Answer
  /** Puts the middleware of the module around what answers all requests; `undefined` if there is none. To be called once. */
  readonly around: (answer: Answer) => Answer | undefined
}

/** What the program gives to a module. */
export interface Given {
  readonly groups: ReadonlyArray<Group.Group>
  readonly transport: Transport.Transport["Service"]
  /** What is done about failures of upstreams. */
  readonly report: typeof UpstreamError.Report.Service
  /** What is there whoever asks for a config: the log, say. */
  readonly context: Context.Context<never>
}

// What a layer waits for that is never built, nobody knows.
const patience = "60 seconds"

/** Builds what a module has in code, for the scope. */
export const buildCode = (
  plan: Plan,
  { middleware, routes: layer = Layer.empty }: NonNullable<Plan["loaded"]["code"]>,
  given: Given,
  scope: Scope.Scope
): Effect.Effect<Code, ConfigError> =>
  Effect.gen(function*() {
    const { file } = plan.loaded
    const recorded = yield* record
    const memoMap = Layer.makeMemoMapUnsafe()
    const http = yield* Layer.buildWithMemoMap(NodeHttpServer.layerHttpServices, memoMap, scope)
    // Groups first: one that is named like a service of the program's is not that.
    const named = Context.makeUnsafe<never>(new Map(given.groups.map((group) => [group.name, group])))
    const services = Context.mergeAll(
      named,
      http,
      Context.make(Transport.Transport, given.transport),
      Context.make(Forwarded.Defaults, plan.forwarded),
      Context.make(UpstreamError.Report, given.report)
    )
    const context = Context.add(
      Context.merge(given.context, services),
      HttpRouter.HttpRouter,
      recorded.router
    ) as Context.Context<unknown>
    const refuse = (message: string) => new ConfigError({ file, problems: [{ path: [], message, place: undefined }] })
    // Nothing of a request that asks for a reload is there.
    const building = Effect.setContext(Layer.buildWithMemoMap(layer, memoMap, scope), context)
    yield* Effect.interruptible(noQuitting(file, "while its layer of routes was built", building)).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.fail(cannotBuild(plan, Cause.squash(cause)))
      ),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(refuse(`the layer of routes is not built after ${patience}: what does it wait for?`))
      })
    )
    // The scope of a request is the request's.
    const within = <E>(answer: Effect.Effect<HttpServerResponse, E, unknown>): Answer<E> =>
      Effect.provideContext(answer, services as Context.Context<unknown>) as Answer<E>
    const all = [...recorded.middleware].toReversed()
    const isFiltered = middleware !== undefined || all.length > 0
    let routed: Answer = Effect.never
    const filtered = yield* Effect.try({
      try: () => {
        const answer = Effect.suspend(() => routed)
        const inner = all.length === 0 ? answer : answered(all.reduce<Answer>((made, fn) => fn(made as never), answer))
        const outer = middleware === undefined ? inner : middleware(inner)
        if (!Effect.isEffect(outer)) throw new TypeError("it returns no effect")
        return answered(within(outer))
      },
      catch: (thrown) => thrownBy(importedFrom(plan), "middleware can't be used: ", thrown)
    })
    return {
      routes: recorded.routes,
      answer: answered(within(recorded.router.asHttpEffect())),
      around: (answer: Answer) => {
        routed = answer
        return isFiltered ? filtered : undefined
      }
    }
  })

/** A failure becomes the response that Effect's server would have made of it, or the gateway's own where that has no body; what nobody has thought of is in the log. */
const answered = <E>(answer: Answer<E>): Answer =>
  Effect.catchCause(answer, (cause) => {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    return Effect.flatMap(HttpServerError.causeResponse(cause), ([response]) => {
      return response.status < 500
        ? Effect.succeed(response)
        : Effect.as(
          Effect.logError("a request failed in code", cause),
          response.body._tag === "Empty" ? failure(response.status, "internal server error") : response
        )
    })
  })

const missing = /^Service not found: (.*)$/

const importedFrom = ({ loaded: { file } }: Plan): Imported => ({
  file,
  folder: Path.dirname(Path.resolve(file)),
  files: new Set()
})

const cannotBuild = (plan: Plan, thrown: unknown): ConfigError => {
  const { groups, loaded: { file } } = plan
  const service = thrown instanceof Error ? missing.exec(thrown.message)?.[1] : undefined
  if (service === undefined) {
    return thrownBy(importedFrom(plan), "the layer of routes can't be built: ", thrown)
  }
  const names = groups.map(({ name }) => name)
  const known = names.length === 0 ? "there are no groups" : `those are ${names.join(", ")}`
  const message =
    `the layer of routes needs ${service}, which it does not provide, and which is no group of config.groups: ${known}`
  return new ConfigError({ file, problems: [{ path: [], message, place: undefined }] })
}
