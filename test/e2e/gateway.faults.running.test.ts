// What befalls a gateway that runs: it goes on.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import { connect, type Socket } from "node:net"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { folder, gateway, upstream } from "./gatewayFolder.ts"
import { printed, startByShell } from "./process.ts"

const to = (url: string, more = "") => `port: 0\n${more}routes:\n  - { name: all, upstream: "${url}" }\n`

const reloaded = /INFO reloaded/
const notReloaded = /ERROR not reloaded/

const count = (text: string, pattern: RegExp) => text.split(pattern).length - 1

/** Starts it by a shell, that does something to it before; it may not be able to say where it listens. */
const shelled = (text: string, script: string) =>
  Effect.gen(function*() {
    const cwd = yield* folder
    Fs.writeFileSync(Path.join(cwd, "blackgate.yml"), text)
    const program = yield* startByShell(cwd, script)
    return { ...program, cwd }
  })

/** A port that was free a moment ago, for a gateway that can't say where it listens. */
const freePort = Effect.callback<number>((resume) => {
  const server = Http.createServer().listen(0, () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" ? address!.port : 0)))
  })
})

/** Asks until it listens. */
const listens = (origin: string) =>
  Effect.repeat(Effect.promise(() => fetch(origin).then(() => true, () => false)), { until: (is) => is }).pipe(
    Effect.timeout("30 seconds")
  )

// One after the other: each has processes of its own, and a machine has few cores.
describe("a gateway that runs goes on", { concurrent: false }, () => {
  it.live("when the disk under its logs is full", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const port = yield* freePort
      const origin = `http://127.0.0.1:${port}`
      const text = to(url, "log: { level: debug, access: { format: json } }\n").replace("port: 0", `port: ${port}`)
      const program = yield* shelled(text, "exec \"$0\" start >/dev/full 2>/dev/full")
      yield* listens(origin)
      for (let i = 0; i < 100; i++) assert.strictEqual((yield* ask(`${origin}/${i}`)).body, `a /${i}`)
      // A reload has something to say, too.
      Fs.writeFileSync(Path.join(program.cwd, "blackgate.yml"), "prot: 1")
      yield* program.signal("SIGHUP")
      assert.strictEqual((yield* ask(`${origin}/`)).status, 200)
      yield* program.signal("SIGTERM")
      assert.strictEqual(yield* program.ended, 0)
    }), 60_000)

  it.live("when nobody reads its output any more, and when it has no stdin", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const port = yield* freePort
      const origin = `http://127.0.0.1:${port}`
      const text = to(url, "log: { access: {} }\n").replace("port: 0", `port: ${port}`)
      // The reader of the pipe ends at once.
      const program = yield* shelled(text, "exec \"$0\" start <&- > >(exec true)")
      yield* listens(origin)
      for (let i = 0; i < 100; i++) assert.strictEqual((yield* ask(`${origin}/${i}`)).body, `a /${i}`)
      yield* program.signal("SIGTERM")
      assert.strictEqual(yield* program.ended, 0)
    }), 60_000)

  it.live("through a storm of a thousand SIGHUPs under load, of which nothing is lost", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* gateway(to(url))
      const answers = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 400 }, (_, i) => i), (i) => ask(`${program.origin}/${i}`), {
          concurrency: 4
        })
      )
      for (let i = 0; i < 1000; i++) {
        yield* program.signal("SIGHUP")
        if (i % 20 === 0) yield* Effect.sleep(10)
      }
      const bodies = (yield* Fiber.join(answers)).map(({ body, status }) => `${status} ${body}`)
      assert.deepStrictEqual(bodies, bodies.map((_, i) => `200 a /${i}`))
      // The last one is heard, however many there were before.
      yield* program.reload("prot: 1", notReloaded)
      assert.isAtLeast(count(program.output(), reloaded), 1)
      assert.isAtMost(count(program.output(), reloaded), 1000)
      assert.strictEqual((yield* ask(program.origin)).status, 200)
    }), 60_000)

  it.live("when an upstream's name does not resolve: a 502", () =>
    Effect.gen(function*() {
      const program = yield* gateway(to("http://nowhere.invalid", "log: { access: { format: json } }\n"))
      for (let i = 0; i < 3; i++) {
        const { body, status } = yield* ask(program.origin)
        assert.strictEqual(status, 502)
        assert.deepStrictEqual(JSON.parse(body), { code: 502, message: "bad gateway", errors: [] })
      }
      assert.isFalse(program.hasEnded())
    }), 60_000)

  it.live(
    "when there are no file descriptors left: whoever comes is turned away, until there are",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* shelled(to(url), "ulimit -n 80; exec \"$0\" start")
        const [, port] = yield* printed(program, /listens on http:\/\/\S+:(\d+)/)
        const origin = `http://127.0.0.1:${port}`
        assert.strictEqual((yield* ask(`${origin}/before`)).body, "a /before")
        const sockets: Array<Socket> = []
        let closed = 0
        yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
        for (let i = 0; i < 200; i++) {
          sockets.push(connect(Number(port), "127.0.0.1").on("error", () => {}).on("close", () => closed++))
        }
        const open = () => Fs.readdirSync(`/proc/${program.pid}/fd`).length
        yield* eventually("no descriptor left", () => open() >= 78, () => `${open()}`)
        yield* eventually("one that is turned away", () => closed > 0)
        assert.isFalse(program.hasEnded())
        for (const socket of sockets) socket.destroy()
        yield* eventually("descriptors", () => open() < 60, () => `${open()}`)
        assert.strictEqual((yield* ask(`${origin}/after`)).body, "a /after")
        // Files can be read again.
        yield* program.signal("SIGHUP")
        yield* printed(program, reloaded)
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
      }),
    60_000
  )

  it.live(
    "when a reload finds a file that can't be read: none, a folder, a pipe, no certificate",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* gateway(to(url))
        const refuses = (says: string) =>
          Effect.gen(function*() {
            const before = count(program.output(), notReloaded)
            yield* program.signal("SIGHUP")
            yield* eventually("a refusal", () => count(program.output(), notReloaded) > before, program.output)
            assert.include(program.output(), says)
            assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")
          })
        Fs.rmSync(program.file)
        yield* refuses("it can't be read: ENOENT")
        Fs.mkdirSync(program.file)
        yield* refuses("it can't be read: it is a folder")
        Fs.rmdirSync(program.file)
        execFileSync("mkfifo", [program.file])
        yield* refuses("it can't be read: it is not a regular file")
        Fs.rmSync(program.file)
        const tls = "listen: { port: 0, tls: { certificates: [{ cert: none.pem, key: none.pem }] } }"
        Fs.writeFileSync(program.file, to(url).replace("port: 0", tls))
        yield* refuses("none.pem can't be read: ENOENT")
        yield* program.reload(to(url), reloaded)
      }),
    60_000
  )

  it.live("with ten thousand routes: it starts, finds the last one, and reloads them", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const routes = Array.from(
        { length: 10_000 },
        (_, i) => `  - { name: r${i}, match: { host: h${i % 100}.example, path: /r${i} }, upstream: "${url}" }\n`
      )
      const text = `port: 0\nroutes:\n${routes.join("")}`
      const program = yield* gateway(text)
      const last = Effect.callback<string>((resume) => {
        Http.get(`${program.origin}/r9999`, { agent: false, headers: { host: "h99.example" } }, (response) => {
          response.setEncoding("utf8").on("data", (body: string) => resume(Effect.succeed(body)))
        })
      })
      assert.strictEqual(yield* last, "a /r9999")
      const kilobytes = /VmRSS:\s+(\d+)/.exec(Fs.readFileSync(`/proc/${program.pid}/status`, "utf8"))?.[1]
      assert.isBelow(Number(kilobytes), 1_000_000)
      yield* program.reload(text, reloaded)
      assert.strictEqual(yield* last, "a /r9999")
    }), 60_000)
})
