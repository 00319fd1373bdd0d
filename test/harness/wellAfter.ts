import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "./eventually.ts"
import type { FaultyNetwork } from "./FaultyNetwork.ts"
import type { Gateway } from "./Gateway.ts"
import { status } from "./HttpMessage.ts"

/**
 * Whatever became of a request: no permit is held, the gateway serves the next one, at a path that has no fault, and of all
 * connections it has let go, but for one to the upstream that it keeps for the next.
 */
export const wellAfter = (gateway: Gateway, network: FaultyNetwork, path: string, body: string) =>
  Effect.gen(function*() {
    yield* gateway.quiet
    yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* gateway.connect
      client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      const got = yield* client.message()
      assert.strictEqual(status(got), 200)
      assert.strictEqual(got.body.toString(), body)
    }))
    yield* gateway.quiet
    yield* eventually("the end of the clients' connections", () => gateway.clients.size === 0)
    yield* eventually("the end of the upstream's connections", () => network.open <= 1, () => network.open)
  })

/** How many sockets this process has, listening ones included. */
const sockets = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length

/** Waits until the process has no more sockets than it had when this was made. */
export const sameSockets = () => {
  const before = sockets()
  return eventually("the end of every socket", () => sockets() <= before, () => `${sockets()} instead of ${before}`)
}

/** A cell of a table, in a scope of its own. Its failure says of which cell it is. */
export const named = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
  Effect.catchDefect(Effect.scoped(effect), (defect) => {
    if (defect instanceof Error) defect.message = `${name}: ${defect.message}`
    return Effect.die(defect)
  })
