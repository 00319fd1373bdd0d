import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { parse } from "../../packages/gateway/src/Config.ts"

const read = (text: string, env: Record<string, string> = {}) =>
  parse(text, {
    file: "blackgate.yml",
    env,
    readFile: (path) => {
      throw new Error(`no ${path}`)
    }
  })

const route = (text: string) => `routes: [{ upstream: http://a, name: '${text}' }]`

describe("a substitution", () => {
  const value = "a\", evil: 1, b: \"\n    timeout: 1s # ${HOME} *x &y !!js"

  it.effect("makes no structure of what it stands for, and stands for nothing again", () =>
    Effect.gen(function*() {
      const { config } = yield* read(
        "routes:\n  - upstream: http://a\n    fallback: { status: 503, body: '${VALUE}' }",
        {
          VALUE: value
        }
      )
      assert.deepStrictEqual(config.routes, [{ upstream: "http://a", fallback: { status: 503, body: value } }])
    }))

  it.effect("has to fit where it stands, as what is written has to", () =>
    Effect.gen(function*() {
      for (const name of ["a\nb", "a\u001b[2J", " a"]) {
        const error = yield* Effect.flip(read(route("${NAME}"), { NAME: name }))
        assert.include(
          error.message,
          "routes[0].name: expected a name, without spaces around it, found what ${NAME} stands for"
        )
        assert.notInclude(error.message, "[2J")
      }
    }))

  it.effect("is no key", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read("\"${KEY}\": 1", { KEY: "port" }))
      assert.include(error.message, "expected one of port")
    }))

  it.effect("has no other one in its default", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read(route("${A:-${B}}"), { B: "b" }))
      assert.include(error.message, "a default can't refer to anything, found ${A:-${B}")
    }))

  for (
    const [text, message] of [
      ["${file:a\0b}", "can't be read"],
      ["${", "expected a \"}\""],
      ["${a-b}", "expected ${NAME}"],
      ["${constructor}", "is not set"],
      ["${__proto__}", "is not set"]
    ] as const
  ) {
    it.effect(`${JSON.stringify(text)} is an error`, () =>
      Effect.map(
        Effect.flip(read(route(text.replace("\0", "\\0")))),
        (error) => assert.include(error.message, message)
      ))
  }
})
