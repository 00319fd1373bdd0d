import { Effect } from "effect"
import * as Http2 from "node:http2"
import type * as Net from "node:net"
import { eventually } from "./eventually.ts"

/** A request as it came, and what has become of it. */
export class Asked {
  readonly stream: Http2.ServerHttp2Stream
  /** Names and values, those of HTTP/2 included. */
  readonly raw: ReadonlyArray<string>
  /** What has come of the body. */
  bytes = 0
  ended = false
  trailers: ReadonlyArray<string> = []
  /** With which code the stream was closed. */
  closed: number | undefined = undefined
  private readonly chunks: Array<Buffer> = []

  constructor(stream: Http2.ServerHttp2Stream, raw: ReadonlyArray<string>, reads: boolean) {
    this.stream = stream
    this.raw = raw
    stream.on("error", () => {})
    stream.on("trailers", (_, __, trailers: ReadonlyArray<string>) => this.trailers = trailers)
    stream.on("close", () => this.closed = stream.rstCode)
    if (reads) this.read()
  }

  read(): void {
    this.stream.on("end", () => this.ended = true)
    this.stream.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length
      this.chunks.push(chunk)
    })
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks)
  }

  /** All values of a name. */
  values(name: string): ReadonlyArray<string> {
    return this.raw.filter((_, i) => i % 2 === 1 && this.raw[i - 1] === name)
  }
}

type Answer = (asked: Asked) => void

export interface Http2Upstream {
  readonly port: number
  readonly url: string
  readonly asked: ReadonlyArray<Asked>
  /** The request with that number, as soon as it has come. */
  readonly request: (index: number) => Effect.Effect<Asked>
  readonly sessions: ReadonlyArray<Http2.ServerHttp2Session>
  readonly server: Http2.Http2Server | Http2.Http2SecureServer
}

/** An upstream that speaks HTTP/2, and with `tls` over that. It is killed with the scope. */
export const make = (
  answer: Answer = answering(),
  { reads = true, tls, ...options }: Http2.ServerOptions & {
    readonly tls?: Http2.SecureServerOptions
    /** Whether bodies are read at once. */
    readonly reads?: boolean
  } = {}
) =>
  Effect.acquireRelease(
    Effect.callback<Http2Upstream>((resume) => {
      const asked: Array<Asked> = []
      const sessions: Array<Http2.ServerHttp2Session> = []
      const server = tls === undefined ? Http2.createServer(options) : Http2.createSecureServer({ ...options, ...tls })
      server.on("session", (session) => {
        sessions.push(session)
        session.on("error", () => {})
      })
      server.on("sessionError", () => {})
      server.on("stream", (stream: Http2.ServerHttp2Stream, _, __, raw) => {
        const one = new Asked(stream, raw, reads)
        asked.push(one)
        answer(one)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        resume(Effect.succeed({
          port,
          url: tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
          asked,
          sessions,
          server,
          request: (index) =>
            eventually(`request ${index} at the upstream`, () => asked[index], () => `${asked.length}`)
        }))
      })
    }),
    ({ server, sessions }) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const session of sessions) session.destroy()
      })
  )

/** Answers every request alike: these fields, a body, and perhaps trailers. */
export const answering =
  (body = "ok", fields: Http2.OutgoingHttpHeaders = {}, trailers?: Http2.OutgoingHttpHeaders): Answer =>
  (
    { stream }
  ) => {
    stream.respond({ ":status": 200, ...fields }, { waitForTrailers: trailers !== undefined })
    if (trailers !== undefined) stream.once("wantTrailers", () => stream.sendTrailers(trailers))
    stream.end(body)
  }

/** Answers when the test does. */
export const silent: Answer = () => {}
