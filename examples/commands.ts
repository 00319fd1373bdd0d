// The Python library's page, as an Effect app: `node examples/commands.ts`.
import { Command, Group } from "@blackgate/core"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer, Schema } from "effect"
import {
  FetchHttpClient,
  HttpClient,
  HttpClientResponse,
  HttpRouter,
  HttpServer,
  HttpServerResponse
} from "effect/http"
import { createServer } from "node:http"

// The group: ten calls at once, twenty more may wait.
class Session extends Group.Service<Session>()("service.session") {}
const SessionLive = Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } })

const session = Effect.fn("session")(function*(cookie: string) {
  const service = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const response = yield* HttpClient.get(`${service}/session`, { headers: { cookie } })
  return yield* HttpClientResponse.schemaBodyJson(Schema.Struct({ user_id: Schema.Number }))(response)
})

// Two commands of one group share its pool.
const getCurrentUser = Command.make(
  "get_current_user",
  (cookie: string) => session(cookie).pipe(Effect.map(({ user_id }) => user_id)),
  { group: Session, timeout: "1 second", fallback: () => Effect.succeed(null) }
)
const isSignedIn = Command.make(
  "is_signed_in",
  (cookie: string) => Effect.as(session(cookie), true),
  { group: Session, timeout: "100 millis", fallback: () => Effect.succeed(false) }
)

const program = Effect.gen(function*() {
  // execute
  yield* Console.log("execute:", yield* getCurrentUser("session=78b29404"))
  // queue
  const fiber = yield* Command.queue(getCurrentUser("session=78b29404"))
  yield* Console.log("queue:", yield* Fiber.join(fiber))
  // fallback: the session service knows nobody of that name
  yield* Console.log("fallback:", yield* getCurrentUser("session=nobody"))
  // another command of the group; this one has less patience than the service needs
  yield* Console.log("signed in:", yield* isSignedIn("session=slow"))
  // what a command does about its calls, from the outside in
  yield* Console.log("policies:", (yield* Command.policies(getCurrentUser)).map(({ policy }) => policy).join(", "))
})

// The session service that is asked, so that the example needs nothing else.
const SessionService = HttpRouter.serve(
  HttpRouter.add("GET", "/session", (request) => {
    if (request.headers["cookie"] === "session=78b29404") return HttpServerResponse.json({ user_id: 1 })
    return request.headers["cookie"] === "session=slow"
      ? Effect.delay(HttpServerResponse.json({ user_id: 2 }), "1 second")
      : HttpServerResponse.json({ error: "no such session" }, { status: 404 })
  }),
  { disableLogger: true, disableListenLog: true }
).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })))

NodeRuntime.runMain(Effect.provide(program, [SessionLive, SessionService, FetchHttpClient.layer]))
