import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { status } from "../harness/HttpMessage.ts"
import * as Served from "../harness/Served.ts"

const host = "Host: gateway.test"

/** Sent as it stands, after which the connection must close, and the log have one line. */
const refused: ReadonlyArray<readonly [what: string, status: number, reason: string, ...lines: ReadonlyArray<string>]> =
  [
    [
      "1. Content-Length with Transfer-Encoding",
      400,
      "malformed",
      "POST / HTTP/1.1",
      host,
      "Content-Length: 5",
      "Transfer-Encoding: chunked"
    ],
    [
      "1. Transfer-Encoding with Content-Length",
      400,
      "malformed",
      "POST / HTTP/1.1",
      host,
      "Transfer-Encoding: chunked",
      "Content-Length: 5"
    ],
    [
      "1. Transfer-Encoding: gzip",
      400,
      "something else than chunked",
      "POST / HTTP/1.1",
      host,
      "Transfer-Encoding: gzip"
    ],
    [
      "1. Transfer-Encoding: gzip, chunked",
      400,
      "something else than chunked",
      "POST / HTTP/1.1",
      host,
      "Transfer-Encoding: gzip, chunked"
    ],
    ["1. Transfer-Encoding: chunked, chunked", 400, "", "POST / HTTP/1.1", host, "Transfer-Encoding: chunked, chunked"],
    ["1. Transfer-Encoding: identity", 400, "", "POST / HTTP/1.1", host, "Transfer-Encoding: identity"],
    ["1. Transfer-Encoding: xchunked", 400, "", "POST / HTTP/1.1", host, "Transfer-Encoding: xchunked"],
    ["1. Transfer-Encoding: \"chunked\"", 400, "", "POST / HTTP/1.1", host, "Transfer-Encoding: \"chunked\""],
    [
      "1. two Transfer-Encodings",
      400,
      "",
      "POST / HTTP/1.1",
      host,
      "Transfer-Encoding: chunked",
      "Transfer-Encoding: chunked"
    ],
    ["1. a Transfer-Encoding in HTTP/1.0", 400, "HTTP/1.0", "POST / HTTP/1.0", host, "Transfer-Encoding: chunked"],
    ["1. two Content-Lengths", 400, "malformed", "POST / HTTP/1.1", host, "Content-Length: 5", "Content-Length: 6"],
    [
      "1. the same Content-Length twice",
      400,
      "malformed",
      "POST / HTTP/1.1",
      host,
      "Content-Length: 5",
      "Content-Length: 5"
    ],
    ["1. a listed Content-Length", 400, "malformed", "POST / HTTP/1.1", host, "Content-Length: 5, 5"],
    ["1. a signed Content-Length", 400, "malformed", "POST / HTTP/1.1", host, "Content-Length: +5"],
    ["1. a negative Content-Length", 400, "malformed", "POST / HTTP/1.1", host, "Content-Length: -5"],
    ["1. a hexadecimal Content-Length", 400, "malformed", "POST / HTTP/1.1", host, "Content-Length: 0x5"],
    ["1. an empty Content-Length", 400, "", "POST / HTTP/1.1", host, "Content-Length: "],
    ["1. a Content-Length in words", 400, "malformed", "POST / HTTP/1.1", host, "Content-Length: five"],
    [
      "1. a Content-Length beyond any number",
      400,
      "",
      "POST / HTTP/1.1",
      host,
      "Content-Length: 99999999999999999999999"
    ],
    [
      "1. a Content-Length that is no exact number",
      400,
      "no number",
      "POST / HTTP/1.1",
      host,
      "Content-Length: 9007199254740993"
    ],
    ["4. a space before the colon", 400, "malformed", "GET / HTTP/1.1", host, "X-A : 1"],
    ["4. a folded line", 400, "malformed", "GET / HTTP/1.1", host, "X-A: 1", " 2"],
    ["4. a line that begins the fields with a space", 400, "malformed", "GET / HTTP/1.1", " X-A: 1", host],
    ["4. a bare CR in a field", 400, "malformed", "GET / HTTP/1.1", host, "X-A: 1\r2"],
    ["4. a bare LF after a field", 400, "malformed", "GET / HTTP/1.1", `${host}\nX-A: 1`],
    ["4. a NUL in a field", 400, "malformed", "GET / HTTP/1.1", host, "X-A: 1\x002"],
    ["4. a NUL in the target", 400, "malformed", "GET /\x00 HTTP/1.1", host],
    ["4. a field without a name", 400, "malformed", "GET / HTTP/1.1", host, ": 1"],
    ["4. a field without a colon", 400, "malformed", "GET / HTTP/1.1", host, "X-A"],
    ["4. HTTP/0.9 with a version", 400, "HTTP/0.9", "GET / HTTP/0.9"],
    ["4. no Host", 400, "no Host", "GET / HTTP/1.1", "X-A: 1"],
    ["4. two Hosts", 400, "more than one Host", "GET / HTTP/1.1", host, host],
    ["4. two Hosts in HTTP/1.0", 400, "more than one Host", "GET / HTTP/1.0", host, "HOST: other.test"],
    ["4. an empty Host", 400, "no host", "GET / HTTP/1.1", "Host: "],
    ["4. a Host with userinfo", 400, "no host", "GET / HTTP/1.1", "Host: user@gateway.test"],
    ["4. a Host with a password", 400, "no host", "GET / HTTP/1.1", "Host: user:word@gateway.test"],
    ["4. a Host with a path", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test/admin"],
    ["4. a Host with a query", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test?x"],
    ["4. a Host with a backslash", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test\\x"],
    ["4. a Host with a space", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test other.test"],
    ["4. a Host that is a list", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test, <x>"],
    ["4. a Host that is two", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test,other.test"],
    ["4. a Host whose port is none", 400, "no host", "GET / HTTP/1.1", "Host: gateway.test:80x"],
    ["4. an absolute target with userinfo", 400, "target", "GET http://user@other.test/ HTTP/1.1", host],
    ["4. an absolute target without a host", 400, "", "GET http:///path HTTP/1.1", host],
    ["4. a target that is a path without a slash", 400, "", "GET path HTTP/1.1", host],
    ["4. a target of another scheme", 400, "", "GET ftp://other.test/ HTTP/1.1", host],
    ["4. a version that there is not", 400, "malformed", "GET / HTTP/1.2", host],
    ["4. a version that is HTTP/2's", 505, "HTTP/2", "GET / HTTP/2.0", host],
    ["4. no request at all", 400, "malformed", "hello"],
    ["4. a TLS handshake without TLS", 400, "malformed", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["26. CONNECT", 405, "tunnel", "CONNECT other.test:443 HTTP/1.1", "Host: other.test:443"]
  ]

describe("heads that are refused: once answered, the connection closes, and the log says why in a line", () => {
  for (const [what, code, reason, ...lines] of refused) {
    it.live(what, () =>
      Effect.gen(function*() {
        let served = 0
        const server = yield* Served.answering({}, Effect.sync(() => (served++, Served.ok)))
        const client = yield* server.connect
        client.send(`${lines.join("\r\n")}\r\n\r\nhello GET /smuggled HTTP/1.1\r\n${host}\r\n\r\n`)
        const answer = yield* client.message()
        assert.strictEqual(status(answer), code)
        assert.include(answer.fields.map(([name, value]) => `${name}: ${value}`), "Connection: close")
        client.end()
        yield* client.until("the end", ({ closed }) => closed)
        assert.strictEqual(client.text, "")
        assert.strictEqual(served, 0)
        const logs = yield* server.logged(reason)
        assert.lengthOf(logs, 1)
        assert.match(logs[0]!, new RegExp(`^127\\.0\\.0\\.1:\\d+ is refused with a ${code}: `))
      }))
  }

  it.live("4. HTTP/0.9 as it was: no fields, and no version", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const client = yield* server.connect
      client.send("GET /\r\n\r\n")
      yield* client.until("the end", ({ ended }) => ended)
      assert.match(client.text, /^HTTP\/1.1 400 /)
      yield* server.logged("HTTP/0.9")
    }))
})

describe("heads that are served", () => {
  const fine: ReadonlyArray<readonly [what: string, ...lines: ReadonlyArray<string>]> = [
    ["a Host with a port", "GET / HTTP/1.1", "Host: gateway.test:8080"],
    ["a Host that is an IPv6 address", "GET / HTTP/1.1", "Host: [::1]:8080"],
    ["a Host with an escape", "GET / HTTP/1.1", "Host: %61.test"],
    ["a Host with an underscore", "GET / HTTP/1.1", "hOST: a_b.test"],
    ["HTTP/1.0 without a Host", "GET / HTTP/1.0"],
    ["an absolute target", "GET http://other.test:80/path?q HTTP/1.1", host],
    ["OPTIONS *", "OPTIONS * HTTP/1.1", host],
    [
      "a Transfer-Encoding in capitals",
      "POST / HTTP/1.1",
      host,
      "Transfer-Encoding: Chunked",
      "Connection: close",
      "",
      "0"
    ],
    [
      "an upgrade to h2c, which stays a plain request (26)",
      "GET / HTTP/1.1",
      host,
      "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c",
      "HTTP2-Settings: AAMAAABkAAQAAP__"
    ]
  ]
  for (const [what, ...lines] of fine) {
    it.live(what, () =>
      Effect.gen(function*() {
        const server = yield* Served.answering()
        const client = yield* server.connect
        client.send(`${lines.join("\r\n")}\r\n\r\n`)
        assert.match((yield* client.head).startLine, /^HTTP\/1.1 (200|404) /)
        assert.deepStrictEqual(server.logs, [])
      }))
  }
})

describe("31. what is refused changes nothing of what was asked before it", () => {
  const bad = "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"
  for (const [what, second] of [["a wrong head", bad], ["what is no request", "\x00\x01\r\n\r\n"]] as const) {
    it.live(`${what} behind a request that is under way: that is answered, then this is refused`, () =>
      Effect.gen(function*() {
        const gate = Served.gate()
        const server = yield* Served.answering({}, gate.answer)
        const client = yield* server.connect
        client.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n${second}`)
        yield* server.logged("is refused with a 400")
        assert.strictEqual(client.text, "")
        gate.open()
        assert.strictEqual(status(yield* client.message()), 200)
        assert.strictEqual(status(yield* client.message()), 400)
        yield* client.until("the end", ({ ended }) => ended)
        assert.lengthOf(server.logs, 1)
      }))
  }

  it.live("nor anything of other connections, and of the process", () =>
    Effect.gen(function*() {
      const server = yield* Served.answering()
      const other = yield* server.connect
      for (let i = 0; i < 50; i++) {
        const client = yield* server.connect
        client.send("GET / HTTP/1.1\r\nHost: gateway.test\r\nX: \x00")
        client.reset()
      }
      other.send(`GET / HTTP/1.1\r\n${host}\r\n\r\n`)
      assert.strictEqual(status(yield* other.message()), 200)
    }))
})
