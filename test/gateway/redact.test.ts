import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { parse } from "../../packages/gateway/src/Config.ts"
import { redacted } from "../../packages/gateway/src/internal/redact.ts"

const env = { PLAIN: "hunter1", API_TOKEN: "hunter2", BASIC_AUTH: "hunter3", PORT: "81" }

const read = (text: string) => parse(text, { file: "blackgate.yml", env, readFile: () => "hunter4" })

const route = (text: string) => `routes:\n  - upstream: http://a\n    ${text}\n`

describe("what is secret of a config", () => {
  for (
    const text of [
      "match: { headers: { authorization: Bearer hunter } }",
      "match: { headers: { Authorization: { regex: Bearer hunter.* } } }",
      "match: { query: { api_key: hunter } }",
      "match: { query: { access_token: { regex: hunter|hunter2 } } }",
      "request_headers: { set: { x-api-key: hunter } }",
      "request_headers: { add: { X-Auth: hunter } }",
      "request_headers: { set: { x-functions-key: hunter, x-credential: hunter } }",
      "response_headers: { set: { set-cookie: a=hunter } }",
      "fallback: { status: 503, headers: { x-signature: hunter } }",
      "request_headers: { set: { x-a: '${API_TOKEN}', x-b: 'b ${BASIC_AUTH:-none}' } }",
      "request_headers: { set: { x-a: '${file:/run/secrets/a}' } }"
    ]
  ) {
    it.effect(`is not shown of ${text}`, () =>
      Effect.map(read(route(text)), ({ config, written }) => {
        const shown = JSON.stringify(redacted(config, written))
        assert.notInclude(shown, "hunter")
        assert.include(shown, "<redacted>")
      }))
  }

  it.effect("is not what everybody may know", () =>
    Effect.map(
      read(`port: \${PORT}\n${route("request_headers: { set: { x-a: '${PLAIN}', cache-control: no-store } }")}`),
      ({ config, written }) =>
        assert.deepStrictEqual(redacted(config, written), {
          port: 81,
          routes: [{
            upstream: "http://a",
            request_headers: { set: { "x-a": "hunter1", "cache-control": "no-store" } }
          }]
        })
    ))

  for (
    const text of [
      "match: { headers: { authorization: { regex: [hunter] } } }",
      "match: { headers: { authorization: { regex: hunter, oops: 1 } } }",
      "request_headers: { set: { x-auth: \"hunter\\n\" } }",
      "request_headers: { set: { x-auth: [hunter] } }"
    ]
  ) {
    it.effect(`is not shown in an error about ${text}`, () =>
      Effect.map(Effect.flip(read(route(text))), ({ message }) => assert.notInclude(message, "hunter")))
  }
})
