import { Pool } from "@blackgate/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bound, check, Peer, runs, sendTo, turn, until } from "../harness/fuzz.ts"
import * as Gateway from "../harness/Gateway.ts"
import { type Reading, type Request, requests, type Response, responses, values } from "../harness/StrictParser.ts"
import { authority } from "../harness/StrictSyntax.ts"
import * as StrictUpstream from "../harness/StrictUpstream.ts"
import { type Sent, sent } from "./requestBytes.ts"
import { type Answered, answered } from "./responseBytes.ts"

const sentinel = "/sentinel"

/** A gateway in front of an upstream that reads strictly, and a client that asks now and then whether all is well. */
const setUp = Effect.gen(function*() {
  const upstream = yield* StrictUpstream.make
  const gateway = yield* Gateway.start({ upstream: upstream.url })
  let peer: Peer | undefined
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      peer?.close()
      // A server that waits for one that it has forgotten would hide why a case failed.
      for (const socket of gateway.clients) socket.destroy()
    })
  )
  return {
    upstream,
    gateway,
    /** What was sent before this has been read, and passed on, when it returns. */
    async isWell() {
      for (let i = 0; i < 2; i++) {
        if (peer?.isOver === true) peer.close()
        if (peer === undefined || peer.isOver) peer = await Peer.connect(gateway.port)
        peer.received = ""
        await peer.send(`GET ${sentinel} HTTP/1.1\r\nHost: h.test\r\n\r\n`)
        const read = () => responses(peer!.received, ["GET"], false)
        await until("the answer to the sentinel", () => read().rest !== "incomplete" && peer!.received !== "")
        assert.deepStrictEqual(values(read().messages[0]!.fields, "x-echo"), [`GET ${sentinel} 0`])
      }
    },
    async isIdle() {
      const busy = () => Effect.runSync(Pool.statistics(gateway.pool)).active
      await until("the permits", () => busy() === 0)
    }
  }
})
type SetUp = Effect.Success<typeof setUp>

/** What Node's parser overlooks, and the gateway does not pass on. */
const tolerance = { emptyLines: true, spaces: true, trailers: true, extensions: true, noHost: true, protocols: true }

// What becomes of dots and the like has tests of its own.
const isPlainPath = (target: string): boolean => !/[%;\\]|\/\/|\/\.\.?(?:[/?]|$)/.test(target.split("?")[0]!)

/** What reaches the upstream for a target. */
const forwarded = (target: string): string => {
  const host = authority(target)
  const path = host === undefined ? target : target.slice(target.indexOf("//") + 2 + host.length)
  return path.startsWith("/") ? path : `/${path}`
}

/** The fields that are the client's own, and nobody's on the way. */
const own = ({ fields }: Request) => {
  const named = values(fields, "connection").flatMap((value) => value.split(",")).map((name) =>
    name.trim().toLowerCase()
  )
  return fields.filter(([name]) => {
    const lower = name.toLowerCase()
    return /^(?:x-[a-z]|cookie|accept)$/.test(lower) && !named.includes(lower)
  })
}

const same = (is: Request, was: Request): boolean =>
  is.method === was.method && is.body === was.body && JSON.stringify(own(is)) === JSON.stringify(own(was)) &&
  (is.target === forwarded(was.target) || !isPlainPath(forwarded(was.target)))

const hopByHop = ["upgrade", "keep-alive", "proxy-connection", "http2-settings", "expect"]

/** Nothing reaches the upstream but what was asked, once, in one reading, and without what was meant for the gateway. */
const judgeForwarded = ({ messages }: Reading<Request>, { seen, wrong }: StrictUpstream.StrictUpstream): void => {
  assert.deepStrictEqual(wrong, [], "the upstream got what is no request")
  const left = messages.filter(({ isFlawed }) => !isFlawed)
  for (const request of seen) {
    if (request.target === sentinel) continue
    const index = left.findIndex((each) => same(request, each))
    assert.isAtLeast(index, 0, `nobody asked for ${JSON.stringify(request)}`)
    left.splice(index, 1)
    for (const name of hopByHop) assert.deepStrictEqual(values(request.fields, name), [], name)
    assert.strictEqual(request.version, "1.1")
  }
}

/** What answers there may be: to requests, and, with an error, to what is none. */
const answerable = ({ at, messages }: Reading<Request>, bytes: string): ReadonlyArray<string> => {
  const refused = bytes.slice(at).trimStart().startsWith("HEAD ") ? "HEAD" : "GET"
  return [...messages.map(({ method }) => method), refused, ...Array.from({ length: 8 }, () => "GET")]
}

/** Whatever the client gets is an answer to what it asked at that place, or an error and the end. */
const judgeAnswered = (model: Reading<Request>, client: Peer, { bytes, plain }: Sent): void => {
  const { messages } = model
  const got = responses(client.received, answerable(model, bytes), client.ended)
  assert.notStrictEqual(got.rest, "invalid", `${got.why}: ${JSON.stringify(client.received)}`)
  for (const [i, { fields, status }] of got.messages.entries()) {
    const asked = messages[i]
    if (status === 200) {
      assert.isFalse(asked?.isFlawed ?? true, "an answer that nobody asked for")
      const [echo] = values(fields, "x-echo")
      const { body, method, target } = asked!
      if (isPlainPath(forwarded(target))) {
        assert.strictEqual(echo, StrictUpstream.echo(method, forwarded(target), body))
      }
    } else assert.include([400, 404, 413, 417, 431, 501], status)
  }
  if (plain) assert.deepStrictEqual(got.messages.map(({ status }) => status), messages.map(() => 200))
}

const exchange = async ({ gateway, isIdle, isWell, upstream }: SetUp, { bytes, cuts, plain }: Sent): Promise<void> => {
  upstream.forget()
  const model = requests(bytes, tolerance)
  // A 100 of a request that is pipelined is written too late.
  const interim = model.messages.length > 1 && /^expect:/im.test(bytes)
  const methods = model.messages.map(({ method }) => method)
  if (plain) assert.strictEqual(model.rest, "nothing", `the model refuses what is plain: ${model.why}`)
  const client = await Peer.connect(gateway.port)
  try {
    await client.send(bytes, cuts)
    const answered = () => responses(client.received, methods, false).messages.length
    await until(
      "the answers",
      () => client.isOver || answered() >= methods.length,
      () => JSON.stringify(client.received)
    )
    await isWell()
    // Where the head of a request does not end there is time to refuse it.
    if (model.rest === "invalid" && bytes.includes("\r\n\r\n", model.at)) {
      const last = responses(client.received, answerable(model, bytes), false).messages.at(-1)
      assert.isTrue(client.isOver || (last !== undefined && last.status >= 400), `it waits after ${model.why}`)
    }
    client.end()
    await until("the end", () => client.isOver)
    await isIdle()
    judgeForwarded(model, upstream)
    if (!interim) judgeAnswered(model, client, { bytes, cuts, plain })
  } finally {
    client.close()
    await turn()
  }
  await until("the end of its connection", () => gateway.clients.size <= 1)
}

/** What undici's parser overlooks, and the gateway does not pass on. */
const overlooked = { emptyLines: true, statusLines: true, trailers: true, extensions: true }

/** The response as the client has to see it. */
const seenAs = ({ body, fields, status }: Response) => ({
  status,
  // A 205 has none (RFC 9110, section 15.3.6).
  body: status === 205 ? "" : body,
  // Node writes a head with an Expect as UTF-8; in a response that means nothing.
  fields: values(fields, "expect").length > 0 ? [] : values(fields, "set-cookie")
})

/** The client has either what the upstream said, all of it, or a gateway's error, or a connection that broke. */
const judgeResponse = (model: Reading<Response>, client: Peer, one: Answered): void => {
  const { bytes, method, version } = one
  // A 304 with a body, say, is not; and a reset takes with it what was not read.
  const plain = one.plain && one.after !== "reset" && model.rest === "nothing"
  const got = responses(client.received, [method], client.ended && !client.broke)
  assert.notStrictEqual(got.rest, "invalid", `${got.why}: ${JSON.stringify(client.received)}`)
  const [is] = got.messages
  const [was] = model.messages
  if (is === undefined) {
    assert.isFalse(plain, "it broke off what is plain")
    assert.isTrue(client.isOver, "it is left open")
    if (version === "1.0" && client.received !== "") assert.isTrue(client.broke, "it looks complete to HTTP/1.0")
  } else if (was === undefined || (is.status === 502 && was.status !== 502)) {
    assert.isFalse(plain, "it refuses what is plain")
    // There is no more to these than their head, so that can be true when the rest is not.
    if ((method === "HEAD" || [204, 205, 304].includes(is.status)) && bytes.includes(` ${is.status}`)) return
    assert.strictEqual(is.status, 502, `it made ${JSON.stringify(is)} of what is none: ${model.why}`)
  } else assert.deepStrictEqual(seenAs(is), seenAs(was))
}

const answerOnce = async ({ gateway, isIdle, isWell, upstream }: SetUp, one: Answered): Promise<void> => {
  const { after, bytes, cuts, method, version } = one
  const open = responses(bytes, [method], false, overlooked)
  // What never ends would keep the client waiting.
  const ends = after === "keep" && open.messages.length === 0 ? "end" : after
  const model = ends === "end" ? responses(bytes, [method], true, overlooked) : open
  let sending: Promise<void> = Promise.resolve()
  upstream.forget()
  upstream.answer = (request, socket) => {
    if (request.target === sentinel) return StrictUpstream.echoing(request, socket)
    sending = sendTo(socket, bytes, cuts).then(() => {
      if (ends === "end") socket.end()
      if (ends === "reset") socket.resetAndDestroy()
    })
  }
  // A reset is taken for the end of a body that ends with its connection.
  const lost = ends === "reset" && responses(bytes, [method], true, overlooked).messages[0]?.framing === "close"
  const client = await Peer.connect(gateway.port)
  try {
    await client.send(`${method} / HTTP/${version}\r\nHost: h.test\r\n\r\n`)
    const isAnswered = () => client.isOver || responses(client.received, [method], false).rest !== "incomplete"
    await until("the answer", () => client.received !== "" && isAnswered(), () => JSON.stringify(client.received))
    await sending
    for (let i = 0; i < 3; i++) await turn()
    await isWell()
    client.end()
    await until("the end", () => client.isOver)
    await isIdle()
    if (!lost) judgeResponse(model, client, one)
  } finally {
    client.close()
    await turn()
  }
  await until("the end of its connection", () => gateway.clients.size <= 1)
}

const responseRuns = runs(0.4, 800)

describe("6-8, 17, 20, 31. whatever an upstream answers", { timeout: bound(responseRuns) }, () => {
  it.live("the client gets all of one response, or an error, or a connection that breaks", () =>
    Effect.gen(function*() {
      const all = yield* setUp
      yield* Effect.promise(() => check(responseRuns, answered, (one) => answerOnce(all, one)))
    }))
})

const requestRuns = runs(0.6, 1_200)

describe("1-8, 31. whatever a client sends", { timeout: bound(requestRuns) }, () => {
  it.live("what is forwarded is one request in the strictest reading, and one that was sent; the rest is refused", () =>
    Effect.gen(function*() {
      const all = yield* setUp
      yield* Effect.promise(() => check(requestRuns, sent, (one) => exchange(all, one)))
    }))
})

describe("1-6. cut anywhere, a message is the same", { timeout: 60_000 }, () => {
  const head = "POST /a?b=c HTTP/1.1\r\nHost: h.test\r\nX-A: 1\r\n"
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n1\r\n\n\r\n0\r\nX-T: 1\r\n\r\n`
  const requests: Record<string, Pick<Sent, "bytes" | "plain">> = {
    "two requests": { bytes: `${head}Content-Length: 3\r\n\r\nabc${chunked}`, plain: true },
    "a chunk that is too long": { bytes: chunked.replace("3;", "2;"), plain: false },
    "a line feed in a chunk extension": { bytes: chunked.replace("\"b\"", "\n"), plain: false },
    "a carriage return in a field": { bytes: chunked.replace("X-A: 1", "X-A: \r1"), plain: false },
    "a Content-Length, too": { bytes: chunked.replace("X-A: 1", "Content-Length: 3"), plain: false },
    "two Hosts": { bytes: chunked.replace("X-A: 1", "Host: h.test") + chunked, plain: false }
  }
  for (const [what, sent] of Object.entries(requests)) {
    it.live(`requests: ${what}`, () =>
      Effect.gen(function*() {
        const all = yield* setUp
        for (let at = 1; at < sent.bytes.length; at++) {
          yield* Effect.promise(() => exchange(all, { ...sent, cuts: [at] }))
        }
      }))
  }

  const start = "HTTP/1.1 200 OK\r\nSet-Cookie: a=\u00e9\r\n"
  const body = "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
  const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
  const answers: Record<string, Pick<Answered, "bytes" | "after" | "plain">> = {
    "in chunks": { bytes: early + start + body, after: "keep", plain: true },
    "of a length": { bytes: `${start}Content-Length: 3\r\n\r\nabc`, after: "keep", plain: true },
    "to the end of the connection": { bytes: `${start}\r\nabc`, after: "end", plain: true },
    "of a length that is too long": { bytes: `${start}Content-Length: 4\r\n\r\nabc`, after: "end", plain: false },
    "and another one": {
      bytes: `${start}Content-Length: 3\r\n\r\nabc${start}Content-Length: 4\r\n\r\nevil`,
      after: "keep",
      plain: false
    },
    "a chunk that is too long": { bytes: start + body.replace("3;", "2;"), after: "keep", plain: false }
  }
  for (const [what, answer] of Object.entries(answers)) {
    it.live(`a response: ${what}`, () =>
      Effect.gen(function*() {
        const all = yield* setUp
        for (let at = 1; at < answer.bytes.length; at++) {
          yield* Effect.promise(() => answerOnce(all, { ...answer, method: "GET", version: "1.1", cuts: [at] }))
        }
      }))
  }
})
