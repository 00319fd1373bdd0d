import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { eventually } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { load } from "./clients.ts"
import { upstream } from "./gatewayFolder.ts"
import { clientsOfEach, twoWorkers } from "./gatewayWorkers.ts"
import { printed } from "./process.ts"
import { stormOfHangups } from "./stormOfHangups.ts"

const log = "log: { access: { format: json } }\n"
const to = (url: string, more = "") => `${log}port: 0\nroutes:\n  - { name: all, upstream: "${url}"${more} }\n`
const begun = (config: string) => twoWorkers(config.replace(log, ""))

const reloaded = /INFO reloaded/
const notReloaded = /ERROR not reloaded/

describe("a reload with --workers 2", { concurrent: false }, () => {
  it.live("twenty under load lose nothing, and when one is done both have it", () =>
    Effect.gen(function*() {
      const a = yield* upstream("a")
      const b = yield* upstream("b")
      const program = yield* begun(to(a.url))
      const [ones, twos] = yield* clientsOfEach(program, 3)
      const [one, ...others] = [ones.at(-1)!, ...ones.slice(0, 2), ...twos.slice(0, 2)]
      const { answers, stop } = yield* load(others, "/")
      for (let i = 0; i < 20; i++) {
        const [name, { url }] = i % 2 === 0 ? ["b", b] as const : ["a", a] as const
        yield* program.reload(to(url), reloaded)
        assert.deepStrictEqual([yield* one.get("/x"), yield* twos.at(-1)!.get("/x")], [
          `200 ${name} /x`,
          `200 ${name} /x`
        ])
      }
      yield* stop
      assert.sameMembers([...answers.keys()], ["200 a /", "200 b /"])
    }), 120_000)

  it.live("requests under way end in the old config, in both", () =>
    Effect.gen(function*() {
      const a = yield* upstream("a")
      const b = yield* upstream("b")
      const program = yield* begun(to(a.url))
      const [ones, twos] = yield* clientsOfEach(program, 1)
      const held = yield* Effect.forEach([ones[0]!, twos[0]!], ({ get }) => Effect.forkChild(get("/held")))
      yield* eventually("two at the upstream", () => a.held() === 2)
      yield* program.reload(to(b.url), reloaded)
      assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "b /1")
      a.release()
      assert.deepStrictEqual(yield* Fiber.joinAll(held), ["200 a /held", "200 a /held"])
    }), 60_000)

  it.live("ports come and go", () =>
    Effect.gen(function*() {
      const { url } = yield* upstream("a")
      const listen = (...entries: ReadonlyArray<string>) =>
        to(url).replace("port: 0", `listen: [${entries.map((entry) => `{ ${entry} }`).join(", ")}]`)
      const program = yield* begun(listen("port: 0, host: 127.0.0.1"))
      yield* program.reload(listen("port: 0, host: 127.0.0.1", "port: 0, host: 127.0.0.2"), reloaded)
      const [, added] = yield* printed(program, /reloaded .* and http:\/\/127\.0\.0\.2:(\d+)/)
      const [ones, twos] = yield* clientsOfEach({ ...program, origin: `http://127.0.0.2:${added}` }, 1)
      assert.deepStrictEqual([yield* ones[0]!.get("/1"), yield* twos[0]!.get("/2")], ["200 a /1", "200 a /2"])

      const taken = new URL(url).port
      yield* program.reload(listen("port: 0, host: 127.0.0.1", `port: ${taken}, host: 127.0.0.1`), notReloaded)
      assert.include(program.output(), `can't listen on 127.0.0.1:${taken}: it is in use by another program`)
      assert.strictEqual((yield* ask(`http://127.0.0.2:${added}/1`)).body, "a /1")

      yield* program.reload(listen("port: 0, host: 127.0.0.1"), reloaded)
      const gone = Effect.promise(() => fetch(`http://127.0.0.2:${added}/1`).then(() => false, () => true))
      yield* Effect.repeat(gone, { until: (gone) => gone })
      assert.strictEqual((yield* ask(`${program.origin}/1`)).body, "a /1")
    }), 60_000)

  it.live(
    "a bad file, or one that only building finds bad, changes nothing and is told of once",
    () =>
      Effect.gen(function*() {
        const { url } = yield* upstream("a")
        const program = yield* begun(to(url))
        const [ones, twos] = yield* clientsOfEach(program, 1)
        const both = Effect.all([ones[0]!.get("/1"), twos[0]!.get("/1")])
        yield* program.reload("port: 0\nroutes:\n  - { upstraem: 1 }\n", notReloaded)
        assert.deepStrictEqual(yield* both, ["200 a /1", "200 a /1"])
        yield* program.reload(
          "port: 0\ngroups:\n  a: { pool: { max_concurrent: 1 }, circuit: { slow_call_rate: 1 } }\n",
          notReloaded
        )
        assert.deepStrictEqual(yield* both, ["200 a /1", "200 a /1"])
        assert.strictEqual(program.output().split("ERROR not reloaded").length, 3)
        assert.strictEqual(program.output().split("slow_call_rate").length, 3, "its message, and its line")
        yield* program.reload(to(url, ", timeout: 1s"), reloaded)
        assert.deepStrictEqual(yield* both, ["200 a /1", "200 a /1"])
      }),
    60_000
  )

  it.live(
    "what did not change keeps its state, and a pool of another size is still the same pool",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const sized = (size: number) =>
          to(up.url, ", group: few").replace(
            "routes:",
            `groups: { few: { pool: { max_concurrent: ${size} }, rate_limit: { limit: 1000, window: 1h } } }\nroutes:`
          )
        const program = yield* begun(sized(1))
        const [ones, twos] = yield* clientsOfEach(program, 2)
        const first = yield* Effect.forkChild(ones[0]!.get("/held"))
        yield* eventually("one at the upstream", () => up.held() === 1)
        assert.match(yield* twos[0]!.get("/1"), /^503 /)
        yield* program.reload(sized(2), reloaded)
        const second = yield* Effect.forkChild(twos[0]!.get("/held"))
        yield* eventually("two at the upstream", () => up.held() === 2)
        assert.match(yield* ones[1]!.get("/1"), /^503 /)
        assert.match(yield* twos[1]!.get("/1"), /^503 /)
        up.release()
        assert.deepStrictEqual(yield* Fiber.joinAll([first, second]), ["200 a /held", "200 a /held"])
      }),
    60_000
  )

  it.live(
    "a group that becomes another one keeps the size of the old config until all change, and has it if they don't",
    () =>
      Effect.gen(function*() {
        const up = yield* upstream("a")
        const config = (few: string, more = "") =>
          to(up.url, ", group: few").replace("routes:", `groups: { few: { ${few} }${more} }\nroutes:`)
        const program = yield* begun(config("pool: { max_concurrent: 2 }"))
        const [ones, twos] = yield* clientsOfEach(program, 3)
        // Building finds that the second group makes no sense, when it has built the first one.
        const wrong = ", other: { pool: { max_concurrent: 1 }, circuit: { slow_call_rate: 1 } }"
        for (const size of [1, 9]) {
          yield* program.reload(config(`pool: { max_concurrent: ${size} }, circuit: {}`, wrong), notReloaded)
          const held = yield* Effect.forEach([ones[0]!, twos[0]!], ({ get }) => Effect.forkChild(get("/held")))
          yield* eventually("two at the upstream", () => up.held() === 2, up.held)
          assert.match(yield* ones[1]!.get("/1"), /^503 /)
          assert.match(yield* twos[1]!.get("/1"), /^503 /)
          up.release()
          assert.deepStrictEqual(yield* Fiber.joinAll(held), ["200 a /held", "200 a /held"])
        }
        yield* program.reload(config("pool: { max_concurrent: 3 }, circuit: {}"), reloaded)
        const more = yield* Effect.forEach([ones[0]!, twos[0]!, twos[1]!], ({ get }) => Effect.forkChild(get("/held")))
        yield* eventually("three at the upstream", () => up.held() === 3, up.held)
        assert.match(yield* ones[1]!.get("/1"), /^503 /)
        up.release()
        yield* Fiber.joinAll(more)
      }),
    60_000
  )

  it.live("a storm of SIGHUPs ends with what the file says last", () => stormOfHangups(begun, to), 60_000)
})
