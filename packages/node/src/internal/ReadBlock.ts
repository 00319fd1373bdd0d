/**
 * What plain connections to upstreams read into: blocks that are used again.
 *
 * Node takes 64 KiB for each read, and has the garbage collector give them back, which happens to a process that does nothing but stream
 * after some thousand reads: each one of them is memory that no cache has seen for long, and when so much of it stands outside of the heap
 * the whole heap is marked. Here all reads go to one place, from there to a block; and whoever has written a block to the end gives it back.
 * One that nobody gives back is the garbage collector's, as ever.
 */
import { channel } from "node:diagnostics_channel"
import type * as Net from "node:net"

/** As much as libuv reads at once. */
const size = 64 * 1024
/** Shorter reads are copied to memory of their own length. */
const least = size / 2
/** 4 MiB at the most wait to be used again. */
const mostFree = 64

const free: Array<ReadBlock> = []

/** Who listens to undici is shown its buffers, and may keep them. */
const shown = ["headers", "bodyChunkReceived", "trailers"].map((name) => channel(`undici:request:${name}`))

/** The memory of one read, and how many writes of parts of it are under way. */
export class ReadBlock extends ArrayBuffer {
  private writing = 0
  private left = false
  private kept = true

  constructor() {
    super(size)
  }

  // What is sliced from it is nobody's but the slicer's.
  static override get [Symbol.species](): ArrayBufferConstructor {
    return ArrayBuffer
  }

  /** That a chunk is a part of, if it is. */
  static of({ buffer }: Uint8Array): ReadBlock | undefined {
    return buffer instanceof ReadBlock ? buffer : undefined
  }

  /** How many wait to be used again. */
  static get free(): number {
    return free.length
  }

  static take(): ReadBlock {
    const block = free.pop()
    if (block === undefined) return new ReadBlock()
    block.left = false
    block.kept = true
    return block
  }

  begin(): void {
    this.writing++
  }

  /** A write is over. After one that has failed nobody knows who still reads. */
  end(failed: boolean): void {
    this.writing--
    if (failed) this.kept = false
    this.giveBack()
  }

  /** Nothing more comes out of it. */
  leave(): void {
    this.left = true
    this.giveBack()
  }

  private giveBack(): void {
    if (!this.left || !this.kept || this.writing > 0) return
    // Once, whatever is said of it afterwards.
    this.kept = false
    if (free.length < mostFree && !shown.some(({ hasSubscribers }) => hasSubscribers)) free.push(this)
  }
}

/** For `net.connect`: reads are synchronous, so that all connections can have one place for them. */
export const onread = {
  buffer: Buffer.allocUnsafeSlow(size),
  callback(this: Net.Socket, length: number): boolean {
    const chunk = length < least ? Buffer.allocUnsafe(length) : Buffer.from(ReadBlock.take(), 0, length)
    onread.buffer.copy(chunk, 0, 0, length)
    return this.push(chunk)
  }
}
