import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { parse } from "../../packages/gateway/src/Config.ts"
import { planOf } from "../../packages/gateway/src/internal/Plan.ts"
import { Problems } from "../../packages/gateway/src/internal/Problems.ts"

const loaded = (text: string) => parse(text, { file: "blackgate.yml", env: {}, readFile: () => "" })

describe("Problems", () => {
  it.effect("a file that many routes name is read once, and is in memory once", () =>
    Effect.gen(function*() {
      let reads = 0
      const problems = new Problems(yield* loaded("port: 1"), () => {
        reads++
        return "\u00ff\0"
      })
      const bytes = problems.readBytes([], "a.png")
      assert.deepStrictEqual(Array.from(bytes), [255, 0])
      assert.strictEqual(problems.readBytes([], "a.png"), bytes)
      assert.strictEqual(reads, 1)
    }))

  it.effect("of many names only some are listed", () =>
    Effect.gen(function*() {
      const problems = new Problems(yield* loaded("port: 1"), () => "")
      const all = new Map(Array.from({ length: 100 }, (_, i) => [`a${i}`, i]))
      problems.named([], "b10", "groups", all)
      const names = Array.from({ length: 20 }, (_, i) => `a${i}`).join(", ")
      assert.deepStrictEqual(problems.all.map(({ hint, message }) => [message, hint]), [
        [`expected one of groups: ${names} and 80 more, found "b10"`, "did you mean a10?"]
      ])
    }))

  it.effect("five thousand routes that name what is not there are told of in a moment", () =>
    Effect.gen(function*() {
      const upstreams = Array.from({ length: 5000 }, (_, i) => `  upstream-${i}: { url: "http://a" }`).join("\n")
      const routes = Array.from({ length: 5000 }, (_, i) => `  - { upstream: upstraem-${i}, name: r${i} }`).join("\n")
      const from = performance.now()
      const read = yield* loaded(`upstreams:\n${upstreams}\nroutes:\n${routes}\n`)
      const error = yield* Effect.flip(planOf(read, () => ""))
      assert.strictEqual(error.problems.length, 5000)
      assert.isBelow(error.message.length, 5_000_000)
      assert.isBelow(performance.now() - from, 5000)
    }), 60_000)
})
