import type { HeaderList } from "@blackgate/http/HeaderList"
import type * as Net from "node:net"
import { type buildConnector, Client, type Dispatcher } from "undici"
import { Interim } from "./Interim.ts"

/** What is carried over a lane, and has to know it. */
export interface Cargo {
  lane: Lane | undefined
}

/** undici hands options on as they are. */
export interface DispatchOptions extends Dispatcher.DispatchOptions {
  readonly cargo?: Cargo
  readonly servername?: string
}

/** What undici writes behind a body in chunks. */
const lastChunk = "\r\n0\r\n\r\n"

/**
 * One place of a pool: an undici client, which has one connection at a time, and one exchange on it.
 *
 * undici lets its user make the connection. Here that is used to stand between the two, for what undici does not do: an interim
 * response with the status 100 makes it destroy the connection, trailers of a request are lost, and it does not tell whether an
 * exchange has met a connection that was there before.
 */
export class Lane extends Client {
  /** Whether the connection was there before the exchange that is on it now. */
  isUsed = false
  /** Whether anything has come since that began. */
  hasHeard = false
  /** What its connection breaks off with, for as long as undici is told of it. */
  reset: Error | undefined = undefined
  /** Its connection. */
  socket: Net.Socket | undefined = undefined
  private write: Net.Socket["write"] | undefined = undefined
  private readonly interim = new Interim()
  private first: Buffer | undefined = undefined
  private exchanges = 0
  private trails = false

  constructor(origin: URL, options: Client.Options & { readonly connect: buildConnector.connector }) {
    const { connect } = options
    super(origin, {
      ...options,
      connect: (to, callback) =>
        connect(to, (...result) => {
          if (result[0] === null) this.attach(result[1])
          callback(...result)
        })
    })
  }

  override dispatch(options: DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (options.cargo !== undefined) options.cargo.lane = this
    return super.dispatch(options, handler)
  }

  /** An exchange begins: undici is about to write its head. */
  begin(trailers: (() => HeaderList) | undefined): void {
    this.isUsed = this.exchanges++ > 0
    this.hasHeard = false
    this.first = undefined
    this.interim.expect()
    if (trailers !== undefined || this.trails) this.trail(trailers)
  }

  /** The first chunk that has come since then, if no other one has: once, for it is not to be kept in memory. */
  takeFirst(): Buffer | undefined {
    const { first } = this
    this.first = undefined
    return first
  }

  // A body is written in buffers, so a string that is the last chunk is undici's own.
  private trail(trailers: (() => HeaderList) | undefined): void {
    const { socket, write } = this
    if (socket === undefined || write === undefined) return
    this.trails = trailers !== undefined
    if (trailers === undefined) {
      socket.write = write
      return
    }
    const hooked = (data: string | Uint8Array, ...rest: ReadonlyArray<never>): boolean =>
      data === lastChunk
        ? write.call(socket, `\r\n0\r\n${linesOf(trailers())}\r\n`, "latin1")
        : write.call(socket, data, ...rest)
    socket.write = hooked as typeof socket.write
  }

  private attach(socket: Net.Socket): void {
    this.socket = socket
    this.write = socket.write
    this.exchanges = 0
    this.trails = false
    // To undici a reset is the end of a body that has no other end than that of its connection, as macOS resets connections that have
    // ended in order. So half of a body would look like all of it (RFC 9112, section 8). Its listener is called in this same turn.
    socket.on("error", (error) => {
      this.reset = error
      queueMicrotask(() => this.reset = undefined)
    })
    const { interim } = this
    interim.reset()
    const read = socket.read
    socket.read = (size?: number) => {
      if (size === 0) return read.call(socket, size)
      const rest = interim.rest()
      if (rest !== undefined) {
        this.first = undefined
        return rest
      }
      const chunk: Buffer | null = read.call(socket, size)
      if (chunk === null) return null
      const passed = interim.isExpected ? interim.filter(chunk) : chunk
      this.first = this.hasHeard || passed === null ? undefined : passed
      this.hasHeard = true
      return passed
    }
  }
}

const linesOf = (fields: HeaderList): string => {
  let lines = ""
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`
  return lines
}
