import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll } from "vitest"
import {
  after,
  atConnect,
  blackHole,
  close,
  drip,
  type Fault,
  freeze,
  halfClose,
  inBody,
  none,
  reset,
  start,
  strike
} from "../harness/Fault.ts"
import { fullBacklog } from "../harness/fullBacklog.ts"
import * as Gateway from "../harness/Gateway.ts"
import { parse, status } from "../harness/HttpMessage.ts"
import { pageTable } from "../harness/pageTable.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { named, sameSockets } from "../harness/wellAfter.ts"
import type { Wire } from "../harness/Wire.ts"
import { agreed, type Column, columns, ended, type Fails, held, make, noise, refused } from "./upgradeFaults.ts"

/** Upgrades that never become tunnels. */
interface Before extends Fails {
  readonly fault?: (seen: { readonly firstPart: Effect.Effect<unknown> }) => Fault
  /** What the upstream says, if it gets that far; it agrees, by default. */
  readonly answer?: string
  readonly of?: (column: Column) => boolean
  /** What the client does, once the upstream has its request, or the request stands in the line of the pool. */
  readonly act?: { readonly when: "queued" | "asked"; readonly does: (client: Wire) => void }
  readonly client: "502" | "504" | "aborted" | "nothing" | "an end"
}

const bad = { client: "502", counted: "failure" } as const
const late = { client: "504", counted: "timeout", route: { timeout: "300 millis" } } as const
const slow = { client: "504", counted: "failure" } as const
const cut = { client: "aborted", counted: "failure", answer: refused } as const

const before: ReadonlyArray<Before> = [
  { what: "the upstream refuses connections", instead: RawUpstream.deadPort, ...bad },
  {
    what: "it does not take connections, for longer than `connectTimeout`",
    instead: fullBacklog,
    connectTimeout: "300 millis",
    ...slow
  },
  {
    what: "it does not take connections, for longer than `timeout`",
    instead: fullBacklog,
    connectTimeout: "600 millis",
    ...late
  },
  ...([
    ["resets each connection", reset, bad],
    ["closes each connection", close, bad],
    ["takes connections, and says nothing", blackHole, late],
    ["takes connections, and reads nothing", freeze, late],
    ["greets with something else than HTTP", noise, bad],
    ["says nothing for longer than `headTimeout`", blackHole, { ...slow, route: { headTimeout: "300 millis" } }]
  ] as const).map(([what, blow, becomes]) => ({ what: `it ${what}`, fault: () => atConnect(blow), ...becomes })),
  ...([
    ["resets", reset, bad],
    ["closes", close, bad],
    ["half-closes", halfClose, bad],
    ["goes silent", blackHole, late],
    ["stops reading", freeze, late],
    ["says something else than HTTP", noise, bad]
  ] as const).map(([how, blow, becomes]) => ({
    what: `it ${how} in the middle of the request`,
    of: ({ hasBody }: Column) => hasBody === true,
    fault: () => strike("request", inBody(8), blow),
    ...becomes
  })),
  ...([["before its 101", start], ["in the middle of its 101", after(20)]] as const).flatMap(([where, at]) =>
    ([
      ["resets", reset, bad],
      ["closes", close, bad],
      ["half-closes", halfClose, bad],
      ["goes silent", blackHole, late],
      ["says something else than HTTP", noise, bad]
    ] as const).map(([how, blow, becomes]) => ({
      what: `it ${how} ${where}`,
      fault: () => strike("response", at, blow),
      ...becomes
    }))
  ),
  { what: "it sends its 101 byte by byte, past `timeout`", fault: () => drip("response", 50), ...late },
  {
    what: "it switches to what nobody asked for",
    answer: agreed.replace("tcp", "other"),
    ...bad
  },
  ...([
    ["resets", reset, cut],
    ["closes", close, cut],
    ["goes silent, for longer than `idle`,", blackHole, { ...cut, route: { idle: "1 second" } }]
  ] as const).map(([how, blow, becomes]) => ({
    what: `it ${how} in the middle of its refusal`,
    fault: ({ firstPart }: { readonly firstPart: Effect.Effect<unknown> }) =>
      strike("response", inBody(14), blow, firstPart),
    ...becomes
  })),
  ...([["queued", "while it waits for a permit"], ["asked", "before the 101"]] as const).flatMap(([when, where]) =>
    ([
      ["resets", (client: Wire) => client.reset(), "nothing"],
      ["closes", (client: Wire) => client.close(), "nothing"],
      ["half-closes", (client: Wire) => client.end(), "an end"]
    ] as const).map(([how, does, client]) => ({
      what: `the client ${how} ${where}`,
      // The upstream does not agree while the client leaves.
      answer: "",
      act: { when, does },
      client,
      counted: "interrupted" as const
    }))
  )
]

const cell = (row: Before, column: Column) =>
  Effect.gen(function*() {
    const made = yield* make(row, column, row.answer ?? agreed, row.act?.when === "queued" ? 1 : 100)
    const { asked, gateway, network } = made
    yield* Effect.scoped(Effect.gen(function*() {
      const holder = row.act?.when === "queued" ? yield* gateway.connect : undefined
      holder?.send(held)
      if (holder !== undefined) yield* holder.until("the one before it", () => asked.length === 1)
      const client = yield* gateway.connect
      const firstPart = client.until("the first part", ({ text }) => text.includes("first part"))
      yield* network.set(row.fault?.({ firstPart }) ?? none)
      client.send(column.sends)
      if (row.act?.when === "queued") yield* gateway.becomes("1 active, 1 queued")
      if (row.act?.when === "asked") yield* client.until("the request", () => asked.length === 1)
      row.act?.does(client)
      if (row.client === "502" || row.client === "504") {
        assert.strictEqual(status(yield* client.message()), column.fallback ? 299 : Number(row.client))
        // It is as any other that was answered.
        if (!column.hasBody) {
          yield* network.set(none)
          client.send("GET /well HTTP/1.1\r\nHost: a\r\n\r\n")
          assert.strictEqual(status(yield* client.message()), 200)
        }
      } else {
        if (row.client !== "nothing") yield* client.until("the end", ({ gone }) => gone)
        if (row.client === "aborted") assert.match(client.text, /^HTTP\/1\.1 403 [^]*first part/)
        assert.isUndefined(parse(client.received, { ended: client.endedInOrder }), "it looks complete")
      }
      if (row.act !== undefined) {
        const server = asked[0]!
        if (holder === undefined) yield* server.until("the upstream to be told", ({ gone }) => gone)
        yield* gateway.becomes(holder === undefined ? Gateway.idle : "1 active, 0 queued")
        assert.strictEqual(asked.length, 1)
      }
    }))
    yield* ended(made, row)
  })

const leftBehind = sameSockets()
afterAll(() => Effect.runPromise(leftBehind))

describe("26. what becomes of an upgrade when something fails before the 101, with nothing left behind", () => {
  for (const row of before) {
    it.live(`${row.what}: ${row.client}, counted as ${row.counted}`, () =>
      Effect.forEach(
        columns.filter(row.of ?? (() => true)).filter(({ fallback }) => !fallback || row.client.startsWith("50")),
        (column) => named(column.name, cell(row, column)),
        { concurrency: "unbounded", discard: true }
      ))
  }

  it("is what the page says", () => {
    const sees = {
      "502": "502, or the fallback",
      "504": "504, or the fallback",
      "aborted": "the head, a part of the body, and the end of the connection",
      "an end": "the end of the connection",
      "nothing": "nothing"
    }
    assert.deepStrictEqual(
      pageTable("network-faults.md", "An upgrade, before the 101"),
      before.map(({ client, counted, what }) => [what, sees[client], `\`${counted}\``])
    )
  })
})
