import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import { eventually } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { gateway, upstream } from "./gatewayFolder.ts"

const send = (url: string, init: RequestInit = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, init)
    return { status: response.status, text: await response.text() }
  })

const json = (url: string, init?: RequestInit) => Effect.map(send(url, init), ({ text }) => JSON.parse(text))

const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body)
})

const config = (url: string, admin: string) => `
port: 0
admin: ${admin}
groups:
  users: { pool: { max_concurrent: 3 }, circuit: {} }
  plain: { pool: { max_concurrent: 1 } }
routes:
  - { name: users, upstream: "${url}", group: users, request_headers: { set: { authorization: Basic c2VjcmV0 } } }
`

// One after the other: each has processes of its own, and a machine has few cores.
describe("the admin API", { concurrent: false }, () => {
  it.live("says how the gateway stands", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(config(url, "{ port: 0 }"))
      assert.strictEqual((yield* ask(`${program.origin}/1`)).status, 200)
      assert.deepStrictEqual(yield* json(`${program.admin}/health`), { status: "ok" })
      assert.deepStrictEqual(yield* json(`${program.admin}/ready`), { status: "ready" })

      const metrics = (yield* send(`${program.admin}/metrics`)).text
      assert.match(
        metrics,
        /^blackgate_pool_max_concurrent\{group="users"\} 3$|^blackgate_pool_active\{group="users"\} 0$/m
      )

      const groups = yield* json(`${program.admin}/api/groups`)
      assert.deepStrictEqual(groups.map(({ group }: { readonly group: string }) => group), ["users", "plain"])
      assert.strictEqual(groups[0].total.calls, 1)
      assert.deepStrictEqual(yield* json(`${program.admin}/api/routes`), [
        {
          at: "routes[0]",
          name: "users",
          matches: "/",
          goes: url,
          group: "users",
          policies: ["circuit", "pool 3 and 0 waiting"]
        }
      ])
      const shown = yield* json(`${program.admin}/api/config`)
      assert.deepStrictEqual(shown.routes[0].request_headers, { set: { authorization: "<redacted>" } })
      assert.strictEqual((yield* json(`${program.admin}/openapi.json`)).info.title, "Blackgate")

      // A page that is whole: nothing in it is fetched from elsewhere.
      const docs = yield* send(`${program.admin}/docs`)
      assert.strictEqual(docs.status, 200)
      assert.include(docs.text, "SwaggerUIBundle")
      assert.notMatch(docs.text, /<(?:script|img|iframe)[^>]*\ssrc=|<link[^>]*\shref=/)
    }), 60_000)

  it.live("resizes pools, forces circuits, and reloads", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(config(url, "{ port: 0 }"))
      const users = `${program.admin}/api/groups/users`
      const resized = yield* json(users, post({ pool: { max_concurrent: 7 } }))
      assert.strictEqual(resized.pool.maxConcurrent, 7)
      assert.strictEqual((yield* send(users, post({ pool: { max_concurrent: 0 } }))).status, 422)
      assert.strictEqual((yield* send(`${program.admin}/api/groups/nobody`, post({}))).status, 404)
      const force = { circuit: { key: "users", to: "open" } }
      assert.strictEqual((yield* send(`${program.admin}/api/groups/plain`, post(force))).status, 422)
      assert.strictEqual((yield* send(users, post(force))).status, 200)
      assert.strictEqual((yield* ask(program.origin)).status, 503)
      assert.strictEqual((yield* send(users, post({ circuit: { key: "users", to: "auto" } }))).status, 200)
      assert.strictEqual((yield* ask(program.origin)).status, 200)

      const reload = send(`${program.admin}/api/reload`, { method: "POST" })
      assert.strictEqual((yield* reload).status, 200)
      Fs.writeFileSync(program.file, "prot: 1\n")
      const { status, text } = yield* reload
      assert.strictEqual(status, 422)
      assert.include(JSON.parse(text).message, "did you mean port?")
      assert.strictEqual((yield* ask(program.origin)).status, 200)
      Fs.writeFileSync(program.file, config(url, "{ port: 0 }").replace("admin: { port: 0 }", ""))
      yield* program.reload(Fs.readFileSync(program.file, "utf8"), /INFO reloaded/)
      const gone = Effect.promise(() => fetch(`${program.admin}/health`).then(() => false, () => true))
      yield* Effect.repeat(gone, { until: (gone) => gone })
    }), 60_000)

  it.live(
    "a change that can't be read, or is none, says what is wrong with it, and changes nothing",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* gateway(config(url, "{ port: 0 }"))
        const users = `${program.admin}/api/groups/users`
        const said = (body: unknown) =>
          Effect.map(send(users, post(body)), ({ status, text }) => [status, JSON.parse(text).message])
        const at = (...path: ReadonlyArray<string>) => `at ${path.map((key) => `["${key}"]`).join("")}`
        for (
          const [body, status, message] of [
            [{ pool: { max_concurent: 5 } }, 400, at("pool", "max_concurent")],
            [{ pol: { max_concurrent: 5 } }, 400, at("pol")],
            [{ pool: { max_concurrent: "5" } }, 400, at("pool", "max_concurrent")],
            [{ pool: { max_concurrent: 1.5 } }, 400, at("pool", "max_concurrent")],
            [{ circuit: { key: "users", to: "shut" } }, 400, at("circuit", "to")],
            [[], 400, "Expected object"],
            [{ pool: { max_concurrent: 0 } }, 422, "max_concurrent: expected a whole number of at least 1"]
          ] as const
        ) {
          const [found, text] = yield* said(body)
          assert.strictEqual(found, status, text)
          assert.include(text, message)
        }
        assert.strictEqual((yield* send(users, { ...post({}), body: "{" })).status, 400)
        assert.strictEqual((yield* send(users, { method: "POST", body: "{}" })).status, 415)
        assert.strictEqual((yield* json(`${program.admin}/api/groups`))[0].pool.maxConcurrent, 3)
      }),
    60_000
  )

  it.live("a body that no change takes is refused, with a length or without one", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(config(url, "{ port: 0 }"))
      const users = `${program.admin}/api/groups/users`
      const long = " ".repeat(100_000)
      const headers = { "content-type": "application/json" }
      assert.strictEqual((yield* send(users, { method: "POST", headers, body: long })).status, 413)
      const streamed: RequestInit & { readonly duplex: "half" } = {
        method: "POST",
        headers,
        duplex: "half",
        body: new Blob([long]).stream()
      }
      assert.strictEqual((yield* send(users, streamed)).status, 413)
      assert.strictEqual((yield* send(users, post({}))).status, 200)
    }), 60_000)

  it.live("is for this machine, or for who has the token", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const own = yield* gateway(config(url, "{ port: 0 }"))
      assert.strictEqual((yield* send(`${own.admin}/health`, { headers: { origin: "https://a.example" } })).status, 403)
      const other = yield* Effect.promise(async () => {
        const { request } = await import("node:http")
        return await new Promise((resolve) => {
          request(`${own.admin}/api/config`, { headers: { host: "a.example" } }, (response) => {
            resolve(response.resume().statusCode)
          }).end()
        })
      })
      assert.strictEqual(other, 403)

      const program = yield* gateway(config(url, "{ port: 0, host: 0.0.0.0, token: '${TOKEN}' }"), {
        env: { TOKEN: "abc" }
      })
      const admin = program.admin.replace("0.0.0.0", "127.0.0.1")
      const asked = (token: string) =>
        Effect.map(
          send(`${admin}/api/config`, { headers: { authorization: `Bearer ${token}` } }),
          ({ status }) => status
        )
      assert.deepStrictEqual([yield* asked("abc"), yield* asked("abd"), yield* asked("")], [200, 401, 401])
      assert.strictEqual((yield* send(`${admin}/ready`)).status, 200)
      assert.strictEqual((yield* send(`${admin}/metrics`)).status, 401)
      assert.strictEqual((yield* send(`${admin}/docs`)).status, 401)
    }), 60_000)

  it.live("says that the gateway is not ready while it drains", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* gateway(config(up.url, "{ port: 0 }"))
      const answer = yield* Effect.forkChild(ask(`${program.origin}/held`))
      yield* eventually("a request at the upstream", () => up.held() === 1)
      yield* program.signal("SIGTERM")
      const ready = Effect.map(send(`${program.admin}/ready`), ({ status }) => status)
      yield* Effect.repeat(ready, { until: (status) => status === 503 })
      assert.strictEqual((yield* send(`${program.admin}/health`)).status, 200)
      up.release()
      assert.strictEqual((yield* Fiber.join(answer)).status, 200)
      assert.strictEqual(yield* program.ended, 0)
    }), 60_000)
})
