import { Deferred, Effect, Fiber, type Scope } from "effect"
import * as Http from "node:http"

/** One who asks on a connection that it keeps. */
export interface Client {
  /** The status and the body, or why there are none. */
  readonly get: (path: string) => Effect.Effect<string>
}

export const client = (origin: string): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Http.Agent({ keepAlive: true, maxSockets: 1 })),
      (agent) => Effect.sync(() => agent.destroy())
    ),
    (agent) => ({
      get: (path) =>
        Effect.callback<string>((resume) => {
          const fail = (error: Error) => resume(Effect.succeed(error.message))
          const request = Http.get(`${origin}${path}`, { agent }, (response) => {
            let body = ""
            response.setEncoding("utf8").on("data", (text: string) => {
              body += text
            })
            response.once("error", fail).once("end", () => resume(Effect.succeed(`${response.statusCode} ${body}`)))
          }).once("error", fail)
          return Effect.sync(() => request.destroy())
        })
    })
  )

/** Has clients ask again as soon as they are answered, until it is stopped; and all that they were answered. */
export const load = (
  clients: ReadonlyArray<Client>,
  path: string
): Effect.Effect<{ readonly answers: ReadonlyMap<string, number>; readonly stop: Effect.Effect<void> }> =>
  Effect.gen(function*() {
    const answers = new Map<string, number>()
    const stop = yield* Deferred.make<void>()
    const one = ({ get }: Client) =>
      Effect.whileLoop({
        while: () => !Deferred.isDoneUnsafe(stop),
        body: () => get(path),
        step: (answer) => answers.set(answer, (answers.get(answer) ?? 0) + 1)
      })
    const fiber = yield* Effect.forkChild(Effect.forEach(clients, one, { concurrency: "unbounded", discard: true }))
    return { answers, stop: Effect.andThen(Deferred.succeed(stop, undefined), Fiber.join(fiber)) }
  })
