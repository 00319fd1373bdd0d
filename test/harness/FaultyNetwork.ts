import { Effect, Fiber } from "effect"
import * as Net from "node:net"
import { type Blow, type Direction, type Fault, none } from "./Fault.ts"

/** The way of one connection: `near` is the end of the one that connected, `far` that of the one it wants. */
interface Way {
  readonly near: Net.Socket
  readonly far: Net.Socket
  readonly fibers: Array<Fiber.Fiber<unknown, unknown>>
  /** Nothing passes any more, in this direction or in both. */
  struck: boolean
  /** What the one that connected did: it has said that it is done, or it is gone. */
  left: boolean
}

/**
 * A TCP proxy in front of a port, whose faults are switched while it runs. It knows nothing of HTTP but where a head ends.
 *
 * Bytes, FINs and RSTs pass as they come, with backpressure, until the fault of the moment says otherwise. What a connection has
 * suffered is not undone by a switch; the positions of a fault are counted from the switch, or from where the connection began.
 */
export class FaultyNetwork {
  port = 0
  /** How many connections there ever were. */
  connections = 0
  private fault: Fault = none
  private readonly ways = new Set<Way>()
  private readonly target: number
  private readonly server = Net.createServer({ allowHalfOpen: true }, (near) => this.pass(near))

  constructor(target: number) {
    this.target = target
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** How many connections there are of which the one that connected has let go of nothing. */
  get open(): number {
    return Array.from(this.ways).filter(({ left }) => !left).length
  }

  /** From now on this is wrong. What was frozen is read again. */
  readonly set = (fault: Fault): Effect.Effect<void> =>
    Effect.sync(() => {
      this.fault = fault
      for (const { near, struck } of this.ways) if (struck) near.resume()
    })

  readonly start = Effect.callback<void, Error>((resume) => {
    this.server.once("error", (error) => resume(Effect.fail(error)))
    this.server.listen(0, "127.0.0.1", () => {
      this.port = (this.server.address() as Net.AddressInfo).port
      resume(Effect.void)
    })
  }).pipe(Effect.orDie)

  readonly stop = Effect.suspend(() => {
    const ways = Array.from(this.ways)
    for (const { far, near } of ways) {
      near.destroy()
      far.destroy()
    }
    return Effect.andThen(
      Fiber.interruptAll(ways.flatMap(({ fibers }) => fibers)),
      Effect.callback<void>((resume) => void this.server.close(() => resume(Effect.void)))
    )
  })

  private pass(near: Net.Socket): void {
    const far = Net.connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true })
    const way: Way = { near, far, fibers: [], struck: false, left: false }
    this.connections++
    this.ways.add(way)
    for (const [one, other] of [[near, far], [far, near]] as const) {
      one.setNoDelay(true)
      one.on("error", () => {})
      one.once("close", (byError) => {
        if (one === near) way.left = true
        if (one === far && way.struck) return
        // A socket that is still connecting has nobody to be reset for.
        if (byError && !other.connecting) other.resetAndDestroy()
        else other.destroySoon()
      })
    }
    near.once("end", () => way.left = true)
    near.once("close", () => this.ways.delete(way))
    if (this.fault._tag === "AtConnect") return strike(way, this.fault.blow)
    way.fibers.push(
      Effect.runFork(this.pump(way, "request", near, far)),
      Effect.runFork(this.pump(way, "response", far, near))
    )
  }

  private pump(way: Way, direction: Direction, from: Net.Socket, to: Net.Socket): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let seen = Buffer.alloc(0)
      let since = this.fault
      for (;;) {
        const chunk = yield* read(from)
        if (way.struck) return
        if (chunk === "end") return void to.end()
        if (chunk === "gone") return
        const { fault } = this
        if (fault !== since) seen = Buffer.alloc(0)
        since = fault
        const passed = seen.length
        if (fault._tag === "None" || fault._tag === "AtConnect" || fault.direction !== direction) {
          yield* write(to, chunk)
          continue
        }
        seen = Buffer.concat([seen, chunk])
        if (fault._tag === "Slow") {
          const slow = Math.max(0, Math.min(chunk.length, fault.from - passed))
          yield* write(to, chunk.subarray(0, slow))
          for (let at = slow; at < chunk.length; at += fault.bytes) {
            yield* Effect.sleep(fault.every)
            yield* write(to, chunk.subarray(at, at + fault.bytes))
          }
        } else {
          const point = fault.at(seen)
          if (point === undefined) yield* write(to, chunk)
          else {
            yield* write(to, chunk.subarray(0, Math.max(0, point - passed)))
            yield* fault.when
            return strike(way, fault.blow)
          }
        }
      }
    })
  }
}

const strike = (way: Way, blow: Blow): void => {
  const { far, near } = way
  if (blow._tag === "HalfClose") return void near.end()
  way.struck = true
  if (blow._tag === "Reset") {
    near.resetAndDestroy()
    return void (far.connecting ? far.destroy() : far.resetAndDestroy())
  }
  if (blow._tag === "Close") near.destroySoon()
  if (blow._tag === "Garbage") near.write(Buffer.from(blow.bytes, "latin1"))
  // It is read for the sake of its end.
  if (blow._tag !== "Freeze") near.resume()
  far.destroy()
}

/** What comes next; `end` after a FIN, `gone` if there is no connection any more. */
const read = (socket: Net.Socket) =>
  Effect.callback<Buffer | "end" | "gone">((resume) => {
    const stop = () => socket.off("readable", look).off("end", look).off("close", look)
    const look = () => {
      const chunk = socket.read() as Buffer | null
      const found = chunk ?? (socket.readableEnded ? "end" : socket.destroyed ? "gone" : undefined)
      if (found === undefined) return
      stop()
      resume(Effect.succeed(found))
    }
    socket.on("readable", look).on("end", look).on("close", look)
    look()
    return Effect.sync(stop)
  })

/** Waits while the other end takes no more. */
const write = (socket: Net.Socket, bytes: Uint8Array) =>
  Effect.callback<void>((resume) => {
    if (bytes.length === 0 || socket.destroyed || !socket.writable || socket.write(bytes)) return resume(Effect.void)
    const stop = () => socket.off("drain", done).off("close", done)
    const done = () => {
      stop()
      resume(Effect.void)
    }
    socket.on("drain", done).on("close", done)
    return Effect.sync(stop)
  })

/** A network in front of a port of this machine. It is gone with the scope. */
export const make = (target: number) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const network = new FaultyNetwork(target)
      return Effect.as(network.start, network)
    }),
    (network) => network.stop
  )
