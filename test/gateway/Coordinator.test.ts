import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { loadPlan } from "../../packages/gateway/src/internal/configFile.ts"
import { coordinate } from "../../packages/gateway/src/internal/workers/Coordinator.ts"
import { type Client, client } from "../e2e/clients.ts"
import { folder, upstream } from "../e2e/gatewayFolder.ts"
import { eventually } from "../harness/eventually.ts"

// The program's own workers, in threads of the test's process.

/** A module with a filter that hangs when it is asked to, and says which worker has answered, and of which version of the module. */
const module = (url: string, version: number, first = "") =>
  `import { defineConfig } from "blackgate/config"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { workerData } from "node:worker_threads"
${first}
export default defineConfig({
  config: {
    port: 0,
    drain: { timeout: "1s" },
    groups: { few: { pool: { max_concurrent: 1 } } },
    routes: [{ name: "all", upstream: "${url}", group: "few" }]
  },
  middleware: (answer) => Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
    while (url === "/hang");
    return url === "/who" ? Effect.succeed(HttpServerResponse.text("${version} of " + workerData.worker)) : answer
  })
})
`

const begun = (first: string) =>
  Effect.gen(function*() {
    const file = Path.join(yield* folder, "blackgate.config.ts")
    Fs.writeFileSync(file, first)
    // What Node's loader would have kept of it: the test's is another one.
    const load = Effect.suspend(() => {
      const sources = new Map([[file, { format: "module-typescript", source: Fs.readFileSync(file) }]])
      return Effect.map(loadPlan(file), (plan) => ({ plan, files: new Map(), module: { entry: file, sources } }))
    })
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ cause, message }) => {
      lines.push([message].flat().map(String).join(" ") + cause.reasons.map(String).join(" "))
    })
    const gateway = yield* coordinate({
      workers: 2,
      first: yield* load,
      load,
      format: undefined,
      took: () => Effect.void,
      // Two seconds: a machine that is busy with other tests holds a worker up, too.
      look: { every: 100, atMost: 20 }
    }).pipe(Effect.provide(Logger.layer([logger])))
    const [, port] = /:(\d+)/.exec(yield* gateway.where)!
    const origin = `http://127.0.0.1:${port}`
    const saw = (what: string) =>
      eventually(what, () => lines.some((line) => line.includes(what)), () => lines.join("\n"))
    /** A client of one worker. */
    const of = (worker: number): Effect.Effect<Client, never, Scope.Scope> =>
      Effect.gen(function*() {
        for (;;) {
          const one = yield* client(origin)
          if ((yield* one.get("/who")).endsWith(`of ${worker}`)) return one
        }
      })
    const reload = (text: string) =>
      Effect.suspend(() => {
        Fs.writeFileSync(file, text)
        return gateway.reload
      })
    return { lines, of, reload, saw }
  })

describe("two workers", { concurrent: false }, () => {
  it.live(
    "one that hangs in a filter is replaced, its permit comes back, and no reload waits for longer than that takes",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const { lines, of, reload, saw } = yield* begun(module(up.url, 1))
        const one = yield* of(1)
        yield* Effect.forkChild((yield* of(2)).get("/held"))
        yield* eventually("one at the upstream", () => up.held() === 1)
        assert.match(yield* one.get("/1"), /^503 /)
        const hung = yield* Effect.forkChild((yield* of(2)).get("/hang"))
        // It may be asked before it hangs, and hang then.
        const { message } = yield* Effect.flip(reload(module(up.url, 2))).pipe(Effect.timeout("20 seconds"))
        assert.match(message, /^worker 2 has been ended: it has hung for 2 s: something in it does not end/)
        yield* saw("worker 2 is replaced")
        assert.notMatch(yield* Fiber.join(hung), /^\d/)
        assert.strictEqual(yield* one.get("/2"), "200 a /2")
        assert.strictEqual(yield* (yield* of(2)).get("/who"), "200 1 of 2")
        yield* reload(module(up.url, 3))
        assert.strictEqual(yield* (yield* of(2)).get("/who"), "200 3 of 2")
        assert.strictEqual(yield* one.get("/who"), "200 3 of 1")
        assert.deepStrictEqual(lines.filter((line) => line.includes("worker 1")), [])
      }),
    60_000
  )

  it.live(
    "one that dies while it prepares another config: both go on with the old one, and the next reload is made",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const { of, reload, saw } = yield* begun(module(up.url, 1))
        const one = yield* of(1)
        const held = yield* Effect.forkChild(one.get("/held"))
        yield* eventually("one at the upstream", () => up.held() === 1)
        const { message } = yield* Effect.flip(
          reload(module(up.url, 2, "if (workerData?.worker === 2) process.exit(7)"))
        )
        assert.strictEqual(message, "worker 2 has ended with 7")
        yield* saw("worker 2 has ended, and is replaced: it has exited with 7")
        yield* saw("worker 2 is replaced")
        up.release()
        assert.strictEqual(yield* Fiber.join(held), "200 a /held")
        assert.strictEqual(yield* one.get("/who"), "200 1 of 1")
        assert.strictEqual(yield* (yield* of(2)).get("/who"), "200 1 of 2")
        yield* reload(module(up.url, 3))
        assert.strictEqual(yield* one.get("/who"), "200 3 of 1")
        assert.strictEqual(yield* (yield* of(2)).get("/who"), "200 3 of 2")
      }),
    60_000
  )
})
