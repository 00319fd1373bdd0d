import * as Net from "node:net"
import type * as Tls from "node:tls"
import { Connection } from "./Connection.ts"
import { preface } from "./Sessions.ts"
import { distrust, handshakeFailure } from "./tls.ts"

export interface ArrivalsOptions {
  readonly http2: boolean
  readonly maxConnections: number
}

/** Connections as they come: each is made TLS, if that is wanted, and goes to whoever speaks what it speaks. */
export class Arrivals {
  readonly front: Net.Server
  readonly connections = new Set<Connection>()
  private options: ArrivalsOptions
  private readonly log: (line: string) => void
  private readonly begin1: (connection: Connection) => void
  private readonly begin2: (connection: Connection) => void
  tls: Tls.Server | undefined = undefined
  private dropped = false

  constructor(
    options: ArrivalsOptions,
    log: (line: string) => void,
    begin1: (connection: Connection) => void,
    begin2: (connection: Connection) => void
  ) {
    this.options = options
    this.log = log
    this.begin1 = begin1
    this.begin2 = begin2
    this.front = Net.createServer({ noDelay: true, allowHalfOpen: true }, this.onConnection)
    this.change(options)
    this.front.on("drop", (client) => {
      // Each would be a line of its own, from whoever opens too many: one tells it until there is room again.
      if (!this.dropped) {
        log(`${client?.remoteAddress}:${client?.remotePort} is refused: there are too many connections`)
      }
      this.dropped = true
    })
    this.front.on("secureConnection", this.onConnection)
  }

  private readonly onConnection = (socket: Net.Socket): void => {
    const known = Connection.of(socket)
    // One that was given away to become a tunnel, and did not.
    if (known !== undefined) return this.begin1(known)
    const connection = new Connection(socket, performance.now(), this.log)
    this.connections.add(connection)
    socket.once("close", () => {
      this.connections.delete(connection)
      this.dropped = false
    })
    if (this.tls === undefined) this.sniff(connection)
    else this.tls.emit("connection", socket)
  }

  /** Other limits, for the connections to come. */
  change(options: ArrivalsOptions): void {
    this.options = options
    this.front.maxConnections = options.maxConnections
  }

  /** Makes TLS of new connections from now on, or does not. */
  use(tls: Tls.Server | undefined): void {
    const isKnown = tls === this.tls
    this.tls = tls
    if (tls === undefined || isKnown) return
    tls.on("secureConnection", (socket) => {
      const connection = beneath(socket)
      if (connection === undefined) return socket.destroy()
      connection.speaksOn(socket)
      const untrusted = distrust(socket)
      if (untrusted !== undefined) {
        connection.tell(untrusted)
        return socket.destroy()
      }
      if (socket.alpnProtocol !== "h2") return this.sniff(connection)
      connection.phase = "heard"
      this.begin2(connection)
    })
    tls.on("tlsClientError", (error, socket) => {
      const reason = handshakeFailure(error, socket)
      if (reason !== undefined) beneath(socket)?.tell(reason)
      socket.destroy()
    })
  }

  /** Waits for the first bytes, which say what is spoken. Over TLS, that is HTTP/1 by now. */
  private sniff(connection: Connection): void {
    const { socket } = connection
    const may2 = this.options.http2 && !("encrypted" in socket)
    connection.phase = "silent"
    let bytes: Buffer = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const is2 = may2 && bytes.subarray(0, preface.length).equals(preface.subarray(0, bytes.length))
      if (is2 && bytes.length < preface.length) return
      socket.off("data", onData).off("end", onEnd).pause()
      socket.unshift(bytes)
      connection.phase = "heard"
      if (is2) this.begin2(connection)
      else this.begin1(connection)
    }
    const onEnd = () => socket.end()
    socket.on("data", onData).on("end", onEnd)
  }
}

// Node keeps what a TLS connection is over where only it looks.
const beneath = (socket: Tls.TLSSocket): Connection | undefined => {
  const { _parent: parent } = socket as { readonly _parent?: Net.Socket }
  return parent && Connection.of(parent)
}
