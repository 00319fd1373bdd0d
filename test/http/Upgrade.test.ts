import { Group, InvalidOptions } from "@blackgate/core"
import { Proxy, Transport, Upgrade } from "@blackgate/http"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger } from "effect"
import { Headers, HttpServerResponse } from "effect/http"
import { router, Seen, target } from "./requests.ts"

const upgradeTo = (upgrade: string, connection = "Upgrade") =>
  target("/").modify({ headers: Headers.fromInput({ connection, upgrade, host: "gateway.test" }) })

describe("26. a transport that can't make tunnels", () => {
  const start = Effect.gen(function*() {
    const seen = new Seen()
    const group = yield* Group.make("upgrade", { pool: { maxConcurrent: 1 } })
    const ask = yield* router(
      Proxy.route("/*", { group, upstream: "http://intra.test" }).pipe(
        Layer.provide(Transport.layerMemory((request) =>
          Effect.sync(() => {
            seen.see(request)
            return HttpServerResponse.text("plain")
          })
        ))
      )
    )
    return { ask, seen }
  })

  it.effect("answers a request for a WebSocket with a 501, and says why in the log", () =>
    Effect.gen(function*() {
      const logs: Array<unknown> = []
      const { ask, seen } = yield* start
      const { status } = yield* ask(upgradeTo("websocket")).pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(message))]))
      )
      assert.strictEqual(status, 501)
      assert.strictEqual(seen.requests.length, 0)
      assert.include(JSON.stringify(logs), "Tunnel.accept")
    }))

  for (
    const [upgrade, connection] of [["h2c", "Upgrade"], ["foo", "Upgrade"], ["TLS/1.2", "Upgrade"], [
      "websocket",
      "keep-alive"
    ]] as const
  ) {
    it.effect(`takes ${upgrade}, with Connection: ${connection}, for a plain request`, () =>
      Effect.gen(function*() {
        const { ask, seen } = yield* start
        assert.strictEqual((yield* ask(upgradeTo(upgrade, connection))).status, 200)
        assert.deepStrictEqual(seen.last!.headers.filter((part) => /upgrade/i.test(part)), [])
      }))
  }
})

describe("26. of an Upgrade field", () => {
  const fields: ReadonlyArray<readonly [field: string | undefined, passes: string | undefined]> = [
    [undefined, undefined],
    ["", undefined],
    ["websocket", "websocket"],
    ["WebSocket", "WebSocket"],
    ["foo/1.0, bar", "foo/1.0, bar"],
    ["h2c", undefined],
    ["H2C", undefined],
    ["h2", undefined],
    ["websocket, h2c", "websocket"],
    ["h2c,websocket", "websocket"],
    ["HTTP/2.0", undefined],
    ["http", undefined],
    ["TLS/1.2, HTTP/1.1", undefined],
    ["a b", undefined],
    ["a\tb, c", "c"],
    [",,", undefined]
  ]
  for (const [field, passes] of fields) {
    it(`${JSON.stringify(field)}, ${passes === undefined ? "nothing" : JSON.stringify(passes)} may go to an upstream`, () => {
      assert.strictEqual(Upgrade.protocols(field), passes)
    })
  }
})

describe("options that make no sense end the building of the layer, and are named", () => {
  const bad: ReadonlyArray<readonly [upgrade: unknown, name: string]> = [
    ["yes", "upgrade: "],
    [{ group: "sockets" }, "upgrade.group: "],
    [{ idle: 0 }, "upgrade.idle: "],
    [{ total: "never" }, "upgrade.total: "],
    [{ origins: "some" }, "upgrade.origins"],
    [{ origins: ["app.test"] }, "upgrade.origins"],
    [{ origins: ["https://app.test/"] }, "upgrade.origins"],
    [{ origins: ["https://APP.test"] }, "upgrade.origins"],
    [{ protocols: ["websocket"] }, "upgrade.protocols: "]
  ]
  for (const [upgrade, name] of bad) {
    it.effect(JSON.stringify(upgrade), () =>
      Effect.gen(function*() {
        const group = yield* Group.make("upgrade", { pool: { maxConcurrent: 1 } })
        const options = { group, upstream: "http://intra.test", upgrade } as unknown as Proxy.Options
        const transport = Transport.layerMemory(() => Effect.succeed(HttpServerResponse.empty()))
        const exit = yield* Effect.exit(router(Proxy.route("/a/*", options).pipe(Layer.provide(transport))))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOptions.InvalidOptions)
        assert.include(defect.message, name)
      }))
  }
})
