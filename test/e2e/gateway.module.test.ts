import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { WebSocket, WebSocketServer } from "ws"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { folder, gateway, type Running, upstream } from "./gatewayFolder.ts"
import { startBlackgate } from "./process.ts"

const name = "blackgate.config.ts"
const reloaded = /INFO reloaded/
const notReloaded = /ERROR not reloaded/

/** A module: what it imports, and what it hands to `defineConfig`. */
const module = (definition: string, before = "") =>
  `import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { defineConfig } from "blackgate/config"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
${before}
class Api extends Group.Service<Api>()("api") {}
const text = (text: string) => Effect.succeed(HttpServerResponse.text(text))
export default defineConfig(${definition})
`

/** To an upstream by a route in code, in a group of one at a time; and by one of the config. */
const to = (url: string, version: number, more = "") =>
  module(
    `{
  config: {
    port: 0,
    admin: { port: 0, token: "the token" },
    groups: { api: { pool: { max_concurrent: 1 } } },
    routes: [{ name: "rest", match: { path: "/" }, upstream: "${url}" }]
  },
  routes: Layer.mergeAll(
    Proxy.route("/api/*", { group: Api, upstream: "${url}" }),
    HttpRouter.add("GET", "/version", text("${version}")),
    Layer.effectDiscard(Effect.acquireRelease(
      Effect.sync(() => console.log("opened ${version}")),
      () => Effect.sync(() => console.log("closed ${version}"))
    ))
  ),
  middleware: Effect.map(HttpServerResponse.setHeader("x-version", "${version}"))
}`,
    more
  )

const command = (cwd: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const program = yield* startBlackgate(cwd, args)
    const exitCode = yield* program.ended
    return { exitCode, output: program.output() }
  })

const body = ({ origin }: Running, path: string) => Effect.map(ask(origin + path), ({ body }) => body)

// One after the other: each has processes of its own, and a machine has few cores.
describe("a config module", { concurrent: false }, () => {
  it.live(
    "is found in the folder where the program is started, and runs: its routes, those of its config, its filter",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* gateway(to(url, 1), { name })
        assert.strictEqual(yield* body(program, "/version"), "1")
        assert.strictEqual(yield* body(program, "/api/1"), "a /api/1")
        const { headers, status } = yield* ask(`${program.origin}/other`)
        assert.deepStrictEqual([status, headers["x-version"]], [200, "1"])
        assert.strictEqual((yield* ask(`${program.origin}/Version`)).status, 400)
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
        assert.match(program.output(), /^opened 1$[^]*^closed 1$/m)
      }),
    60_000
  )

  it.live(
    "is imported anew by a reload; what is under way ends in the old one, whose layer is closed then; the group stays",
    () =>
      Effect.gen(function*() {
        const a = yield* upstream("a")
        const program = yield* gateway(to(a.url, 1), { name })
        const answer = yield* Effect.forkChild(ask(`${program.origin}/api/held`))
        yield* eventually("a request at the upstream", () => a.held() === 1)
        yield* program.reload(to(a.url, 2), reloaded)
        assert.strictEqual(yield* body(program, "/version"), "2")
        assert.match(program.output(), /^opened 2$/m)
        assert.notMatch(program.output(), /^closed 1$/m)
        // There is one place in the group, and the old config has it.
        assert.strictEqual((yield* ask(`${program.origin}/api/1`)).status, 503)
        a.release()
        assert.strictEqual((yield* Fiber.join(answer)).headers["x-version"], "1")
        yield* eventually("the end of the old layer", () => /^closed 1$/m.test(program.output()), program.output)
        assert.strictEqual(yield* body(program, "/api/1"), "a /api/1")
      }),
    60_000
  )

  for (const workers of ["1", "2"]) {
    it.live(
      `is refused for a promise that it rejects and nobody awaits, and ends nothing, with --workers ${workers}`,
      () =>
        Effect.gen(function*() {
          const { url } = yield* upstream("a")
          const program = yield* gateway(to(url, 1), { name, args: ["--workers", workers] })
          yield* program.reload(to(url, 2, "void Promise.reject(new Error('nobody hears of it'))"), notReloaded)
          assert.include(program.output(), "it rejects a promise that nobody awaits: nobody hears of it")
          assert.match(program.output(), /blackgate\.config\.ts:6:21: it rejects/)
          assert.strictEqual(yield* body(program, "/version"), "1")
          yield* program.reload(to(url, 3), reloaded)
          assert.strictEqual(yield* body(program, "/version"), "3")
        }),
      60_000
    )
  }

  it.live("has what it imports of its own folder imported anew, too, but for CommonJS", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const text = module(
        `{ config: { port: 0 }, routes: HttpRouter.add("GET", "/", text([from, data.from, common.from].join())) }`,
        "import { from } from \"./a.ts\"\nimport data from \"./b.json\" with { type: \"json\" }\nimport common from \"./c.cjs\""
      )
      const others = (version: number) => ({
        "a.ts": `export { from } from "./deep.mjs"`,
        "deep.mjs": `export const from = ${version}`,
        "b.json": `{ "from": ${version} }`,
        "c.cjs": `exports.from = ${version}`
      })
      const program = yield* gateway(text, { name, others: others(1) })
      assert.strictEqual(yield* body(program, "/"), "1,1,1")
      for (const [other, text] of Object.entries(others(2))) {
        Fs.writeFileSync(Path.join(Path.dirname(program.file), other), text)
      }
      yield* program.reload(text, reloaded)
      assert.strictEqual(yield* body(program, "/"), "2,2,1")
      yield* program.reload(to(url, 3), reloaded)
      assert.strictEqual(yield* body(program, "/version"), "3")
    }), 60_000)

  it.live("that can't be used changes nothing when it is reloaded, and the log says why", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(to(url, 1), { name })
      const wrong: ReadonlyArray<readonly [text: string, says: RegExp]> = [
        ["export default {\n  a: = }\n", /blackgate\.config\.ts:2:6: it can't be imported/],
        [to(url, 2, "throw new Error(\"not today\")"), /blackgate\.config\.ts:6:7: it can't be imported: not today/],
        [to(url, 2).replace("port: 0", "port: -1"), /blackgate\.config\.ts: port: expected a whole number/],
        [to(url, 2).replace("config.groups", "").replace("api: {", "other: {"), /the layer of routes needs api/],
        [to(url, 2).replace("text(\"2\")", "nothing"), /nothing is not defined/],
        [module("{ routes: Layer.effectDiscard(Effect.fail(\"no database\")) }"), /can't be built: no database/]
      ]
      for (const [text, says] of wrong) {
        yield* program.reload(text, notReloaded)
        assert.match(program.output(), says)
        assert.strictEqual(yield* body(program, "/version"), "1")
      }
      yield* program.reload(to(url, 2), reloaded)
      assert.strictEqual(yield* body(program, "/version"), "2")
      assert.notMatch(program.output(), /^opened 2$[^]*^opened 2$/m)
    }), 60_000)

  it.live(
    "that can't be used ends the program with 2, before anything listens, and says what is wrong and where",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        const wrong: ReadonlyArray<readonly [text: string, says: string]> = [
          ["const a: = 1", `${name}:1:10: it can't be imported: `],
          ["enum A { B }\nexport default A", `${name}:1:1: it can't be imported: TypeScript enum is not supported`],
          ["import \"./bad.mjs\"", "bad.mjs:2:11: it can't be imported: Unexpected token '='"],
          ["import \"./gone.ts\"", `${name}: it can't be imported: Cannot find module`],
          ["import \"left-pad\"", "(a package has to be installed where the module is)"],
          ["import { b } from \"./good.ts\"", `${name}:1:10: it can't be imported: The requested module`],
          ["throw { toString() { throw 1 } }", `${name}: it can't be imported: `],
          ["export const a = 1", `${name}: it has no default export`],
          ["export default { port: 1 }", `${name}: its default export is not what defineConfig`],
          [module("{ routs: Layer.empty }"), `${name}: defineConfig takes config, middleware, routes, and not routs`],
          [module("{ routes: () => Layer.empty }"), `${name}: routes is not a layer`],
          [module("{ middleware: 1 }"), `${name}: middleware is not a function`],
          [module("{ config: { prot: 1 } }"), "(did you mean port?)"],
          [
            module("{ config: { routes: [{ upstream: \"b\" }] } }"),
            `${name}: routes[0].upstream: there are no upstreams`
          ],
          [module("{ routes: Proxy.route(\"/\", { group: Api, upstream: \"http://a\" }) }"), "needs api"]
        ]
        Fs.writeFileSync(Path.join(cwd, "bad.mjs"), "const a = 1\nconst b = = 2\n")
        Fs.writeFileSync(Path.join(cwd, "good.ts"), "export const a = 1\n")
        for (const [text, says] of wrong) {
          Fs.writeFileSync(Path.join(cwd, name), text)
          const { exitCode, output } = yield* command(cwd, "start")
          assert.strictEqual(exitCode, 2, output)
          assert.include(output, says)
          assert.match(output, /^1 error in \S+$/m)
        }
        const others: ReadonlyArray<readonly [file: string, text: string, says: string]> = [
          ["a.cts", "", "a.cts: a config module is an ES module"],
          ["a.js", "module.exports = {}", "a.js: it is CommonJS"],
          ["gone.mts", "", "gone.mts: it can't be read: ENOENT"]
        ]
        for (const [file, text, says] of others) {
          if (text !== "") Fs.writeFileSync(Path.join(cwd, file), text)
          const { exitCode, output } = yield* command(cwd, "-c", file, "check")
          assert.deepStrictEqual([exitCode, output.includes(says)], [2, true], output)
        }
      }),
    120_000
  )

  it.live("that is JavaScript runs as well", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      for (const file of ["a.js", "b.mjs", "c.mts"]) {
        Fs.writeFileSync(
          Path.join(cwd, file),
          `import { defineConfig } from "blackgate/config"\nexport default defineConfig({ config: { port: 1 } })\n`
        )
        const { exitCode, output } = yield* command(cwd, "-c", file, "check")
        assert.deepStrictEqual([exitCode, output], [
          0,
          `${file} is good: 1 listener, 0 routes, 0 proxies, 0 groups\n`
        ])
      }
    }), 60_000)

  it.live("with --watch a change of what it imports is a change of it", () =>
    Effect.gen(function*() {
      const text = module(
        `{ config: { port: 0 }, routes: HttpRouter.add("GET", "/", text(from)) }`,
        "import { from } from \"./a.ts\""
      )
      const program = yield* gateway(text, { name, args: ["--watch"], others: { "a.ts": "export const from = \"1\"" } })
      const a = Path.join(Path.dirname(program.file), "a.ts")
      const change = (text: string, says: RegExp) => {
        Fs.writeFileSync(a, text)
        return eventually(String(says), () => says.test(program.output()), program.output)
      }
      yield* change("export const form = \"2\"", /not reloaded[^]*does not provide an export named 'from'/)
      assert.strictEqual(yield* body(program, "/"), "1")
      Fs.writeFileSync(a, "export { from } from \"./b.ts\"")
      Fs.writeFileSync(Path.join(Path.dirname(a), "b.ts"), "export const from = \"33\"")
      yield* eventuallyEqual("the answer", "33", body(program, "/"))
      Fs.writeFileSync(Path.join(Path.dirname(a), "b.ts"), "export const from = \"4444\"")
      yield* eventuallyEqual("the answer", "4444", body(program, "/"))
    }), 60_000)

  it.live(
    "check and routes know of its routes, and so does the admin API, which keeps its secrets",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const cwd = yield* folder
        Fs.writeFileSync(Path.join(cwd, name), to(url, 1))
        const explain = (method: string, path: string) => command(cwd, "routes", "--explain", method, path)
        assert.include(
          (yield* command(cwd, "check")).output,
          `./${name} is good: 1 listener, 1 route, 0 proxies, 1 group, 2 routes in code\n`
        )
        const { output } = yield* command(cwd, "routes")
        assert.match(output, /^module\[\d\] +GET \/version +GET \/version +code +-$[^]*^routes\[0\] +rest +\/ +http/m)
        assert.match(output, /^module\[\d\] +\/api\/\* +\/api\/\* +http:\/\/\S+ +api$/m)
        assert.include(
          (yield* explain("GET", "/api/1")).output,
          `upstream  ${url}, by a handler in code\ngroup     api`
        )
        assert.match((yield* explain("GET", "/version")).output, /^route +GET \/version \(module\[\d\]\)$/m)
        assert.match((yield* explain("POST", "/version")).output, /^route +rest \(routes\[0\]\)$/m)
        assert.include((yield* explain("GET", "/VERSION")).output, "400: the path could mean another route")

        const program = yield* gateway(to(url, 1), { name })
        const admin = (path: string) =>
          Effect.promise(async () =>
            await (await fetch(program.admin + path, { headers: { authorization: "Bearer the token" } })).json()
          )
        const routes = (yield* admin("/api/routes")) as ReadonlyArray<{ readonly name: string; readonly goes: string }>
        assert.sameMembers(routes.map(({ goes, name }) => `${name} ${goes}`), [
          `/api/* ${url}`,
          "GET /version code",
          `rest ${url}`
        ])
        assert.deepInclude((yield* admin("/api/config")) as object, { admin: { port: 0, token: "<redacted>" } })
      }),
    60_000
  )

  it.live("a WebSocket passes its filter", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<WebSocketServer>((resume) => {
          const made = new WebSocketServer({ port: 0, host: "127.0.0.1" })
          made.once("listening", () => resume(Effect.succeed(made)))
          made.on("connection", (socket) => socket.on("message", (data) => socket.send(`heard ${String(data)}`)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as AddressInfo
      const { origin } = yield* gateway(to(`http://127.0.0.1:${port}`, 1), { name })
      for (const path of ["/api/chat", "/chat"]) {
        const heard = yield* Effect.callback<string>((resume) => {
          const socket = new WebSocket(origin.replace("http", "ws") + path)
          socket.on("open", () => socket.send("hello"))
          socket.on("error", (error) => resume(Effect.die(error)))
          socket.on("message", (data) => {
            socket.close()
            resume(Effect.succeed(String(data)))
          })
        })
        assert.strictEqual(heard, "heard hello")
      }
    }), 60_000)

  it.live("30 reloads in a row lose no request", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(to(url, 0), { name })
      const statuses = new Set<number>()
      let over = false
      const client = (path: string) =>
        Effect.whileLoop({
          while: () => !over,
          body: () => ask(program.origin + path),
          step: ({ status }) => void statuses.add(status)
        })
      const clients = yield* Effect.forkChild(
        Effect.all(["/version", "/api/1", "/other"].map(client), { concurrency: "unbounded" })
      )
      for (let i = 1; i <= 30; i++) yield* program.reload(to(url, i), reloaded)
      over = true
      yield* Fiber.join(clients)
      assert.deepStrictEqual([...statuses], [200])
      assert.strictEqual(yield* body(program, "/version"), "30")
    }), 60_000)
})
