import { Group, InvalidOptions, Pool } from "@blackgate/core"
import { Connect } from "@blackgate/node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Scope } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { isPublic } from "../../packages/node/src/internal/addresses.ts"
import { authority, pattern } from "../../packages/node/src/internal/authority.ts"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import { status } from "../harness/HttpMessage.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { connect } from "../harness/Wire.ts"

let groups = 0

/** A server with nothing but CONNECT. */
const start = (options: Omit<Connect.Options, "group">, pool: Pool.Options = { maxConcurrent: 10 }) =>
  Effect.gen(function*() {
    const group = yield* Group.make(`connect ${++groups}`, { pool })
    const server = createServer((_, response) => response.end("plain"))
    const port = yield* Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
      }),
      () =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    )
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* Scope.provide(Layer.build(Connect.layer(server, { drain: 50, ...options, group })), scope)
    const busy = Effect.map(Pool.statistics(group.pool), ({ active }) => active)
    return {
      connect: connect(port),
      becomes: (active: number) => eventuallyEqual("the permits", active, busy),
      close: Scope.close(scope, Exit.void)
    }
  })

const ask = (target: string): string => `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`

const silent = RawUpstream.make(() => Effect.void)

describe("26. CONNECT", { timeout: 30_000 }, () => {
  it.live("is off: without the layer its connection is closed", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const gateway = yield* start({ allow: [`127.0.0.1:${upstream.port}`] })
      yield* gateway.close
      const client = yield* gateway.connect
      client.send(ask(`127.0.0.1:${upstream.port}`))
      yield* client.until("the end", ({ closed, ended }) => closed || ended)
      assert.strictEqual(client.text, "")
      assert.strictEqual(upstream.wires.length, 0)
    }))

  it.live("is a tunnel: what is said behind the head comes first, half-close works both ways, the permit comes back", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const gateway = yield* start({ allow: [`127.0.0.1:${upstream.port}`] })
      const client = yield* gateway.connect
      client.send(`${ask(`127.0.0.1:${upstream.port}`)}first\x00\xff`)
      assert.strictEqual((yield* client.head).startLine, "HTTP/1.1 200 Connection Established")
      const server = yield* upstream.wire(0)
      yield* server.until("what was said", ({ text }) => text === "first\x00\xff")
      yield* gateway.becomes(1)
      client.end()
      yield* server.until("the end", ({ ended }) => ended)
      server.send("answer")
      yield* client.until("the answer", ({ text }) => text === "answer")
      yield* gateway.becomes(1)
      server.end()
      yield* client.until("the end", ({ endedInOrder }) => endedInOrder)
      yield* gateway.becomes(0)
    }))

  it.live("a reset of either side is one for the other, and 50 of them leave nothing behind", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const gateway = yield* start({ allow: [`127.0.0.1:${upstream.port}`] })
      for (let i = 0; i < 50; i++) {
        const client = yield* gateway.connect
        client.send(ask(`127.0.0.1:${upstream.port}`))
        yield* client.head
        const server = yield* upstream.wire(i)
        const [from, to] = i % 2 === 0 ? [client, server] : [server, client]
        from.reset()
        yield* to.until("the reset", ({ broke }) => broke === "ECONNRESET")
      }
      yield* gateway.becomes(0)
      yield* eventually("every connection to be gone", () => upstream.open === 0)
    }))

  it.live("idle: bytes in neither direction end it", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const gateway = yield* start({ allow: [`127.0.0.1:${upstream.port}`], idle: 100 })
      const client = yield* gateway.connect
      client.send(ask(`127.0.0.1:${upstream.port}`))
      yield* client.head
      yield* client.until("the end", ({ ended }) => ended)
      yield* gateway.becomes(0)
    }))

  it.live("when the layer closes, tunnels have a while to end by themselves, and are ended then", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const gateway = yield* start({ allow: [`127.0.0.1:${upstream.port}`] })
      const client = yield* gateway.connect
      client.send(ask(`127.0.0.1:${upstream.port}`))
      yield* client.head
      yield* gateway.close
      yield* client.until("the end", ({ ended }) => ended)
      yield* (yield* upstream.wire(0)).until("the end", ({ ended }) => ended)
      yield* gateway.becomes(0)
    }))

  it.live("a pool that is full is a 503; what can't be reached a 502; what takes too long a 504", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const dead = yield* RawUpstream.deadPort
      const gateway = yield* start({
        allow: ["127.0.0.1:*", "slow.test:1", "none.test:1"],
        timeout: 100,
        resolve: (host) => host === "slow.test" ? Effect.never : Effect.fail("no such name")
      }, { maxConcurrent: 1 })
      for (
        const [target, expected] of [[`127.0.0.1:${dead}`, 502], ["none.test:1", 502], ["slow.test:1", 504]] as const
      ) {
        const client = yield* gateway.connect
        client.send(ask(target))
        assert.strictEqual(status(yield* client.message()), expected)
        yield* client.until("the end", ({ ended }) => ended)
      }
      const first = yield* gateway.connect
      first.send(ask(`127.0.0.1:${upstream.port}`))
      yield* first.head
      const client = yield* gateway.connect
      client.send(ask(`127.0.0.1:${upstream.port}`))
      assert.strictEqual(status(yield* client.message()), 503)
    }))

  it.live("a client that leaves while its name is resolved gives its permit back", () =>
    Effect.gen(function*() {
      const gateway = yield* start({ allow: ["slow.test:1"], resolve: () => Effect.never })
      const client = yield* gateway.connect
      client.send(ask("slow.test:1"))
      yield* gateway.becomes(1)
      client.end()
      yield* gateway.becomes(0)
    }))
})

describe("26. where CONNECT may go", { timeout: 30_000 }, () => {
  const statusOf = (options: Omit<Connect.Options, "group">, target: string) =>
    Effect.gen(function*() {
      const gateway = yield* start(options)
      const client = yield* gateway.connect
      client.send(ask(target))
      return status(yield* client.head)
    })

  it.live("not to what is not listed: another port, another host, another spelling", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const allow = [`127.0.0.1:${upstream.port}`, "*.example.test:443"]
      for (
        const target of [
          `127.0.0.1:${upstream.port + 1}`,
          `localhost:${upstream.port}`,
          "example.test:443",
          "notexample.test:443",
          `[::1]:${upstream.port}`
        ]
      ) {
        assert.strictEqual(yield* statusOf({ allow }, target), 403, target)
      }
      assert.strictEqual(upstream.wires.length, 0)
    }))

  it.live("not to an address that is not public, whatever its name: neither by a wildcard, nor among public ones", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const answers = [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["8.8.8.8", "127.0.0.1"], ["::1"], [
        "::ffff:127.0.0.1"
      ]]
      for (const addresses of answers) {
        const resolve = () => Effect.succeed(addresses)
        assert.strictEqual(yield* statusOf({ allow: ["a.test:*"], resolve }, `a.test:${upstream.port}`), 403)
      }
      assert.strictEqual(yield* statusOf({ allow: ["*:*"] }, `127.0.0.1:${upstream.port}`), 403)
      assert.strictEqual(yield* statusOf({ allow: ["*:*"] }, `localhost:${upstream.port}`), 403)
      assert.strictEqual(upstream.wires.length, 0)
    }))

  it.live("to one of a range that is listed", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      const options = { allow: ["*.test:*"], ranges: ["127.0.0.0/8"], resolve: () => Effect.succeed(["127.0.0.1"]) }
      assert.strictEqual(yield* statusOf(options, `a.test:${upstream.port}`), 200)
      assert.strictEqual(yield* statusOf({ ...options, ranges: ["10.0.0.0/8"] }, `a.test:${upstream.port}`), 403)
    }))

  it.live("a name is resolved once: one that means another address the next time is of no use", () =>
    Effect.gen(function*() {
      const upstream = yield* silent
      let asked = 0
      const resolve = () => Effect.sync(() => ++asked === 1 ? ["127.0.0.1"] : ["127.0.0.2"])
      const options = { allow: ["rebinding.test:*"], ranges: ["127.0.0.1/32"], resolve }
      assert.strictEqual(yield* statusOf(options, `rebinding.test:${upstream.port}`), 200)
      assert.strictEqual(asked, 1)
      assert.strictEqual((yield* upstream.wire(0)).socket.localAddress, "127.0.0.1")
    }))

  for (
    const target of [
      "a.test",
      "a.test:",
      "a.test:0",
      "a.test:65536",
      "a.test:80/",
      "http://a.test:80",
      "user@a.test:80",
      "127.1:80",
      "0x7f000001:80",
      "2130706433:80",
      "0177.0.0.1:80",
      "127.0.0.01:80",
      "[::1%25lo]:80",
      "[127.0.0.1]:80",
      "a..test:80",
      "a.test.:80",
      "*:80",
      "/:80"
    ]
  ) {
    it.live(`${target} is a 400, or closed`, () =>
      Effect.gen(function*() {
        const gateway = yield* start({ allow: ["*:*"], resolve: () => Effect.die("must not be asked") })
        const client = yield* gateway.connect
        client.send(ask(target))
        yield* client.until("the end", ({ closed, ended }) => closed || ended)
        assert.match(client.text, /^HTTP\/1.1 400 /)
      }))
  }

  it.live("one with a body is a 400", () =>
    Effect.gen(function*() {
      const gateway = yield* start({ allow: ["*:*"] })
      for (const field of ["Content-Length: 5", "Transfer-Encoding: chunked"]) {
        const client = yield* gateway.connect
        client.send(`CONNECT a.test:1 HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`)
        yield* client.until("the end", ({ closed, ended }) => closed || ended)
        assert.match(client.text, /^HTTP\/1.1 400 /)
      }
    }))
})

describe("addresses", () => {
  const all: Record<string, boolean> = {
    "8.8.8.8": true,
    "1.1.1.1": true,
    "2606:4700::1111": true,
    "2001:4860:4860::8888": true,
    "0.0.0.0": false,
    "10.255.255.255": false,
    "100.64.0.1": false,
    "127.0.0.1": false,
    "127.255.255.255": false,
    "169.254.169.254": false,
    "172.16.0.1": false,
    "172.31.255.255": false,
    "172.32.0.1": true,
    "192.168.0.1": false,
    "198.18.0.1": false,
    "224.0.0.1": false,
    "240.0.0.1": false,
    "255.255.255.255": false,
    "::": false,
    "::1": false,
    "::ffff:8.8.8.8": false,
    "::7f00:1": false,
    "64:ff9b::7f00:1": false,
    "fc00::1": false,
    "fd00::1": false,
    "fe80::1": false,
    "fec0::1": false,
    "ff02::1": false,
    "2001::1": false,
    "2001:db8::1": false,
    "2002:7f00:1::": false,
    "not an address": false,
    "": false
  }
  for (const [address, expected] of Object.entries(all)) {
    it(`${JSON.stringify(address)} is ${expected ? "" : "not "}public`, () => {
      assert.strictEqual(isPublic(address), expected)
    })
  }

  it("of IPv6 are one however they are spelled", () => {
    assert.deepStrictEqual(authority("[2606:4700:0:0::1111]:443"), authority("[2606:4700::1111]:443"))
    assert.isTrue(pattern("[2606:4700:0::1111]:443")!.matches(authority("[2606:4700::1111]:443")!))
  })
})

describe("options that make no sense end the building of the layer, and are named", () => {
  const bad: ReadonlyArray<readonly [options: object, name: string]> = [
    [{ allow: [] }, "allow"],
    [{ allow: ["a.test"] }, "allow.0: "],
    [{ allow: ["a*.test:1"] }, "allow.0: "],
    [{ allow: ["*.127.0.0.1:1"] }, "allow.0: "],
    [{ allow: ["127.1:1"] }, "allow.0: "],
    [{ allow: ["https://a.test:1"] }, "allow.0: "],
    [{ allow: ["a:1"], ranges: ["10.0.0.0"] }, "ranges.0: "],
    [{ allow: ["a:1"], ranges: ["10.0.0.0/33"] }, "ranges.0: "],
    [{ allow: ["a:1"], idle: 0 }, "idle: "],
    [{ allow: ["a:1"], nonsense: 1 }, "nonsense: "]
  ]
  for (const [options, name] of bad) {
    it.effect(JSON.stringify(options), () =>
      Effect.gen(function*() {
        const group = yield* Group.make(`connect ${++groups}`, { pool: { maxConcurrent: 1 } })
        const exit = yield* Effect.exit(
          Layer.build(Connect.layer(createServer(), { group, ...options } as unknown as Connect.Options))
        )
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOptions.InvalidOptions)
        assert.include(defect.message, `Connect.layer: ${name}`)
      }))
  }
})
