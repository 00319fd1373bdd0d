// Who holds ten thousand connections open in `proxy.ts`, in a process of its own, and asks through one after the other.
import { connect, type Socket } from "node:net"

export interface Walk {
  readonly port: number
  /** As many are opened as are not open yet. */
  readonly connections: number
  readonly requests: number
  /** How many requests are under way at once, each on a connection of its own. */
  readonly width: number
}

/** How long the walk took, in seconds. */
export interface Walked {
  readonly seconds: number
}

const end = "~~~~" // of the body, however it is framed
/** Those that are open and have nothing under way: whoever has rested longest is next. */
let resting: Array<Socket> = []
let opened = 0

const ask = (socket: Socket): Promise<void> =>
  new Promise((resolve, reject) => {
    const lost = () => reject(new Error("a connection was lost"))
    const read = (chunk: string) => {
      if (!chunk.includes(end)) return
      socket.off("data", read).off("close", lost)
      resolve()
    }
    socket.on("data", read).once("close", lost)
    socket.write("GET /small HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
  })

const open = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true }, () => resolve(socket))
    socket.setEncoding("latin1")
    socket.on("error", reject)
  })

process.on("message", async ({ connections, port, requests, width }: Walk) => {
  const from = performance.now()
  let left = requests
  let next = 0
  const walk = async () => {
    while (left-- > 0) {
      const socket = opened < connections ? (opened++, await open(port)) : resting[next++]!
      await ask(socket)
      resting.push(socket)
    }
  }
  await Promise.all(Array.from({ length: width }, walk))
  resting = resting.slice(next)
  process.send!({ seconds: (performance.now() - from) / 1000 } satisfies Walked)
})
process.on("disconnect", () => process.exit())
