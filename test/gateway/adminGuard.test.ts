import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import { Headers } from "effect/http"
import { refused } from "../../packages/gateway/src/internal/adminGuard.ts"

const asked = (
  token: string | undefined,
  headers: Record<string, string>,
  { from = "127.0.0.1", url = "/api/config" }: { readonly from?: string | undefined; readonly url?: string } = {}
) => refused(token, { headers: Headers.fromInput(headers), remoteAddress: Option.some(from), url })?.status ?? 200

describe("the admin API without a token", () => {
  for (const host of ["127.0.0.1", "127.0.0.1:9655", "localhost:9655", "LocalHost", "localhost.", "[::1]:9655"]) {
    it(`is for this machine, called ${host}`, () => assert.strictEqual(asked(undefined, { host }), 200))
  }

  for (
    const host of [
      "",
      "rebound.example",
      "127.0.0.1.rebound.example",
      "localhost.rebound.example:80",
      "rebound.example:127",
      "0.0.0.0",
      "[::ffff:127.0.0.1]",
      "2130706433"
    ]
  ) {
    it(`is not for who calls it "${host}"`, () => assert.strictEqual(asked(undefined, { host }), 403))
  }

  it("is not for a page in a browser, not even one from here or from a file", () => {
    for (const origin of ["https://a.example", "http://127.0.0.1:9655", "null", ""]) {
      assert.strictEqual(asked(undefined, { host: "127.0.0.1", origin }), 403)
    }
  })

  it("is not for a connection from elsewhere, which an address that needed a token may have left", () => {
    const host = "127.0.0.1"
    assert.strictEqual(asked(undefined, { host }, { from: "192.0.2.1" }), 403)
    assert.strictEqual(asked(undefined, { host }, { from: "::ffff:192.0.2.1" }), 403)
    assert.strictEqual(asked(undefined, { host }, { from: "::ffff:127.0.0.1" }), 200)
    assert.strictEqual(asked(undefined, { host }, { from: "::1" }), 200)
  })

  it("is the same with an empty one, which nobody has", () => {
    assert.strictEqual(asked("", { host: "127.0.0.1", origin: "https://a.example" }), 403)
    assert.strictEqual(asked("", { host: "rebound.example", authorization: "Bearer " }), 403)
    assert.strictEqual(asked("", { host: "127.0.0.1" }), 200)
  })
})

describe("the admin API with a token", () => {
  const far = { from: "192.0.2.1" }

  it("is for who has it, from anywhere", () => {
    assert.strictEqual(asked("abc", { host: "a.example", authorization: "Bearer abc" }, far), 200)
    assert.strictEqual(asked("abc", { host: "a.example", authorization: "bearer abc" }, far), 200)
  })

  for (const authorization of ["", "Bearer", "Bearer ", "Bearer ab", "Bearer abcd", "Bearer ABC", "Basic abc", "abc"]) {
    it(`is not for "${authorization}"`, () => {
      assert.strictEqual(asked("abc", { host: "127.0.0.1", authorization }), 401)
    })
  }

  it("lets probes in without it, and nothing that only looks like one", () => {
    for (const url of ["/health", "/ready"]) assert.strictEqual(asked("abc", { host: "a" }, { url, ...far }), 200)
    for (const url of ["/health/", "//health", "/ready?x", "/ready;x", "/READY", "/health/../api/config", "/metrics"]) {
      assert.strictEqual(asked("abc", { host: "a" }, { url, ...far }), 401, url)
    }
  })
})

it("a body that no change takes is refused by its length", () => {
  assert.strictEqual(asked(undefined, { host: "127.0.0.1", "content-length": "65536" }), 200)
  assert.strictEqual(asked(undefined, { host: "127.0.0.1", "content-length": "65537" }), 413)
})
