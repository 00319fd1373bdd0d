import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { explained, refused } from "./started.ts"

const route = (fallback: string) => `port: 0\nroutes:\n  - upstream: http://a\n    fallback: { ${fallback} }\n`

describe("the answer of a fallback", () => {
  for (
    const name of [
      "Content-Length",
      "transfer-encoding",
      "connection",
      "keep-alive",
      "upgrade",
      "trailer",
      "te",
      "host",
      "Proxy-Connection"
    ]
  ) {
    it.effect(`${name} is not for a file to say: what is behind it on the connection would be read as something else`, () =>
      Effect.map(refused(route(`status: 503, body: down, headers: { ${name}: "3" }`)), (said) => {
        assert.include(said, `routes[0].fallback.headers.`.slice(0, -1))
        assert.include(said, `${name} is not a header to be edited`)
      }))
  }

  for (const status of [204, 205, 304]) {
    for (const key of ["body", "file"]) {
      it.effect(`one with the status ${status} has no ${key}`, () =>
        Effect.map(refused(route(`status: ${status}, ${key}: down`), { down: "x" }), (said) =>
          assert.strictEqual(
            said,
            `blackgate.yml:4:36: routes[0].fallback.${key}: an answer with the status ${status} has no body`
          )))
    }
    it.effect(`one with the status ${status} and nothing more is fine`, () =>
      Effect.map(
        explained(route(`status: ${status}, headers: { x-a: b }`)),
        (said) => assert.include(said, "fallback")
      ))
  }
})
