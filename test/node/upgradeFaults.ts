/** What the two tables of upgrades share: how one is asked for, what is between it and its upstream, and what is to be so in the end. */
import type { CommandMetrics } from "@blackgate/core"
import { Proxy, Upstream } from "@blackgate/http"
import { assert } from "@effect/vitest"
import { type Duration, Effect, Layer, type Scope } from "effect"
import { HttpServerResponse } from "effect/http"
import { eventuallyEqual } from "../harness/eventually.ts"
import { garbage, none } from "../harness/Fault.ts"
import * as FaultyNetwork from "../harness/FaultyNetwork.ts"
import * as Gateway from "../harness/Gateway.ts"
import { parseHead, values } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { wellAfter } from "../harness/wellAfter.ts"
import type { Wire } from "../harness/Wire.ts"

/** How an upgrade is asked for. */
export interface Column {
  readonly name: string
  readonly sends: string
  readonly hasBody?: true
  readonly fallback?: true
}

const asks = (method: string, ...fields: ReadonlyArray<string>) =>
  [`${method} /faulty HTTP/1.1`, "Host: a", "Connection: Upgrade", "Upgrade: tcp", ...fields, "", ""].join("\r\n")

export const columns: ReadonlyArray<Column> = [
  { name: "no body", sends: asks("GET") },
  { name: "no body, and a fallback", sends: asks("GET"), fallback: true },
  { name: "a body", sends: `${asks("POST", "Content-Length: 23")}first half, second half`, hasBody: true }
]
/** One that its upstream keeps, at a path of its own. */
export const held = asks("GET").replace("/faulty", "/held")

export const agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
export const refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 23\r\n\r\nfirst part, second part"
const plain = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"
export const noise = garbage("\u0016\u0003\u00ff garbage\r\n\r\n")

/** A line of either table. */
export interface Fails {
  readonly what: string
  readonly counted: CommandMetrics.Outcome
  readonly route?: Pick<Proxy.Options, "timeout" | "headTimeout" | "idle" | "upgrade">
  /** A port that is asked instead of the network. */
  readonly instead?: Effect.Effect<number, never, Scope.Scope>
  readonly connectTimeout?: Duration.Input
}

/** Answers what asks for another protocol, when it has all of the request; and other requests, always. */
const answering = (answer: string, asked: Array<Wire>): RawUpstream.Script => (wire) =>
  Effect.gen(function*() {
    for (;;) {
      const head = yield* wire.until("a head", ({ received }) => parseHead(received))
      yield* wire.message()
      if (values(head, "upgrade").length === 0) {
        wire.send(plain)
        continue
      }
      asked.push(wire)
      wire.send(answer)
      if (answer !== refused) return
    }
  })

/** A gateway to an upstream that answers so, over a network. */
export const make = (row: Fails, column: Column, answer: string, permits = 100) =>
  Effect.gen(function*() {
    const asked: Array<Wire> = []
    const upstream = yield* RawUpstream.make(answering(answer, asked))
    const network = yield* FaultyNetwork.make(upstream.port)
    const instead = row.instead && (yield* Upstream.make(`http://127.0.0.1:${yield* row.instead}`))
    const gateway = yield* Gateway.withRoutes((group) =>
      Layer.mergeAll(
        Proxy.route("/faulty", {
          group,
          upstream: instead ?? network.url,
          ...row.route,
          ...(column.fallback && { fallback: () => HttpServerResponse.text("fallback", { status: 299 }) })
        }),
        Proxy.route("/held", { group, upstream: upstream.url }),
        Proxy.route("/well", { group, upstream: network.url })
      ), {
      pool: { maxConcurrent: permits, maxQueued: 1 },
      undici: { connectTimeout: row.connectTimeout }
    })
    return { asked, gateway, network, upstream }
  })

/** Whatever has become of it: how it was counted, a line of the log for each failure, and nothing is left. */
export const ended = ({ gateway, network }: Effect.Success<ReturnType<typeof make>>, row: Fails) =>
  Effect.gen(function*() {
    yield* gateway.quiet
    yield* eventuallyEqual("the outcomes", { [row.counted]: 1 }, gateway.outcomes("/faulty"))
    yield* network.set(none)
    yield* wellAfter(gateway, network, "/well", "well")
    const logged = row.counted === "failure"
      ? / failed at the (connect|head|body): ./
      : row.route?.upgrade && row.counted === "timeout"
      ? /the total time was up/
      : undefined
    assert.strictEqual(gateway.logs.length, logged === undefined ? 0 : 1, gateway.logs.join("\n"))
    if (logged !== undefined) assert.match(gateway.logs[0]!, logged)
  })
