/**
 * The memory of a request body, given back as soon as it is written.
 *
 * Node's parser takes memory for each part of a body, and has the garbage collector give it back, as it does with what is read from an
 * upstream (see `ReadBlock`). A part that only went from one connection to the other is nobody's once it is written.
 */
import { channel } from "node:diagnostics_channel"
import type * as Net from "node:net"

/** Of an upstream that never keeps up no more parts than these are remembered; the garbage collector has the others. */
const mostParts = 64

/** Who listens to undici is shown the parts, and may keep them. */
const shown = channel("undici:request:bodyChunkSent")

/** Parts of one body on their way to a connection, in their order. */
export class Written {
  private readonly parts: Array<Uint8Array> = []
  private readonly socket: Net.Socket
  /** Of what was added, so many bytes have not been written to the connection yet. */
  private readonly waiting: () => number

  constructor(socket: Net.Socket, waiting: () => number) {
    this.socket = socket
    this.waiting = waiting
    socket.on("drain", this.giveBack)
  }

  /** Another one is on its way, that nobody sees but who writes it. */
  add(part: Uint8Array): void {
    this.giveBack()
    if (this.parts.length === mostParts) this.parts.shift()
    this.parts.push(part)
  }

  /** There are no more. */
  leave(): void {
    this.giveBack()
    this.socket.off("drain", this.giveBack)
  }

  private readonly giveBack = (): void => {
    const { parts, socket } = this
    if (parts.length === 0 || !isWritten(socket)) return
    let written = parts.length
    for (let bytes = this.waiting(); bytes > 0 && written > 0;) bytes -= parts[--written]!.byteLength
    for (const part of parts.splice(0, written)) free(part)
  }
}

/** Whether all is written that was to be. Of what a connection breaks off, nobody knows. */
export const isWritten = (socket: Net.Socket): boolean => socket.writableLength === 0 && !socket.destroyed

/** Gives the memory of a part back, if it is all of that memory. */
export const free = ({ buffer, byteLength }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !shown.hasSubscribers) buffer.transfer(0)
}
