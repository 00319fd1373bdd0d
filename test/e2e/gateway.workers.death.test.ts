import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { type Client, load } from "./clients.ts"
import { upstream } from "./gatewayFolder.ts"
import { clientsOfEach, twoWorkers } from "./gatewayWorkers.ts"

const to = (url: string, more = "", group = "{ pool: { max_concurrent: 4 }, circuit: {} }") =>
  `port: 0\nadmin: { port: 0 }\n${more}groups: { few: ${group} }\n`
  + `routes:\n  - { name: all, upstream: "${url}", group: few }\n`

interface Group {
  readonly pool: { readonly queued: number; readonly maxConcurrent: number; readonly maxQueued: number }
}

const groups = (admin: string) =>
  Effect.promise(async () => await (await fetch(`${admin}/api/groups`)).json() as readonly [Group])

const post = (url: string, body: unknown) =>
  Effect.promise(async () => {
    await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body)
    })
  })

const calls = (admin: string) =>
  Effect.promise(async () => {
    const text = await (await fetch(`${admin}/metrics`)).text()
    return Number(/^blackgate_command_calls_total\{.*outcome="success"\} (\d+)$/m.exec(text)?.[1])
  })

const die = ({ get }: Client, how: string) => get(`/fault/${how}`)
const reloaded = /INFO reloaded/
const replaced = /INFO worker \d is replaced/

describe("a worker that dies", { concurrent: false }, () => {
  for (
    const [how, says] of [
      ["throw", /ERROR worker 1 has ended, and is replaced\n.*a fault of the test/],
      ["exit", /ERROR worker 1 has ended, and is replaced: it has exited with 7/],
      ["memory", /ERROR worker 1 has ended, and is replaced\n.*memory/]
    ] as const
  ) {
    it.live(`${how}: it is replaced, and the requests of the other one are not harmed`, () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const program = yield* twoWorkers(to(up.url))
        const [ones, twos] = yield* clientsOfEach(program, 3)
        const held = yield* Effect.forkChild(twos[2]!.get("/held"))
        yield* eventually("one at the upstream", () => up.held() === 1)
        const { answers, stop } = yield* load([twos[0]!], "/")
        const before = answers.get("200 a /") ?? 0
        assert.notMatch(yield* die(ones[0]!, how), /^\d/)
        yield* eventually("what is said of it", () => says.exec(program.output()), program.output)
        yield* eventually("another one", () => replaced.exec(program.output()), program.output)
        yield* eventually("more answers", () => (answers.get("200 a /") ?? 0) > before)
        yield* stop
        up.release()
        assert.strictEqual(yield* Fiber.join(held), "200 a /held")
        assert.deepStrictEqual([...answers.keys()], ["200 a /"])
        const [others] = yield* clientsOfEach(program, 1)
        assert.strictEqual(yield* others[0]!.get("/1"), "200 a /1")
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
      }), 60_000)
  }

  it.live("Sentry is told of it, and is there in each worker", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* twoWorkers(to(up.url))
      const sdk = Path.join(Path.dirname(program.file), "node_modules/@sentry/node")
      Fs.mkdirSync(sdk, { recursive: true })
      Fs.writeFileSync(
        Path.join(sdk, "index.js"),
        "exports.init = () => console.log('init'); exports.captureException = (error) => console.log(`told: ${error.message}`)"
      )
      const dsn = "sentry: { dsn: \"https://key@sentry.example/1\" }\n"
      yield* program.reload(`log: { access: { format: json } }\n${to(up.url, dsn)}`, /INFO reloaded/)
      yield* eventually("each", () => program.output().split(/^init$/m).length === 4, program.output)
      const [ones] = yield* clientsOfEach(program, 1)
      yield* die(ones[0]!, "throw")
      yield* eventually("what it is told", () => /^told: a fault of the test$/m.exec(program.output()), program.output)
    }), 60_000)

  it.live("a Sentry that throws kills none, and a reload that turns it on is made", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* upstream("a"), yield* upstream("b")]
      const program = yield* twoWorkers(to(a.url))
      const sdk = Path.join(Path.dirname(program.file), "node_modules/@sentry/node")
      Fs.mkdirSync(sdk, { recursive: true })
      Fs.writeFileSync(
        Path.join(sdk, "index.js"),
        "exports.init = () => { throw new Error('no such project') }; exports.captureException = exports.init"
      )
      const dsn = "sentry: { dsn: \"https://key@sentry.example/1\" }\n"
      yield* program.reload(
        `log: { access: { format: json } }\n${to(b.url, dsn)}`,
        /INFO (?:worker \d: )?reloaded|not reloaded/
      )
      assert.match(program.output(), /WARN sentry.dsn is set, but .* can't be used.*: no such project/)
      assert.notMatch(program.output(), /not reloaded|has ended/)
      const [ones, twos] = yield* clientsOfEach(program, 1)
      assert.deepStrictEqual([yield* ones[0]!.get("/1"), yield* twos[0]!.get("/1")], ["200 b /1", "200 b /1"])
    }), 60_000)

  it.live("its permits come back, and those of the other one stay taken", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* twoWorkers(to(up.url))
      const [ones, twos] = yield* clientsOfEach(program, 4)
      yield* Effect.forEach(ones.slice(0, 2), ({ get }) => Effect.forkChild(get("/held")))
      const held = yield* Effect.forEach(twos.slice(0, 2), ({ get }) => Effect.forkChild(get("/held")))
      yield* eventually("four at the upstream", () => up.held() === 4)
      assert.match(yield* twos[2]!.get("/1"), /^503 /)
      yield* die(ones[2]!, "throw")
      yield* eventually("another one", () => replaced.exec(program.output()), program.output)
      const more = yield* Effect.forEach(twos.slice(2), ({ get }) => Effect.forkChild(get("/held")))
      yield* eventually("two more", () => up.held() === 6, up.held)
      const [again] = yield* clientsOfEach(program, 1).pipe(Effect.timeout("8 seconds"))
      assert.match(yield* again[0]!.get("/2"), /^503 /)
      up.release()
      const answers = yield* Fiber.joinAll([...held, ...more])
      assert.deepStrictEqual(answers, answers.map(() => "200 a /held"))
      assert.strictEqual(yield* again[0]!.get("/3"), "200 a /3")
    }), 60_000)

  it.live("who waited in the line of the other one gets its permit", () =>
    Effect.gen(function*() {
      const up = yield* upstream("a")
      const program = yield* twoWorkers(to(up.url, "", "{ pool: { max_concurrent: 1, max_queued: 5 } }"))
      const [ones, twos] = yield* clientsOfEach(program, 2)
      yield* Effect.forkChild(ones[0]!.get("/held"))
      yield* eventually("one at the upstream", () => up.held() === 1)
      const waits = yield* Effect.forkChild(twos[0]!.get("/1"))
      const isQueued = Effect.map(groups(program.admin), ([{ pool }]) => pool.queued === 1)
      yield* Effect.repeat(isQueued, { until: (is) => is })
      yield* die(ones[1]!, "throw")
      assert.strictEqual(yield* Fiber.join(waits), "200 a /1")
    }), 60_000)

  it.live(
    "the one in its place has what operators have changed, and no counter goes back",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const program = yield* twoWorkers(to(up.url))
        const few = `${program.admin}/api/groups/few`
        const [ones, twos] = yield* clientsOfEach(program, 2)
        for (let i = 0; i < 5; i++) yield* ones[0]!.get("/1")
        yield* post(few, { pool: { max_concurrent: 2, max_queued: 7 } })
        yield* post(few, { circuit: { key: "all", to: "open" } })
        const before = yield* calls(program.admin)
        yield* die(ones[1]!, "exit")
        yield* eventually("another one", () => replaced.exec(program.output()), program.output)
        assert.strictEqual(yield* calls(program.admin), before)
        const [group] = yield* groups(program.admin)
        assert.deepStrictEqual([group.pool.maxConcurrent, group.pool.maxQueued], [2, 14])
        const [again] = yield* clientsOfEach(program, 1)
        assert.match(yield* again[0]!.get("/2"), /^503 /)
        yield* post(few, { circuit: { key: "all", to: "auto" } })
        assert.deepStrictEqual([yield* again[0]!.get("/3"), yield* twos[0]!.get("/3")], ["200 a /3", "200 a /3"])
        assert.strictEqual(yield* calls(program.admin), before + 2)
      }),
    60_000
  )

  it.live("the one in its place has the config that runs, not the file", () =>
    Effect.gen(function*() {
      const a = yield* upstream("a")
      const b = yield* upstream("b")
      const program = yield* twoWorkers(to(a.url))
      const [ones] = yield* clientsOfEach(program, 1)
      yield* program.reload(`log: { access: { format: json } }\n${to(b.url)}`, /INFO reloaded/)
      yield* program.reload("wrong: 1\n", /ERROR not reloaded/)
      yield* die(ones[0]!, "throw")
      yield* eventually("another one", () => replaced.exec(program.output()), program.output)
      const [again] = yield* clientsOfEach(program, 1)
      assert.strictEqual(yield* again[0]!.get("/1"), "200 b /1")
    }), 60_000)

  it.live(
    "the one in its place has the config module that runs: not what its files are now, whether they make sense, or are there",
    () =>
      Effect.gen(function*() {
        const module = (version: number, first = "") =>
          `import { defineConfig } from "blackgate/config"
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { version } from "./version.ts"
import data from "./data.json" with { type: "json" }
${first}
const text = \`\${version} \${data.version} ${version}\`
export default defineConfig({
  config: { port: 0, log: { access: { format: "json" } } },
  middleware: () => Effect.succeed(HttpServerResponse.text(text))
})
`
        const others = (version: number) => ({
          "version.ts": `export const version: number = ${version}`,
          "data.json": `{ "version": ${version} }`
        })
        const program = yield* twoWorkers(module(1), [], { name: "blackgate.config.ts", others: others(1) })
        const folder = Path.dirname(program.file)
        const write = (version: number) => {
          for (const [name, text] of Object.entries(others(version))) Fs.writeFileSync(Path.join(folder, name), text)
        }
        const next = (count: number) =>
          eventually("another one", () => program.output().split(replaced).length > count, program.output)
        const both = Effect.map(clientsOfEach(program, 1), ([ones, twos]) => [ones[0]!, twos[0]!] as const)

        const [one] = yield* both
        write(2)
        const dies = "import { workerData } from \"node:worker_threads\"\nif (workerData?.worker === 2) process.exit(7)"
        yield* program.reload(module(2, dies), /ERROR not reloaded/)
        assert.match(program.output(), /not reloaded, the old config goes on:\nworker 2 has ended with 7/)
        yield* next(1)
        assert.strictEqual(yield* one.get("/"), "200 1 1 1")
        assert.strictEqual(yield* (yield* both)[1].get("/"), "200 1 1 1")

        yield* program.reload(module(3), reloaded)
        for (const name of Object.keys(others(1))) Fs.rmSync(Path.join(folder, name))
        Fs.writeFileSync(program.file, "this is no program")
        yield* die((yield* both)[0], "exit")
        yield* next(2)
        for (const each of yield* both) assert.strictEqual(yield* each.get("/"), "200 2 2 3")
        Fs.rmSync(program.file)
        yield* die((yield* both)[1], "exit")
        yield* next(3)
        for (const each of yield* both) assert.strictEqual(yield* each.get("/"), "200 2 2 3")
        write(4)
        yield* program.reload(module(4), reloaded)
        for (const each of yield* both) assert.strictEqual(yield* each.get("/"), "200 4 4 4")
      }),
    60_000
  )

  it.live(
    "the program is not ready until it is replaced, and a reload meanwhile reaches it",
    () =>
      Effect.gen(function*() {
        const a = yield* upstream("a")
        const b = yield* upstream("b")
        const program = yield* twoWorkers(to(a.url))
        const [ones, twos] = yield* clientsOfEach(program, 2)
        const status = Effect.promise(() => fetch(`${program.admin}/ready`).then((response) => response.status))
        yield* die(ones[0]!, "exit")
        yield* eventually("what is said of it", () => /worker 1 has ended/.exec(program.output()))
        assert.strictEqual(yield* status, 503)
        yield* program.reload(`log: { access: { format: json } }\n${to(b.url)}`, /INFO reloaded/)
        yield* eventually("another one", () => replaced.exec(program.output()), program.output)
        assert.strictEqual(yield* status, 200)
        const [again] = yield* clientsOfEach(program, 1)
        assert.deepStrictEqual([yield* again[0]!.get("/1"), yield* twos[0]!.get("/1")], ["200 b /1", "200 b /1"])
      }),
    60_000
  )

  it.live(
    "one that dies again and again is replaced again and again, and a drain does not wait for another one",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const program = yield* twoWorkers(to(up.url))
        const count = () =>
          program.output().split("is replaced\n").length + program.output().split("and is replaced").length
        for (let i = 0; i < 3; i++) {
          const [ones] = yield* clientsOfEach(program, 1)
          const before = program.output().split("INFO worker 1 is replaced").length
          yield* die(ones[0]!, "throw")
          yield* eventually(
            "another one",
            () => program.output().split("INFO worker 1 is replaced").length > before,
            program.output
          )
        }
        assert.isAbove(count(), 3)
        const [ones] = yield* clientsOfEach(program, 1)
        yield* die(ones[0]!, "throw")
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
      }),
    60_000
  )

  it.live(
    "one that hangs makes nobody wait for it for long: neither operators, nor a drain",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const program = yield* twoWorkers(to(up.url, "drain: { timeout: 100ms }\n"))
        const [ones, twos] = yield* clientsOfEach(program, 1)
        yield* Effect.forkChild(die(ones[0]!, "hang"))
        const status = Effect.promise(() => fetch(`${program.admin}/ready`).then((response) => response.status))
        yield* Effect.repeat(status, { until: (status) => status === 503 })
        assert.strictEqual(yield* twos[0]!.get("/1"), "200 a /1")
        assert.isAbove(yield* calls(program.admin), 0)
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
      }),
    60_000
  )

  // Of two signals the system may give either first.
  for (
    const [signals, endings] of [[["SIGTERM"], ["SIGKILL"]], [["SIGTERM", "SIGINT"], ["SIGTERM", "SIGINT"]]] as const
  ) {
    it.live(
      `one that is in a call that does not return does not keep the program from ending: ${signals.join(", ")}`,
      () =>
        Effect.gen(function*() {
          const program = yield* twoWorkers(
            `import { defineConfig } from "blackgate/config"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { execFileSync } from "node:child_process"
export default defineConfig({
  config: { port: 0, admin: { port: 0 }, drain: { timeout: "100ms" }, log: { access: { format: "json" } } },
  middleware: () => Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) => {
    if (url === "/sleep") execFileSync("sleep", ["25"], { stdio: "ignore" })
    return HttpServerResponse.text("ok")
  })
})
`,
            [],
            { name: "blackgate.config.ts" }
          )
          const [ones, twos] = yield* clientsOfEach(program, 1)
          yield* Effect.forkChild(ones[0]!.get("/sleep"))
          assert.strictEqual(yield* twos[0]!.get("/"), "200 ok")
          // Operators are told when it has not answered for as long as it takes to see what it does.
          const status = Effect.promise(() => fetch(`${program.admin}/ready`).then((response) => response.status))
          yield* Effect.repeat(status, { until: (status) => status === 503 })
          for (const signal of signals) yield* program.signal(signal)
          assert.include<unknown>([...endings], yield* program.ended)
        }),
      60_000
    )
  }
})
