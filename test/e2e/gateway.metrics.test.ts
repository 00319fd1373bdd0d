import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as Http from "node:http"
import { eventually } from "../harness/eventually.ts"
import * as Exposition from "../harness/Exposition.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { ask } from "./ask.ts"
import { gateway, type Running, upstream } from "./gatewayFolder.ts"

/** Prometheus's own reader. `.ci/run` installs it; without it, its test is skipped. */
const promtool = (text: string) => spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" })
const isMissing = promtool("").error !== undefined

const scraped = ({ admin }: Running) =>
  Effect.promise(async () => {
    const response = await fetch(`${admin}/metrics`)
    assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await response.arrayBuffer())
    const { problems, ...read } = Exposition.read(text)
    assert.deepStrictEqual(problems, [], text)
    return { ...read, text }
  })

const post = (url: string, body: unknown) =>
  Effect.promise(() =>
    fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
  )

// YAML in double quotes is JSON.
const quoted = JSON.stringify
const group = "a\"b\\c\\n ☃"
const route = "\"\\ ünï 𝒳"

const config = (url: string, dead: number) => `
port: 0
admin: { port: 0 }
groups:
  ${quoted(group)}: { pool: { max_concurrent: 1 } }
  down: { pool: { max_concurrent: 5 }, circuit: {} }
  limited: { pool: { max_concurrent: 5 }, rate_limit: { limit: 1, window: 1h } }
routes:
  - { name: ${quoted(route)}, match: { path: /a }, group: ${quoted(group)}, upstream: "${url}" }
  - { name: slow, match: { path: /slow }, timeout: 20ms, upstream: "${url}" }
  - { name: down, match: { path: /down }, group: down, upstream: "http://127.0.0.1:${dead}" }
  - { name: limited, match: { path: /limited }, group: limited, upstream: "${url}" }
proxies:
  - { name: twice, request_path_regex: ^/b, upstream_url: "${url}" }
  - { name: twice, request_path_regex: ^/c, upstream_url: "${url}" }
`

/** A call of each outcome, and what is counted of them then. */
const ofEachOutcome = (program: Running, up: { readonly held: () => number; readonly release: () => void }) =>
  Effect.gen(function*() {
    const status = (path: string) => Effect.map(ask(program.origin + path), ({ status }) => status)
    const held = Http.get(`${program.origin}/a/held`, { agent: false }).on("error", () => {})
    yield* eventually("a request at the upstream", () => up.held() === 1)
    assert.strictEqual(yield* status("/a"), 503)
    held.destroy()
    const free = Effect.map(ask(`${program.origin}/a`), ({ status }) => status === 200)
    yield* Effect.repeat(free, { until: (isFree) => isFree })
    assert.deepStrictEqual([yield* status("/b"), yield* status("/c")], [200, 200])
    assert.strictEqual(yield* status("/slow/held"), 504)
    assert.strictEqual(yield* status("/down"), 502)
    yield* post(`${program.admin}/api/groups/down`, { circuit: { key: "down", to: "open" } })
    assert.strictEqual(yield* status("/down"), 503)
    assert.deepStrictEqual([yield* status("/limited"), yield* status("/limited")], [200, 429])
    const { value } = yield* scraped(program)
    return (group: string, key: string) =>
      Object.fromEntries(
        ["success", "failure", "defect", "timeout", "rejected", "short-circuited", "rate-limited", "interrupted"]
          .map((outcome) => [outcome, value("blackgate_command_calls_total", { group, key, outcome })] as const)
          .filter(([, count]) => count !== 0)
      )
  })

describe("/metrics of the program", { concurrent: false, timeout: 60_000 }, () => {
  for (const args of [[], ["--workers", "2"]]) {
    it.live(`each outcome is counted, whatever its group is called: start ${args.join(" ")}`, () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const dead = yield* RawUpstream.deadPort
        const program = yield* gateway(config(up.url, dead), { args })
        yield* scraped(program)
        const counted = yield* ofEachOutcome(program, up)
        const { success, ...others } = counted(group, route)
        assert.isAtLeast(success!, 1)
        assert.strictEqual(others["interrupted"], 1)
        assert.isAtLeast(others["rejected"]!, 1)
        assert.deepStrictEqual(counted("twice", "twice"), { success: 2 })
        assert.deepStrictEqual(counted("slow", "slow"), { timeout: 1 })
        assert.deepStrictEqual(counted("down", "down"), { failure: 1, "short-circuited": 1 })
        assert.deepStrictEqual(counted("limited", "limited"), { success: 1, "rate-limited": 1 })

        // A pool that goes, one that comes, and one that stays with what it has counted.
        yield* program.reload(
          config(up.url, dead).replaceAll("limited", "other").replace("max_concurrent: 1 ", "max_concurrent: 3 "),
          /INFO reloaded/
        )
        const { families, text, value } = yield* scraped(program)
        assert.strictEqual(value("blackgate_pool_max_concurrent", { group }), 3)
        const calls = families.get("blackgate_command_calls_total")!.samples
        assert.isFalse(calls.some(({ labels }) => labels.get("group") === "limited"))
        assert.strictEqual(
          value("blackgate_command_calls_total", { group: "twice", key: "twice", outcome: "success" }),
          2
        )
        if (!isMissing) {
          const { status, stderr } = promtool(text)
          assert.deepStrictEqual([status, stderr], [0, ""])
        }
      }))
  }

  it.live.skipIf(isMissing)("promtool has something to say against what is wrong", () =>
    Effect.sync(() => {
      const { status, stderr } = promtool("# TYPE a counter\na{b=\"\n\"} 1\n")
      assert.notStrictEqual(status, 0, stderr)
    }))

  it.live("a config module may count what it likes: all of it is still read", () =>
    Effect.gen(function*() {
      const name = "a\nb\"\\"
      const program = yield* gateway(
        `import { Group } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { defineConfig } from "blackgate/config"
import { Effect, Layer, Metric } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

class Odd extends Group.Service<Odd>()(${quoted(name)}) {}
const count = (metric, by) => Metric.update(metric, by)
export default defineConfig({
  config: { port: 0, admin: { port: 0 } },
  routes: Layer.mergeAll(
    Proxy.route("/odd", { group: Odd, key: ${quoted(name)}, upstream: "${(yield* upstream("a")).url}" }),
    HttpRouter.add("GET", "/count", Effect.as(Effect.all([
      count(Metric.gauge("blackgate.command.calls_total"), 7),
      count(Metric.counter("my.sold_total", { incremental: true }), 1),
      count(Metric.counter("my-sold_total", { incremental: true }), 1),
      count(Metric.counter("left"), -1),
      count(Metric.withAttributes(Metric.histogram("wait", { boundaries: [1] }), { le: "x", n: 1 }), 2)
    ]), HttpServerResponse.text("counted")))
  ).pipe(Layer.provide(Odd.layer({ pool: { maxConcurrent: 3 } })))
})
`,
        { name: "blackgate.config.ts" }
      )
      assert.strictEqual((yield* ask(`${program.origin}/count`)).status, 200)
      assert.strictEqual((yield* ask(`${program.origin}/odd`)).status, 200)
      const { value } = yield* scraped(program)
      const outcome = "success"
      assert.strictEqual(value("blackgate_command_calls_total", { group: name, key: name, outcome }), 1)
      assert.deepStrictEqual([value("my_sold_total"), value("left")], [1, -1])
      assert.strictEqual(value("wait_count", { attribute_le: "x", n: "1" }), 1)
    }))
})
