import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { eventually } from "../harness/eventually.ts"
import { ask } from "./ask.ts"
import { folder, gateway } from "./gatewayFolder.ts"
import { startBlackgate } from "./process.ts"

const name = "blackgate.config.ts"

const importing = "import { defineConfig } from \"blackgate/config\"\nimport { Effect, Layer } from \"effect\"\n"

const wrong: ReadonlyArray<readonly [what: string, text: string, says: string]> = [
  ["calls process.exit", "process.exit(0)", `${name}: process.exit was called while it was imported`],
  [
    "has a layer that calls process.exit",
    "export default defineConfig({ routes: Layer.effectDiscard(Effect.sync(() => process.exit(0))) })",
    `${name}: process.exit was called while its layer of routes was built`
  ],
  [
    "exports what throws when it is asked whether it is a config",
    "export default new Proxy({}, { has() { throw new Error(\"no\") } })",
    `${name}:3:46: its default export can't be read: no`
  ],
  [
    "exports what throws when its config is read",
    "export default { ...defineConfig({}), get config() { throw new Error(\"no\") } }",
    `${name}:3:60: its default export can't be read: no`
  ],
  [
    "exports what throws something that can't be shown",
    "export default { ...defineConfig({}), get config() { throw { get message() { throw 1 }, [Symbol.toPrimitive]: 1 } } }",
    `${name}: its default export can't be read: `
  ],
  [
    "has a group of a name that no object can have",
    "export default defineConfig({ config: { groups: JSON.parse('{ \"__proto__\": { \"pool\": { \"max_concurrent\": 1 } } }') } })",
    `${name}: groups: __proto__ is no key`
  ]
]

// One after the other: each has processes of its own, and a machine has few cores.
describe("check ends with 2 for a config module that", { concurrent: false }, () => {
  for (const [what, text, says] of wrong) {
    it.live(what, () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        Fs.writeFileSync(Path.join(cwd, name), importing + text)
        const program = yield* startBlackgate(cwd, ["check"])
        assert.strictEqual(yield* program.ended, 2, program.output())
        assert.include(program.output(), says)
      }), 60_000)
  }
})

const leaking = `export default defineConfig({
  config: { port: 0 },
  routes: HttpRouter.add("GET", "/*", Effect.sync(() => {
    void Promise.reject(new Error("nobody hears of it"))
    return HttpServerResponse.text("served")
  }))
})
`

describe("a config module whose route leaves a rejected promise behind", { concurrent: false }, () => {
  for (const workers of ["1", "2"]) {
    it.live(`has it in the log, and goes on, with --workers ${workers}`, () =>
      Effect.gen(function*() {
        const imports = "import { HttpRouter, HttpServerResponse } from \"effect/http\"\n"
        const program = yield* gateway(importing + imports + leaking, { name, args: ["--workers", workers] })
        for (let i = 0; i < 5; i++) assert.strictEqual((yield* ask(`${program.origin}/${i}`)).body, "served")
        const line = /ERROR (?:worker \d: )?a promise was rejected that nobody awaits\n.*nobody hears of it/g
        yield* eventually(
          "a line for each",
          () => program.output().match(line)?.length === 5,
          program.output
        )
        assert.notMatch(program.output(), /has ended/)
        yield* program.signal("SIGTERM")
        assert.strictEqual(yield* program.ended, 0)
      }), 60_000)
  }
})

const throwing = `export default defineConfig({
  config: { port: 0 },
  routes: Layer.mergeAll(
    HttpRouter.add("GET", "/thrown", Effect.sync(() => { throw new Error("the inside") })),
    HttpRouter.add("GET", "/served", HttpServerResponse.text("served"))
  ),
  middleware: (answer) => Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
    if (url.endsWith("?throw")) throw new Error("the inside")
    return answer
  })
})
`

describe("a config module whose code throws", { concurrent: false }, () => {
  it.live("has it in the log, and its client a 500 in JSON that says nothing of it", () =>
    Effect.gen(function*() {
      const imports = "import { HttpRouter, HttpServerRequest, HttpServerResponse } from \"effect/http\"\n"
      const program = yield* gateway(importing + imports + throwing, { name })
      const json = "{\"code\":500,\"message\":\"internal server error\",\"errors\":[]}"
      const thrown = yield* ask(`${program.origin}/thrown`)
      assert.deepStrictEqual([thrown.status, thrown.body], [500, json])
      const filtered = yield* ask(`${program.origin}/served?throw`)
      assert.deepStrictEqual([filtered.status, filtered.body], [500, json])
      assert.strictEqual((yield* ask(`${program.origin}/served`)).body, "served")
      yield* eventually("two lines", () => program.output().match(/the inside/g)?.length === 2, program.output)
    }), 60_000)
})
