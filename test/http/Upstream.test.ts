import { Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

const parts = (url: string | URL) =>
  Effect.map(Upstream.make(url), ({ authority, basePath, origin }) => [origin, authority, basePath])

describe("a URL", () => {
  const good: ReadonlyArray<readonly [url: string | URL, origin: string, authority: string, basePath: string]> = [
    ["http://a.test", "http://a.test", "a.test", ""],
    ["http://a.test/", "http://a.test", "a.test", ""],
    ["https://A.test:8443/", "https://a.test:8443", "a.test:8443", ""],
    ["http://a.test:80", "http://a.test", "a.test", ""],
    ["http://a.test/v1", "http://a.test", "a.test", "/v1"],
    ["http://a.test/v1/users//", "http://a.test", "a.test", "/v1/users"],
    ["http://a.test/v1/../v2/", "http://a.test", "a.test", "/v2"],
    ["http://[::1]:8080/a", "http://[::1]:8080", "[::1]:8080", "/a"],
    ["http://127.0.0.1", "http://127.0.0.1", "127.0.0.1", ""],
    ["http://b\u00fccher.test/stra\u00dfe", "http://xn--bcher-kva.test", "xn--bcher-kva.test", "/stra%C3%9Fe"],
    [new URL("http://a.test/v1"), "http://a.test", "a.test", "/v1"]
  ]
  for (const [url, ...expected] of good) {
    it.effect(String(url), () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* parts(url), expected)
      }))
  }

  it.effect("has as many connections as there are requests, unless it says otherwise", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* Upstream.make("http://a.test")).connections)
      assert.strictEqual((yield* Upstream.make("http://a.test", { connections: 2 })).connections, 2)
    }))

  it.effect("is spoken to in HTTP/1.1, with no options for TLS, unless it says otherwise", () =>
    Effect.gen(function*() {
      const plain = yield* Upstream.make("https://a.test")
      assert.deepStrictEqual([plain.http, plain.tls], ["1.1", undefined])
      const tls = { minVersion: "TLSv1.3" } as const
      const other = yield* Upstream.make("https://a.test", { http: "auto", tls })
      assert.deepStrictEqual([other.http, other.tls], ["auto", tls])
    }))

  it.effect("is an upstream, and nothing else is", () =>
    Effect.gen(function*() {
      assert.isTrue(Upstream.isUpstream(yield* Upstream.make("http://a.test")))
      for (const other of ["http://a.test", new URL("http://a.test"), {}, null, undefined]) {
        assert.isFalse(Upstream.isUpstream(other))
      }
    }))
})

describe("what is no such URL is refused, and named", () => {
  const bad: ReadonlyArray<readonly [url: string, problem: string]> = [
    ["", "expected an http or https URL, got \"\""],
    ["intra.service.com", "expected an http or https URL, got \"intra.service.com\""],
    ["/v1", "expected an http or https URL, got \"/v1\""],
    ["http://", "expected an http or https URL, got \"http://\""],
    ["http://a b", "expected an http or https URL, got \"http://a b\""],
    ["http://a.test:99999", "expected an http or https URL, got \"http://a.test:99999\""],
    ["ftp://a.test/v1", "expected an http or https URL, got \"ftp://a.test/v1\""],
    ["ws://a.test", "expected an http or https URL, got \"ws://a.test\""],
    ["localhost:8080", "expected an http or https URL, got \"localhost:8080\""],
    ["http://a.test/v1?a=b", "http://a.test/v1 must not have a query or a fragment"],
    ["http://a.test/v1#a", "http://a.test/v1 must not have a query or a fragment"]
  ]
  for (const [url, problem] of bad) {
    it.effect(JSON.stringify(url), () =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(Upstream.make(url))
        assert.strictEqual(refused._tag, "InvalidOptions")
        assert.strictEqual(refused.message, `upstream: ${problem}`)
      }))
  }

  for (
    const url of [
      "http://user:hunter2@a.test",
      "http://:hunter2@a.test",
      "http://hunter2@a.test",
      "http://user:hunter2@a.test?b",
      "ftp://user:hunter2@a.test",
      "http://user:hunter2@a b",
      "http://user:hunter2@a.test:99999/",
      "user:hunter2@a.test",
      "http://user:hunter2/@a b",
      "user:hunter2@a b"
    ]
  ) {
    it.effect(`${url}, without telling the password`, () =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(Upstream.make(url))
        assert.strictEqual(refused.subject, "upstream")
        assert.notInclude(`${refused.message} ${JSON.stringify(refused)}`, "hunter2")
      }))
  }

  for (const connections of [0, -1, 1.5, NaN, Infinity]) {
    it.effect(`connections: ${connections}`, () =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(Upstream.make("http://a.test", { connections }))
        assert.strictEqual(
          refused.message,
          `upstream: connections: expected a whole number of at least 1, got ${connections}`
        )
      }))
  }

  const pem = "-----BEGIN CERTIFICATE-----"
  const wrong: ReadonlyArray<readonly [options: object, problem: string]> = [
    [{ http: "3" }, "http: "],
    [{ tls: { ca: "a" } }, "tls.ca: "],
    [{ tls: { ca: [] } }, "tls.ca"],
    [{ tls: { cert: pem } }, "tls: expected cert and key together, got only cert"],
    [{ tls: { key: pem } }, "tls: expected cert and key together, got only key"],
    [{ tls: { passphrase: "hunter2" } }, "tls: expected key with passphrase"],
    [{ tls: { serverName: "" } }, "tls.serverName: expected the name of a host"],
    [{ tls: { serverName: "10.0.0.1" } }, "tls.serverName: expected the name of a host"],
    [{ tls: { serverName: "::1" } }, "tls.serverName: expected the name of a host"],
    [{ tls: { minVersion: "TLSv1.1" } }, "tls.minVersion: "],
    [{ tls: { verify: false } }, "tls.verify: "],
    [{ tls: { verify: "off" } }, "tls.verify: "],
    [{ tls: { rejectUnauthorized: false } }, "rejectUnauthorized"]
  ]
  for (const [options, problem] of wrong) {
    it.effect(JSON.stringify(options), () =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(Upstream.make("https://a.test", options))
        assert.include(refused.message, problem)
        assert.notInclude(refused.message, "hunter2")
      }))
  }

  it.effect("options for TLS without TLS", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(Upstream.make("http://a.test", { tls: { verify: "on" } }))
      assert.strictEqual(refused.message, "upstream: http://a.test/ is not https, and has options for tls")
    }))

  it.effect("an option that nobody knows", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(Upstream.make("http://a.test", { conections: 1 } as Upstream.Options))
      assert.include(refused.message, "conections")
    }))
})
