import type { Completion } from "@blackgate/core/Command"
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Request, Response } from "@blackgate/http/Transport"
import { UpstreamError } from "@blackgate/http/UpstreamError"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import type * as Http from "node:http"
import { Readable } from "node:stream"
import type { Dispatcher } from "undici"
import { bodyOf } from "./bodyOf.ts"
import { Client } from "./Client.ts"
import { ClientBroke } from "./ClientBroke.ts"
import type { Watcher } from "./Connections.ts"
import { writable, writeWhole } from "./delivery.ts"
import { inform, serverResponse, takesTrailers } from "./Downstream.ts"
import type { Cargo, DispatchOptions, Lane } from "./Lane.ts"
import type { Origin } from "./Origins.ts"
import { bytesOf, endsWithConnection, fieldsOf } from "./received.ts"
import { isReplayable, isStale } from "./replay.ts"
import { RequestBody } from "./RequestBody.ts"
import { ResponseBody } from "./ResponseBody.ts"
import { type Silence, silenceOf, type Watched } from "./Silence.ts"
import { soon } from "./soon.ts"
import { mayBeWhole, wholeOf } from "./wholeBody.ts"

const interrupted = Exit.interrupt()

/** More interim responses than these are no progress. */
const mostInterim = 100

/**
 * One request to an upstream and its response: the handler that undici calls back, and the source that the response body is read
 * from.
 *
 * At the response head a microtask is scheduled. If the response has ended by then, as a small one has that came in one read, it is
 * told whole; otherwise its head is told, with a body that streams. Nothing is delayed for it.
 */
export class Exchange implements Dispatcher.DispatchHandler, Watcher, Watched, Cargo {
  lane: Lane | undefined = undefined
  quiet = 0
  place = 0
  private readonly request: Request
  private readonly call: Completion<Response, UpstreamError>
  private readonly origin: Origin
  private readonly client: Client

  private controller: Dispatcher.DispatchController | undefined = undefined
  private begun = false
  private sent = false
  private over = false
  private again = false
  private paused = false
  private interim = 0
  private response: Response | undefined = undefined
  private ended: HeaderList.HeaderList | undefined = undefined
  private chunks: Array<Buffer> = []
  private body: ResponseBody | undefined = undefined
  private sending: Readable | undefined = undefined
  private silence: Silence | undefined = undefined

  constructor(request: Request, call: Completion<Response, UpstreamError>, origin: Origin) {
    this.request = request
    this.call = call
    this.origin = origin
    this.client = new Client(request.source, this)
  }

  start(): void {
    if (this.client.isGone) {
      this.client.abandon()
      return this.end(interrupted)
    }
    // Node is in the midst of what has come from the client, and may have all of a small body behind the head.
    if (mayBeWhole(this.request)) soon(() => this.begin())
    else this.begin()
  }

  private begin(): void {
    if (this.over) return
    this.begun = true
    this.origin.begin((dispatcher) => this.dispatch(dispatcher))
  }

  private dispatch(dispatcher: Dispatcher): void {
    if (this.over) return
    const { headers, method, target, upstream } = this.request
    const options: DispatchOptions = {
      method: method as Dispatcher.HttpMethod,
      path: target,
      // undici would take it from the `Host` header, and make another connection whenever that is another one.
      servername: upstream.authority,
      headers: headers as Array<string>,
      body: this.requestBody(),
      // Silence is watched here. Without timers of its own, undici has none to arm for each request.
      headersTimeout: 0,
      bodyTimeout: 0,
      cargo: this
    }
    dispatcher.dispatch(options, this)
  }

  /** Gives the exchange up: before the head, or in the middle of the body, whose reader sees it break off. */
  stop(): void {
    if (this.over) return
    this.leave(false)
    this.breakOff(new Error("the exchange was given up"))
  }

  private breakOff(reason: Error): void {
    this.controller?.abort(reason)
    this.body?.destroy(reason)
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
    this.controller?.resume()
  }

  /** Nothing has moved for too long. */
  silent(): void {
    if (this.over) return
    const { paused, response, sending, sent } = this
    const phase = response !== undefined ? "body" : sent ? "head" : "send"
    const onClient = phase === "body"
      ? paused
      : phase === "send" && (!(sending instanceof RequestBody) || sending.isStarved)
    this.fail(phase, new Error("it was silent for too long"), onClient ? "client" : "upstream", true)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // While the request waited inside of undici there was nothing to abort.
    if (this.over) return controller.abort(new Error("the exchange was given up"))
    this.controller = controller
    const { body } = this.request
    this.lane?.begin(body._tag === "Incoming" ? body.trailers : undefined)
    if (this.sending !== undefined) this.watchFor(this.request.idle)
  }

  onBodySent(): void {
    this.quiet = 0
  }

  onRequestSent(): void {
    this.sent = true
    if (this.response === undefined) this.watchFor(this.request.headTimeout)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Http.IncomingHttpHeaders,
    statusText?: string
  ): void {
    if (this.over) return
    const fields = fieldsOf(controller.rawHeaders, headers)
    if (status < 200) {
      if (++this.interim > mostInterim) return this.fail("head", new Error("it sent interim responses without end"))
      return inform(this.request, status, fields)
    }
    const trails = headers["transfer-encoding"] !== undefined && takesTrailers(this.request, status)
    this.response = {
      status,
      statusText: bytesOf(statusText),
      headers: fields,
      body: HttpBody.empty,
      trailers: trails ? () => this.trailers(fields) : undefined
    }
    if (this.sent) this.watchFor(undefined)
    soon(() => this.answer())
  }

  // They are read once, while what undici has them in is there.
  private trailers(head: HeaderList.HeaderList): HeaderList.HeaderList {
    const raw = this.controller?.rawTrailers
    if (raw === undefined) return HeaderList.empty
    return this.ended ??= HeaderList.trailers(fieldsOf(raw, {}), head)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.quiet = 0
    if (this.body === undefined) this.chunks.push(chunk)
    else if (!this.body.receive(chunk)) {
      this.paused = true
      controller.pause()
    }
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const { chunks } = this
    const reset = this.lane?.reset
    if (reset !== undefined && endsWithConnection(this.response!.headers)) {
      return this.onResponseError(controller, reset)
    }
    const trailers = this.response!.trailers?.() ?? HeaderList.empty
    // With a body that is written as a whole, there is nobody to add them.
    if (trailers.length > 0) this.answer()
    const { body, response } = this
    if (body !== undefined) {
      this.end(Exit.succeed(response!))
      body.finish(trailers)
    } else if (chunks.length === 0) this.end(Exit.succeed(response!))
    else {
      const whole = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      const { headers, status, statusText, trailers } = response!
      const body = new HttpBody.Uint8Array(whole, "application/octet-stream", whole.length)
      this.end(Exit.succeed({ status, statusText, headers, body, trailers, deliver: this.delivering(whole) }))
    }
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.over) return
    // A client that breaks off its request body makes undici fail. That is no failure of the upstream.
    if (error instanceof ClientBroke || this.client.isGone) return this.giveUp()
    const connecting = this.controller === undefined
    if (!connecting && !this.again && isStale(this.lane, error) && isReplayable(this.request)) return this.replay()
    const phase = this.response !== undefined ? "body" : connecting ? "connect" : this.sent ? "head" : "send"
    const timedOut = "code" in error && error.code === "UND_ERR_CONNECT_TIMEOUT"
    this.fail(phase, error, "upstream", timedOut)
  }

  private replay(): void {
    this.again = true
    this.sent = false
    this.controller = this.lane = undefined
    this.watchFor(undefined)
    this.dispatch(this.origin.fresh)
  }

  private answer(): void {
    if (this.over || this.response === undefined || this.body !== undefined) return
    const body = this.body = new ResponseBody(this, serverResponse(this.request))
    for (const chunk of this.chunks) if (!body.push(chunk)) this.pause()
    this.chunks = []
    this.watchFor(this.request.idle)
    this.call.answer({ ...this.response, body: HttpBody.raw(body), deliver: this.delivering(body) })
  }

  private delivering(body: ResponseBody | Buffer): Response["deliver"] {
    return (head, done) => {
      const response = writable(this.request, head)
      if (response === undefined) return false
      if (body instanceof ResponseBody) return body.into(response, head, done)
      const wrote = writeWhole(response, head, body)
      done()
      return wrote
    }
  }

  private pause(): void {
    this.paused = true
    this.controller?.pause()
  }

  private fail(
    phase: UpstreamError["phase"],
    cause: Error,
    side: UpstreamError["side"] = "upstream",
    timedOut = false
  ): void {
    const { origin } = this.request.upstream
    this.end(Exit.fail(new UpstreamError({ phase, side, timedOut, origin, cause })))
    this.breakOff(cause)
  }

  private end(exit: Exit.Exit<Response, UpstreamError>): void {
    if (this.over) return
    this.leave(exit._tag === "Success" && !this.again)
    this.call.end(exit)
  }

  private leave(inOrder: boolean): void {
    this.over = true
    this.client.unwatch()
    this.watchFor(undefined)
    if (this.begun) this.origin.end(inOrder)
  }

  private watchFor(time: Duration.Duration | undefined): void {
    if (this.silence === undefined && time === undefined) return
    this.silence?.unwatch(this)
    this.silence = time === undefined ? undefined : silenceOf(Math.ceil(Duration.toMillis(time)))
    this.silence?.watch(this)
  }

  private requestBody(): Readable | Uint8Array | null {
    const whole = wholeOf(this.request, this.client.request)
    if (whole !== undefined) return whole
    const body = bodyOf(this.request, this.client.request)
    if (body instanceof Readable) this.sending = body
    return body
  }
}
