import { Transform, type TransformCallback } from "node:stream"

/** What a copy may take, and where it goes. */
export interface Room {
  /** Whether there is room for so many bytes more. */
  readonly take: (bytes: number) => boolean
  readonly give: (bytes: number) => void
  /** Is told of a copy when the last byte has come. */
  readonly whole: (copy: Uint8Array) => void
}

/** Lets bytes through, and keeps a copy of them for as long as that is not too long. */
export class Tap extends Transform {
  private readonly max: number
  private readonly room: Room
  private parts: Array<Buffer> | undefined = []
  private size = 0

  constructor(max: number, room: Room) {
    super()
    this.max = max
    this.room = room
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.parts !== undefined) {
      if (this.size + chunk.length <= this.max && this.room.take(chunk.length)) {
        this.size += chunk.length
        this.parts.push(chunk)
      } else this.letGo()
    }
    done(null, chunk)
  }

  override _flush(done: TransformCallback): void {
    const { parts } = this
    if (parts !== undefined) {
      // Not of Node's pool, of which a few bytes would keep eight thousand.
      const copy = new Uint8Array(this.size)
      let at = 0
      for (const part of parts) {
        copy.set(part, at)
        at += part.length
      }
      this.letGo()
      this.room.whole(copy)
    }
    done()
  }

  // One that broke off is no answer.
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.letGo()
    done(error)
  }

  private letGo(): void {
    if (this.parts === undefined) return
    this.parts = undefined
    this.room.give(this.size)
  }
}
