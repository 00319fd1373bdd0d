import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { WebSocket, WebSocketServer } from "ws"
import { eventually } from "../harness/eventually.ts"
import * as OtlpCollector from "../harness/OtlpCollector.ts"
import { ask } from "./ask.ts"
import { gateway, type Running, upstream } from "./gatewayFolder.ts"
import { printed } from "./process.ts"
import { stormOfHangups } from "./stormOfHangups.ts"

const to = (url: string, more = "") => `port: 0\nroutes:\n  - { name: all, upstream: "${url}"${more} }\n`

const reloaded = /INFO reloaded/
const notReloaded = /ERROR not reloaded/

/** Clients on connections that they keep, who ask again as soon as they are answered; and all that they got. */
const load = ({ origin }: Running) =>
  Effect.gen(function*() {
    const bodies = new Map<string, number>()
    const stop = yield* Deferred.make<void>()
    const agent = new Http.Agent({ keepAlive: true, maxSockets: 4 })
    yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
    const once = Effect.callback<string>((resume) => {
      const fail = (error: Error) => resume(Effect.succeed(error.message))
      Http.get(origin, { agent }, (response) => {
        let body = ""
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text
        })
        response.once("error", fail).once("end", () => resume(Effect.succeed(`${response.statusCode} ${body}`)))
      }).once("error", fail)
    })
    const client = Effect.whileLoop({
      while: () => !Deferred.isDoneUnsafe(stop),
      body: () => once,
      step: (body) => bodies.set(body, (bodies.get(body) ?? 0) + 1)
    })
    const fiber = yield* Effect.forkChild(Effect.all([client, client, client, client], { concurrency: "unbounded" }))
    return { bodies, stop: Effect.andThen(Deferred.succeed(stop, undefined), Fiber.join(fiber)) }
  })

// One after the other: each has processes of its own, and a machine has few cores.
describe("SIGHUP", { concurrent: false }, () => {
  it.live(
    "requests that come take the new config, and those under way end in the old one",
    () =>
      Effect.gen(function*() {
        const a = yield* upstream("a")
        const b = yield* upstream("b")
        const program = yield* gateway(to(a.url))
        const answer = yield* Effect.forkChild(ask(`${program.origin}/held`))
        yield* eventually("a request at the upstream", () => a.held() === 1)
        yield* program.reload(to(b.url), reloaded)
        assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "b /1")
        a.release()
        assert.strictEqual((yield* Fiber.join(answer)).body, "a /held")
      }),
    60_000
  )

  it.live("a bad file changes nothing, and the log says why", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(to(url))
      yield* program.reload("port: 0\nroutes:\n  - { upstraem: 1 }\n", notReloaded)
      assert.match(program.output(), /blackgate\.yml:3:7: routes\[0\]\.upstraem: .*did you mean upstream\?/)
      assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")
      yield* program.reload(
        "port: 0\ngroups:\n  a: { pool: { max_concurrent: 1 }, circuit: { slow_call_rate: 1 } }\n",
        notReloaded
      )
      assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")
      yield* program.reload(to(url, ", timeout: 1s"), reloaded)
      assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")
    }), 60_000)

  it.live("what did not change keeps its state", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const limited = (timeout: string, limit: number) =>
        `groups:\n  few: { pool: { max_concurrent: 9 }, rate_limit: { limit: ${limit}, window: 1h } }\n`
        + to(url, `, group: few, timeout: ${timeout}`)
      const program = yield* gateway(limited("1s", 1))
      const status = Effect.map(ask(program.origin), ({ status }) => status)
      assert.deepStrictEqual([yield* status, yield* status], [200, 429])
      yield* program.reload(limited("2s", 1), reloaded)
      assert.strictEqual(yield* status, 429)
      yield* program.reload(limited("2s", 2), reloaded)
      assert.deepStrictEqual([yield* status, yield* status, yield* status], [200, 200, 429])
    }), 60_000)

  it.live("a pool of another size is still the same pool", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const sized = (size: number) =>
        `groups:\n  few: { pool: { max_concurrent: ${size} }, rate_limit: { limit: 4, window: 1h } }\n` +
        to(up.url, ", group: few")
      const program = yield* gateway(sized(1))
      const held = Effect.forkChild(ask(`${program.origin}/held`))
      const status = Effect.map(ask(program.origin), ({ status }) => status)
      const first = yield* held
      yield* eventually("a request at the upstream", () => up.held() === 1)
      assert.strictEqual(yield* status, 503)
      yield* program.reload(sized(2), reloaded)
      const second = yield* held
      yield* eventually("another one", () => up.held() === 2)
      assert.strictEqual(yield* status, 503)
      up.release()
      assert.deepStrictEqual((yield* Fiber.joinAll([first, second])).map(({ body }) => body), ["a /held", "a /held"])
      assert.strictEqual(yield* status, 429)
      assert.notInclude(program.output(), "there is another group")
    }), 60_000)

  it.live("ports come and go, and one that is in use changes nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const listen = (...entries: ReadonlyArray<string>) =>
        to(url).replace("port: 0", `listen: [${entries.map((entry) => `{ ${entry} }`).join(", ")}]`)
      const program = yield* gateway(listen("port: 0, host: 127.0.0.1"))
      yield* program.reload(listen("port: 0, host: 127.0.0.1", "port: 0, host: 127.0.0.2"), reloaded)
      const [, added] = yield* printed(program, /reloaded .* and http:\/\/127\.0\.0\.2:(\d+)/)
      assert.strictEqual((yield* ask(`http://127.0.0.2:${added}/1`)).body, "a /1")

      const taken = new URL(url).port
      yield* program.reload(listen("port: 0, host: 127.0.0.1", `port: ${taken}, host: 127.0.0.1`), notReloaded)
      assert.include(program.output(), `can't listen on 127.0.0.1:${taken}: it is in use by another program`)
      assert.strictEqual((yield* ask(`http://127.0.0.2:${added}/1`)).body, "a /1")

      yield* program.reload(listen("port: 0, host: 127.0.0.1"), reloaded)
      const gone = Effect.promise(() => fetch(`http://127.0.0.2:${added}/1`).then(() => false, () => true))
      yield* Effect.repeat(gone, { until: (gone) => gone })
      assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")

      // A port of all addresses can't be opened beside one of them, which serves until there is another.
      const port = new URL(program.origin).port
      yield* program.reload(listen(`port: ${port}`), notReloaded)
      assert.include(program.output(), `can't listen on port ${port}: it is in use`)
    }), 60_000)

  it.live("a hundred reloads under load lose nothing", () =>
    Effect.gen(function*() {
      const a = yield* upstream("a")
      const b = yield* upstream("b")
      const program = yield* gateway(to(a.url))
      const { bodies, stop } = yield* load(program)
      for (let i = 0; i < 50; i++) {
        yield* program.reload(to(b.url), reloaded)
        yield* program.reload(to(a.url), reloaded)
      }
      yield* stop
      assert.sameMembers([...bodies.keys()], ["200 a /", "200 b /"])
    }), 120_000)

  it.live(
    "fifty that change what listeners are like, and where telemetry goes, lose nothing under load",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const collector = yield* OtlpCollector.make
        const one = `${to(url)}limits: { max_headers: 50, keep_alive: 30s }\ndrain: { timeout: 5s }\n`
        const other = `${to(url, ", fallback: { stale: true }")}limits: { max_header_bytes: 9000 }\n`
          + `telemetry: { otlp: { url: "${collector.url}", interval: 50ms } }\n`
        const program = yield* gateway(one)
        const { bodies, stop } = yield* load(program)
        for (let i = 0; i < 25; i++) {
          yield* program.reload(other, reloaded)
          yield* program.reload(one, reloaded)
        }
        yield* stop
        assert.sameMembers([...bodies.keys()], ["200 a /"])
        assert.isNotEmpty(collector.spans)
      }),
    120_000
  )

  it.live("a WebSocket, a stream and a connection of HTTP/2 live through a hundred", () =>
    Effect.gen(function*() {
      const parts: Array<() => void> = []
      const server = yield* Effect.acquireRelease(
        Effect.callback<Http.Server>((resume) => {
          const server = Http.createServer((request, response) => {
            if (request.url !== "/stream") return void response.end("ok")
            let count = 0
            parts.push(() => {
              if (count++ < 100) response.write("part ")
              else response.end("end")
            })
          })
          new WebSocketServer({ server }).on("connection", (socket) =>
            socket.on("message", (text) => socket.send(`echo ${String(text)}`)))
          server.listen(0, "127.0.0.1", () =>
            resume(Effect.succeed(server)))
        }),
        (server) =>
          Effect.sync(() => {
            server.close()
            server.closeAllConnections()
          })
      )
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const program = yield* gateway(to(url))

      const echoes: Array<string> = []
      const socket = yield* Effect.acquireRelease(
        Effect.callback<WebSocket>((resume) => {
          const socket = new WebSocket(program.origin.replace("http", "ws"))
          socket.on("message", (text) => echoes.push(String(text))).once("open", () => resume(Effect.succeed(socket)))
        }),
        (socket) => Effect.sync(() => socket.terminate())
      )
      const stream = yield* Effect.forkChild(ask(`${program.origin}/stream`))
      yield* eventually("the stream at the upstream", () => parts.length === 1)
      const session = yield* Effect.acquireRelease(
        Effect.sync(() => Http2.connect(program.origin)),
        (session) => Effect.sync(() => session.destroy())
      )
      const get = Effect.callback<number>((resume) => {
        const request = session.request({ ":path": "/" })
        request.once("response", (headers) => {
          request.resume().once("end", () => resume(Effect.succeed(Number(headers[":status"]))))
        }).once("error", () => resume(Effect.succeed(0)))
      })
      for (let i = 0; i < 100; i++) {
        yield* program.reload(to(url, `, timeout: ${i + 1}s`), reloaded)
        socket.send(String(i))
        parts[0]!()
        assert.strictEqual(yield* get, 200)
        yield* eventually("an echo", () => echoes.length === i + 1)
      }
      parts[0]!()
      assert.strictEqual((yield* Fiber.join(stream)).body, `${"part ".repeat(100)}end`)
      assert.strictEqual(echoes.at(-1), "echo 99")
      assert.isFalse(session.closed)
    }), 120_000)

  it.live("sentry.dsn wants a package, and the log says so while that is missing", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(to(url))
      const reporting = (project: number) => `sentry: { dsn: "https://key@sentry.example/${project}" }\n${to(url)}`
      yield* program.reload(reporting(1), /WARN sentry\.dsn is set, but the package @sentry\/node can't be used/)
      assert.notInclude(program.output(), "key@sentry")
      const sdk = Path.join(Path.dirname(program.file), "node_modules/@sentry/node")
      Fs.mkdirSync(sdk, { recursive: true })
      Fs.writeFileSync(Path.join(sdk, "index.js"), "exports.init = ({ dsn }) => console.log(`init ${dsn}`)")
      yield* program.reload(reporting(2), /^init https:\/\/key@sentry\.example\/2$/m)
    }), 60_000)

  it.live("with --watch a change of the file is one", () =>
    Effect.gen(function*() {
      const a = yield* upstream("a")
      const b = yield* upstream("b")
      const program = yield* gateway(to(a.url), { args: ["--watch"] })
      Fs.writeFileSync(program.file, to(b.url))
      const body = Effect.map(ask(program.origin), ({ body }) => body)
      yield* Effect.repeat(body, { until: (body) => body === "b /" })
    }), 60_000)

  it.live("a storm of them ends with what the file says last", () => stormOfHangups(gateway, to), 60_000)
})
