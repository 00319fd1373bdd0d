import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { afterAll } from "vitest"
import {
  blackHole,
  close,
  delay,
  drip,
  type Fault,
  freeze,
  inBody,
  none,
  reset,
  strike,
  throttle
} from "../harness/Fault.ts"
import { status } from "../harness/HttpMessage.ts"
import { pageTable } from "../harness/pageTable.ts"
import { named, sameSockets } from "../harness/wellAfter.ts"
import type { Wire } from "../harness/Wire.ts"
import { agreed, type Column, columns, ended, type Fails, make } from "./upgradeFaults.ts"

/** Tunnels, and what the side that did nothing sees. */
interface Row extends Fails {
  readonly network?: (seen: { readonly hello: Effect.Effect<unknown> }) => Fault
  readonly act?: (sides: { readonly client: Wire; readonly server: Wire }) => void
  /** Who is to see it, and how; `all`: both hear all that the other has to say. */
  readonly sees: Partial<Record<"client" | "server", "a reset" | "the end">> | "all"
}

const ends = { client: "the end", server: "the end" } as const
const idle = { upgrade: { idle: "500 millis" } } as const
const rows: ReadonlyArray<Row> = [
  ...([
    ["resets", reset, "a reset", "failure"],
    ["closes", close, "the end", "success"]
  ] as const).map(([how, blow, client, counted]) => ({
    what: `the upstream ${how}`,
    network: ({ hello }: { readonly hello: Effect.Effect<unknown> }) => strike("response", inBody(5), blow, hello),
    sees: { client },
    counted
  })),
  {
    what: "the upstream closes, and the client goes on",
    network: ({ hello }) => strike("response", inBody(5), close, hello),
    act: ({ client }) => client.send("x".repeat(4 * 1024 * 1024)),
    sees: { client: "a reset" },
    counted: "failure"
  },
  {
    what: "the upstream half-closes",
    act: ({ server }) => server.end(),
    sees: { client: "the end" },
    counted: "success"
  },
  ...([["goes silent", blackHole], ["stops reading", freeze]] as const).map(([how, blow]) => ({
    what: `the upstream ${how}, for longer than \`upgrade.idle\``,
    network: ({ hello }: { readonly hello: Effect.Effect<unknown> }) => strike("response", inBody(5), blow, hello),
    act: ({ client }: { readonly client: Wire }) => client.send("x".repeat(1024 * 1024)),
    sees: { client: "the end" as const },
    route: idle,
    counted: "interrupted" as const
  })),
  {
    what: "the client resets",
    act: ({ client }) => client.reset(),
    sees: { server: "a reset" },
    counted: "interrupted"
  },
  {
    what: "the client closes",
    act: ({ client }) => client.close(),
    sees: { server: "the end" },
    counted: "success"
  },
  {
    what: "the client half-closes",
    act: ({ client }) => client.end(),
    sees: { server: "the end" },
    counted: "success"
  },
  {
    what: "the client stops reading, for longer than `upgrade.idle`",
    act: ({ client, server }) => {
      client.stopReading()
      server.send("x".repeat(32 * 1024 * 1024))
    },
    // Bytes are under way that nobody reads any more.
    sees: { server: "a reset" },
    route: idle,
    counted: "interrupted"
  },
  { what: "neither says anything, for longer than `upgrade.idle`", sees: ends, route: idle, counted: "interrupted" },
  {
    what: "it lasts longer than `upgrade.total`",
    sees: ends,
    route: { upgrade: { total: "500 millis" } },
    counted: "timeout"
  },
  ...([
    ["the upstream is far away: each byte is late", delay("response", 20)],
    ["the upstream has a slow line", throttle("response", 2000)],
    ["the upstream sends byte by byte", drip("response", 1)],
    ["the upstream is sent to byte by byte", drip("request", 1)]
  ] as const).map(([what, fault]) => ({
    what,
    network: () => fault,
    sees: "all" as const,
    counted: "success" as const
  }))
]

const sees = (wire: Wire, what: "a reset" | "the end") =>
  what === "the end"
    ? wire.until("the end", ({ broke, ended }) => ended && broke === undefined)
    : wire.until("a reset", ({ broke }) => broke === "ECONNRESET" || broke === "EPIPE")

const cell = (row: Row, column: Column) =>
  Effect.gen(function*() {
    const made = yield* make(row, column, `${agreed}hello`)
    const { asked, gateway, network } = made
    yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* gateway.connect
      const hello = client.until("what the upstream says first", ({ text }) => text.endsWith("hello"))
      // What the network does to the tunnel waits for what is asserted of it before.
      const met = yield* Deferred.make<void>()
      yield* network.set(row.network?.({ hello: Deferred.await(met) }) ?? none)
      client.send(column.sends)
      yield* hello
      assert.strictEqual(status(yield* client.head), 101)
      assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
      yield* Deferred.succeed(met, undefined)
      const server = asked[0]!
      row.act?.({ client, server })
      if (row.sees === "all") {
        client.send("what the client says")
        server.send(", what the upstream says")
        yield* server.until("all of it", ({ text }) => text === "what the client says")
        yield* client.until("all of it", ({ text }) => text === "hello, what the upstream says")
      } else {
        for (const [who, what] of Object.entries(row.sees)) yield* sees(who === "client" ? client : server, what)
      }
      // What is half-closed still carries the other half, until that is closed too.
      if (row.counted === "success") {
        if (row.what.endsWith("half-closes")) {
          const [from, to] = client.ended ? [client, server] : [server, client]
          from.send("the rest")
          yield* to.until("the rest", ({ text }) => text.endsWith("the rest"))
          assert.strictEqual(yield* gateway.busy, "1 active, 0 queued")
        }
        if (!client.closed) client.end()
        if (!server.closed) server.end()
      }
      yield* gateway.quiet
    }))
    yield* ended(made, row)
  })

const leftBehind = sameSockets()
afterAll(() => Effect.runPromise(leftBehind))

describe("26. what becomes of a tunnel when one side fails, with nothing left behind", () => {
  for (const row of rows) {
    const seen = row.sees === "all"
      ? "both hear all"
      : Object.entries(row.sees).map(([who, what]) =>
        `${who === "server" ? "the upstream" : "the client"} sees ${what}`
      ).join(", ")
    it.live(`${row.what}: ${seen}, counted as ${row.counted}`, () =>
      Effect.forEach(
        columns.filter(({ fallback }) => !fallback),
        (column) => named(column.name, cell(row, column)),
        { concurrency: "unbounded", discard: true }
      ))
  }

  it("is what the page says", () => {
    assert.deepStrictEqual(
      pageTable("network-faults.md", "A tunnel"),
      rows.map(({ counted, sees, what }) => [
        what,
        sees === "all" ? "all that is said" : sees.client ?? "-",
        sees === "all" ? "all that is said" : sees.server ?? "-",
        `\`${counted}\``
      ])
    )
  })
})
