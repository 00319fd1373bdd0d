import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { response } from "../harness/RawUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { requests, responses, values } from "../harness/StrictParser.ts"
import type { Wire } from "../harness/Wire.ts"

const host = "Host: gateway.test"
const lines = (...lines: ReadonlyArray<string>): string => lines.join("\r\n")
const get = (...fields: ReadonlyArray<string>): string => lines("GET / HTTP/1.1", ...fields, "", "")
const post = (fields: ReadonlyArray<string>, body: string): string =>
  lines("POST / HTTP/1.1", host, ...fields, "", body)
const chunked = "Transfer-Encoding: chunked"
const abc = "3\r\nabc\r\n0\r\n\r\n"
const smuggled = lines("GET /smuggled HTTP/1.1", host, "", "")

/** An upstream that answers each request, and keeps the bytes of every connection. */
const recording = Effect.gen(function*() {
  const wires: Array<{ readonly wire: Wire; bytes: string }> = []
  const upstream = yield* RawUpstream.make((wire) =>
    Effect.gen(function*() {
      const record = { wire, bytes: "" }
      wires.push(record)
      for (;;) {
        yield* wire.until("bytes", ({ received }) => received.length > 0)
        record.bytes += wire.text
        wire.take(wire.received.length)
        const { messages, rest } = requests(record.bytes)
        if (rest === "nothing") wire.send(response(messages.at(-1)!.target))
      }
    })
  )
  return { upstream, seen: () => wires.map(({ bytes }) => ({ ...requests(bytes), bytes })) }
})

const withGateway = Effect.gen(function*() {
  const { seen, upstream } = yield* recording
  const gateway = yield* Gateway.start({ upstream: upstream.url })
  return { upstream, gateway, seen, client: yield* gateway.connect }
})

/** A request that is a 400 and the end of its connection, of which the upstream sees nothing that is whole. */
const refused = (bytes: string) =>
  Effect.gen(function*() {
    const { client, gateway, seen } = yield* withGateway
    client.send(bytes)
    yield* client.until("the end", ({ closed, ended }) => ended || closed)
    const { messages: [got], rest, why } = responses(client.received, ["POST"], true)
    assert.strictEqual(rest, "nothing", why)
    assert.strictEqual(got!.status, 400)
    assert.deepStrictEqual(values(got!.fields, "connection"), ["close"])
    for (const { messages } of seen()) assert.deepStrictEqual(messages, [])
    client.close()
    yield* gateway.quiet
    const other = yield* gateway.connect
    other.send(get(host))
    assert.strictEqual(status(yield* other.message()), 200)
  })

/** Requests that reach the upstream, each with its target and its body. */
const passed = (bytes: string, expected: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { client, gateway, seen } = yield* withGateway
    client.send(bytes)
    for (const each of expected) {
      const { body } = yield* client.message()
      assert.strictEqual(body.toString(), each.split(" ")[1])
    }
    yield* gateway.quiet
    const all = seen()
    for (const { rest, why } of all) assert.strictEqual(rest, "nothing", why)
    const messages = all.flatMap(({ messages }) => messages)
    assert.deepStrictEqual(
      messages.map(({ body, method, target }) => `${method} ${target} ${body}`.trim()).toSorted(),
      expected.toSorted()
    )
    return messages
  })

const tables: Record<string, Record<string, string>> = {
  "1. framing that can be read in two ways is a 400, and the end of the connection": {
    "Content-Length, then Transfer-Encoding (CL.TE)": post(["Content-Length: 3", chunked], abc),
    "Transfer-Encoding, then Content-Length (TE.CL)": post([chunked, "Content-Length: 3"], abc),
    "two Content-Lengths that agree": post(["Content-Length: 3", "Content-Length: 3"], "abc"),
    "two Content-Lengths that do not": post(["Content-Length: 3", "Content-Length: 2"], "abc"),
    "a list of Content-Lengths": post(["Content-Length: 3, 3"], "abc"),
    "a signed Content-Length": post(["Content-Length: +3"], "abc"),
    "a negative Content-Length": post(["Content-Length: -3"], "abc"),
    "a hexadecimal Content-Length": post(["Content-Length: 0x3"], "abc"),
    "a decimal Content-Length": post(["Content-Length: 3.0"], "abc"),
    "an empty Content-Length": post(["Content-Length:"], "abc"),
    "a Content-Length with a space in it": post(["Content-Length: 1 1"], "abc"),
    "a Content-Length after a vertical tab": post(["Content-Length: \v3"], "abc"),
    "a Content-Length above 2^64": post(["Content-Length: 18446744073709551619"], "abc"),
    "Transfer-Encoding: identity": post(["Transfer-Encoding: identity"], ""),
    "Transfer-Encoding: identity, with a length": post(["Transfer-Encoding: identity", "Content-Length: 3"], "abc"),
    "Transfer-Encoding: gzip, chunked": post(["Transfer-Encoding: gzip, chunked"], abc),
    "Transfer-Encoding: chunked, identity": post(["Transfer-Encoding: chunked, identity"], abc),
    "Transfer-Encoding: chunked, chunked": post(["Transfer-Encoding: chunked, chunked"], abc),
    "Transfer-Encoding: xchunked": post(["Transfer-Encoding: xchunked"], abc),
    "Transfer-Encoding: \"chunked\"": post(["Transfer-Encoding: \"chunked\""], abc),
    "Transfer-Encoding: chunked;q=1": post(["Transfer-Encoding: chunked;q=1"], abc),
    "Transfer-Encoding: ,chunked": post(["Transfer-Encoding: ,chunked"], abc),
    "Transfer-Encoding: chunked,": post(["Transfer-Encoding: chunked,"], abc),
    "Transfer-Encoding, followed by a vertical tab": post(["Transfer-Encoding: chunked\v"], abc),
    "an empty Transfer-Encoding": post(["Transfer-Encoding:"], abc),
    "Transfer-Encoding twice (TE.TE)": post([chunked, chunked], abc),
    "Transfer-Encoding twice, the first of them identity": post(["Transfer-Encoding: identity", chunked], abc),
    "Transfer-Encoding twice, the last of them identity": post([chunked, "Transfer-Encoding: identity"], abc),
    "Transfer-Encoding twice, one of them spelled otherwise": post([chunked, "transfer-ENCODING: x"], abc),
    "Transfer-Encoding in HTTP/1.0": lines("POST / HTTP/1.0", host, chunked, "", abc)
  },
  "4. what is no HTTP/1.1 is a 400, and the end of the connection": {
    "a space before the colon": get(host, "X : 1"),
    "a tab before the colon": get(host, "X\t: 1"),
    "a space before the colon of Transfer-Encoding": post(["Transfer-Encoding : chunked"], abc),
    "a space before the colon of Content-Length": post(["Content-Length : 3"], "abc"),
    "a folded line": get(host, "X: 1", " 2"),
    "a line folded by a tab": get(host, "X: 1", "\t2"),
    "a folded Transfer-Encoding": post(["Transfer-Encoding:", " chunked"], abc),
    "a first field that begins with a space": lines("GET / HTTP/1.1", ` ${host}`, "", ""),
    "a line without a colon": get(host, "X"),
    "a field without a name": get(host, ": 1"),
    "a name that is no token": get(host, "X(: 1"),
    "a name above ASCII": get(host, "X\u00e9: 1"),
    "NUL in a value": get(host, "X: a\0b"),
    "NUL in a name": get(host, "X\0: b"),
    "a control character in a value": get(host, "X: a\u0001b"),
    "DEL in a value": get(host, "X: a\u007fb"),
    "a bare CR in a value": get(host, "X: a\rb"),
    "a bare CR that ends a line": `GET / HTTP/1.1\r\n${host}\rX: 1\r\n\r\n`,
    "a bare LF that ends a line": `GET / HTTP/1.1\r\n${host}\nX: 1\r\n\r\n`,
    "a bare LF that ends the head": `GET / HTTP/1.1\r\n${host}\r\n\n`,
    "bare LFs everywhere": `GET / HTTP/1.1\n${host}\n\n`,
    "HTTP/0.9": "GET /\r\n\r\n",
    "HTTP/0.9 by its name": lines("GET / HTTP/0.9", host, "", ""),
    "HTTP/1.2": lines("GET / HTTP/1.2", host, "", ""),
    "HTTP/2.0 without HTTP/2": lines("GET / HTTP/2.0", host, "", ""),
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/1.1 in lower case": lines("GET / http/1.1", host, "", ""),
    "a space after the version": lines("GET / HTTP/1.1 ", host, "", ""),
    "a tab in the request line": lines("GET\t/ HTTP/1.1", host, "", ""),
    "a space before the method": lines(" GET / HTTP/1.1", host, "", ""),
    "a method that Node does not know": lines("FOO / HTTP/1.1", host, "", ""),
    "a space in the target": lines("GET /a b HTTP/1.1", host, "", ""),
    "a control character in the target": lines("GET /\u0001 HTTP/1.1", host, "", ""),
    "DEL in the target": lines("GET /\u007f HTTP/1.1", host, "", ""),
    "a byte above ASCII in the target": lines("GET /\u00e9 HTTP/1.1", host, "", ""),
    "a fragment in the target": lines("GET /a#b?c HTTP/1.1", host, "", ""),
    "a target of another scheme": lines("GET ftp://other.test/ HTTP/1.1", host, "", ""),
    "a target without a host": lines("GET http:///a HTTP/1.1", host, "", ""),
    "a target with userinfo": lines("GET http://u:p@other.test/ HTTP/1.1", host, "", ""),
    "a target that is an asterisk": lines("GET * HTTP/1.1", host, "", ""),
    "no Host": get(),
    "no Host with a target in absolute form": lines("GET http://gateway.test/ HTTP/1.1", "", ""),
    "no Host with an upgrade": get("Connection: upgrade", "Upgrade: websocket"),
    "two Hosts": get(host, "Host: other.test"),
    "two Hosts that agree": get(host, host),
    "two Hosts in HTTP/1.0": lines("GET / HTTP/1.0", host, "host: other.test", "", ""),
    "an empty Host": get("Host:"),
    "a Host with userinfo": get("Host: user@gateway.test"),
    "a Host with a path": get("Host: gateway.test/path"),
    "a Host with a query": get("Host: gateway.test?query"),
    "a Host with a fragment": get("Host: gateway.test#fragment"),
    "a Host with a backslash": get("Host: gateway.test\\path"),
    "a Host with a space": get("Host: gateway.test other.test"),
    "a list of Hosts": get("Host: gateway.test, other.test"),
    "a list of Hosts without a space": get("Host: gateway.test,other.test"),
    "a Host above ASCII": get("Host: g\u00e4teway.test"),
    "a Host with a bad escape": get("Host: gateway%zz.test"),
    "a Host with a port that is none": get("Host: gateway.test:http"),
    "a Host with two ports": get("Host: gateway.test:80:80"),
    "a Host that is a bracket": get("Host: [::1"),
    "a Host with something after its bracket": get("Host: [::1]x")
  },
  "5. chunks that can be read in two ways are a 400, and the end of the connection": {
    "a line feed in a chunk extension (TERM.EXT)": post([chunked], "3;\nabc\r\n0\r\n\r\n"),
    "a line feed that ends a chunk extension": post([chunked], `3;x\nabc\r\n0\r\n\r\n${smuggled}`),
    "an empty chunk extension": post([chunked], "3;\r\nabc\r\n0\r\n\r\n"),
    "a space after a chunk size": post([chunked], "3 \r\nabc\r\n0\r\n\r\n"),
    "a space before a chunk size": post([chunked], " 3\r\nabc\r\n0\r\n\r\n"),
    "a chunk size with 0x": post([chunked], "0x3\r\nabc\r\n0\r\n\r\n"),
    "a negative chunk size": post([chunked], "-3\r\nabc\r\n0\r\n\r\n"),
    "an empty chunk size": post([chunked], "\r\nabc\r\n0\r\n\r\n"),
    "a chunk size above 2^64": post([chunked], "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    "bare line feeds between chunks": post([chunked], "3\nabc\n0\n\n"),
    "a chunk that is longer than its size": post([chunked], "3\r\nabcd\r\n0\r\n\r\n"),
    "a chunk that is shorter than its size": post([chunked], "3\r\nab\r\n0\r\n\r\n"),
    "a chunk that does not end with CRLF (SPILL)": post([chunked], `3\r\nabc__${smuggled}0\r\n\r\n`),
    "a bare line feed that ends the last chunk": post([chunked], "3\r\nabc\r\n0\r\n\n"),
    "a request line among the trailers": post([chunked], `3\r\nabc\r\n0\r\n${smuggled}`),
    "a Content-Length among the trailers": post([chunked], "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "a space before the colon of a trailer": post([chunked], "3\r\nabc\r\n0\r\nX : 1\r\n\r\n")
  }
}

for (const [promise, table] of Object.entries(tables)) {
  describe(promise, { timeout: 30_000 }, () => {
    for (const [what, bytes] of Object.entries(table)) it.live(what, () => refused(bytes))
  })
}

it("the strict parser, which judges what is forwarded, refuses all of that too", () => {
  const only = new Set(["a method that Node does not know"])
  for (const table of Object.values(tables)) {
    for (const [what, bytes] of Object.entries(table)) {
      assert.strictEqual(requests(bytes).rest, only.has(what) ? "nothing" : "invalid", what)
    }
  }
})

describe("what the gateway refuses is named in its log, once", { timeout: 30_000 }, () => {
  const reasons = {
    "its Transfer-Encoding is \"gzip, chunked\"": post(["Transfer-Encoding: gzip, chunked"], abc),
    "it has more than one Host": get(host, host),
    "its Host is \"a@b\"": get("Host: a@b"),
    "its Host is \"a:...@b\"": get("Host: a:secret@b"),
    "its target is \"/a#...\"": lines("GET /a#token=secret HTTP/1.1", host, "", ""),
    "its target is \"http://a:...@b/c?...\"": lines("GET http://a:secret@b/c?token=secret#d HTTP/1.1", host, "", ""),
    "it is of HTTP/0.9": "GET /\r\n\r\n"
  }
  for (const [reason, bytes] of Object.entries(reasons)) {
    it.live(reason, () =>
      Effect.gen(function*() {
        const { client, gateway } = yield* withGateway
        client.send(bytes)
        yield* client.until("the end", ({ closed, ended }) => ended || closed)
        assert.deepStrictEqual(gateway.logs, [`a request was refused: ${reason}`])
      }))
  }
})

describe(
  "5. nothing that follows a refused request on its connection reaches the upstream",
  { timeout: 30_000 },
  () => {
    const behind = {
      "a Transfer-Encoding before chunked": post(["Transfer-Encoding: gzip, chunked"], abc),
      "two Hosts": get(host, host),
      "a Host with a path, and a body": lines("POST / HTTP/1.1", "Host: a/b", "Content-Length: 3", "", "abc"),
      "bad framing": post([chunked, "Content-Length: 3"], abc)
    }
    for (const [what, bytes] of Object.entries(behind)) it.live(what, () => refused(bytes + smuggled))
  }
)

describe("1. what is let through is framed anew, never copied", { timeout: 30_000 }, () => {
  const lengths = { "spaces after it": "3  ", "a tab before it": "\t3", "leading zeros": "0003" }
  for (const [what, length] of Object.entries(lengths)) {
    it.live(`a Content-Length with ${what}`, () =>
      Effect.gen(function*() {
        const [request] = yield* passed(post([`Content-Length: ${length}`], "abc"), ["POST / abc"])
        assert.deepStrictEqual(values(request!.fields, "content-length"), ["3"])
      }))
  }
  it.live("Transfer-Encoding: Chunked", () =>
    Effect.gen(function*() {
      const [request] = yield* passed(post(["Transfer-Encoding:\t CHUNKED "], abc), ["POST / abc"])
      assert.strictEqual(request!.framing, "chunked")
    }))
})

describe("4. what Node's parser takes although the RFC does not goes on as the RFC has it", { timeout: 30_000 }, () => {
  const rest = ` / HTTP/1.1\r\n${host}\r\n\r\n`
  const lenient = {
    "empty lines before a request": `\r\n\r\nGET${rest}`,
    "line feeds before a request": `\n\nGET${rest}`,
    "a carriage return before a request": `\rGET${rest}`,
    "spaces before the target": `GET  ${rest}`,
    "spaces after the target": `GET /   HTTP/1.1\r\n${host}\r\n\r\n`,
    "GET of RTSP/1.0": `GET / RTSP/1.0\r\n${host}\r\n\r\n`,
    "SOURCE of ICE/1.0": `SOURCE / ICE/1.0\r\n${host}\r\n\r\n`
  }
  for (const [what, bytes] of Object.entries(lenient)) {
    it.live(what, () => passed(bytes, [`${bytes.includes("SOURCE") ? "SOURCE" : "GET"} /`]))
  }
})

describe("4. a Host that names a host is let through", { timeout: 30_000 }, () => {
  for (const name of ["a", "a:", "a:80", "127.0.0.1:80", "[::1]", "[::1]:80", "a_b.test", "%C3%A4.test", "a+b"]) {
    it.live(name, () => passed(get(`Host: ${name}`), ["GET /"]))
  }
  it.live("and HTTP/1.0 needs none", () => passed("GET / HTTP/1.0\r\n\r\n", ["GET /"]))
})

describe("5. chunk extensions are dropped, and a body is never a request", { timeout: 30_000 }, () => {
  const extended = "1;a\r\nx\r\n2;b=c;d=\"e;f\\\"\"\r\nyz\r\n0;g\r\n\r\n"
  it.live("chunk extensions", () =>
    Effect.gen(function*() {
      const { client, gateway, seen, upstream } = yield* withGateway
      client.send(post([chunked], extended))
      assert.strictEqual(status(yield* client.message()), 200)
      yield* gateway.quiet
      assert.deepStrictEqual(seen().map(({ messages }) => messages.map(({ body }) => body)), [["xyz"]])
      assert.strictEqual(upstream.wires.length, 1)
      assert.notInclude(seen().map(({ bytes }) => bytes).join(), ";")
    }))
  it.live("a request in a body with a length", () =>
    passed(post([`Content-Length: ${smuggled.length}`], smuggled), [`POST / ${smuggled.trim()}`]))
  it.live("a request in a chunk", () =>
    passed(post([chunked], `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`), [
      `POST / ${smuggled.trim()}`
    ]))
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
    it.live(`a request in the body of a ${method} (CL.0)`, () =>
      Effect.gen(function*() {
        const { client, gateway, seen } = yield* withGateway
        client.send(lines(`${method} / HTTP/1.1`, host, `Content-Length: ${smuggled.length}`, "", smuggled))
        yield* client.message({ bodiless: method === "HEAD" })
        yield* gateway.quiet
        const messages = seen().flatMap(({ messages }) => messages)
        assert.deepStrictEqual(messages.map(({ body, method, target }) => [method, target, body]), [[
          method,
          "/",
          smuggled
        ]])
      }))
  }
  it.live("two requests in one piece are two requests", () =>
    passed(get(host) + lines("GET /two HTTP/1.1", host, "", ""), ["GET /", "GET /two"]))
})

describe("6. a body that is longer than it says", { timeout: 30_000 }, () => {
  it.live("from a client: the rest is a request of its own, to the upstream too", () =>
    passed(post(["Content-Length: 3"], `abc${lines("GET /two HTTP/1.1", host, "", "")}`), ["POST / abc", "GET /two"]))
  it.live("from a client: the rest is none, and reaches nobody", () =>
    Effect.gen(function*() {
      const { client, gateway, seen } = yield* withGateway
      client.send(post(["Content-Length: 3"], "abcdef"))
      yield* client.until("the end", ({ closed, ended }) => ended || closed)
      client.close()
      yield* gateway.quiet
      for (const { bytes } of seen()) assert.notInclude(bytes, "def")
    }))
})

describe("6. a response in a coding that nobody undoes is a 502, and a line in the log", { timeout: 30_000 }, () => {
  const codings = {
    "gzip, chunked": abc,
    "identity": "abc",
    "xchunked": "abc",
    "chunked, chunked": abc,
    ",chunked": abc,
    "": abc
  }
  for (const [coding, body] of Object.entries(codings)) {
    it.live(JSON.stringify(coding), () =>
      Effect.gen(function*() {
        const upstream = yield* RawUpstream.make((wire) =>
          Effect.gen(function*() {
            yield* wire.head
            wire.send(lines("HTTP/1.1 200 OK", `Transfer-Encoding: ${coding}`, "", body))
            wire.end()
          })
        )
        const gateway = yield* Gateway.start({ upstream: upstream.url })
        const client = yield* gateway.connect
        client.send(get(host))
        assert.strictEqual(status(yield* client.message()), 502)
        assert.strictEqual(gateway.logs.length, 1)
        yield* gateway.quiet
      }))
  }
})
