import type { Completion } from "@blackgate/core/Command"
import { UpstreamError } from "@blackgate/http/UpstreamError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Net from "node:net"
import type { Authority } from "./authority.ts"
import { type End, type Ending, Joint } from "./Joint.ts"
import type { Cuttable, Tunnels } from "./Tunnels.ts"

/** Where a CONNECT may go, and how it gets there. */
export interface Routes {
  readonly resolve: (host: string) => Effect.Effect<ReadonlyArray<string>, unknown>
  readonly mayReach: (authority: Authority, address: string) => boolean
  /** In milliseconds. */
  readonly idle: number
  readonly tunnels: Tunnels
}

/** What becomes of a CONNECT: the connection is there, or it must not be. */
export type Dialed = Dial | "forbidden"

/**
 * One connection for a CONNECT. Its name is resolved once, and what comes of that is what is judged and connected to, so that no name
 * can mean one address when it is judged, and another when it is used.
 */
export class Dial implements Cuttable {
  private readonly call: Completion<Dialed, UpstreamError>
  private readonly authority: Authority
  private readonly routes: Routes
  private resolving: Fiber.Fiber<ReadonlyArray<string>, unknown> | undefined = undefined
  private socket: Net.Socket | undefined = undefined
  private joint: Joint | undefined = undefined
  private connected = false
  private over = false

  constructor(call: Completion<Dialed, UpstreamError>, authority: Authority, routes: Routes) {
    this.call = call
    this.authority = authority
    this.routes = routes
  }

  start(): void {
    const { authority: { host }, routes } = this
    routes.tunnels.add(this)
    const fiber = this.resolving = Effect.runFork(
      Net.isIP(host) === 0 ? Effect.suspend(() => routes.resolve(host)) : Effect.succeed([host])
    )
    fiber.addObserver((exit) => {
      this.resolving = undefined
      if (this.over) return
      if (exit._tag === "Failure") this.fail(exit.cause)
      else this.connect(exit.value)
    })
  }

  private connect(addresses: ReadonlyArray<string>): void {
    const { authority, routes } = this
    if (addresses.length === 0) return this.fail(new Error(`${authority.host} has no address`))
    // One that must not be reached makes the others suspect.
    if (!addresses.every((address) => routes.mayReach(authority, address))) return this.end(Exit.succeed("forbidden"))
    const found = addresses.map((address) => ({ address, family: Net.isIP(address) }))
    const socket = this.socket = Net.connect({
      ...authority,
      allowHalfOpen: true,
      noDelay: true,
      lookup: (_, { all }, callback) =>
        all === true ? callback(null, found) : callback(null, found[0]!.address, found[0]!.family)
    })
    socket.on("error", (cause) => {
      if (!this.connected) this.fail(cause)
    })
    socket.once("connect", () => {
      this.connected = true
      this.call.answer(this)
    })
  }

  /** Tells the client that it is connected, and makes a tunnel. */
  join(client: End, closed: () => void): void {
    if (this.over) return client.stream.destroy(), closed()
    const socket = this.socket!
    client.stream.write("HTTP/1.1 200 Connection Established\r\n\r\n")
    const joint = this.joint = new Joint(client, { stream: socket, socket }, this.routes.idle, (ending) => {
      this.ended(ending)
      closed()
    })
    joint.start()
  }

  private ended(ending: Ending): void {
    if (ending === "in order") this.end(Exit.succeed(this))
    else if (ending === "upstream") this.fail(this.socket?.errored ?? new Error("it broke off"))
    else this.cut()
  }

  stop(): void {
    if (this.over) return
    this.leave()
    this.resolving?.interruptUnsafe()
    if (this.joint === undefined) this.socket?.destroy()
    else this.joint.cut()
  }

  cut(): void {
    if (this.over) return
    this.stop()
    this.call.end(Exit.interrupt())
  }

  private fail(cause: unknown): void {
    const { host, port } = this.authority
    const origin = `${Net.isIPv6(host) ? `[${host}]` : host}:${port}`
    this.end(Exit.fail(new UpstreamError({ phase: this.connected ? "body" : "connect", origin, cause })))
  }

  private end(exit: Exit.Exit<Dialed, UpstreamError>): void {
    if (this.over) return
    this.leave()
    this.call.end(exit)
  }

  private leave(): void {
    this.over = true
    this.routes.tunnels.delete(this)
  }
}
