import type { Completion } from "@blackgate/core/Command"
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Request, Response } from "@blackgate/http/Transport"
import type { UpstreamError } from "@blackgate/http/UpstreamError"
import * as HttpBody from "effect/http/HttpBody"
import * as Http2 from "node:http2"
import { bodyOf } from "./bodyOf.ts"
import { endWithHead, recordOf, takesTrailers } from "./Downstream.ts"
import { Exchange } from "./Exchange.ts"
import { fieldsFrom, headOf } from "./http2Fields.ts"
import type { Http2Origin, Waiter } from "./Http2Origin.ts"
import { type Http2Session, SettingsTimeout } from "./Http2Session.ts"
import { cancel, onEnded } from "./http2Stream.ts"
import { isRepeatable } from "./replay.ts"
import { RequestBody } from "./RequestBody.ts"

const { NGHTTP2_FLAG_END_STREAM } = Http2.constants

/** What takes a request over that an upstream wants in HTTP/1.1. */
export interface Instead {
  start(): void
  stop(): void
}

/**
 * An exchange as a stream of HTTP/2.
 *
 * A response that came in one read is told whole, as `Http1Exchange` does it; Node tells of each frame by itself, so it is waited for
 * the end of this turn of the event loop.
 */
export class Http2Exchange extends Exchange<Http2.ClientHttp2Stream> implements Waiter {
  private readonly origin: Http2Origin
  private readonly over1: () => Instead
  private instead: Instead | undefined = undefined
  private session: Http2Session | undefined = undefined
  private heard = 0
  /** Whether all of the response has come: a stream that is reset looks as if it had. */
  private whole = false
  private error: Error | undefined = undefined
  private rawTrailers: HeaderList.HeaderList = HeaderList.empty

  constructor(
    request: Request,
    call: Completion<Response, UpstreamError>,
    origin: Http2Origin,
    over1: () => Instead
  ) {
    super(request, call)
    this.origin = origin
    this.over1 = over1
  }

  protected override begin(): void {
    this.origin.begin(this)
  }

  speaks1(): void {
    if (this.over) return
    this.leave(false)
    this.instead = this.over1()
    this.instead.start()
  }

  override stop(): void {
    if (this.instead === undefined) super.stop()
    else this.instead.stop()
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
    const content = this.kept ?? bodyOf(this.request, this.client.request)
    let stream: Http2.ClientHttp2Stream
    try {
      stream = this.carrier = session.open(headOf(this.request), {
        endStream: content === null,
        waitForTrailers: trailers !== undefined
      })
    } catch (cause) {
      return this.fail("send", cause as Error)
    }
    this.listenTo(stream)
    if (content === null) return this.onSent()
    if (trailers !== undefined) stream.once("wantTrailers", () => this.carrier?.sendTrailers(recordOf(trailers())))
    stream.once("finish", () => this.onSent())
    if (content instanceof Uint8Array) return void stream.end(content)
    this.sending = content
    this.watchFor(idle)
    content.on("data", () => this.quiet = 0)
    content.once("error", (error) => content instanceof RequestBody ? this.giveUp() : this.fail("send", error))
    content.pipe(stream)
  }

  private listenTo(stream: Http2.ClientHttp2Stream): void {
    onEnded(stream, () => this.whole = true)
    stream.on("headers", (headers, _, raw) => this.onInterim(Number(headers[":status"]), fieldsFrom(raw)))
    stream.once("response", (headers, flags, raw) => this.onResponse(stream, Number(headers[":status"]), flags, raw))
    stream.once("trailers", (_, __, raw) => this.rawTrailers = raw)
    stream.once("error", (error) => this.error = error)
    stream.once("close", () => {
      if (stream === this.carrier) this.onBroken(stream)
    })
  }

  private onResponse(
    stream: Http2.ClientHttp2Stream,
    status: number,
    flags: number,
    raw: HeaderList.HeaderList
  ): void {
    if (this.over) return
    this.session!.wasUsed = true
    const headers = fieldsFrom(raw)
    this.onHead({
      status,
      statusText: undefined,
      headers,
      version: "2.0",
      body: HttpBody.empty,
      trailers: takesTrailers(this.request, status)
        ? () => HeaderList.trailers(this.rawTrailers, headers)
        : undefined
    })
    if (flags & NGHTTP2_FLAG_END_STREAM) return this.succeed(this.response!)
    stream.on("data", (chunk: Buffer) => this.onData(chunk))
    stream.once("end", () => {
      if (this.whole) this.onEnd()
    })
    setImmediate(() => this.answer())
  }

  protected override succeed(response: Response): void {
    if (this.body === undefined && response.body._tag === "Empty") endWithHead(this.request)
    super.succeed(response)
    // It has answered, and wants no more of the request.
    if (this.carrier?.writableFinished === false) this.reset()
  }

  private onBroken(stream: Http2.ClientHttp2Stream): void {
    if (this.over) return
    const { error, phase, response, session } = this
    if (this.client.isGone) return this.giveUp()
    const begun = { stream, session: session!, heard: this.heard }
    if (response === undefined && !this.again && isRepeatable(this.request, begun)) return this.repeat()
    this.fail(phase, error ?? new Error(session!.isGone ? "it closed the connection" : "it reset the stream"))
  }

  private repeat(): void {
    this.again = true
    this.sent = this.whole = false
    this.carrier = this.session = this.error = undefined
    this.watchFor(undefined)
    this.origin.begin(this)
  }

  protected override abort(): void {
    this.reset()
  }

  private reset(): void {
    this.sending?.destroy()
    if (this.carrier !== undefined) cancel(this.carrier)
  }

  protected override delivering(): undefined {}

  protected override doubt(): void {
    this.session?.doubt(this.heard)
  }

  protected override left(): void {
    this.origin.leave(this)
  }
}
