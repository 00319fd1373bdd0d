import type { CommandMetrics } from "@blackgate/core"
import { Proxy } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { afterAll } from "vitest"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import { after, blackHole, type Blow, close, halfClose, none, reset, strike } from "../harness/Fault.ts"
import * as FaultyNetwork from "../harness/FaultyNetwork.ts"
import * as Gateway from "../harness/Gateway.ts"
import { status } from "../harness/HttpMessage.ts"
import { pageTable } from "../harness/pageTable.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { named, sameSockets, wellAfter } from "../harness/wellAfter.ts"
import type { Wire } from "../harness/Wire.ts"

const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

const asks = (startLine: string, ...rest: ReadonlyArray<string>) =>
  [`${startLine} HTTP/1.1`, "Host: a", ...(rest.length === 0 ? ["", ""] : rest)].join("\r\n")
const length = ["Content-Length: 5", "", "hello"]
const chunks = ["Transfer-Encoding: chunked", "", "5", "hello", "0", "", ""]

/** What a request is to be, to be sent again, and what it is not. */
const replayable = [asks("GET /faulty"), asks("PUT /faulty", "Content-Length: 0", "", ""), asks("DELETE /faulty")]
const others = [
  asks("POST /faulty", ...length),
  asks("POST /faulty", "Content-Length: 0", "", ""),
  asks("POST /faulty", ...chunks),
  asks("PUT /faulty", ...length),
  asks("PATCH /faulty", ...chunks)
]
const upgrades = [asks("GET /faulty", "Connection: Upgrade", "Upgrade: tcp", "", "")]

/** A line of the page. */
interface Row {
  readonly what: string
  readonly of: string
  readonly asks: ReadonlyArray<string>
  /** Of the upstream, to its idle connection; the gateway has seen it before the request. */
  readonly before?: (wire: Wire) => void
  /** Of the connection, as the first byte of the request comes. */
  readonly meanwhile?: Blow
  readonly client: "101" | "200" | "502" | "504"
  readonly counted: CommandMetrics.Outcome
  /** How many it takes, the one that was there among them. */
  readonly connections: 1 | 2
}

const anew = { client: "200", counted: "success", connections: 2 } as const
const replay = "idempotent, and without a body that streams"
const rest = "any other"

const rows: ReadonlyArray<Row> = [
  ...([
    ["closed", (wire: Wire) => wire.close()],
    ["half-closed", (wire: Wire) => wire.end()],
    ["reset", (wire: Wire) => wire.reset()]
  ] as const).map(([how, before]) => ({
    what: `was ${how} by the upstream while it was idle`,
    of: "any",
    asks: [...replayable, ...others],
    before,
    ...anew
  })),
  ...([["closed", close], ["half-closed", halfClose], ["reset", reset]] as const).flatMap(([how, meanwhile]) => [
    { what: `is ${how} at the moment of the request`, of: replay, asks: replayable, meanwhile, ...anew },
    {
      what: `is ${how} at the moment of the request`,
      of: rest,
      asks: others,
      meanwhile,
      client: "502" as const,
      counted: "failure" as const,
      connections: 1 as const
    }
  ]),
  {
    what: "has gone silent",
    of: "any",
    asks: [...replayable, ...others],
    meanwhile: blackHole,
    client: "504",
    counted: "timeout",
    connections: 1
  },
  {
    what: "was reset by the upstream while it was idle",
    of: "an upgrade, which is never on one",
    asks: upgrades,
    before: (wire) => wire.reset(),
    client: "101",
    counted: "success",
    connections: 2
  }
]

const upstream = RawUpstream.make((wire) =>
  Effect.gen(function*() {
    for (;;) {
      const { fields } = yield* wire.message()
      if (fields.some(([name]) => name.toLowerCase() === "upgrade")) return wire.send(upgrade)
      wire.send(RawUpstream.response("well"))
    }
  })
)

const cell = (row: Row, request: string) =>
  Effect.gen(function*() {
    const behind = yield* upstream
    const network = yield* FaultyNetwork.make(behind.port)
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.merge(
        Proxy.route("/faulty", {
          group,
          upstream: network.url,
          ...(row.client === "504" && { timeout: "300 millis" })
        }),
        Proxy.route("/well", { group, upstream: network.url })
      )
    )
    yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* gateway.connect
      client.send(asks("GET /well"))
      assert.strictEqual(status(yield* client.message()), 200)
      yield* gateway.quiet
      assert.strictEqual(network.open, 1)
      if (row.before !== undefined) {
        row.before(yield* behind.wire(0))
        yield* eventually("the gateway to see it", () => network.open === 0)
      }
      // It strikes once: whatever is sent again gets through.
      if (row.meanwhile !== undefined) yield* network.set(strike("request", after(1), row.meanwhile, network.set(none)))
      client.send(request)
      if (row.client === "101") {
        assert.strictEqual(status(yield* client.head), 101)
        client.end()
        ;(yield* behind.wire(1)).end()
      } else assert.strictEqual(status(yield* client.message()), Number(row.client))
      assert.strictEqual(network.connections, row.connections)
    }))
    yield* gateway.quiet
    yield* eventuallyEqual("the outcomes", { [row.counted]: 1 }, gateway.outcomes("/faulty"))
    assert.lengthOf(gateway.logs, row.counted === "failure" ? 1 : 0)
    yield* wellAfter(gateway, network, "/well", "well")
  })

const leftBehind = sameSockets()
afterAll(() => Effect.runPromise(leftBehind))

describe("23. what becomes of a request whose pooled connection fails, with nothing left behind", () => {
  for (const row of rows) {
    it.live(`it ${row.what}, and the request is ${row.of}: ${row.client}, counted as ${row.counted}`, () =>
      Effect.forEach(
        row.asks,
        (request) => named(request.slice(0, request.indexOf("HTTP")), cell(row, request)),
        { concurrency: "unbounded", discard: true }
      ))
  }

  it("is what the page says", () => {
    const sees = {
      "101": "the 101",
      "200": "the response",
      "502": "502, or the fallback",
      "504": "504, or the fallback"
    }
    assert.deepStrictEqual(
      pageTable("network-faults.md", "A connection that was there before"),
      rows.map(({ client, counted, of, what }) => [what, of, sees[client], `\`${counted}\``])
    )
  })
})
