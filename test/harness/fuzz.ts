/**
 * What fuzzing over sockets needs. Everything happens in one process, so a turn of the event loop is what there is to wait for: a
 * request that was sent before another one has been read before it.
 */
import * as fc from "fast-check"
import * as Net from "node:net"

const env = (name: string): number | undefined => {
  const value = Number(process.env[name])
  return Number.isSafeInteger(value) && process.env[name] !== "" ? value : undefined
}

/** How many cases a property is tried with: its share of `BLACKGATE_FUZZ_RUNS`, or so many. */
export const runs = (share: number, usual: number): number => {
  const all = env("BLACKGATE_FUZZ_RUNS")
  return all === undefined ? usual : Math.ceil(all * share)
}

/** How long that may take. */
export const bound = (count: number): number => 60_000 + count * 100

/**
 * Tries a property. The seed is always the same one, unless `BLACKGATE_FUZZ_SEED` is another, or `BLACKGATE_FUZZ_RUNS` asks for more
 * than usual: then it is new each time. A failure says its seed and its path.
 */
export const check = <T>(numRuns: number, cases: fc.Arbitrary<T>, holds: (one: T) => Promise<void>): Promise<void> => {
  const seed = env("BLACKGATE_FUZZ_SEED") ?? (env("BLACKGATE_FUZZ_RUNS") === undefined ? 4 : undefined)
  const tried = async (one: T) => {
    try {
      await holds(one)
    } catch (error) {
      // From here on the case is made smaller, which is a matter of many tries.
      patience = 500
      throw error
    }
  }
  return fc.assert(fc.asyncProperty(cases, tried), {
    numRuns,
    ...(seed === undefined ? {} : { seed }),
    interruptAfterTimeLimit: bound(numRuns) - 10_000,
    markInterruptAsFailure: true
  })
}

let patience = 10_000

/** Waits, turn by turn, until something is so. */
export const until = async (what: string, holds: () => boolean, instead: () => string = () => ""): Promise<void> => {
  const end = performance.now() + patience
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came: ${what}; ${instead()}`)
    await turn()
  }
}

/** The next turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resume) => void setImmediate(resume))

/** One end of a connection. */
export class Peer {
  received = ""
  ended = false
  broke = false
  private readonly socket: Net.Socket

  private constructor(socket: Net.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on("data", (bytes) => this.received += bytes.toString("latin1"))
    socket.on("end", () => this.ended = true)
    socket.on("close", () => this.broke ||= !this.ended)
    socket.on("error", () => this.broke = true)
  }

  static connect(port: number): Promise<Peer> {
    return new Promise((resume, reject) => {
      const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.once("error", reject)
      socket.once("connect", () => resume(new Peer(socket)))
    })
  }

  /** Whether nothing comes any more. */
  get isOver(): boolean {
    return this.ended || this.broke
  }

  /** Sends bytes in pieces, each of which is read by itself. */
  async send(bytes: string, cuts: ReadonlyArray<number> = []): Promise<void> {
    await sendTo(this.socket, bytes, cuts)
  }

  end(): void {
    this.socket.end()
  }

  close(): void {
    this.socket.destroy()
  }
}

/** Sends bytes in pieces, each of which is read by itself. */
export const sendTo = async (socket: Net.Socket, bytes: string, cuts: ReadonlyArray<number>): Promise<void> => {
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    if (socket.destroyed || !socket.writable) return
    if (to <= from) continue
    socket.write(Buffer.from(bytes.slice(from, to), "latin1"))
    from = to
    if (to < bytes.length) await turn()
  }
}
