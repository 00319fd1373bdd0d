import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../harness/eventually.ts"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { connect, type Wire } from "../harness/Wire.ts"
import { refused, started } from "./started.ts"

const echoing = RawUpstream.make((wire) =>
  Effect.sync(() => {
    wire.socket.on("data", (chunk: Buffer) => wire.send(`echo ${String(chunk)}`)).on("end", () => wire.end())
  })
)

const file = (listen: string, more = "") =>
  `listen: { port: 0, host: 127.0.0.1${listen} }\nroutes: [{ upstream: http://127.0.0.1:1 }]\n${more}`

/** Asks for a tunnel; what came of it. */
const ask = (origin: string, to: string) =>
  Effect.gen(function*() {
    const client = yield* connect(Number(new URL(origin).port))
    client.send(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`)
    return { client, status: status(yield* client.message({ bodiless: true })) }
  })

const said = (client: Wire, text: string) =>
  Effect.gen(function*() {
    const from = client.text.length
    client.send(text)
    yield* client.until("an echo", () => client.text.slice(from).includes(`echo ${text}`))
  })

describe("listen.connect", { timeout: 30_000 }, () => {
  it.live("without it, CONNECT is a 405", () =>
    Effect.gen(function*() {
      const { origin } = yield* started(file(""))
      assert.strictEqual((yield* ask(origin, "a.test:443")).status, 405)
    }))

  it.live("a place that is listed is tunnelled to, another one is a 403, and the group's pool is their limit", () =>
    Effect.gen(function*() {
      const { port } = yield* echoing
      const { origin } = yield* started(
        file(
          `, connect: { allow: ["127.0.0.1:${port}"], group: few }`,
          "groups: { few: { pool: { max_concurrent: 1 } } }\n"
        )
      )
      assert.strictEqual((yield* ask(origin, "127.0.0.1:1")).status, 403)
      const { client, status } = yield* ask(origin, `127.0.0.1:${port}`)
      assert.strictEqual(status, 200)
      yield* said(client, "hello")
      assert.strictEqual((yield* ask(origin, `127.0.0.1:${port}`)).status, 503)
    }))

  it.live("a tunnel lives through reloads that take away what has made it, and there is no other one", () =>
    Effect.gen(function*() {
      const { port } = yield* echoing
      const gateway = yield* started(file(`, connect: { allow: ["127.0.0.1:*"] }`))
      const { client } = yield* ask(gateway.origin, `127.0.0.1:${port}`)
      yield* gateway.reload(file(`, connect: { allow: ["127.0.0.1:1"] }`))
      yield* said(client, "one")
      assert.strictEqual((yield* ask(gateway.origin, `127.0.0.1:${port}`)).status, 403)
      yield* gateway.reload(file(""))
      yield* said(client, "two")
      assert.strictEqual((yield* ask(gateway.origin, `127.0.0.1:${port}`)).status, 405)
      client.end()
      yield* eventually("the end of it", () => client.ended)
    }))

  const wrong: ReadonlyArray<readonly [connect: string, message: string]> = [
    [
      "{ allow: [a.test] }",
      "blackgate.yml:1:56: listen.connect.allow[0]: expected host:port, such as \"*.example.com:443\", got a.test"
    ],
    [
      "{ allow: [\"a.test:1\"], ranges: [10.1] }",
      "blackgate.yml:1:78: listen.connect.ranges[0]: expected text, found 10.1"
    ],
    [
      "{ allow: [] }",
      "blackgate.yml:1:55: listen.connect.allow: expected a list that is not empty, found an empty list"
    ],
    [
      "{ allow: [\"a.test:1\"], group: b }",
      "blackgate.yml:1:76: listen.connect.group: there are no groups, found \"b\""
    ]
  ]
  for (const [connect, message] of wrong) {
    it.effect(`${connect} is refused with its line`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* refused(file(`, connect: ${connect}`)), message)
      }))
  }
})
