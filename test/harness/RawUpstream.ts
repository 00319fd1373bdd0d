import { Effect, Fiber, Schedule } from "effect"
import * as Net from "node:net"
import { eventually } from "./eventually.ts"
import { type HttpMessage } from "./HttpMessage.ts"
import { Wire } from "./Wire.ts"

/** What an upstream does with each connection. */
export type Script = (wire: Wire, upstream: RawUpstream) => Effect.Effect<unknown, unknown>

/** A server that does byte for byte what its script says. */
export class RawUpstream {
  port = 0
  /** Every connection that there ever was. */
  readonly wires: Array<Wire> = []
  /** The most that were open at one instant. */
  mostOpen = 0
  private readonly script: Script
  private readonly fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  private server: Net.Server | undefined = undefined

  constructor(script: Script) {
    this.script = script
  }

  get open(): number {
    return this.wires.filter(({ closed }) => !closed).length
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** The connection with that number, as soon as there is one. */
  wire(index: number): Effect.Effect<Wire> {
    return eventually(
      `connection ${index} at the upstream`,
      () => this.wires[index],
      () => `${this.wires.length} of them`
    )
  }

  /** Listens: on the port it had before, if it had one. */
  readonly start: Effect.Effect<void> = Effect.callback<void, NodeJS.ErrnoException>((resume) => {
    const server = this.server = Net.createServer({ allowHalfOpen: true }, (socket) => {
      const wire = new Wire(socket)
      this.wires.push(wire)
      this.mostOpen = Math.max(this.mostOpen, this.open)
      this.fibers.push(Effect.runFork(this.script(wire, this)))
    })
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(this.port, "127.0.0.1", () => {
      this.port = (server.address() as Net.AddressInfo).port
      resume(Effect.void)
    })
  }).pipe(
    // While it was gone, someone's outgoing connection may have been given its port, for as long as that lasts.
    Effect.retry({ while: ({ code }) => code === "EADDRINUSE", schedule: Schedule.spaced("20 millis"), times: 500 }),
    Effect.orDie
  )

  /** Is gone, and every connection with it, by a reset. */
  readonly kill: Effect.Effect<void> = Effect.suspend(() => {
    const fibers = this.fibers.splice(0)
    const { server } = this
    this.server = undefined
    return Effect.andThen(
      Fiber.interruptAll(fibers),
      Effect.callback<void>((resume) => {
        if (server === undefined) return resume(Effect.void)
        server.close(() => resume(Effect.void))
        for (const wire of this.wires) wire.reset()
      })
    )
  })
}

/** An upstream that is killed with the scope. */
export const make = (script: Script) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const upstream = new RawUpstream(script)
      return Effect.as(upstream.start, upstream)
    }),
    (upstream) => upstream.kill
  )

/** Answers every request that comes, one after the other, on connections that stay open. What was asked is kept in `seen`. */
export const answering = (
  answer: (request: HttpMessage, wire: Wire) => string | Uint8Array | Effect.Effect<string | Uint8Array>,
  seen: Array<HttpMessage> = []
) =>
  make((wire) =>
    Effect.gen(function*() {
      for (;;) {
        yield* eventuallyAsked(wire)
        if (wire.received.length === 0) return
        const request = yield* wire.message()
        seen.push(request)
        const response = answer(request, wire)
        wire.send(Effect.isEffect(response) ? yield* response : response)
      }
    })
  )

// A connection may be idle for as long as it likes.
const eventuallyAsked = (wire: Wire) =>
  Effect.callback<void>((resume) => {
    const { socket } = wire
    const stop = () => socket.off("data", done).off("end", done).off("close", done)
    const done = () => {
      stop()
      resume(Effect.void)
    }
    if (wire.received.length > 0 || wire.closed || wire.ended) return resume(Effect.void)
    socket.on("data", done).on("end", done).on("close", done)
    return Effect.sync(stop)
  })

/** A response with a length. */
export const response = (body: string, ...fields: ReadonlyArray<string>): string =>
  ["HTTP/1.1 200 OK", ...fields, `Content-Length: ${body.length}`, "", body].join("\r\n")

/** A port where nobody listens. */
export const deadPort = Effect.gen(function*() {
  const upstream = new RawUpstream(() => Effect.void)
  yield* upstream.start
  yield* upstream.kill
  return upstream.port
})
