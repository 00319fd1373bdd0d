import type { CommandMetrics } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { afterAll } from "vitest"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import { drip, type Fault, none, throttle } from "../harness/Fault.ts"
import * as FaultyNetwork from "../harness/FaultyNetwork.ts"
import * as Gateway from "../harness/Gateway.ts"
import { parse, parseHead, status } from "../harness/HttpMessage.ts"
import { pageTable } from "../harness/pageTable.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { named, sameSockets, wellAfter } from "../harness/wellAfter.ts"
import { connect, type Wire } from "../harness/Wire.ts"

/** A request, in two parts. */
interface Column {
  readonly name: string
  readonly first: string
  readonly rest: string
  readonly body: string
}

const columns: ReadonlyArray<Column> = [
  { name: "no body", first: "GET /client HTTP/1.1\r\nHost: a\r\n\r\n", rest: "", body: "" },
  {
    name: "a body",
    first: "POST /client HTTP/1.1\r\nHost: a\r\nContent-Length: 23\r\n\r\nfirst half,",
    rest: " second half",
    body: "first half, second half"
  },
  {
    name: "a streamed body",
    first: "POST /client HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nfirst half,\r\n",
    rest: "c\r\n second half\r\n0\r\n\r\n",
    body: "first half, second half"
  }
]
const hasRest = ({ rest }: Column) => rest !== ""
const isStreamed = ({ name }: Column) => name === "a streamed body"

/** When a client does it. The whole of its request has been sent, except in the middle of that. */
type Moment = "queued" | "sending" | "waiting" | "reading"

const moments: Record<Moment, string> = {
  queued: "while it waits for a permit",
  sending: "in the middle of its request",
  waiting: "before the head of the response",
  reading: "in the middle of the response"
}

/** A line of the page. */
interface Row {
  readonly client: string
  readonly moment: Moment
  readonly act: (client: Wire) => void
  readonly of?: (column: Column) => boolean
  readonly timeout?: "300 millis"
  readonly network?: Fault
  readonly gets: "200" | "400" | "504" | "an end" | "nothing"
  readonly counted: CommandMetrics.Outcome
}

const leaves = { gets: "nothing", counted: "interrupted" } as const
const ended = { gets: "an end", counted: "interrupted" } as const
const goesOn = { gets: "200", counted: "success" } as const
const refused = { gets: "400", counted: "interrupted" } as const

const rows: ReadonlyArray<Row> = [
  ...([
    ["resets", (client: Wire) => client.reset()],
    ["closes", (client: Wire) => client.close()]
  ] as const).flatMap(([client, act]) =>
    (["queued", "sending", "waiting", "reading"] as const).map((moment) => ({
      client,
      moment,
      act,
      ...(moment === "sending" && { of: hasRest }),
      ...leaves
    }))
  ),
  // A FIN is all that can be seen of a close too.
  ...(["queued", "waiting", "reading"] as const).map((moment) => ({
    client: "half-closes",
    moment,
    act: (client: Wire) => client.end(),
    ...ended
  })),
  { client: "half-closes", moment: "sending", act: (client) => client.end(), of: hasRest, ...refused },
  ...(["queued", "waiting"] as const).map((moment) => ({
    client: "sends garbage",
    moment,
    act: (client: Wire) => client.send("\0\u00ff garbage\r\n\r\n"),
    ...refused
  })),
  {
    client: "sends garbage",
    moment: "reading",
    act: (client) => client.send("\0\u00ff garbage\r\n\r\n"),
    ...ended
  },
  {
    client: "sends something that is no chunk",
    moment: "sending",
    act: (client) => client.send("zz\r\n"),
    of: isStreamed,
    ...refused
  },
  {
    client: "goes silent, for longer than `timeout`,",
    moment: "sending",
    act: () => {},
    of: hasRest,
    timeout: "300 millis",
    gets: "504",
    counted: "timeout"
  },
  { client: "sends byte by byte", moment: "waiting", act: () => {}, network: drip("request", 1), ...goesOn },
  { client: "reads slowly", moment: "reading", act: () => {}, network: throttle("response", 2000), ...goesOn }
]

const answer = ["HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nfirst part,", " second part"] as const
const whole = "first part, second part"

/** Answers the first half when it has the whole request, and the second when it may. */
const answering = (row: Row, may: { answer: boolean }, seen: Array<string>): RawUpstream.Script => (wire) =>
  Effect.gen(function*() {
    for (;;) {
      const { startLine } = yield* wire.until("a head", ({ received }) => parseHead(received))
      seen.push(startLine)
      const [first, second] = answer
      if (startLine.includes("/well")) wire.send(first + second)
      else {
        if (row.moment === "reading") wire.send(first)
        yield* wire.until("leave to answer", ({ received }) => may.answer && parse(received, { ended: false }))
        wire.send(row.moment === "reading" ? second : first + second)
      }
      yield* wire.message()
    }
  })

const cell = (row: Row, column: Column) =>
  Effect.gen(function*() {
    const may = { answer: false }
    const seen: Array<string> = []
    const upstream = yield* RawUpstream.make(answering(row, may, seen))
    const network = yield* FaultyNetwork.make(upstream.port)
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.mergeAll(
        Proxy.route("/client", { group, upstream: network.url, timeout: row.timeout }),
        Proxy.route("/held", { group, upstream: network.url }),
        Proxy.route("/well", { group, upstream: network.url })
      ), { pool: { maxConcurrent: 1, maxQueued: 1 } })
    const toGateway = yield* FaultyNetwork.make(gateway.port)
    yield* toGateway.set(row.network ?? none)
    yield* Effect.scoped(Effect.gen(function*() {
      const holder = row.moment === "queued" ? yield* gateway.connect : undefined
      holder?.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
      if (holder !== undefined) yield* upstream.wire(0)
      const client = yield* connect(row.network === undefined ? gateway.port : toGateway.port)
      client.send(row.moment === "sending" ? column.first : column.first + column.rest)
      yield* gateway.becomes(holder === undefined ? "1 active, 0 queued" : "1 active, 1 queued")
      if (row.moment === "reading") yield* client.until("the first part", ({ text }) => text.includes("first"))
      else if (holder === undefined) {
        const wire = yield* upstream.wire(0)
        yield* wire.until("the request", ({ received, text }) =>
          row.moment === "sending"
            ? text.includes("first half,")
            : parse(received, { ended: false })?.body.toString() === column.body)
      }
      row.act(client)
      if (row.gets === "200") {
        may.answer = true
        const got = yield* client.message()
        assert.strictEqual(status(got), 200)
        assert.strictEqual(got.body.toString(), whole)
      } else if (row.gets === "nothing" || row.gets === "an end") {
        if (row.gets === "an end") yield* client.until("the end", ({ gone }) => gone)
        assert.notInclude(client.text, "second part")
      } else assert.strictEqual(status(yield* client.message()), Number(row.gets))
      yield* eventuallyEqual("the outcomes", { [row.counted]: 1 }, gateway.outcomes("/client"))
      if (row.counted !== "success" && holder === undefined) {
        const wire = yield* upstream.wire(0)
        yield* wire.until("the upstream to be told", ({ gone }) => gone)
        if (row.moment === "sending") {
          assert.isUndefined(parse(wire.received, { ended: wire.endedInOrder }), "it looks complete")
        }
      }
      may.answer = true
      if (holder !== undefined) assert.strictEqual(status(yield* holder.message()), 200)
      if (holder !== undefined) assert.deepStrictEqual(seen, ["GET /held HTTP/1.1"])
    }))
    may.answer = true
    yield* wellAfter(gateway, network, "/well", whole)
    yield* eventually("the end of the clients' connections", () => toGateway.open === 0, () => toGateway.open)
    assert.deepStrictEqual(gateway.logs, [])
  })

const leftBehind = sameSockets()
afterAll(() => Effect.runPromise(leftBehind))

describe("18. what becomes of a request when its client fails, with nothing left behind", () => {
  for (const row of rows) {
    it.live(`it ${row.client} ${moments[row.moment]}: ${row.gets}, counted as ${row.counted}`, () =>
      Effect.forEach(
        columns.filter(row.of ?? (() => true)),
        (column) => named(column.name, cell(row, column)),
        { concurrency: "unbounded", discard: true }
      ))
  }

  it("is what the page says", () => {
    const gets = {
      "200": "the response",
      "400": "400, and the end of the connection",
      "504": "504, or the fallback",
      "an end": "the end of the connection",
      "nothing": "nothing"
    }
    assert.deepStrictEqual(
      pageTable("network-faults.md", "The client"),
      rows.map((row) => [row.client.replace(/,$/, ""), moments[row.moment], gets[row.gets], `\`${row.counted}\``])
    )
  })
})
