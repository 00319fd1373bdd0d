import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { response } from "../harness/RawUpstream.ts"
import { started } from "./started.ts"

/** A client that keeps its connection. */
const client = Effect.acquireRelease(
  Effect.sync(() => {
    const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
    const ask = (url: string, headers: Record<string, string> = {}) =>
      Effect.callback<{ readonly status: number; readonly port: number | undefined }>((resume) => {
        const request = Http.get(url, { agent, headers }, (answer) => {
          const port = request.socket?.localPort
          answer.resume().once(
            "end",
            () => resume(Effect.succeed({ status: answer.statusCode!, port }))
          )
        }).once("error", (error) => resume(Effect.die(error)))
      })
    return { agent, ask }
  }),
  ({ agent }) => Effect.sync(() => agent.destroy())
)

const upstream = Effect.map(RawUpstream.answering(() => response("ok")), ({ url }) => url)

const freePort = RawUpstream.deadPort

describe("listeners, through a reload", { timeout: 30_000 }, () => {
  it.live("limits change, and connections stay", () =>
    Effect.gen(function*() {
      const url = yield* upstream
      const text = (more: string) => `port: 0\nroutes: [{ upstream: "${url}" }]\n${more}`
      const gateway = yield* started(text(""))
      const { ask } = yield* client
      const { port, status } = yield* ask(gateway.origin)
      assert.strictEqual(status, 200)
      yield* gateway.reload(text("limits: { max_uri: 5 }\ndrain: { timeout: 1s }\n"))
      assert.deepStrictEqual(yield* ask(`${gateway.origin}/ab`), { status: 200, port })
      assert.deepStrictEqual(yield* ask(`${gateway.origin}/abcdefg`), { status: 414, port })
      yield* gateway.reload(text(""))
      assert.strictEqual((yield* ask(`${gateway.origin}/abcdefg`)).status, 200)
    }))

  it.live("http2 and tls change, too; of a certificate that can't be used, nothing does", () =>
    Effect.gen(function*() {
      const url = yield* upstream
      const text = (listen: string, more = "") =>
        `listen: { port: 0${listen} }\nroutes: [{ upstream: "${url}" }]\n${more}`
      const gateway = yield* started(text(""))
      const { ask } = yield* client
      yield* gateway.reload(text(", http2: false"))
      assert.strictEqual((yield* ask(gateway.origin)).status, 200)
      const wrong = ", tls: { certificates: [{ cert: no.pem, key: no.pem }] }"
      const error = yield* Effect.flip(gateway.reload(text(wrong, "limits: { max_uri: 1 }\n")))
      assert.match(error.message, /^blackgate\.yml:1:50: listen\.tls\.certificates\[0\]\.cert: no\.pem can't be read/)
      assert.strictEqual((yield* ask(`${gateway.origin}/ab`)).status, 200)
    }))

  it.live("admin comes, changes its token and its port, and goes", () =>
    Effect.gen(function*() {
      const url = yield* upstream
      const [a, b] = [yield* freePort, yield* freePort]
      const text = (more: string) => `port: 0\nroutes: [{ upstream: "${url}" }]\n${more}`
      const status = (port: number, token = "") =>
        Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}/api/routes`, { headers: { authorization: `Bearer ${token}` } }).then(
            ({ status }) => status,
            () => "gone"
          )
        )
      const gateway = yield* started(text(""))
      yield* gateway.reload(text(`admin: { port: ${a}, token: one }\n`))
      assert.deepStrictEqual([yield* status(a, "one"), yield* status(a, "two")], [200, 401])
      yield* gateway.reload(text(`admin: { port: ${a}, token: two }\n`))
      assert.deepStrictEqual([yield* status(a, "one"), yield* status(a, "two")], [401, 200])
      yield* gateway.reload(text(`admin: { port: ${b}, token: two }\n`))
      assert.strictEqual(yield* status(b, "two"), 200)
      yield* Effect.repeat(status(a, "two"), { until: (status) => status === "gone" })
      yield* gateway.reload(text(""))
      yield* Effect.repeat(status(b, "two"), { until: (status) => status === "gone" })
    }))

  it.live("an address that can't be opened before the old one is closed is refused with its line", () =>
    Effect.gen(function*() {
      const url = yield* upstream
      const port = yield* freePort
      const text = (listen: string) => `routes: [{ upstream: "${url}" }]\nlisten: ${listen}\n`
      const gateway = yield* started(text(`{ port: ${port} }`))
      const refused = (listen: string) =>
        Effect.map(Effect.flip(gateway.reload(text(listen))), ({ message }) => message)
      assert.include(
        yield* refused(`{ port: ${port}, host: 127.0.0.1 }`),
        `blackgate.yml:2:9: listen: 127.0.0.1:${port} can't be opened before port ${port} is closed`
      )
      assert.include(
        yield* refused(`{ port: 0 }\nadmin: { port: ${port} }`),
        `blackgate.yml:3:8: admin: 127.0.0.1:${port} can't be opened before port ${port} is closed`
      )
      const { ask } = yield* client
      assert.strictEqual((yield* ask(gateway.origin)).status, 200)
    }))
})
