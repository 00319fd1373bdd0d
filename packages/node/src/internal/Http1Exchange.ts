import type { Completion } from "@blackgate/core/Command"
import * as HeaderList from "@blackgate/http/HeaderList"
import type { Request, Response } from "@blackgate/http/Transport"
import type { UpstreamError } from "@blackgate/http/UpstreamError"
import * as HttpBody from "effect/http/HttpBody"
import type * as Http from "node:http"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import type { Dispatcher } from "undici"
import { bodyOf } from "./bodyOf.ts"
import { ClientBroke } from "./ClientBroke.ts"
import { writable, writeWhole } from "./delivery.ts"
import { takesTrailers } from "./Downstream.ts"
import { Exchange } from "./Exchange.ts"
import type { Cargo, DispatchOptions, Lane } from "./Lane.ts"
import type { Origin } from "./Origins.ts"
import { bytesOf, endsWithConnection, fieldsOf } from "./received.ts"
import { isReplayable, isStale } from "./replay.ts"
import { RequestBody } from "./RequestBody.ts"
import { ResponseBody } from "./ResponseBody.ts"
import { soon } from "./soon.ts"
import { letGo, mayBeWhole, wholeOf } from "./wholeBody.ts"

/**
 * An exchange over HTTP/1: the handler that undici calls back.
 *
 * At the response head a microtask is scheduled. If the response has ended by then, as a small one has that came in one read, it is
 * told whole; otherwise its head is told, with a body that streams. Nothing is delayed for it.
 */
export class Http1Exchange extends Exchange<Dispatcher.DispatchController>
  implements Dispatcher.DispatchHandler, Cargo
{
  lane: Lane | undefined = undefined
  private readonly origin: Origin
  /** What its request goes over. */
  private connection: Net.Socket | undefined = undefined
  private begun = false
  private trailing: HeaderList.HeaderList | undefined = undefined

  constructor(request: Request, call: Completion<Response, UpstreamError>, origin: Origin) {
    super(request, call)
    this.origin = origin
  }

  protected override begin(): void {
    // Node is in the midst of what has come from the client, and may have all of a small body behind the head.
    if (mayBeWhole(this.request)) soon(() => this.go())
    else this.go()
  }

  private go(): void {
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

  private requestBody(): Readable | Uint8Array | null {
    const whole = this.kept ?? wholeOf(this.request, this.client.request)
    if (whole !== undefined) return whole
    const body = bodyOf(this.request, this.client.request)
    if (body instanceof Readable) this.sending = body
    return body
  }

  protected override abort(reason: Error): void {
    this.carrier?.abort(reason)
  }

  protected override left(inOrder: boolean): void {
    if (this.begun) this.origin.end(inOrder && !this.again)
  }

  protected override delivering(body: ResponseBody | Buffer): Response["deliver"] {
    return (head, done) => {
      const streams = body instanceof ResponseBody
      const response = writable(this.request, head, streams)
      if (response === undefined) return false
      if (this.connection !== undefined) letGo(this.client.request, this.connection)
      if (streams) return body.into(response, head, done)
      const wrote = writeWhole(response, head, body)
      done()
      return wrote
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // While the request waited inside of undici there was nothing to abort.
    if (this.over) return controller.abort(new Error("the exchange was given up"))
    this.carrier = controller
    const { lane, request: { body, idle }, sending } = this
    lane?.begin(body._tag === "Incoming" ? body.trailers : undefined)
    if (sending !== undefined) this.watchFor(idle)
    if (body._tag !== "Incoming" || lane?.socket === undefined) return
    this.connection = lane.socket
    if (sending instanceof RequestBody) sending.goesTo(lane.socket)
  }

  onBodySent(): void {
    this.quiet = 0
  }

  onRequestSent(): void {
    this.onSent()
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Http.IncomingHttpHeaders,
    statusText?: string
  ): void {
    if (this.over) return
    const fields = fieldsOf(controller.rawHeaders, headers, this.lane?.takeFirst())
    if (status < 200) return this.onInterim(status, fields)
    const trails = headers["transfer-encoding"] !== undefined && takesTrailers(this.request, status)
    this.onHead({
      status,
      statusText: bytesOf(statusText),
      headers: fields,
      body: HttpBody.empty,
      trailers: trails ? () => this.trailers(fields) : undefined
    })
    soon(() => this.answer())
  }

  // They are read once, while what undici has them in is there.
  private trailers(head: HeaderList.HeaderList): HeaderList.HeaderList {
    const raw = this.carrier?.rawTrailers
    if (raw === undefined) return HeaderList.empty
    return this.trailing ??= HeaderList.trailers(fieldsOf(raw, {}), head)
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.onData(chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const reset = this.lane?.reset
    if (reset !== undefined && endsWithConnection(this.response!.headers)) this.onResponseError(controller, reset)
    else this.onEnd()
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.over) return
    // A client that breaks off its request body makes undici fail. That is no failure of the upstream.
    if (error instanceof ClientBroke || this.client.isGone) return this.giveUp()
    const connecting = this.carrier === undefined
    if (!connecting && !this.again && isStale(this.lane, error) && isReplayable(this.request)) return this.replay()
    const timedOut = "code" in error && error.code === "UND_ERR_CONNECT_TIMEOUT"
    this.fail(connecting ? "connect" : this.phase, error, "upstream", timedOut)
  }

  private replay(): void {
    this.again = true
    this.sent = false
    this.carrier = this.lane = undefined
    this.watchFor(undefined)
    this.dispatch(this.origin.fresh)
  }
}
