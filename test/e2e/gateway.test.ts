import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { run } from "../harness/run.ts"
import { ask } from "./ask.ts"
import { folder, gateway, upstream } from "./gatewayFolder.ts"
import { blackgate, isRunning, startBlackgate } from "./process.ts"

/** A command that ends by itself. */
const command = (cwd: string, ...args: ReadonlyArray<string>) =>
  run(blackgate, args, { cwd, env: { PATH: "/usr/bin:/bin", HOME: cwd } })

const write = (cwd: string, text: string) => Effect.sync(() => Fs.writeFileSync(Path.join(cwd, "blackgate.yml"), text))

const refused = (url: string) => Effect.promise(() => fetch(url).then(() => false, () => true))

const one = (url: string, regex = "/github/(.*)") =>
  `port: 0\nproxies:\n  - name: github\n    request_path_regex: ${regex}\n    request_path_sub: /\\1\n    upstream_url: '${url}'\n`

// One after the other: each has processes of its own, and a machine has few cores.
describe("a gateway from a file", { concurrent: false }, () => {
  it.live(
    "does with the Python program's example what that does",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("github")
        const dead = `  - name: dead\n    request_path_regex: /dead\n    upstream_url: http://127.0.0.1:1\n`
          + `  - name: nameless\n    request_path_regex: /nameless\n    upstream_url: http://nowhere.invalid\n`
        const slow =
          `  - name: slow\n    request_path_regex: /held\n    upstream_url: ${url}\n    request_timeout_seconds: 0.2\n`
        const { origin } = yield* gateway(`sentry:\n  dsn: ''\n${one(url)}${dead}${slow}`)

        assert.strictEqual((yield* ask(`${origin}/github/repos/a%20b?x=%2F&y`)).body, "github /repos/a%20b?x=%2F&y")

        const nowhere = yield* ask(`${origin}/github`)
        assert.strictEqual(nowhere.status, 404)
        assert.deepStrictEqual(JSON.parse(nowhere.body), { code: 404, message: "not found", errors: [] })
        assert.include(nowhere.headers["content-type"], "application/json")

        for (const path of ["/dead", "/nameless"]) {
          const gone = yield* ask(`${origin}${path}`)
          assert.strictEqual(gone.status, 502)
          assert.deepStrictEqual(JSON.parse(gone.body), { code: 502, message: "bad gateway", errors: [] })
        }

        const late = yield* ask(`${origin}/held`)
        assert.strictEqual(late.status, 504)
        assert.deepStrictEqual(JSON.parse(late.body), { code: 504, message: "gateway timeout", errors: [] })
      }),
    60_000
  )

  it.live(
    "does what a config of our own says",
    () =>
      Effect.gen(function*() {
        const a = yield* upstream("a")
        const b = yield* upstream("b")
        const { origin } = yield* gateway(`
listen: { port: 0, host: 127.0.0.1 }
groups:
  few: { pool: { max_concurrent: 5 }, rate_limit: { limit: 1, window: 1h } }
upstreams:
  b: { url: "${b.url}/base" }
routes:
  - match: { path: /a }
    upstream: ${a.url}
    rewrite: { prefix: /x }
    response_headers: { set: { x-by: gateway }, remove: [date] }
  - match: { path: /a, headers: { x-canary: "1" } }
    upstream: b
  - match: { path: { exact: /few } }
    upstream: b
    group: few
  - match: { path: /dead }
    upstream: http://127.0.0.1:1
    fallback: { status: 503, body: '{"down":true}', headers: { content-type: application/json } }
  - match: { path: /old }
    redirect: { status: 301, prefix: /new }
`)
        const first = yield* ask(`${origin}/a/1?q`)
        assert.strictEqual(first.body, "a /x/1?q")
        assert.strictEqual(first.headers["x-by"], "gateway")
        const canary = yield* Effect.promise(() => fetch(`${origin}/a/1`, { headers: { "x-canary": "1" } }))
        assert.strictEqual(yield* Effect.promise(() => canary.text()), "b /base/a/1")
        assert.deepStrictEqual([(yield* ask(`${origin}/few`)).status, (yield* ask(`${origin}/few`)).status], [200, 429])
        const fallback = yield* ask(`${origin}/dead`)
        assert.deepStrictEqual(
          [fallback.status, fallback.body, fallback.headers["content-type"]],
          [503, `{"down":true}`, "application/json"]
        )
        const moved = yield* ask(`${origin}/old/1?q`)
        assert.deepStrictEqual([moved.status, moved.headers.location], [301, "/new/1?q"])
        assert.strictEqual((yield* ask(`${origin}/%61/1`)).status, 404)
      }),
    60_000
  )

  it.live(
    "ends with 2 for a bad config, before anything listens, and says what is wrong with it",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        yield* write(cwd, "port: 0\nproxies:\n  - nam: a\n    upstream_url: http://a\n")
        for (const args of [["start"], ["check"], ["--daemon", "--pidfile", "pid", "start"]]) {
          const { exitCode, stderr, stdout } = yield* command(cwd, ...args)
          assert.deepStrictEqual({ exitCode, stdout }, { exitCode: 2, stdout: "" }, args.join(" "))
          assert.match(stderr, /blackgate\.yml:3:5: proxies\[0\]\.nam: .*did you mean name\?/)
          assert.include(stderr, "3 |   - nam: a\n  |     ^^^")
        }
      }),
    60_000
  )

  it.live("ends with 2 if there is no config, and says where it has looked", () =>
    Effect.gen(function*() {
      const { exitCode, stderr } = yield* command(yield* folder, "check")
      assert.strictEqual(exitCode, 2)
      assert.include(stderr, "/etc/blackgate/blackgate.yml")
    }), 60_000)

  it.live("ends with 1 if its port is in use, and says which", () =>
    Effect.gen(function*() {
      const taken = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer().listen(0, () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = taken.address() as AddressInfo
      const cwd = yield* folder
      yield* write(cwd, `port: ${port}\n`)
      for (const args of [["start"], ["--daemon", "--pidfile", "pid", "start"]]) {
        assert.deepStrictEqual(yield* command(cwd, ...args), {
          exitCode: 1,
          stdout: "",
          stderr: `can't listen on port ${port}: it is in use by another program (EADDRINUSE)\n`
        }, args.join(" "))
      }
      assert.isFalse(Fs.existsSync(Path.join(cwd, "pid")), "there is a pidfile")
    }), 60_000)

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(
      `on ${signal} nobody is let in any more, what is under way ends, and it exits with 0`,
      () =>
        Effect.gen(function*() {
          const up = yield* upstream("a")
          const program = yield* gateway(one(up.url))
          const answer = yield* Effect.forkChild(ask(`${program.origin}/github/held`))
          yield* eventually("a request at the upstream", () => up.held() === 1)
          yield* program.signal(signal)
          yield* Effect.repeat(refused(`${program.origin}/github/`), { until: (gone) => gone })
          assert.isFalse(program.hasEnded())
          up.release()
          assert.strictEqual((yield* Fiber.join(answer)).body, "a /held")
          assert.strictEqual(yield* program.ended, 0)
        }),
      60_000
    )
  }

  it.live("a second signal ends it at once", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* gateway(one(up.url))
      yield* Effect.forkChild(Effect.exit(ask(`${program.origin}/github/held`)))
      yield* eventually("a request at the upstream", () => up.held() === 1)
      yield* program.signal("SIGTERM")
      yield* Effect.repeat(refused(`${program.origin}/github/`), { until: (gone) => gone })
      yield* program.signal("SIGTERM")
      assert.strictEqual(yield* program.ended, 143)
    }), 60_000)

  it.live("an environment variable says its port, and a log that is full costs nothing", () =>
    Effect.gen(function*() {
      const full = Fs.openSync("/dev/full", "w")
      const dead = "port: ${PORT}\nproxies:\n  - { name: dead, upstream_url: 'http://127.0.0.1:1' }\n"
      const { origin } = yield* gateway(dead, { env: { PORT: "0" }, stderr: full })
      Fs.closeSync(full)
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* ask(`${origin}/`)).status, 502)
    }), 60_000)

  it.live("writes a line for each request, if it is told to", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const log = (access: string) => `log: { access: ${access} }\n${one(up.url)}`
      const program = yield* gateway(log("{}"))
      const lines = () => program.output().split("\n")
      const logged = (pattern: RegExp) =>
        eventually(String(pattern), () => lines().some((line) => pattern.test(line)), program.output)
      yield* ask(`${program.origin}/github/1?q=1`)
      yield* ask(`${program.origin}/no%zz`)
      yield* logged(
        /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}(?::\d\d){3} \+0000\] "GET \/github\/1\?q=1 HTTP\/1\.1" 200 /
      )
      yield* logged(/"GET \/no%zz HTTP\/1\.1" 400 \d+$/)

      yield* program.reload(log("{ format: json }"), /INFO reloaded/)
      yield* ask(`${program.origin}/github/2`)
      yield* logged(/^\{"time":.*"target":"\/github\/2".*\}$/)
      const entry = JSON.parse(lines().find((line) => line.startsWith("{"))!)
      assert.deepInclude(entry, { method: "GET", status: 200, route: "github", group: "github", client: "127.0.0.1" })
      assert.isAtLeast(entry.millis, entry.headMillis)
      const leaving = yield* Effect.forkChild(Effect.exit(ask(`${program.origin}/github/held`)))
      yield* eventually("a request at the upstream", () => up.held() === 1)
      yield* Fiber.interrupt(leaving)
      yield* logged(/"target":"\/github\/held".*"status":499/)

      yield* program.reload(log("{ sample: 0.5 }"), /INFO reloaded/)
      for (let i = 0; i < 10; i++) yield* ask(`${program.origin}/github/sampled`)
      yield* program.signal("SIGTERM")
      assert.strictEqual(yield* program.ended, 0)
      assert.strictEqual(lines().filter((line) => line.includes("/sampled")).length, 5)
    }), 60_000)

  it.live(
    "--daemon waits until it listens; status, reload, restart and stop find it by its pidfile",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        const up = yield* upstream("a")
        const probe = yield* Effect.callback<number>((resume) => {
          const server = createServer().listen(0, () => {
            const { port } = server.address() as AddressInfo
            server.close(() => resume(Effect.succeed(port)))
          })
        })
        const text = one(up.url).replace("port: 0", `port: ${probe}`)
        yield* write(cwd, text)
        const at = ["--pidfile", "gateway.pid"]
        const pid = () => Number(Fs.readFileSync(path(cwd), "utf8"))
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            if (Fs.existsSync(path(cwd))) process.kill(pid(), "SIGKILL")
          })
        )

        const none = yield* command(cwd, ...at, "status")
        assert.deepStrictEqual([none.exitCode, none.stderr], [3, "Blackgate does not run, by gateway.pid\n"])

        Fs.writeFileSync(path(cwd), "2147483646\n")
        const started = yield* command(cwd, "--daemon", ...at, "start", "--stderr", "log")
        assert.deepStrictEqual(
          [started.exitCode, started.stdout],
          [0, `Blackgate listens on http://0.0.0.0:${probe}\n`]
        )
        assert.strictEqual((yield* ask(`http://127.0.0.1:${probe}/github/1`)).body, "a /1")
        assert.strictEqual((yield* command(cwd, "status", ...at)).stdout, `Blackgate runs, process ${pid()}\n`)
        assert.strictEqual((yield* command(cwd, "--daemon", "start", ...at)).exitCode, 1)

        yield* write(cwd, "port: x\n")
        assert.strictEqual((yield* command(cwd, "reload", ...at)).exitCode, 2)
        assert.strictEqual((yield* command(cwd, "restart", "--daemon", ...at)).exitCode, 2)
        yield* write(cwd, text.replace("/github", "/hub"))
        // From elsewhere it is the file of the process all the same.
        const elsewhere = yield* folder
        yield* write(elsewhere, "port: x\n")
        const told = yield* command(elsewhere, "reload", "--pidfile", path(cwd))
        assert.strictEqual(told.exitCode, 0, told.stderr)
        yield* eventually("the reload", () => Fs.readFileSync(Path.join(cwd, "log"), "utf8").includes("INFO reloaded"))
        assert.strictEqual((yield* ask(`http://127.0.0.1:${probe}/hub/1`)).body, "a /1")

        const before = pid()
        assert.strictEqual((yield* command(cwd, "restart", "--daemon", ...at)).exitCode, 0)
        assert.notStrictEqual(pid(), before)
        const last = pid()
        assert.strictEqual((yield* command(cwd, "stop", ...at)).stdout, `Blackgate, process ${last}, has stopped\n`)
        assert.isFalse(isRunning(last))
        assert.isFalse(Fs.existsSync(path(cwd)))
      }),
    60_000
  )

  it.live("init writes a config that is good, and none over one that is there", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      assert.strictEqual((yield* command(cwd, "init")).exitCode, 0)
      const { exitCode, stdout } = yield* command(cwd, "check")
      assert.deepStrictEqual([exitCode, stdout], [
        0,
        "./blackgate.yml is good: 1 listener, 1 route, 0 proxies, 1 group\n"
      ])
      yield* write(cwd, "# mine\n")
      assert.strictEqual((yield* command(cwd, "init")).exitCode, 1)
      assert.strictEqual(Fs.readFileSync(Path.join(cwd, "blackgate.yml"), "utf8"), "# mine\n")
    }), 60_000)

  it.live("init writes no YAML into a file that is none, and says where it can't write", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      for (const name of ["a.ts", "a.json", "a.mjs"]) {
        const { exitCode, stderr } = yield* command(cwd, "-c", name, "init")
        assert.deepStrictEqual([exitCode, stderr], [
          1,
          `init writes YAML: expected a name that ends in .yml, found ${name}\n`
        ])
        assert.isFalse(Fs.existsSync(Path.join(cwd, name)))
      }
      const { exitCode, stderr } = yield* command(cwd, "-c", "nope/a.yml", "init")
      assert.deepStrictEqual([exitCode, stderr], [
        1,
        "nope/a.yml can't be written: ENOENT: no such file or directory, open 'nope/a.yml'\n"
      ])
    }), 60_000)

  it.live(
    "what is wrong in thousands of places is said to the end, through a pipe that is slower",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        const routes = Array.from({ length: 5000 }, (_, i) => `  - { upstream: http://a, timeout: ${i} }\n`)
        yield* write(cwd, `routes:\n${routes.join("")}`)
        const { exitCode, stderr } = yield* command(cwd, "check")
        assert.strictEqual(exitCode, 2)
        assert.match(stderr, /\n5000 errors in \.\/blackgate\.yml\n$/)
      }),
    60_000
  )

  it.live("-c has to name a file", () =>
    Effect.gen(function*() {
      const { exitCode, stderr } = yield* command(yield* folder, "-c", "", "check")
      assert.deepStrictEqual([exitCode, stderr], [1, "-c: expected the name of a file, found nothing\n"])
    }), 60_000)

  it.live("routes says what becomes of a request", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      yield* write(cwd, one("http://intra/base"))
      const { stdout } = yield* command(cwd, "routes", "--explain", "GET", "http://localhost:9654/github/a?b")
      assert.strictEqual(
        stdout,
        "route     github (proxies[0], ./blackgate.yml:3)\n"
          + "matches   /github/(.*)\n"
          + "upstream  http://intra/base/a?b\n"
          + "group     none: no limits, no circuit\n"
          + "policies  none\n"
      )
      const none = yield* command(cwd, "routes", "--explain", "GET", "/nope")
      assert.deepStrictEqual([none.exitCode, none.stderr], [1, "404: no route matches\n"])
      assert.include((yield* command(cwd, "routes")).stdout, "proxies[0]  github")
      for (const [method, url] of [["G T", "/github/a"], ["GET", "not a url"], ["GET", ""]] as const) {
        const { exitCode, stderr } = yield* command(cwd, "routes", "--explain", method, url)
        assert.strictEqual(exitCode, 1)
        assert.match(stderr, /^expected routes --explain METHOD URL, such as /)
      }
    }), 60_000)

  it.live("flags of the Python program that make no sense any more are refused by name", () =>
    Effect.gen(function*() {
      const program = yield* startBlackgate(yield* folder, ["--umask", "22", "start"])
      assert.strictEqual(yield* program.ended, 1)
      assert.include(program.output(), "--umask is not supported any more")
    }), 60_000)
})

const path = (cwd: string) => Path.join(cwd, "gateway.pid")
