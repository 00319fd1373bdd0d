import * as Fs from "node:fs"

// What may wait to be written: more than a disk that is busy for a moment, less than what memory can bear.
const mostBytes = 4 * 1024 * 1024

// Milliseconds: how long a process that ends waits for a pipe to take what is left.
const lastPatience = 500

// Milliseconds: what a thread that runs out of memory may not have said.
const moment = 10

/**
 * Writes lines to a descriptor, and nobody waits for them: not for a terminal, not for a pipe that nobody reads. What does not fit any more is
 * lost, and counted. A disk that is full, or a pipe that is closed, costs lines and nothing else.
 */
export class Lines {
  private readonly fd: number
  private post: ((text: string) => boolean) | undefined = undefined
  private waiting: Array<string> = []
  private bytes = 0
  private lost = 0
  private busy = false
  /** What is left of what the descriptor did not take: it is asked again in a moment. */
  private rest: Buffer | undefined = undefined

  constructor(fd: number) {
    this.fd = fd
    process.once("exit", () => this.flush())
  }

  write(line: string): void {
    this.add(line, "\n")
  }

  /** Writes lines that another thread has taken. */
  pass(text: string): void {
    this.add(text, "")
  }

  private add(text: string, end: string): void {
    if (this.bytes > mostBytes) {
      this.lost += end === "" ? text.split("\n").length - 1 : 1
      return
    }
    this.bytes += text.length + end.length
    this.waiting.push(text, end)
    if (this.busy) return
    this.busy = true
    // All lines of this turn are one write, and those of a moment one message, which costs more.
    if (this.post === undefined) setImmediate(() => this.next())
    else setTimeout(() => this.next(), moment)
  }

  /** From now on whole lines go there, and not to the descriptor; `false` says that there is no room for them. */
  redirect(post: (text: string) => boolean): void {
    this.post = post
  }

  private take(): string {
    if (this.lost > 0) this.waiting.push(`${this.lost} lines of the log were lost: they were not taken in time\n`)
    const text = this.waiting.join("")
    this.waiting = []
    this.lost = 0
    return text
  }

  private give(post: (text: string) => boolean): void {
    const { lost, waiting } = this
    this.bytes = 0
    if (!post(this.take())) this.lost = lost + waiting.length / 2
  }

  private next(): void {
    if (this.post !== undefined && this.waiting.length > 0) this.give(this.post)
    if (this.waiting.length === 0) {
      this.busy = false
      return
    }
    this.send(Buffer.from(this.take()), 0)
  }

  private send(chunk: Buffer, from: number): void {
    Fs.write(this.fd, chunk, from, (error, written) => {
      if ((error as NodeJS.ErrnoException | null)?.code === "EAGAIN") this.sendLater(chunk.subarray(from))
      else if (error === null && from + written < chunk.length) this.send(chunk, from + written)
      else {
        this.bytes = this.waiting.reduce((sum, line) => sum + line.length, 0)
        this.next()
      }
    })
  }

  private sendLater(rest: Buffer): void {
    this.rest = rest
    setTimeout(() => {
      this.rest = undefined
      this.send(rest, 0)
    }, 10).unref()
  }

  // The process ends: now or never. What is half written goes first, or lines would be torn.
  private flush(): void {
    if (this.waiting.length === 0 && this.rest === undefined) return
    if (this.post !== undefined) return this.give(this.post)
    const chunk = Buffer.concat([this.rest ?? Buffer.alloc(0), Buffer.from(this.take())])
    let looks = lastPatience
    for (let from = 0; from < chunk.length && looks > 0;) {
      try {
        from += Fs.writeSync(this.fd, chunk, from)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return
        looks--
        Atomics.wait(moments, 0, 0, 1)
      }
    }
  }
}

// Nobody wakes who waits there.
const moments = new Int32Array(new SharedArrayBuffer(4))

/** Those of the process; in a worker they are redirected. */
export const stdout = new Lines(1)
export const stderr = new Lines(2)
