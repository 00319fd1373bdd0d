import type { Completion } from "@blackgate/core/Command"
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Request, Response } from "@blackgate/http/Transport"
import { UpstreamError } from "@blackgate/http/UpstreamError"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as Http2 from "node:http2"
import type { Readable } from "node:stream"
import { bodyOf } from "./bodyOf.ts"
import { Client } from "./Client.ts"
import type { Watcher } from "./Connections.ts"
import { endWithHead, inform, recordOf, serverResponse, takesTrailers } from "./Downstream.ts"
import { fieldsFrom, headOf } from "./http2Fields.ts"
import type { Http2Origin, Waiter } from "./Http2Origin.ts"
import { type Http2Session, SettingsTimeout } from "./Http2Session.ts"
import { cancel, onEnded } from "./http2Stream.ts"
import { isRepeatable } from "./replay.ts"
import { RequestBody } from "./RequestBody.ts"
import { ResponseBody } from "./ResponseBody.ts"
import { type Silence, silenceOf, type Watched } from "./Silence.ts"

const { NGHTTP2_FLAG_END_STREAM } = Http2.constants

const interrupted = Exit.interrupt()

/** More interim responses than these are no progress. */
const mostInterim = 100

/** What takes a request over that an upstream wants in HTTP/1.1. */
export interface Instead {
  start(): void
  stop(): void
}

/**
 * One request to an upstream, and its response, as a stream of HTTP/2.
 *
 * A response that came in one read is told whole, as `Exchange` does it; Node tells of each frame by itself, so it is waited for the
 * end of this turn of the event loop.
 */
export class Http2Exchange implements Waiter, Watcher, Watched {
  quiet = 0
  place = 0
  private readonly request: Request
  private readonly call: Completion<Response, UpstreamError>
  private readonly origin: Http2Origin
  private readonly over1: () => Instead
  private readonly client: Client

  private instead: Instead | undefined = undefined
  private session: Http2Session | undefined = undefined
  private stream: Http2.ClientHttp2Stream | undefined = undefined
  private sending: Readable | undefined = undefined
  private heard = 0
  private sent = false
  private over = false
  private again = false
  private paused = false
  /** Whether all of the response has come: a stream that is reset looks as if it had. */
  private whole = false
  private interim = 0
  private error: Error | undefined = undefined
  private response: Response | undefined = undefined
  private rawTrailers: HeaderList.HeaderList = HeaderList.empty
  private chunks: Array<Buffer> = []
  private body: ResponseBody | undefined = undefined
  private silence: Silence | undefined = undefined

  constructor(
    request: Request,
    call: Completion<Response, UpstreamError>,
    origin: Http2Origin,
    over1: () => Instead
  ) {
    this.request = request
    this.call = call
    this.origin = origin
    this.over1 = over1
    this.client = new Client(request.source, this)
  }

  start(): void {
    if (this.client.isGone) {
      this.client.abandon()
      return this.end(interrupted)
    }
    this.origin.begin(this)
  }

  speaks1(): void {
    if (this.over) return
    this.leave()
    this.instead = this.over1()
    this.instead.start()
  }

  unreachable(error: Error): void {
    const timedOut = error instanceof SettingsTimeout || ("code" in error && error.code === "UND_ERR_CONNECT_TIMEOUT")
    this.fail("connect", error, "upstream", timedOut)
  }

  ready(session: Http2Session): void {
    if (this.over) return
    this.session = session
    this.heard = session.heard
    const { body: { _tag, ...body }, idle } = this.request
    const trailers = _tag === "Incoming" && "trailers" in body ? body.trailers : undefined
    const content = bodyOf(this.request, this.client.request)
    try {
      this.stream = session.open(headOf(this.request), {
        endStream: content === null,
        waitForTrailers: trailers !== undefined
      })
    } catch (cause) {
      return this.fail("send", cause as Error)
    }
    this.listenTo(this.stream)
    if (content === null) return this.onSent()
    if (trailers !== undefined) this.stream.once("wantTrailers", () => this.stream?.sendTrailers(recordOf(trailers())))
    this.stream.once("finish", () => this.onSent())
    if (content instanceof Uint8Array) return void this.stream.end(content)
    this.sending = content
    this.watchFor(idle)
    content.on("data", () => this.quiet = 0)
    content.once("error", (error) => content instanceof RequestBody ? this.giveUp() : this.fail("send", error))
    content.pipe(this.stream)
  }

  private listenTo(stream: Http2.ClientHttp2Stream): void {
    onEnded(stream, () => this.whole = true)
    stream.on("headers", (headers, _, raw) => this.onInterim(Number(headers[":status"]), raw))
    stream.once("response", (headers, flags, raw) => this.onResponse(Number(headers[":status"]), flags, raw))
    stream.once("trailers", (_, __, raw) => this.rawTrailers = raw)
    stream.once("error", (error) => this.error = error)
    stream.once("close", () => {
      if (stream === this.stream) this.onBroken(stream)
    })
  }

  /** Gives the exchange up: before the head, or in the middle of the body, whose reader sees it break off. */
  stop(): void {
    if (this.instead !== undefined) return this.instead.stop()
    if (this.over) return
    this.leave()
    if (this.response === undefined) this.session?.doubt(this.heard)
    this.breakOff(new Error("the exchange was given up"))
  }

  clientGone(): void {
    this.giveUp()
  }

  /** The reader of the body is gone, or the client is. */
  giveUp(): void {
    if (this.over) return
    this.client.abandon()
    this.stop()
    this.call.end(interrupted)
  }

  /** The reader of the body wants more. */
  resume(): void {
    this.paused = false
    this.quiet = 0
    this.stream?.resume()
  }

  /** Nothing has moved for too long. */
  silent(): void {
    if (this.over) return
    const { paused, response, sending, sent } = this
    const phase = response !== undefined ? "body" : sent ? "head" : "send"
    const onClient = phase === "body"
      ? paused
      : phase === "send" && (!(sending instanceof RequestBody) || sending.isStarved)
    if (!onClient) this.session?.doubt(this.heard)
    this.fail(phase, new Error("it was silent for too long"), onClient ? "client" : "upstream", true)
  }

  private onSent(): void {
    if (this.over) return
    this.sent = true
    this.watchFor(this.response === undefined ? this.request.headTimeout : this.request.idle)
  }

  private onInterim(status: number, raw: HeaderList.HeaderList): void {
    if (this.over) return
    if (++this.interim > mostInterim) return this.fail("head", new Error("it sent interim responses without end"))
    if (status !== 100) inform(this.request, status, fieldsFrom(raw))
  }

  private onResponse(status: number, flags: number, raw: HeaderList.HeaderList): void {
    if (this.over) return
    const { stream } = this
    this.session!.wasUsed = true
    const headers = fieldsFrom(raw)
    this.response = {
      status,
      statusText: undefined,
      headers,
      version: "2.0",
      body: HttpBody.empty,
      trailers: takesTrailers(this.request, status)
        ? () => HeaderList.trailers(this.rawTrailers, headers)
        : undefined
    }
    if (flags & NGHTTP2_FLAG_END_STREAM) return this.finish()
    if (this.sent) this.watchFor(undefined)
    stream!.on("data", (chunk: Buffer) => {
      this.quiet = 0
      if (this.body === undefined) this.chunks.push(chunk)
      else if (!this.body.push(chunk)) this.pause()
    })
    stream!.once("end", () => {
      if (this.whole) this.onEnd()
    })
    setImmediate(() => this.answer())
  }

  private onEnd(): void {
    if (this.over) return
    const { chunks, response } = this
    const trailers = response!.trailers?.() ?? HeaderList.empty
    // With a body that is written as a whole, there is nobody to add them.
    if (trailers.length > 0) this.answer()
    const { body } = this
    if (body !== undefined) {
      this.finish()
      body.finish(trailers)
    } else if (chunks.length === 0) this.finish()
    else {
      const whole = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      this.response = { ...response!, body: HttpBody.uint8Array(whole) }
      this.finish()
    }
  }

  private finish(): void {
    if (this.body === undefined && this.response!.body._tag === "Empty") endWithHead(this.request)
    this.end(Exit.succeed(this.response!))
    // It has answered, and wants no more of the request.
    if (this.stream?.writableFinished === false) this.reset()
  }

  private onBroken(stream: Http2.ClientHttp2Stream): void {
    if (this.over) return
    const { error, response, sent, session } = this
    if (this.client.isGone) return this.giveUp()
    const begun = { stream, session: session!, heard: this.heard }
    if (response === undefined && !this.again && isRepeatable(this.request, begun)) return this.repeat()
    const phase = response !== undefined ? "body" : sent ? "head" : "send"
    this.fail(phase, error ?? new Error(session!.isGone ? "it closed the connection" : "it reset the stream"))
  }

  private repeat(): void {
    this.again = true
    this.sent = this.whole = false
    this.stream = this.session = this.error = undefined
    this.watchFor(undefined)
    this.origin.begin(this)
  }

  private answer(): void {
    if (this.over || this.response === undefined || this.body !== undefined) return
    const body = this.body = new ResponseBody(this, serverResponse(this.request))
    for (const chunk of this.chunks) if (!body.push(chunk)) this.pause()
    this.chunks = []
    this.watchFor(this.request.idle)
    this.call.answer({ ...this.response, body: HttpBody.raw(body) })
  }

  private pause(): void {
    this.paused = true
    this.stream?.pause()
  }

  private fail(
    phase: UpstreamError["phase"],
    cause: Error,
    side: UpstreamError["side"] = "upstream",
    timedOut = false
  ): void {
    if (this.over) return
    const { origin } = this.request.upstream
    this.end(Exit.fail(new UpstreamError({ phase, side, timedOut, origin, cause })))
    this.breakOff(cause)
  }

  private breakOff(reason: Error): void {
    this.reset()
    this.body?.destroy(reason)
  }

  private reset(): void {
    this.sending?.destroy()
    if (this.stream !== undefined) cancel(this.stream)
  }

  private end(exit: Exit.Exit<Response, UpstreamError>): void {
    if (this.over) return
    this.leave()
    this.call.end(exit)
  }

  private leave(): void {
    this.over = true
    this.client.unwatch()
    this.watchFor(undefined)
    this.origin.leave(this)
  }

  private watchFor(time: Duration.Duration | undefined): void {
    if (this.silence === undefined && time === undefined) return
    this.silence?.unwatch(this)
    this.silence = time === undefined ? undefined : silenceOf(Math.ceil(Duration.toMillis(time)))
    this.silence?.watch(this)
  }
}
