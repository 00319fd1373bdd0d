import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { parse } from "../../packages/gateway/src/Config.ts"
import { check } from "../../packages/gateway/src/Gateway.ts"
import { jsonSchema } from "../../packages/gateway/src/internal/jsonSchema.ts"
import { planOf } from "../../packages/gateway/src/internal/Plan.ts"
import { reference } from "./configReference.ts"
import { wrong } from "./wrongFiles.ts"

const files: Record<string, string> = { "/run/secrets/dsn": "https://key@sentry.example/1\n" }

const readFile = (path: string): string => {
  const text = files[path]
  if (text === undefined) throw new Error("ENOENT: no such file or directory")
  return text
}

const read = (text: string, env: Record<string, string> = {}) => parse(text, { file: "blackgate.yml", env, readFile })

/** As `blackgate check` does. */
const checked = (text: string, env: Record<string, string>) =>
  Effect.flatMap(Effect.flatMap(read(text, env), (loaded) => planOf(loaded, readFile)), check)

const config = (text: string, env: Record<string, string> = {}) => Effect.map(read(text, env), ({ config }) => config)

describe("Config", () => {
  it.effect("the example of the Python program is read as it stands", () =>
    Effect.gen(function*() {
      const text = [
        "port: 9654",
        "sentry:",
        "  dsn: ''",
        "proxies:",
        "  - name: github",
        "    request_path_regex: /github/(.*)",
        "    request_path_sub: /\\1",
        "    upstream_url: 'https://api.github.com'",
        "    connect_timeout_seconds: 1.5",
        "    request_timeout_seconds: 10"
      ]
      assert.deepStrictEqual(yield* config(text.join("\n")), {
        port: 9654,
        sentry: { dsn: "" },
        proxies: [{
          name: "github",
          request_path_regex: "/github/(.*)",
          request_path_sub: "/\\1",
          upstream_url: "https://api.github.com",
          connect_timeout_seconds: 1.5,
          request_timeout_seconds: 10
        }]
      })
    }))

  it.effect("JSON is read, too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* config(`{\n\t"port": 1, "log": {"level": "none"}\n}`), {
        port: 1,
        log: { level: "none" }
      })
    }))

  it.effect("a key without a value is not there", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* config("port: 1\nsentry:\n  dsn:\nproxies:\n"), { port: 1, sentry: {} })
    }))

  it.effect("anchors, aliases and merge keys are resolved", () =>
    Effect.gen(function*() {
      const text =
        "groups:\n  a: &a\n    pool: { max_concurrent: 1 }\n  b:\n    <<: *a\n    rate_limit: { limit: 1, window: 1s }\n  c: *a\n"
      assert.deepStrictEqual((yield* config(text)).groups, {
        a: { pool: { max_concurrent: 1 } },
        b: { pool: { max_concurrent: 1 }, rate_limit: { limit: 1, window: "1s" } },
        c: { pool: { max_concurrent: 1 } }
      })
    }))

  it.effect("aliases that unfold to billions are refused", () =>
    Effect.gen(function*() {
      const levels = Array.from(
        { length: 20 },
        (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(", ")}]`
      )
      const error = yield* Effect.flip(read(["a0: &a0 x", ...levels].join("\n")))
      assert.include(error.message, "it is too large")
    }))

  describe("substitution", () => {
    for (
      const [text, env, expected] of [
        ["port: ${PORT}", { PORT: "80" }, { port: 80 }],
        ["port: ${PORT:-81}", {}, { port: 81 }],
        ["port: ${PORT:-81}", { PORT: "" }, { port: 81 }],
        [`{"port": "\${PORT}"}`, { PORT: "82" }, { port: 82 }],
        ["sentry: { dsn: '${file:/run/secrets/dsn}' }", {}, { sentry: { dsn: "https://key@sentry.example/1" } }],
        ["sentry: { dsn: 'a$${b}c${D}' }", { D: "d" }, { sentry: { dsn: "a${b}cd" } }],
        ["listen: { http2: '${H2}' }", { H2: "false" }, { listen: { http2: false } }]
      ] as ReadonlyArray<readonly [string, Record<string, string>, unknown]>
    ) {
      it.effect(`${text} with ${JSON.stringify(env)}`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* config(text, env), expected)
        }))
    }

    it.effect("what a substitution stands for is not shown", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(read("log: { level: '${LEVEL}' }", { LEVEL: "hunter2" }))
        assert.notInclude(error.message, "hunter2")
      }))
  })

  describe("a file that is wrong", () => {
    for (const [name, text, message] of wrong) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(checked(text, { WORD: "x" }))
          assert.strictEqual(error.message, message)
        }))
    }
  })

  it("blackgate.schema.json is what blackgate schema prints", () => {
    const file = new URL("../../packages/gateway/blackgate.schema.json", import.meta.url)
    assert.deepStrictEqual(JSON.parse(Fs.readFileSync(file, "utf8")), jsonSchema())
  })

  it("docs/config-reference.md is what the schema says", () => {
    const page = new URL("../../docs/config-reference.md", import.meta.url)
    assert.strictEqual(Fs.readFileSync(page, "utf8"), reference())
  })

  const page = (path: string) => Fs.readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

  it.effect("the config for Kubernetes is good", () => {
    const [, text = ""] = /blackgate\.yml: \|\n((?: {4}.*\n)+)/.exec(page("deploy/kubernetes.yml")) ?? []
    assert.notStrictEqual(text, "")
    return checked(text.replaceAll(/^ {4}/gm, ""), { ADMIN_TOKEN: "token" })
  })

  it.effect("the example is good", () => checked(page("examples/blackgate.yml"), {}))

  it.effect("what init writes is good, and so is what is commented out in it", () =>
    Effect.gen(function*() {
      const text = page("packages/gateway/template.yml")
      yield* checked(text, {})
      const all = text.replaceAll(/^ *# ((?: *- |  +|[a-z_]+:).*)$/gm, (line, code: string) =>
        line.startsWith(" ") ? line.replace("# ", "") : code)
      const error = yield* Effect.flip(checked(all, {}))
      assert.deepStrictEqual(
        error.problems.map(({ message }) =>
          message!.replace(/^port is what listen.*/, "port beside listen")
        ),
        [
          "port beside listen",
          "cert.pem can't be read: ENOENT: no such file or directory",
          "key.pem can't be read: ENOENT: no such file or directory"
        ]
      )
    }))

  it("the JSON Schema refuses unknown keys", () => {
    const schema = jsonSchema() as { readonly additionalProperties?: unknown }
    assert.strictEqual(schema.additionalProperties, false)
  })
})
