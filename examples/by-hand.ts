// The smallest way in: a pool's layer, Effect's own timeout, and a fallback. `node examples/by-hand.ts`
import { Command, Group, Pool } from "@blackgate/core"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"

class Session extends Group.Service<Session>()("service.session") {}

const fetchSession = (cookie: string) => cookie === "session=1" ? Effect.succeed("user 1") : Effect.never

const getCurrentUser = (cookie: string) =>
  fetchSession(cookie).pipe(
    Pool.withPermit(Session),
    Effect.timeout("1 second"),
    Command.orElse((failure) => Effect.as(Console.log("instead of", failure._tag), null))
  )

const program = Effect.gen(function*() {
  yield* Console.log(yield* getCurrentUser("session=1"))
  yield* Console.log(yield* getCurrentUser("session=2"))
})

NodeRuntime.runMain(Effect.provide(program, Session.layer({ pool: { maxConcurrent: 10 } })))
