// Commands from a promise world, such as an Express handler: `node examples/promise-world.ts`.
import { Command, Group } from "@blackgate/core"
import { Data, ManagedRuntime } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

class NoSession extends Data.TaggedError("NoSession")<{ readonly cookie: string }> {}

class Session extends Group.Service<Session>()("service.session") {}

const sessions = async (cookie: string, signal: AbortSignal) => {
  if (signal.aborted || cookie !== "session=1") throw new NoSession({ cookie })
  return { id: 1 }
}

// Any function that returns a promise will do; the signal of its attempt is aborted when the time is up.
const getCurrentUser = Command.promise(
  "get_current_user",
  ({ signal }, cookie: string) => sessions(cookie, signal),
  { group: Session, timeout: "1 second", catch: (error) => error }
)

// One runtime for the program: it holds the pools. The command in it is a promise function again.
const runtime = ManagedRuntime.make(Session.layer({ pool: { maxConcurrent: 10, maxQueued: 20 } }))
const sessionOf = await runtime.runPromise(Command.promisify(getCurrentUser))

// (request, response, next), as Express has it.
const currentUser = async (request: IncomingMessage, response: ServerResponse, next: (error: unknown) => void) => {
  try {
    const user = await sessionOf(request.headers.cookie ?? "")
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
