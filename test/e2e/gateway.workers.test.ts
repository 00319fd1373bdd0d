import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { eventually, settled } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { client, load } from "./clients.ts"
import { folder, upstream } from "./gatewayFolder.ts"
import { accessLines, clientsOfEach, twoWorkers } from "./gatewayWorkers.ts"
import { isRunning, printed, startBlackgate } from "./process.ts"

const to = (url: string, group = "") =>
  `port: 0\n${group}routes:\n  - { name: all, upstream: "${url}"${group === "" ? "" : ", group: few"} }\n`

const send = (url: string, body?: unknown) =>
  Effect.promise(async () => {
    const response = await fetch(
      url,
      body === undefined
        ? {}
        : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
    )
    return { status: response.status, text: await response.text() }
  })

const json = (url: string, body?: unknown) => Effect.map(send(url, body), ({ text }) => JSON.parse(text))

/** An upstream that says how many it has had at once. */
const counting = Effect.acquireRelease(
  Effect.callback<{ readonly server: Http.Server; readonly most: () => number }>((resume) => {
    let [now, most] = [0, 0]
    const server = Http.createServer((_, response) => {
      most = Math.max(most, ++now)
      setTimeout(() => {
        now--
        response.end("ok")
      }, 5)
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, most: () => most })))
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
).pipe(Effect.map(({ most, server }) => ({ most, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })))

// One after the other: each has processes of its own, and a machine has few cores.
describe("--workers 2", { concurrent: false }, () => {
  it.live(
    "both serve one port, and a connection stays with its worker",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* twoWorkers(to(url))
        const [ones, twos] = yield* clientsOfEach(program, 1)
        assert.strictEqual(yield* ones[0]!.get("/1"), "200 a /1")
        assert.strictEqual(yield* twos[0]!.get("/2"), "200 a /2")
      }),
    60_000
  )

  it.live("max_concurrent is exact for both together", () =>
    Effect.gen(function*() {
      const { most, url } = yield* counting
      const program = yield* twoWorkers(to(url, "groups: { few: { pool: { max_concurrent: 3, max_queued: 1000 } } }\n"))
      const [ones, twos] = yield* clientsOfEach(program, 8)
      const { answers, stop } = yield* load([...ones, ...twos], "/")
      yield* eventually("many answers", () => (answers.get("200 ok") ?? 0) > 1000, () => JSON.stringify([...answers]))
      yield* stop
      assert.deepStrictEqual([...answers.keys()], ["200 ok"])
      assert.strictEqual(most(), 3)
    }), 60_000)

  it.live("a rate limit is exact for both together, with keys and without", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      for (const key of ["", ", key: client_address"]) {
        const limit = `groups: { few: { pool: { max_concurrent: 9 }, rate_limit: { limit: 40, window: 1h${key} } } }\n`
        const program = yield* twoWorkers(to(url, limit))
        // Of its tokens they take some.
        const [ones, twos] = yield* clientsOfEach(program, 1)
        for (let i = 0; i < 30; i++) {
          yield* ones[0]!.get("/1")
          yield* twos[0]!.get("/2")
        }
        yield* eventually("60 lines", () => accessLines(program.output()).length >= 60)
        const taken = accessLines(program.output()).filter(({ status }) => status === 200)
        assert.strictEqual(taken.length, 40)
        assert.strictEqual(new Set(taken.map(({ worker }) => worker)).size, 2)
      }
    }), 60_000)

  it.live("operators see both as one, and change both", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const few = "admin: { port: 0 }\ngroups: { few: { pool: { max_concurrent: 2, max_queued: 5 }, circuit: {} } }\n"
      const program = yield* twoWorkers(to(up.url, few))
      assert.deepStrictEqual(yield* json(`${program.admin}/ready`), { status: "ready" })
      const [ones, twos] = yield* clientsOfEach(program, 2)
      const before = (yield* json(`${program.admin}/api/groups`))[0].total.calls
      for (let i = 0; i < 10; i++) for (const one of [ones[0]!, twos[0]!]) yield* one.get("/1")
      const [group] = yield* json(`${program.admin}/api/groups`)
      assert.strictEqual(group.total.calls - before, 20)
      assert.deepStrictEqual([group.pool.maxConcurrent, group.pool.maxQueued], [2, 10])

      const held = yield* Effect.forEach([ones[0]!, twos[0]!], ({ get }) => Effect.forkChild(get("/held")))
      yield* eventually("two at the upstream", () => up.held() === 2)
      const { text } = yield* send(`${program.admin}/metrics`)
      assert.match(text, /^blackgate_pool_active\{group="few"\} 2$/m)
      assert.match(text, /^blackgate_pool_max_concurrent\{group="few"\} 2$/m)
      assert.match(text, /^blackgate_pool_max_queued\{group="few"\} 10$/m)
      assert.match(text, new RegExp(`^blackgate_command_calls_total\\{.*outcome="success"\\} ${before + 20}$`, "m"))
      assert.match(text, new RegExp(`^blackgate_command_duration_seconds_count\\{.*\\} ${before + 20}$`, "m"))

      const few0 = `${program.admin}/api/groups/few`
      assert.strictEqual((yield* json(few0, { pool: { max_concurrent: 3, max_queued: 0 } })).pool.maxConcurrent, 3)
      const third = yield* Effect.forkChild(ones[1]!.get("/held"))
      yield* eventually("three at the upstream", () => up.held() === 3)
      assert.match(yield* twos[1]!.get("/4"), /^503 /)
      up.release()
      yield* Fiber.joinAll([...held, third])
      assert.strictEqual((yield* send(few0, { pool: { max_concurrent: 0 } })).status, 422)
      assert.strictEqual((yield* send(`${program.admin}/api/groups/nobody`, {})).status, 404)

      assert.strictEqual((yield* send(few0, { circuit: { key: "all", to: "open" } })).status, 200)
      assert.match(yield* ones[0]!.get("/5"), /^503 /)
      assert.match(yield* twos[0]!.get("/5"), /^503 /)
      assert.strictEqual((yield* send(few0, { circuit: { key: "all", to: "auto" } })).status, 200)
      assert.strictEqual(yield* twos[0]!.get("/6"), "200 a /6")
      assert.deepStrictEqual(yield* json(`${program.admin}/api/routes`), [
        {
          at: "routes[0]",
          name: "all",
          matches: "/",
          goes: up.url,
          group: "few",
          policies: ["circuit", "pool 2 and 5 waiting"]
        }
      ])
      assert.deepStrictEqual(Object.keys(yield* json(`${program.admin}/api/reload`, {})), ["listens"])
    }), 60_000)

  it.live("the event stream has what happens in both", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* twoWorkers(
        to(url, "admin: { port: 0 }\ngroups: { few: { pool: { max_concurrent: 2 } } }\n")
      )
      const [ones, twos] = yield* clientsOfEach(program, 1)
      let seen = ""
      const request = yield* Effect.acquireRelease(
        Effect.sync(() =>
          Http.get(`${program.admin}/api/events`, (response) => {
            response.setEncoding("utf8").on("data", (text: string) => {
              seen += text
            })
          })
        ),
        (request) => Effect.sync(() => request.destroy())
      )
      request.once("error", () => {})
      yield* eventually("a snapshot", () => seen.includes("event: snapshot"))
      yield* ones[0]!.get("/1")
      yield* twos[0]!.get("/2")
      yield* eventually("two events", () => seen.split("\"_tag\":\"CallEnded\"").length === 3, () => seen)
    }), 60_000)

  it.live("no line of the log is torn, however much both write into a pipe", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const program = yield* twoWorkers(to(url))
      const [ones, twos] = yield* clientsOfEach(program, 4)
      // Longer than what a pipe takes in one piece.
      const target = `/${"x".repeat(7000)}`
      const { answers, stop } = yield* load([...ones, ...twos], target)
      const count = () => [...answers.values()].reduce((sum, n) => sum + n, 0)
      // Fewer than may wait for one who reads slowly.
      yield* eventually("many answers", () => count() > 300)
      yield* stop
      const lines = () => accessLines(program.output()).filter((line) => line.target === target)
      yield* eventually("all lines", () => lines().length >= count(), () => lines().length)
      const written = program.output().split("\n").slice(0, -1).filter((line) => !line.startsWith("{\"time\""))
      assert.deepStrictEqual(written.filter((line) => !line.startsWith("Blackgate listens on")), [])
      assert.strictEqual(yield* settled("the lines", () => lines().length), count())
    }), 60_000)

  it.live("a drain lets both end what is under way, and ends with 0", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* twoWorkers(
        to(up.url, "admin: { port: 0 }\ngroups: { few: { pool: { max_concurrent: 9 } } }\n")
      )
      const [ones, twos] = yield* clientsOfEach(program, 1)
      const held = yield* Effect.forEach([ones[0]!, twos[0]!], ({ get }) => Effect.forkChild(get("/held")))
      yield* eventually("two at the upstream", () => up.held() === 2)
      yield* program.signal("SIGTERM")
      const refused = Effect.promise(() => fetch(program.origin).then(() => false, () => true))
      yield* Effect.repeat(refused, { until: (refused) => refused })
      assert.strictEqual((yield* send(`${program.admin}/ready`)).status, 503)
      assert.isFalse(program.hasEnded())
      up.release()
      assert.deepStrictEqual(yield* Fiber.joinAll(held), ["200 a /held", "200 a /held"])
      assert.strictEqual(yield* program.ended, 0)
      const said = accessLines(program.output()).filter(({ target }) => target === "/held")
      assert.strictEqual(said.length, 2)
    }), 60_000)

  it.live("a second signal ends at once", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* twoWorkers(to(up.url))
      const one = yield* client(program.origin)
      yield* Effect.forkChild(one.get("/held"))
      yield* eventually("one at the upstream", () => up.held() === 1)
      yield* program.signal("SIGTERM")
      const refused = Effect.promise(() => fetch(program.origin).then(() => false, () => true))
      yield* Effect.repeat(refused, { until: (refused) => refused })
      assert.isFalse(program.hasEnded())
      yield* program.signal("SIGTERM")
      assert.strictEqual(yield* program.ended, 143)
    }), 60_000)

  it.live(
    "a port that is in use is refused, by a program of one thread and by one of two",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* twoWorkers(to(url))
        const cwd = yield* folder
        const { port } = new URL(program.origin)
        for (const taken of [port, new URL(url).port]) {
          Fs.writeFileSync(
            Path.join(cwd, "blackgate.yml"),
            to(url).replace("port: 0", `listen: { port: ${taken}, host: 127.0.0.1 }`)
          )
          const other = yield* startBlackgate(cwd, ["--no-daemon", "--workers", "2", "start"])
          assert.strictEqual(yield* other.ended, 1)
          assert.include(
            other.output(),
            `can't listen on 127.0.0.1:${taken}: it is in use by another program (EADDRINUSE)`
          )
        }
        assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")
      }),
    60_000
  )

  it.live(
    "are refused in plain words where threads can't share a port, and one worker is not",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const cwd = yield* folder
        Fs.writeFileSync(Path.join(cwd, "blackgate.yml"), to(url))
        const preload = pathToFileURL(Path.join(import.meta.dirname, "noReusePort.preload.mjs"))
        const env = { NODE_OPTIONS: `--import ${preload}` }
        for (const daemon of ["--no-daemon", "--daemon"]) {
          const program = yield* startBlackgate(
            cwd,
            [daemon, "--pidfile", Path.join(cwd, "pid"), "--workers", "2", "start"],
            env
          )
          assert.strictEqual(yield* program.ended, 1)
          assert.include(
            program.output(),
            "--workers 2 is not possible here: this system does not let several threads listen on one port (ENOTSUP); "
              + "--workers 1 is"
          )
          assert.isFalse(Fs.existsSync(Path.join(cwd, "pid")))
        }
        const one = yield* startBlackgate(cwd, ["--no-daemon", "start"], env)
        yield* printed(one, /^Blackgate listens on/)
      }),
    60_000
  )

  it.live("what makes no sense is refused, and --help says what does", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      for (const workers of ["0", "many", "65", "1.5", "-1"]) {
        const program = yield* startBlackgate(cwd, [`--workers=${workers}`, "start"])
        assert.strictEqual(yield* program.ended, 1)
        assert.include(program.output(), `--workers ${workers}: expected auto, or a whole number from 1 to 64`)
      }
      const help = yield* startBlackgate(cwd, ["start", "--help"])
      yield* help.ended
      assert.match(help.output(), /--workers N\|auto +How many threads serve/)
    }), 60_000)

  it.live("a config that can't be built is refused once, with its place", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      Fs.writeFileSync(
        Path.join(cwd, "blackgate.yml"),
        "port: 0\ngroups:\n  a: { pool: { max_concurrent: 1 }, circuit: { slow_call_rate: 1 } }\nroutes: []\n"
      )
      const program = yield* startBlackgate(cwd, ["--no-daemon", "--workers", "2", "start"])
      assert.strictEqual(yield* program.ended, 2)
      assert.strictEqual(program.output().split("blackgate.yml:3:").length, 2)
    }), 60_000)

  it.live(
    "a daemon has them too, status says how many, and auto is one for each core",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const cwd = yield* folder
        Fs.writeFileSync(Path.join(cwd, "blackgate.yml"), to(url))
        const pidfile = Path.join(cwd, "pid")
        const run = (...args: ReadonlyArray<string>) =>
          Effect.gen(function*() {
            const program = yield* startBlackgate(cwd, ["--pidfile", pidfile, ...args])
            return `${yield* program.ended} ${program.output()}`
          })
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            if (!Fs.existsSync(pidfile)) return
            const pid = Number(Fs.readFileSync(pidfile, "utf8"))
            if (isRunning(pid)) process.kill(pid, "SIGKILL")
          })
        )
        assert.match(yield* run("--daemon", "--workers", "2", "start"), /^0 Blackgate listens on/)
        assert.match(yield* run("status"), /^0 Blackgate runs, process \d+, 2 workers\n/)
        assert.match(yield* run("--daemon", "--workers", "auto", "restart"), /has stopped\nBlackgate listens on/)
        const cores = Os.availableParallelism()
        const workers = cores === 1 ? "" : `, ${cores} workers`
        assert.match(yield* run("status"), new RegExp(`^0 Blackgate runs, process \\d+${workers}\\n`))
        assert.match(yield* run("stop"), /^0 .*has stopped/)
      }),
    60_000
  )
})
