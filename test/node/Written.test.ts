import { Proxy } from "@blackgate/http"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { once } from "node:events"
import * as Http from "node:http"
import * as Net from "node:net"
import { pipeline, Readable } from "node:stream"
import { Written } from "../../packages/node/src/internal/Written.ts"
import { counted, digestOf, MiB } from "../harness/counted.ts"
import * as Gateway from "../harness/Gateway.ts"
import * as HttpUpstream from "../harness/HttpUpstream.ts"
import * as RawUpstream from "../harness/RawUpstream.ts"
import { response } from "../harness/RawUpstream.ts"

/** A connection whose other end reads nothing until it is told to. */
const connection = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = Net.createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const accepted = once(server, "connection") as Promise<[Net.Socket]>
    const socket = Net.connect((server.address() as Net.AddressInfo).port, "127.0.0.1")
    await once(socket, "connect")
    const [other] = await accepted
    return { server, socket, other }
  }),
  ({ other, server, socket }) =>
    Effect.sync(() => {
      socket.destroy()
      other.destroy()
      server.close()
    })
)

const isFreed = ({ byteLength }: Uint8Array): boolean => byteLength === 0

/** Writes parts for as long as the system takes them at once: the last one is under way. */
const fill = (socket: Net.Socket, written: Written): Uint8Array => {
  for (;;) {
    const part = new Uint8Array(MiB)
    written.add(part)
    socket.write(part)
    if (socket.writableLength > 0) return part
  }
}

describe("the memory of a part is given back when it is written", () => {
  it.live("not while it is under way", () =>
    Effect.gen(function*() {
      const { other, socket } = yield* connection
      const written = new Written(socket, () => 0)
      const part = fill(socket, written)
      written.add(new Uint8Array(1))
      assert.isFalse(isFreed(part))
      const drained = once(socket, "drain")
      other.resume()
      yield* Effect.promise(() => drained)
      assert.isTrue(isFreed(part))
    }))

  it.live("not while it waits to be written", () =>
    Effect.gen(function*() {
      const { socket } = yield* connection
      let waiting = 0
      const written = new Written(socket, () => waiting)
      const [first, second] = [new Uint8Array(10), new Uint8Array(20)]
      written.add(first)
      written.add(second)
      waiting = 20
      written.leave()
      assert.deepStrictEqual([first, second].map(isFreed), [true, false])
    }))

  it.live("never of a connection that broke off: nobody knows what of it still reads", () =>
    Effect.gen(function*() {
      const { socket } = yield* connection
      const written = new Written(socket, () => 0)
      const part = new Uint8Array(10)
      written.add(part)
      socket.destroy()
      written.leave()
      assert.isFalse(isFreed(part))
    }))

  it.live("never if there is more in that memory, or another thread has it too", () =>
    Effect.gen(function*() {
      const { socket } = yield* connection
      const written = new Written(socket, () => 0)
      const memory = new Uint8Array(100)
      const shared = new Uint8Array(new SharedArrayBuffer(10))
      written.add(memory.subarray(0, 50))
      written.add(shared)
      written.leave()
      assert.deepStrictEqual([memory.byteLength, shared.byteLength], [100, 10])
    }))

  it.live("never while somebody listens to undici, who is shown it", () =>
    Effect.gen(function*() {
      const { socket } = yield* connection
      const listener = () => {}
      subscribe("undici:request:bodyChunkSent", listener)
      const written = new Written(socket, () => 0)
      const part = new Uint8Array(10)
      written.add(part)
      written.leave()
      unsubscribe("undici:request:bodyChunkSent", listener)
      assert.isFalse(isFreed(part))
    }))

  it.live("no more than 64 are remembered, of an upstream that never keeps up", () =>
    Effect.gen(function*() {
      const { other, socket } = yield* connection
      const written = new Written(socket, () => 0)
      fill(socket, written)
      const parts = Array.from({ length: 100 }, () => new Uint8Array(10))
      for (const part of parts) written.add(part)
      const drained = once(socket, "drain")
      other.resume()
      yield* Effect.promise(() => drained)
      assert.strictEqual(parts.filter(isFreed).length, 64)
    }))

  it.live("it hears nothing of its connection any more when there are no more parts", () =>
    Effect.gen(function*() {
      const { socket } = yield* connection
      const before = socket.listenerCount("drain")
      new Written(socket, () => 0).leave()
      assert.strictEqual(socket.listenerCount("drain"), before)
    }))
})

const parsed: Array<{ readonly url: string; readonly part: Buffer }> = []
const { push } = Http.IncomingMessage.prototype
beforeAll(() => {
  Http.IncomingMessage.prototype.push = function(this: Http.IncomingMessage, part, encoding) {
    // What the upstream gets has passed the gateway.
    if (part !== null && this.url !== undefined && this.headers["via"] === undefined) {
      parsed.push({ url: this.url, part })
    }
    return push.call(this, part, encoding)
  }
})
afterAll(() => {
  Http.IncomingMessage.prototype.push = push
})

/** What Node's parser has made of the bodies of requests to the gateway with this path. */
const partsOf = (path: string): ReadonlyArray<Buffer> =>
  parsed.filter(({ url }) => url === path).map(({ part }) => part)

/** An upstream that sends each body back, or only says how long it was. */
const receiving = HttpUpstream.make((request, response) => {
  if (request.url!.startsWith("/echo")) return void pipeline(request, response, () => {})
  let bytes = 0
  request.on("data", (part: Buffer) => {
    bytes += part.length
    if (!request.url!.startsWith("/slowly")) return
    request.pause()
    setImmediate(() => request.resume())
  })
  request.on("end", () => response.end(String(bytes)))
})

const gatewayTo = (upstream: string) => Gateway.withRoutes((group) => Proxy.route("/*", { group, upstream }))

interface Upload {
  readonly path: string
  readonly bytes: number
  readonly from?: number
  /** In chunks, where it has no length. */
  readonly length?: boolean
  readonly breaksOff?: boolean
}

/** Sends a body, and answers what came back: a short one as it is, a long one by its digest. */
const upload = (port: number, { breaksOff = false, bytes, from = 0, length = false, path }: Upload) =>
  Effect.callback<string>((resume) => {
    const request = Http.request({
      port,
      host: "127.0.0.1",
      path,
      method: "POST",
      agent: false,
      headers: length ? { "content-length": bytes } : {}
    }, (response) => {
      const hash = createHash("sha256")
      let seen = 0
      let text = ""
      response.on("data", (part: Buffer) => {
        hash.update(part)
        seen += part.length
        if (seen < 1000) text += part.toString()
        if (breaksOff && seen > MiB) request.destroy()
      })
      response.on("end", () => resume(Effect.succeed(seen < 1000 ? text : hash.digest("hex"))))
      response.on("error", () => resume(Effect.succeed("broken off")))
    })
    request.on("error", () => resume(Effect.succeed("broken off")))
    pipeline(Readable.from(counted(from, bytes)), request, () => {})
  })

describe("12. the parts of a request body are given back as they are written", { timeout: 60_000 }, () => {
  for (const path of ["/quickly", "/slowly", "/echo"]) {
    for (const length of [true, false]) {
      const named = `${path}?length=${length}`
      it.live(`${path}, ${length ? "with a length" : "in chunks"}`, () =>
        Effect.gen(function*() {
          const gateway = yield* gatewayTo(yield* receiving)
          const bytes = 16 * MiB
          const got = yield* upload(gateway.port, { path: named, bytes, length })
          assert.strictEqual(got, path === "/echo" ? digestOf(0, bytes) : String(bytes))
          yield* gateway.quiet
          const parts = partsOf(named)
          assert.isAbove(parts.length, 100)
          // Those that were under way when the body ended are the garbage collector's.
          assert.isBelow(parts.filter((part) => !isFreed(part)).length, parts.length / 4)
        }))
    }
  }

  it.live("bodies of many clients keep apart, those that break off among them", () =>
    Effect.gen(function*() {
      const gateway = yield* gatewayTo(yield* receiving)
      const bytes = 8 * MiB
      const clients = Array.from({ length: 12 }, (_, i) => i)
      const digests = yield* Effect.forEach(
        clients,
        (from) =>
          upload(gateway.port, { path: "/echo", bytes, from, length: from % 2 === 0, breaksOff: from % 3 === 2 }),
        { concurrency: "unbounded" }
      )
      for (const from of clients) {
        assert.strictEqual(digests[from], from % 3 === 2 ? "broken off" : digestOf(from, bytes), `client ${from}`)
      }
      yield* gateway.quiet
    }))

  it.live("not if somebody else sees the body", () =>
    Effect.gen(function*() {
      const seen: Array<Buffer> = []
      const upstream = yield* receiving
      const gateway = yield* Gateway.withRoutes((group) => Proxy.route("/*", { group, upstream }), {
        server: () => Http.createServer((request) => request.on("data", (part: Buffer) => seen.push(part)).pause())
      })
      const bytes = 4 * MiB
      assert.strictEqual(yield* upload(gateway.port, { path: "/quickly", bytes }), String(bytes))
      assert.strictEqual(Buffer.concat(seen).length, bytes)
    }))
})

const post = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: ${length}\r\n\r\n${"x".repeat(length)}`

describe("a body that was sent as a whole is given back when there is an answer", () => {
  it.live("when it is written to the client", () =>
    Effect.gen(function*() {
      const upstream = yield* RawUpstream.answering(({ body }) => response(`${body.length} bytes`))
      const gateway = yield* Gateway.withRoutes((group) => Proxy.route("/*", { group, upstream: upstream.url }))
      const client = yield* gateway.connect
      for (let i = 0; i < 10; i++) {
        client.send(post("/whole", 10_000))
        assert.strictEqual((yield* client.message()).body.toString(), "10000 bytes")
      }
      const parts = partsOf("/whole")
      assert.isAtLeast(parts.length, 10)
      assert.deepStrictEqual(parts.filter((part) => !isFreed(part)), [])
    }))
})
