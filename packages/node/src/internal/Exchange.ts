import type { Completion } from "@blackgate/core/Command"
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Request, Response } from "@blackgate/http/Transport"
import { UpstreamError } from "@blackgate/http/UpstreamError"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import type { Readable } from "node:stream"
import { Client } from "./Client.ts"
import type { Watcher } from "./Connections.ts"
import { inform, serverResponse } from "./Downstream.ts"
import { keptOf } from "./keptBody.ts"
import { RequestBody } from "./RequestBody.ts"
import { ResponseBody } from "./ResponseBody.ts"
import { type Silence, silenceOf, type Watched } from "./Silence.ts"
import { isGone } from "./wholeBody.ts"

const interrupted = Exit.interrupt()
const lost = Exit.die(
  new Error(
    "the body of the request was read before it was sent: whoever reads it has to give the request a body of its own"
  )
)

/** More interim responses than these are no progress. */
const mostInterim = 100

/** What a response comes from. */
interface Carrier {
  pause(): void
  resume(): void
}

/**
 * One request to an upstream and its response, whatever they go over: how it is given up, is silent for too long, fails, answers and
 * ends. It is the source that the response body is read from.
 *
 * What comes of the response is kept until `answer`, which tells its head, with a body that streams. If the response has ended by
 * then, it is told whole.
 *
 * An upgrade is none of these: it has a connection of its own, and may never end.
 */
export abstract class Exchange<C extends Carrier> implements Watcher, Watched {
  quiet = 0
  place = 0
  protected readonly request: Request
  private readonly call: Completion<Response, UpstreamError>
  protected readonly client: Client

  /** What it goes over, once it does. */
  protected carrier: C | undefined = undefined
  /** The request's body, where that has been read before, and was kept. */
  protected kept: Uint8Array | undefined = undefined
  /** The request's body, where that is a stream. */
  protected sending: Readable | undefined = undefined
  /** Whether all of the request is sent. */
  protected sent = false
  protected over = false
  /** Whether this is the second time that it is sent. */
  protected again = false
  protected response: Response | undefined = undefined
  protected body: ResponseBody | undefined = undefined
  private chunks: Array<Buffer> = []
  private paused = false
  private interim = 0
  private silence: Silence | undefined = undefined

  constructor(request: Request, call: Completion<Response, UpstreamError>) {
    this.request = request
    this.call = call
    this.client = new Client(request.source, this)
  }

  /** Sends the request. */
  protected abstract begin(): void

  /** Breaks off what it goes over. */
  protected abstract abort(reason: Error): void

  /** It is over; `inOrder` if it has its response. */
  protected abstract left(inOrder: boolean): void

  /** How a body is written to the client with nothing between, if it can be. */
  protected abstract delivering(body: ResponseBody | Buffer): Response["deliver"]

  /** Nothing has come, and that may be the connection's fault. */
  protected doubt(): void {}

  protected get phase(): "send" | "head" | "body" {
    return this.response !== undefined ? "body" : this.sent ? "head" : "send"
  }

  start(): void {
    if (this.client.isGone) {
      this.client.abandon()
      return this.end(interrupted)
    }
    const { client, request, request: { body } } = this
    if (body._tag === "Incoming" && isGone(client.request)) {
      const kept = this.kept = keptOf(request)
      if (kept === undefined) return this.end(lost)
      if (body.limit?.take(kept.length) === false) return this.end(interrupted)
    }
    this.begin()
  }

  /** Gives the exchange up: before the head, or in the middle of the body, whose reader sees it break off. */
  stop(): void {
    if (this.over) return
    this.leave(false)
    if (this.response === undefined) this.doubt()
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
    this.carrier?.resume()
  }

  private pause(): void {
    this.paused = true
    this.carrier?.pause()
  }

  /** Nothing has moved for too long. */
  silent(): void {
    if (this.over) return
    const { paused, phase, sending } = this
    const onClient = phase === "body"
      ? paused
      : phase === "send" && (!(sending instanceof RequestBody) || sending.isStarved)
    if (!onClient) this.doubt()
    this.fail(phase, new Error("it was silent for too long"), onClient ? "client" : "upstream", true)
  }

  protected watchFor(time: Duration.Duration | undefined): void {
    if (this.silence === undefined && time === undefined) return
    this.silence?.unwatch(this)
    this.silence = time === undefined ? undefined : silenceOf(Math.ceil(Duration.toMillis(time)))
    this.silence?.watch(this)
  }

  protected onSent(): void {
    if (this.over) return
    this.sent = true
    this.watchFor(this.response === undefined ? this.request.headTimeout : this.request.idle)
  }

  protected onInterim(status: number, fields: HeaderList.HeaderList): void {
    if (this.over) return
    if (++this.interim > mostInterim) return this.fail("head", new Error("it sent interim responses without end"))
    if (status !== 100) inform(this.request, status, fields)
  }

  /** The head of the response has come. */
  protected onHead(response: Response): void {
    this.response = response
    if (this.sent) this.watchFor(undefined)
  }

  protected onData(chunk: Buffer): void {
    this.quiet = 0
    if (this.body === undefined) this.chunks.push(chunk)
    else if (!this.body.receive(chunk)) this.pause()
  }

  /** Tells the head, if nothing has been told yet. */
  protected answer(): void {
    if (this.over || this.response === undefined || this.body !== undefined) return
    const body = this.body = new ResponseBody(this, serverResponse(this.request))
    for (const chunk of this.chunks) if (!body.push(chunk)) this.pause()
    this.chunks = []
    this.watchFor(this.request.idle)
    this.call.answer({ ...this.response, body: HttpBody.raw(body), deliver: this.delivering(body) })
  }

  /** All of the response has come. */
  protected onEnd(): void {
    if (this.over) return
    const response = this.response!
    const trailers = response.trailers?.() ?? HeaderList.empty
    // With a body that is written as a whole, there is nobody to add them.
    if (trailers.length > 0) this.answer()
    const { body, chunks } = this
    if (body !== undefined) {
      this.succeed(response)
      body.finish(trailers)
    } else if (chunks.length === 0) this.succeed(response)
    else this.succeed(this.withBody(response, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
  }

  private withBody({ headers, status, statusText, trailers, version }: Response, whole: Buffer): Response {
    const body = new HttpBody.Uint8Array(whole, "application/octet-stream", whole.length)
    return { status, statusText, headers, version, body, trailers, deliver: this.delivering(whole) }
  }

  protected succeed(response: Response): void {
    this.end(Exit.succeed(response))
  }

  protected fail(
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
    this.abort(reason)
    this.body?.destroy(reason)
  }

  private end(exit: Exit.Exit<Response, UpstreamError>): void {
    if (this.over) return
    this.leave(exit._tag === "Success")
    this.call.end(exit)
  }

  protected leave(inOrder: boolean): void {
    this.over = true
    this.client.unwatch()
    this.watchFor(undefined)
    this.left(inOrder)
  }
}
