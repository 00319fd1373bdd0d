import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { HttpServerResponse } from "effect/http"
import { status } from "../harness/HttpMessage.ts"
import * as Served from "../harness/Served.ts"

const get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/** A server that says who it is. */
const named = (name: string, port: number, reusePort: boolean) =>
  Served.answering({ port, reusePort }, Effect.succeed(HttpServerResponse.text(name)))

describe("reusePort", () => {
  it.live("servers that all want it listen on one port, and each takes some of the connections", () =>
    Effect.gen(function*() {
      const { port } = yield* named("a", 0, true)
      const second = yield* named("b", port, true)
      const seen = new Set<string>()
      for (let i = 0; i < 200 && seen.size < 2; i++) {
        const client = yield* second.connect
        client.send(get)
        const answer = yield* client.message()
        assert.strictEqual(status(answer), 200)
        seen.add(answer.body.toString())
      }
      assert.deepStrictEqual([...seen].toSorted(), ["a", "b"])
    }))

  it.live("one that does not want it is let in beside nobody, and lets nobody in", () =>
    Effect.gen(function*() {
      const shared = yield* named("a", 0, true)
      const own = yield* named("a", 0, false)
      for (const [port, reusePort] of [[shared.port, false], [own.port, true], [own.port, false]] as const) {
        const refused = yield* Effect.exit(named("b", port, reusePort))
        assert.isTrue(Exit.isFailure(refused) && Cause.pretty(refused.cause).includes("EADDRINUSE"))
      }
    }))
})
