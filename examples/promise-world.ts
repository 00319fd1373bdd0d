// Commands from a promise world, such as an Express handler: `node examples/promise-world.ts`.
import { Command, Group } from "@blackgate/core"
import { Data, Effect, ManagedRuntime } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

class NoSession extends Data.TaggedError("NoSession")<{ readonly cookie: string }> {}

class Session extends Group.Service<Session>()("service.session") {}

// Any promise will do for what the command runs; its signal is aborted when the time is up.
const getCurrentUser = Command.make(
  "get_current_user",
  (cookie: string) =>
    Effect.tryPromise({
      try: (_signal) => cookie === "session=1" ? Promise.resolve({ id: 1 }) : Promise.reject(new Error("unknown")),
      catch: () => new NoSession({ cookie })
    }),
  { group: Session, timeout: "1 second" }
)

// One runtime for the program: it holds the pools.
const runtime = ManagedRuntime.make(Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } }))

// (request, response, next), as Express has it.
const currentUser = async (request: IncomingMessage, response: ServerResponse, next: (error: unknown) => void) => {
  try {
    const user = await runtime.runPromise(getCurrentUser(request.headers.cookie ?? ""))
    response.setHeader("content-type", "application/json").end(JSON.stringify(user))
  } catch (error) {
    next(error)
  }
}

const server = createServer((request, response) =>
  currentUser(request, response, (error) => {
    response.statusCode = error instanceof NoSession ? 401 : 503
    response.end(String(error))
  })
)

server.listen(0, "127.0.0.1", async () => {
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const cookie of ["session=1", "session=2"]) {
    const response = await fetch(origin, { headers: { cookie } })
    console.log(response.status, await response.text())
  }
  server.close()
  server.closeAllConnections()
  await runtime.dispose()
})
