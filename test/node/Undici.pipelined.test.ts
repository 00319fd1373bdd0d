import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { response } from "../harness/RawUpstream.ts"
import { proxying } from "../harness/Served.ts"

const length = 20_000

/** A request that its body and its answer can be told by. */
const post = (name: string) => {
  const body = name.padEnd(length, ".")
  return `POST /${name} HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: ${length}\r\n\r\n${body}`
}

describe("Bodies of pipelined requests (PROXY 7)", () => {
  it.live(
    "each goes with its own head, as a whole, whether it came with that or in several reads",
    () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.answering(({ body, startLine }) => {
          const name = startLine.split(" ")[1]!.slice(1)
          return response(
            body.toString("latin1") === name.padEnd(length, ".") ? name : `a body of ${body.length} bytes`
          )
        })
        const gateway = yield* proxying({ upstream: upstream.url })
        yield* Effect.forEach(Array.from({ length: 20 }, (_, index) => index), (index) =>
          Effect.gen(function*() {
            const client = yield* gateway.connect
            for (let round = 0; round < 15; round++) {
              const names = [0, 1, 2, 3].map((part) => `${index}-${round}-${part}`)
              client.send(names.map(post).join(""))
              for (const name of names) {
                const answer = yield* client.message()
                assert.strictEqual(`${status(answer)} ${answer.body.toString("latin1")}`, `200 ${name}`)
              }
            }
          }), { concurrency: "unbounded", discard: true })
      }),
    60_000
  )
})
