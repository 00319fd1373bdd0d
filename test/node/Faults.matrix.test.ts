import type { CommandMetrics } from "@blackgate/core"
import { Proxy, Upstream } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Layer, type Scope } from "effect"
import { HttpServerResponse } from "effect/http"
import { afterAll } from "vitest"
import { eventuallyEqual } from "../harness/eventually.ts"
import {
  after,
  atConnect,
  blackHole,
  close,
  delay,
  drip,
  type Fault,
  freeze,
  garbage,
  halfClose,
  inBody,
  none,
  reset,
  start,
  strike,
  throttle
} from "../harness/Fault.ts"
import * as FaultyNetwork from "../harness/FaultyNetwork.ts"
import { fullBacklog } from "../harness/fullBacklog.ts"
import * as Gateway from "../harness/Gateway.ts"
import { parse, parseHead, status } from "../harness/HttpMessage.ts"
import { pageTable } from "../harness/pageTable.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { named, sameSockets, wellAfter } from "../harness/wellAfter.ts"
import type { Wire } from "../harness/Wire.ts"

/** What is asked, and how. The cells of the matrix are each fault with each of these. */
interface Column {
  readonly name: string
  readonly sends: string
  /** Sent when the outcome is there: until then the request is under way. */
  readonly rest?: string
  readonly hasBody?: true
  readonly fallback?: true
}

const body = "first half, second half"
const columns: ReadonlyArray<Column> = [
  { name: "no body", sends: "GET /faulty HTTP/1.1\r\nHost: a\r\n\r\n" },
  { name: "no body, of HTTP/1.0", sends: "GET /faulty HTTP/1.0\r\nHost: a\r\n\r\n" },
  { name: "no body, and a fallback", sends: "GET /faulty HTTP/1.1\r\nHost: a\r\n\r\n", fallback: true },
  {
    name: "a body",
    sends: `POST /faulty HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    hasBody: true
  },
  {
    name: "a streamed body",
    sends: `POST /faulty HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nfirst half,\r\n`,
    rest: "c\r\n second half\r\n0\r\n\r\n",
    hasBody: true
  }
]

const answers = {
  length: "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nfirst part, second part",
  chunks: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nfirst part,\r\nc\r\n second part\r\n0\r\n\r\n",
  lastLength: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 23\r\n\r\nfirst part, second part",
  lastChunks:
    "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nfirst part,\r\nc\r\n second part\r\n0\r\n\r\n",
  close: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst part, second part"
}
const whole = "first part, second part"

/** A line of the page: what is wrong with the upstream, and what becomes of the request. */
interface Row {
  readonly upstream: string
  /** How its body is framed: in each of these ways, or in none if it is never to answer. By a length, by default. */
  readonly answer?: ReadonlyArray<keyof typeof answers>
  readonly fault?: (seen: { readonly firstPart: Effect.Effect<unknown> }) => Fault
  /** A port that is asked instead of the network. */
  readonly instead?: Effect.Effect<number, never, Scope.Scope>
  /** Which requests it can be about, if not all. */
  readonly of?: (column: Column) => boolean
  readonly route?: Pick<Proxy.Options, "timeout" | "headTimeout" | "idle" | "total">
  readonly connectTimeout?: Duration.Input
  /** What comes of the body, if not all of it. */
  readonly body?: string
  readonly client: "200" | "502" | "504" | "aborted"
  readonly counted: CommandMetrics.Outcome
}

const bad = { client: "502", counted: "failure" } as const
const late = { client: "504", counted: "timeout", route: { timeout: "300 millis" } } as const
const slow = { client: "504", counted: "failure" } as const
const cut = { client: "aborted", counted: "failure" } as const
const well = { client: "200", counted: "success" } as const
const framed = ["length", "chunks", "lastLength", "lastChunks"] as const
const all = [...framed, "close"] as const
const noise = garbage("\u0016\u0003\u00ff garbage\r\n\r\n")

const rows: ReadonlyArray<Row> = [
  { upstream: "refuses connections", instead: RawUpstream.deadPort, ...bad },
  {
    upstream: "does not take connections, for longer than `connectTimeout`",
    instead: fullBacklog,
    connectTimeout: "300 millis",
    ...slow
  },
  {
    upstream: "does not take connections, for longer than `timeout`",
    instead: fullBacklog,
    connectTimeout: "600 millis",
    ...late
  },
  { upstream: "resets each connection", fault: () => atConnect(reset), ...bad },
  { upstream: "closes each connection", fault: () => atConnect(close), ...bad },
  { upstream: "takes connections, and says nothing", fault: () => atConnect(blackHole), ...late },
  { upstream: "takes connections, and reads nothing", fault: () => atConnect(freeze), ...late },
  { upstream: "greets with something else than HTTP", fault: () => atConnect(noise), ...bad },
  {
    upstream: "says nothing for longer than `headTimeout`",
    fault: () => atConnect(blackHole),
    // While a client sends its request, it is not for the upstream to speak.
    of: ({ rest }) => rest === undefined,
    ...slow,
    route: { headTimeout: "300 millis" }
  },
  ...([
    ["resets in the middle of the request", reset, bad],
    ["closes in the middle of the request", close, bad],
    ["half-closes in the middle of the request", halfClose, bad],
    ["goes silent in the middle of the request", blackHole, late],
    ["stops reading in the middle of the request", freeze, late],
    ["says something else than HTTP in the middle of the request", noise, bad]
  ] as const).map(([upstream, blow, becomes]) => ({
    upstream,
    answer: [],
    of: ({ hasBody }: Column) => hasBody === true,
    fault: () => strike("request", inBody(8), blow),
    ...becomes
  })),
  ...([["before its head", start], ["in the middle of its head", after(20)]] as const).flatMap(([where, at]) =>
    ([
      ["resets", reset, bad],
      ["closes", close, bad],
      ["half-closes", halfClose, bad],
      ["goes silent", blackHole, late],
      ["says something else than HTTP", noise, bad]
    ] as const).map(([how, blow, becomes]) => ({
      upstream: `${how} ${where}`,
      fault: () => strike("response", at, blow),
      ...becomes
    }))
  ),
  ...([
    ["resets in the middle of its body", reset, cut, all],
    ["closes in the middle of its body, which has a length or chunks", close, cut, framed],
    ["half-closes in the middle of its body, which has a length or chunks", halfClose, cut, framed],
    ["says something that is no chunk in the middle of its body", noise, cut, ["chunks", "lastChunks"]],
    [
      "goes silent in the middle of its body, for longer than `idle`",
      blackHole,
      { ...cut, route: { idle: "1 second" } },
      all
    ],
    [
      "goes silent in the middle of its body, for longer than `total`",
      blackHole,
      { ...cut, counted: "timeout" as const, route: { total: "2 seconds" } },
      all
    ]
  ] as const).map(([upstream, blow, becomes, answer]) => ({
    upstream,
    answer,
    fault: ({ firstPart }: { readonly firstPart: Effect.Effect<unknown> }) =>
      strike("response", inBody(14), blow, firstPart),
    ...becomes
  })),
  {
    upstream: "ends its body early, and nothing but the end of the connection was to end it",
    answer: ["close"],
    fault: ({ firstPart }) => strike("response", inBody(14), close, firstPart),
    body: whole.slice(0, 14),
    ...well
  },
  { upstream: "is far away: each byte is late", answer: all, fault: () => delay("response", 20), ...well },
  { upstream: "has a slow line", answer: all, fault: () => throttle("response", 2000), ...well },
  { upstream: "sends byte by byte", answer: all, fault: () => drip("response", 1), ...well },
  { upstream: "is sent to byte by byte", fault: () => drip("request", 1), ...well },
  { upstream: "sends its head byte by byte, past `timeout`", fault: () => drip("response", 50), ...late },
  {
    upstream: "sends its body byte by byte, past `total`",
    answer: ["length", "close"],
    // The first half goes at once.
    fault: () => drip("response", 200, 50),
    client: "aborted",
    counted: "timeout",
    route: { total: "2 seconds" }
  }
]

/** Answers as soon as it has a head, or never; the rest of the request it reads. */
const answering = (answer: string | undefined): RawUpstream.Script => (wire) =>
  Effect.gen(function*() {
    if (answer === undefined) return
    while (true) {
      yield* wire.until("a head", ({ received }) => parseHead(received))
      wire.send(answer)
      if (answer === answers.close) wire.end()
      yield* wire.message()
    }
  })

/** What came of a request, for its client. */
const outcome = (client: Wire) =>
  client.until("an outcome", (wire) => parse(wire.received, { ended: wire.endedInOrder }) ?? (wire.gone && "aborted"))

/** Where it failed, as a line of the log has it that gives a cause too. */
const phase = (line: string) =>
  (/ failed at the (connect|send|head|body): ./.exec(line)?.[1] ?? line)
    .replace(/^(connect|send|head)$/, "before the body")
    .replace(/^.* was cut off: the total time was up$/, "total")

/** Asks as a column does, of a gateway to an upstream with a fault; and whatever comes of it, all is well again after it. */
const cell = (row: Row, column: Column, answer: string | undefined, instead: Upstream.Upstream | undefined) =>
  Effect.gen(function*() {
    const asked = { faulty: true }
    const upstream = yield* RawUpstream.make((wire, all) =>
      Effect.suspend(() => answering(asked.faulty ? answer : answers.length)(wire, all))
    )
    const network = yield* FaultyNetwork.make(upstream.port)
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.merge(
        Proxy.route("/faulty", {
          group,
          upstream: instead ?? network.url,
          ...row.route,
          ...(column.fallback && { fallback: () => HttpServerResponse.text("fallback", { status: 299 }) })
        }),
        Proxy.route("/well", { group, upstream: network.url })
      ), { undici: { connectTimeout: row.connectTimeout } })
    yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* gateway.connect
      const firstPart = client.until("the first part", ({ text }) => text.includes("first part"))
      yield* network.set(row.fault?.({ firstPart }) ?? none)
      client.send(column.sends)
      const got = yield* outcome(client)
      if (row.client === "aborted") {
        assert.strictEqual(got, "aborted")
        assert.match(client.text, /^HTTP\/1\.1 200 [^]*first part/i)
        // To a client of HTTP/1.0, the end of the connection is the end of the body.
        if (column.sends.includes("HTTP/1.0")) assert.isFalse(client.endedInOrder, "it ended as a whole response does")
      } else if (got === "aborted") assert.fail(`it was aborted: ${client.text}`)
      else {
        const expected = row.client !== "200" && column.fallback ? 299 : Number(row.client)
        assert.strictEqual(status(got), expected)
        if (expected === 200) assert.strictEqual(got.body.toString(), row.body ?? whole)
      }
      yield* gateway.quiet
      yield* eventuallyEqual("the outcomes", { [row.counted]: 1 }, gateway.outcomes("/faulty"))
      yield* eventuallyEqual(
        "a line of the log that names the cause, for each failure",
        row.client === "aborted"
          ? [row.counted === "failure" ? "body" : "total"]
          : row.counted === "failure"
          ? ["before the body"]
          : [],
        Effect.sync(() => gateway.logs.map(phase))
      )
      client.send(column.rest ?? "")
    }))
    asked.faulty = false
    yield* network.set(none)
    yield* wellAfter(gateway, network, "/well", whole)
  })

const leftBehind = sameSockets()
afterAll(() => Effect.runPromise(leftBehind))

describe("17. what becomes of a request when the upstream fails, with nothing left behind", () => {
  for (const row of rows) {
    it.live(`it ${row.upstream}: ${row.client}, counted as ${row.counted}`, () =>
      Effect.gen(function*() {
        const instead = row.instead && (yield* Upstream.make(`http://127.0.0.1:${yield* row.instead}`))
        const { answer = ["length"], of = () => true } = row
        const framings: ReadonlyArray<keyof typeof answers | undefined> = answer.length === 0 ? [undefined] : answer
        yield* Effect.all(
          columns.filter(of).flatMap((column) =>
            framings.map((framing) =>
              named(
                `${column.name}, ${framing}`,
                cell(row, column, framing && answers[framing], instead)
              )
            )
          ),
          { concurrency: 10, discard: true }
        )
      }))
  }

  it("is what the page says", () => {
    const sees = {
      "200": "the response",
      "502": "502, or the fallback",
      "504": "504, or the fallback",
      "aborted": "the head, a part of the body, and the end of the connection"
    }
    assert.deepStrictEqual(
      pageTable("network-faults.md", "The upstream"),
      rows.map(({ client, counted, upstream }) => [upstream, sees[client], `\`${counted}\``])
    )
  })
})
