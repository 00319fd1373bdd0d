import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Gateway from "../harness/Gateway.ts"
import type { HttpMessage } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"

describe("x", { timeout: 30_000 }, () => {
  it.live("hello", () =>
    Effect.gen(function*() {
      const seen: Array<HttpMessage> = []
      const upstream = yield* RawUpstream.answering(() => response("hello", "X-A: 1", "X-A: 2"), seen)
      const gateway = yield* Gateway.start({ upstream: upstream.url })
      const client = yield* gateway.connect
      client.send("GET /a?b HTTP/1.1\r\nHost: x\r\nX-B:\r\nX-B: 2\r\n\r\n")
      const got = yield* client.message()
      console.log(got, got.body.toString(), seen[0])
      assert.strictEqual(got.body.toString(), "hello")
    }))
})
