import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { type AddressInfo, connect, createServer } from "node:net"
import { eventually, eventuallyEqual } from "../harness/eventually.ts"
import { ask, echo } from "./ask.ts"
import { isRunning, printed, start, startProxyServer } from "./process.ts"

// More of them than any of the tests needs.
const enough = 50_000

/** A few clients who ask again as soon as they are answered, until told to stop; and what they were answered. */
const load = (url: string) =>
  Effect.gen(function*() {
    const statuses: Array<number> = []
    const stop = yield* Deferred.make<void>()
    const client = Effect.whileLoop({
      while: () => !Deferred.isDoneUnsafe(stop) && statuses.length < enough,
      body: () => ask(url),
      step: ({ status }) => statuses.push(status)
    })
    const fiber = yield* Effect.forkChild(Effect.all([client, client, client, client], { concurrency: "unbounded" }))
    return { statuses, stop: Effect.andThen(Deferred.succeed(stop, undefined), Fiber.join(fiber)) }
  })

/** The upstream once more. While it was gone, someone's outgoing connection may have been given its port, for as long as that lasts. */
const startAgain = Effect.fnUntraced(function*(port: string) {
  for (let attempt = 1; attempt <= 10; attempt++) {
    const upstream = yield* start("upstream.ts", { UPSTREAM_PORT: port })
    const [said] = yield* printed(upstream, /(http:|EADDRINUSE)/)
    if (said === "http:") return
  }
  return yield* Effect.die(new Error(`the port ${port} stayed in use`))
})

// One after the other: each has processes of its own, and a machine has few cores.
describe("proxy-server", { concurrent: false }, () => {
  it.live(
    "lives on when its upstream is killed under load, and recovers by itself when that is back",
    () =>
      Effect.gen(function*() {
        const gateway = yield* startProxyServer
        const { statuses, stop } = yield* load(`${gateway.origin}/api/v1/users/1`)
        const since = (from: number, status: number) => statuses.slice(from).filter((one) => one === status).length

        yield* eventually("answers under load", () => since(0, 200) >= 20)
        process.kill(gateway.upstream.pid, "SIGKILL")
        const killed = statuses.length
        yield* eventually("a 502", () => since(killed, 502) >= 20)

        yield* startAgain(gateway.upstream.port)
        const back = statuses.length
        yield* eventually("answers again", () => since(back, 200) >= 20)
        yield* stop
        assert.sameMembers([...new Set([...statuses, 503])], [200, 502, 503])

        // For good: none of those who come now is refused.
        const after = yield* Effect.forEach(
          Array.from({ length: 20 }),
          () => ask(`${gateway.origin}/api/v1/users/1`),
          { concurrency: 4 }
        )
        assert.deepStrictEqual(new Set(after.map(({ status }) => status)), new Set([200]))
        assert.isTrue(isRunning(gateway.pid))
      }),
    60_000
  )

  it.live("on SIGTERM ends what is under way, then itself, in order, and its upstream", () =>
    Effect.gen(function*() {
      const gateway = yield* startProxyServer
      const exchange = yield* echo(`${gateway.origin}/api/v1/echo`)
      exchange.request.write("one, ")
      yield* eventually("the first bytes back", () => exchange.received === 5, exchange.state)

      yield* gateway.signal("SIGTERM")
      yield* eventuallyEqual("the end of the listener", false, isListening(gateway.origin))
      exchange.request.end("two")
      yield* eventually("the rest of them", () => exchange.ended, exchange.state)
      assert.strictEqual(String(exchange.body), "one, two")

      assert.strictEqual(yield* gateway.ended, 0)
      yield* eventually("the end of the upstream", () => !isRunning(gateway.upstream.pid))
    }), 60_000)

  it.live("leaves no upstream behind when it is killed", () =>
    Effect.gen(function*() {
      const gateway = yield* startProxyServer
      yield* gateway.signal("SIGKILL")
      assert.strictEqual(yield* gateway.ended, "SIGKILL")
      yield* eventually("the end of the upstream", () => !isRunning(gateway.upstream.pid))
    }), 60_000)

  it.live("names the port that is in use, and fails", () =>
    Effect.gen(function*() {
      const port = yield* listener
      const gateway = yield* start("proxy-server.ts", { PORT: String(port), UPSTREAM_PORT: "0" })
      // Its upstream writes to the same streams: both are over.
      assert.notStrictEqual(yield* gateway.ended, 0)
      assert.include(gateway.output(), String(port))
      assert.notInclude(gateway.output(), "listens on")
    }), 60_000)
})

/** A port that someone else listens on. */
const listener = Effect.acquireRelease(
  Effect.callback<ReturnType<typeof createServer>>((resume) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Exit.void))
    })
).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

const isListening = (origin: string) =>
  Effect.callback<boolean>((resume) => {
    const answer = (listening: boolean) => {
      socket.destroy()
      resume(Effect.succeed(listening))
    }
    const socket = connect(Number(new URL(origin).port), "127.0.0.1")
    socket.once("connect", () => answer(true)).once("error", () => answer(false))
  })
