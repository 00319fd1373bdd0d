import { Effect, type Scope } from "effect"
import * as Http from "node:http"

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  readonly millis: number
}

/** GETs a URL on a connection of its own. An answer that breaks off, or none, is a defect. */
export const ask = (url: string): Effect.Effect<Answer> =>
  Effect.callback<Answer>((resume) => {
    const from = performance.now()
    const fail = (error: Error) => resume(Effect.die(error))
    const request = Http.get(url, { agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text
      })
      response.once("error", fail).once("end", () =>
        resume(Effect.succeed({
          status: response.statusCode!,
          headers: response.headers,
          body,
          millis: performance.now() - from
        })))
    }).once("error", fail)
    return Effect.sync(() => request.destroy())
  })

/** How far an exchange has come whose body goes there and comes back. */
class Echo {
  readonly request: Http.ClientRequest
  status = 0
  received = 0
  ended = false
  private failed: Error | undefined = undefined
  private readonly chunks: Array<Buffer> = []

  constructor(url: string) {
    const fail = (error: Error) => {
      this.failed = error
    }
    this.request = Http.request(url, { method: "POST", agent: false }).once("error", fail)
    this.request.once("response", (response) => {
      this.status = response.statusCode!
      response.once("error", fail).once("end", () => {
        this.ended = true
      }).on("data", (chunk: Buffer) => {
        this.chunks.push(chunk)
        this.received += chunk.length
      })
    })
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks)
  }

  readonly state = (): string => this.failed?.message ?? `${this.status}, ${this.received} bytes, ended: ${this.ended}`
}

/** POSTs a body that the test writes, on a connection of its own. */
export const echo = (url: string): Effect.Effect<Echo, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(() => new Echo(url)), ({ request }) => Effect.sync(() => request.destroy()))
