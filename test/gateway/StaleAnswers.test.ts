import { HeaderList, type Rewrite } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { answering, asking, clocked } from "./staleAnswers.ts"

describe("StaleAnswers", () => {
  describe("what a client got by saying who it is", () => {
    for (
      const name of [
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-auth-request-email",
        "x-forwarded-user",
        "x-session-id",
        "x-client-cert"
      ]
    ) {
      it(`is not kept, with ${name}`, () => {
        const { answers, found } = clocked()
        answers.keep(answering("private"), asking({ [name]: "a" }))
        assert.isUndefined(found())
        assert.isUndefined(found(asking({ [name]: "a" })))
      })
    }

    it("is not what it gets either", () => {
      const { answers, found } = clocked()
      answers.keep(answering("public"), asking())
      assert.isUndefined(found(asking({ authorization: "Bearer a" })))
      assert.strictEqual(found(asking({ "user-agent": "a", "sec-fetch-user": "?1", "accept-charset": "x" })), "public")
    })
  })

  describe("an answer that is not for everybody is not kept", () => {
    for (
      const headers of [
        { "set-cookie": "a=b" },
        { "Set-Cookie": "a=b" },
        { "cache-control": "private" },
        { "Cache-Control": "max-age=9, PRIVATE" },
        { "cache-control": "private=\"x-a\"" },
        { "cache-control": "no-store" },
        { "cache-control": "no-cache" },
        { vary: "*" },
        { vary: "accept, *" },
        { "content-type": "text/event-stream" }
      ]
    ) {
      it(JSON.stringify(headers), () => {
        const { answers, found } = clocked()
        answers.keep(answering("old"), asking())
        answers.keep(answering("new", headers as unknown as Record<string, string>), asking())
        assert.isUndefined(found())
      })
    }

    it("\"private\" in quotes is no directive", () => {
      const { answers, found } = clocked()
      answers.keep(answering("a", { "cache-control": "x=\"a, private\"" }), asking())
      assert.strictEqual(found(), "a")
    })

    it("a client that says no-store is not kept", () => {
      const { answers, found } = clocked()
      answers.keep(answering("a"), asking({ "cache-control": "no-store" }))
      assert.isUndefined(found())
    })
  })

  describe("a header that nobody knows", () => {
    const as = (headers: Record<string, string>) => asking({ "x-acme": "1", ...headers })

    it("is not kept with, and not given to, unless the answer is for everybody", () => {
      const { answers, found } = clocked()
      answers.keep(answering("a"), as({}))
      assert.isUndefined(found())
      answers.keep(answering("b"), asking())
      assert.deepStrictEqual([found(), found(as({}))], ["b", undefined])
      answers.keep(answering("c", { "cache-control": "public" }), as({}))
      assert.deepStrictEqual([found(), found(as({}))], ["c", "c"])
      assert.isUndefined(found(as({ cookie: "a" })))
    })

    it("is kept with if the answer varies by it, and if it makes no difference", () => {
      const { answers, found } = clocked()
      answers.keep(answering("a", { vary: "X-Acme" }), as({}))
      assert.deepStrictEqual([found(), found(as({})), found(asking({ "x-acme": "2" }))], [undefined, "a", undefined])
      answers.keep(answering("b"), asking({ "x-app": "1" }, { url: "/b" }))
      assert.strictEqual(found(asking({}, { url: "/b" })), "b")
    })
  })

  it("what is encoded, or for one origin, is given to those who asked so, whether or not it says so", () => {
    const { answers, found } = clocked()
    answers.keep(answering("gz", { "content-encoding": "gzip" }), asking({ "accept-encoding": "gzip" }))
    assert.deepStrictEqual([found(), found(asking({ "accept-encoding": "gzip" }))], [undefined, "gz"])
    answers.keep(answering("a", { "access-control-allow-origin": "http://a" }), asking({ origin: "http://a" }))
    assert.strictEqual(found(asking({ origin: "http://a" })), "a")
    assert.isUndefined(found(asking({ origin: "http://b" })))
  })

  it("host, path, query and method tell requests apart", () => {
    const { answers, found } = clocked()
    answers.keep(answering("a"), asking({ host: "A.test" }, { url: "/a?b" }))
    assert.strictEqual(found(asking({}, { url: "/a?b" })), "a")
    assert.isUndefined(found(asking({ host: "b.test" }, { url: "/a?b" })))
    assert.isUndefined(found(asking({}, { url: "/a?c" })))
    assert.isUndefined(found(asking({}, { url: "/a" })))
    assert.isUndefined(found(asking({}, { url: "/a?b", method: "POST" })))
    assert.isUndefined(found(asking({}, { url: "/a?b", method: "HEAD" })))
  })

  for (
    const [name, ours, others] of [
      ["x-forwarded-host", "shop-a.test", "shop-b.test"],
      ["x-forwarded-proto", "https", "http"],
      ["x-forwarded-port", "443", "8443"],
      ["x-forwarded-prefix", "/a", "/b"],
      ["forwarded", "for=10.0.0.1;host=\"a.test\";proto=https", "for=10.0.0.1;host=\"b.test\";proto=https"],
      ["forwarded", "for=10.0.0.1;proto=https", "for=10.0.0.1;proto=http"]
    ] as const
  ) {
    it(`what the upstream is told of where it was asked, ${name}, tells them apart, too: ${ours}`, () => {
      const { answers, found } = clocked()
      const told = (value: string) => ({ ...asking(), headers: [name, value] }) as Rewrite.ProxyRequest
      answers.keep(answering("a"), told(ours))
      assert.strictEqual(found(told(ours)), "a")
      assert.isUndefined(found(told(others)))
      assert.isUndefined(found(asking()))
    })
  }

  it("who has asked does not", () => {
    const { answers, found } = clocked()
    const by = (address: string) =>
      ({
        ...asking(),
        headers: ["x-forwarded-for", address, "forwarded", `for=${address};host=a.test`]
      }) as Rewrite.ProxyRequest
    answers.keep(answering("a"), by("10.0.0.1"))
    assert.strictEqual(found(by("\"[2001:db8::1]:80\"")), "a")
  })

  it("what Vary names tells them apart, too", () => {
    const { answers, found } = clocked()
    answers.keep(answering("en", { vary: "Accept-Language" }), asking({ "accept-language": "en" }))
    answers.keep(answering("de", { vary: "Accept-Language" }), asking({ "accept-language": "de" }))
    assert.strictEqual(found(asking({ "accept-language": "en" })), "en")
    assert.strictEqual(found(asking({ "accept-language": "de", accept: "x" })), "de")
    assert.isUndefined(found(asking({ "accept-language": "fr" })))
    assert.isUndefined(found())
    answers.keep(answering("en 2", { vary: "Accept-Language" }), asking({ "accept-language": "en" }))
    assert.strictEqual(found(asking({ "accept-language": "en" })), "en 2")
  })

  describe("age", () => {
    it("is what it was when it came, and how long it has been here", () => {
      const { answers, pass } = clocked()
      answers.keep(answering("a", { age: "5" }), asking())
      pass(2_500)
      assert.strictEqual(answers.find(asking())?.headers["age"], "7")
    })

    const cases: ReadonlyArray<readonly [headers: Record<string, string>, seconds: number]> = [
      [{}, 60],
      [{ "cache-control": "max-age=1" }, 60],
      [{ "cache-control": "max-age=10, must-revalidate" }, 10],
      [{ "cache-control": "max-age=10, proxy-revalidate", age: "4" }, 6],
      [{ "cache-control": "s-maxage=20, max-age=10" }, 20],
      [{ "cache-control": "max-age=10, stale-if-error=20" }, 30],
      [{ "cache-control": "stale-if-error=600" }, 60]
    ]
    for (const [headers, seconds] of cases) {
      it(`${JSON.stringify(headers)} is given for ${seconds} s`, () => {
        const { answers, found, pass } = clocked()
        answers.keep(answering("a", headers), asking())
        pass(seconds * 1000)
        assert.strictEqual(found(), "a")
        pass(1)
        assert.isUndefined(found())
      })
    }

    it("an answer that is news takes the place of the one that is not true any more", () => {
      for (const status of [301, 401, 403, 404, 410]) {
        const { answers, found } = clocked()
        answers.keep(answering("a"), asking())
        answers.keep(answering("", {}, status), asking())
        assert.isUndefined(found(), String(status))
      }
      for (const status of [206, 304, 400, 412, 429, 500, 503]) {
        const { answers, found } = clocked()
        answers.keep(answering("a"), asking())
        answers.keep(answering("", {}, status), asking())
        assert.strictEqual(found(), "a", String(status))
      }
    })

    it("a request that changes something makes it untrue (RFC 9111, section 4.4)", () => {
      const { answers, found } = clocked()
      answers.keep(answering("a"), asking())
      answers.keep(answering("", {}, 500), asking({}, { method: "PUT" }))
      assert.strictEqual(found(), "a")
      answers.keep(answering("", {}, 204), asking({ authorization: "a" }, { method: "PUT" }))
      assert.isUndefined(found())
    })
  })

  it("hop-by-hop and framing fields are not kept, others are", () => {
    const { answers } = clocked()
    answers.keep(
      answering("abc", { "Content-Length": "3", "Content-Type": "x/y", ETag: "\"1\"", Date: "then" }),
      asking()
    )
    const found = answers.find(asking())!
    assert.deepInclude(found.headers, { "content-length": "3", "content-type": "x/y", etag: "\"1\"", date: "then" })
    assert.isTrue(HeaderList.get(HeaderList.fromHeaders(found.headers), "cache-status") !== undefined)
  })
})
