import { Effect } from "effect"
import * as Net from "node:net"
import { type Request, requests } from "./StrictParser.ts"

/** What an upstream does with a request that has come whole. */
export type Answer = (request: Request, socket: Net.Socket) => void

/** The field in which an answer says what was asked, so that an answer to another request is seen. */
export const echo = (method: string, target: string, body: string): string => `${method} ${target} ${body.length}`

/** Answers with what was asked. */
export const echoing: Answer = ({ body, method, target }, socket) => {
  const text = method === "HEAD" ? "" : "ok"
  const head = `HTTP/1.1 200 OK\r\nX-Echo: ${echo(method, target, body)}\r\nContent-Length: 2\r\n\r\n`
  socket.write(Buffer.from(head + text, "latin1"))
}

/** A server that reads as strictly as can be. What is no request, it keeps and hangs up on. */
export class StrictUpstream {
  readonly seen: Array<Request> = []
  /** What came and was no request, and why. */
  readonly wrong: Array<string> = []
  answer: Answer = echoing
  port = 0
  private readonly server: Net.Server
  private readonly sockets = new Set<Net.Socket>()

  constructor() {
    this.server = Net.createServer((socket) => {
      let text = ""
      this.sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.on("close", () => this.sockets.delete(socket))
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1")
        const { at, messages, rest, why } = requests(text)
        text = text.slice(at)
        for (const message of messages) {
          this.seen.push(message)
          this.answer(message, socket)
        }
        if (rest === "invalid") {
          this.wrong.push(`${why}: ${JSON.stringify(text)}`)
          socket.destroy()
        }
      })
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  forget(): void {
    this.seen.length = 0
    this.wrong.length = 0
  }

  readonly start: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.server.listen(0, "127.0.0.1", () => {
      this.port = (this.server.address() as Net.AddressInfo).port
      resume(Effect.void)
    })
  })

  readonly stop: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.server.close(() => resume(Effect.void))
    for (const socket of this.sockets) socket.destroy()
  })
}

/** An upstream that is there as long as the scope. */
export const make = Effect.acquireRelease(
  Effect.suspend(() => {
    const upstream = new StrictUpstream()
    return Effect.as(upstream.start, upstream)
  }),
  (upstream) => upstream.stop
)
