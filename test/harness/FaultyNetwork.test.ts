import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import * as Net from "node:net"
import { eventually, settled } from "./eventually.ts"
import * as Fault from "./Fault.ts"
import * as FaultyNetwork from "./FaultyNetwork.ts"
import { fullBacklog } from "./fullBacklog.ts"
import * as RawUpstream from "./RawUpstream.ts"
import { connect, type Wire } from "./Wire.ts"

/** Both ends of a connection through a network with a fault. */
const through = (fault: Fault.Fault) =>
  Effect.gen(function*() {
    const server = yield* RawUpstream.make(() => Effect.void)
    const network = yield* FaultyNetwork.make(server.port)
    yield* network.set(fault)
    return { server, network, near: yield* connect(network.port) }
  })

const says = (wire: Wire, text: string) => wire.until(text, (wire) => wire.text === text)

describe("a faulty network", () => {
  it.live("passes bytes, half-closes and resets, both ways, while nothing is wrong", () =>
    Effect.gen(function*() {
      const { near, network, server } = yield* through(Fault.none)
      near.send("to you")
      const far = yield* server.wire(0)
      yield* says(far, "to you")
      near.end()
      yield* far.until("a FIN", ({ ended }) => ended)
      assert.isFalse(far.closed)
      far.send("and back")
      yield* says(near, "and back")
      far.end()
      yield* near.until("the end", ({ closed }) => closed)
      assert.isTrue(near.endedInOrder)

      const again = yield* connect(network.port)
      const other = yield* server.wire(1)
      other.reset()
      yield* again.until("a RST", ({ broke }) => broke === "ECONNRESET")
      yield* eventually("the end of all", () => network.open === 0)
    }))

  it.live("holds up a sender whose receiver does not read", () =>
    Effect.gen(function*() {
      const { near, server } = yield* through(Fault.none)
      const far = yield* server.wire(0)
      far.stopReading()
      const size = 64 * 1024 * 1024
      near.pour(size)
      assert.isBelow(yield* settled("what was sent", () => near.poured), size)
      far.discard()
      far.readOn()
      yield* far.until("all of it", ({ discarded }) => discarded === size)
    }))

  const blows: ReadonlyArray<readonly [Fault.Blow, string, (near: Wire) => boolean]> = [
    [Fault.reset, "", ({ broke }) => broke === "ECONNRESET"],
    [Fault.close, "12", ({ endedInOrder }) => endedInOrder],
    [Fault.halfClose, "12", ({ endedInOrder }) => endedInOrder],
    [Fault.garbage("?!"), "12?!", ({ ended }) => !ended],
    [Fault.blackHole, "12", ({ ended }) => !ended],
    [Fault.freeze, "12", ({ ended }) => !ended]
  ]
  for (const [blow, seen, is] of blows) {
    it.live(`${blow._tag} strikes after what comes before its point, and when it is time`, () =>
      Effect.gen(function*() {
        const now = yield* Deferred.make<void>()
        const { near, server } = yield* through(
          Fault.strike("response", Fault.after(2), blow, Deferred.await(now))
        )
        const far = yield* server.wire(0)
        far.send("1")
        far.send("23")
        yield* says(near, "12")
        yield* Deferred.succeed(now, undefined)
        yield* near.until("the blow", (near) => (seen === "" || near.text === seen) && is(near))
        near.send("on")
        if (blow._tag === "HalfClose") yield* says(far, "on")
        else if (blow._tag !== "Reset") {
          yield* far.until("the end of the far side", ({ closed, ended }) => closed || ended)
          assert.strictEqual(far.text, "")
        }
      }))
  }

  it.live("is slow in one direction, and not in the other", () =>
    Effect.gen(function*() {
      const { near, network, server } = yield* through(Fault.drip("response", 30))
      const far = yield* server.wire(0)
      const since = performance.now()
      far.send("0123456789")
      near.send("at once")
      yield* says(far, "at once")
      assert.isBelow(near.received.length, 10)
      yield* says(near, "0123456789")
      assert.isAtLeast(performance.now() - since, 290)
      yield* network.set(Fault.none)
      far.send("x".repeat(1000))
      yield* near.until("the rest", ({ received }) => received.length === 1010)
    }))

  it.live("a full backlog leaves whoever comes without an answer", () =>
    Effect.gen(function*() {
      const port = yield* fullBacklog
      const came = yield* Effect.callback<void>((resume) => {
        const socket = Net.connect({ port, host: "127.0.0.1" }, () => resume(Effect.void))
        return Effect.sync(() => socket.destroy())
      }).pipe(Effect.timeoutOption("200 millis"))
      assert.strictEqual(came._tag, "None")
    }))
})
