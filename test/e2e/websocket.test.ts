import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"
import * as Gateway from "../harness/Gateway.ts"

/** A server that says back what it hears. */
const echo = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = new WebSocketServer({
      host: "127.0.0.1",
      port: 0,
      perMessageDeflate: { threshold: 0 },
      handleProtocols: (protocols) => protocols.has("echo") ? "echo" : false,
      verifyClient: ({ req }: { readonly req: IncomingMessage }) => req.url !== "/refused"
    })
    server.on("connection", (socket) => {
      socket.on("message", (data, isBinary) => {
        if (String(data) === "close") socket.close(4001, "as you wish")
        else socket.send(data, { binary: isBinary })
      })
    })
    server.on("headers", (headers) => headers.push("X-Served-By: echo"))
    await once(server, "listening")
    return server
  }),
  (server) =>
    Effect.promise(async () => {
      for (const socket of server.clients) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    })
)

const start = Effect.gen(function*() {
  const server = yield* echo
  const gateway = yield* Gateway.start({ upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  const open = (path = "/chat") =>
    Effect.acquireRelease(
      Effect.sync(() => new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, ["other", "echo"])),
      (client) => Effect.sync(() => client.terminate())
    )
  return { server, gateway, open }
})

describe("26. real WebSockets through the gateway", { timeout: 60_000 }, () => {
  it.live("10,000 messages come back, in order, compressed, text and binary", () =>
    Effect.gen(function*() {
      const { gateway, open } = yield* start
      const client = yield* open()
      const heads: Array<string | ReadonlyArray<string> | undefined> = []
      client.on("upgrade", ({ headers }) => heads.push(headers["x-served-by"]))
      yield* Effect.promise(() => once(client, "open"))
      assert.strictEqual(client.protocol, "echo")
      assert.include(client.extensions, "permessage-deflate")
      assert.deepStrictEqual(heads, ["echo"])
      const count = 10_000
      const text = (i: number) => `${i} `.repeat(1 + i % 50)
      const back = yield* Effect.promise(() =>
        new Promise<Array<string>>((resolve) => {
          const got: Array<string> = []
          client.on("message", (data, isBinary) => {
            got.push(`${isBinary ? "binary" : "text"} ${String(data)}`)
            if (got.length === count) resolve(got)
          })
          for (let i = 0; i < count; i++) client.send(i % 2 === 0 ? text(i) : Buffer.from(text(i)))
        })
      )
      for (let i = 0; i < count; i++) assert.strictEqual(back[i], `${i % 2 === 0 ? "text" : "binary"} ${text(i)}`)
      client.close(1000)
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 1 })
    }))

  it.live("pings are answered from the other end, and close codes arrive, both ways", () =>
    Effect.gen(function*() {
      const { gateway, open, server } = yield* start
      const client = yield* open()
      yield* Effect.promise(() => once(client, "open"))
      client.ping("are you there?")
      const [pong] = yield* Effect.promise(() => once(client, "pong"))
      assert.strictEqual(String(pong), "are you there?")
      client.send("close")
      const [code, reason] = yield* Effect.promise(() => once(client, "close"))
      assert.deepStrictEqual([code, String(reason)], [4001, "as you wish"])

      const other = yield* open()
      yield* Effect.promise(() => once(other, "open"))
      const [socket] = server.clients
      other.close(4002, "good night")
      const [said, why] = yield* Effect.promise(() => once(socket!, "close"))
      assert.deepStrictEqual([said, String(why)], [4002, "good night"])
      yield* gateway.quiet
      assert.deepStrictEqual(yield* gateway.outcomes(), { success: 2 })
    }))

  it.live("a refused one gets the server's answer", () =>
    Effect.gen(function*() {
      const { gateway, open } = yield* start
      const client = yield* open("/refused")
      client.on("error", () => {})
      const [, response] = yield* Effect.promise(() => once(client, "unexpected-response"))
      assert.strictEqual(response.statusCode, 401)
      response.resume()
      yield* gateway.quiet
    }))

  it.live("a message of 16 MiB comes back whole", () =>
    Effect.gen(function*() {
      const { open } = yield* start
      const client = yield* open()
      yield* Effect.promise(() => once(client, "open"))
      const message = Buffer.alloc(16 * 1024 * 1024, "0123456789")
      client.send(message, { compress: false })
      const [back] = yield* Effect.promise(() => once(client, "message"))
      assert.isTrue(message.equals(back as Buffer))
    }))
})
